package settings

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// Key is a public key that a tenant may trust.
type Key struct {
	Name      string // the first 32 hex digits of SHA-256 over DER
	Algorithm string // SM2, P-256, Ed25519
	DER       []byte // PKIX
	good      func(message, signature []byte) bool
}

// ParseKey reads a public key: PKIX, DER or PEM.
func ParseKey(raw []byte) (Key, error) {
	if p, _ := pem.Decode(raw); p != nil {
		raw = p.Bytes
	}
	v, err := smx509.ParsePKIXPublicKey(raw)
	if err != nil {
		return Key{}, ErrKey.New()
	}
	digest := sha256.Sum256(raw)
	k := Key{Name: hex.EncodeToString(digest[:16]), DER: raw}
	switch pub := v.(type) {
	case ed25519.PublicKey:
		k.Algorithm = "Ed25519"
		k.good = func(m, sig []byte) bool { return ed25519.Verify(pub, m, sig) }
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case sm2.P256():
			k.Algorithm = "SM2"
			k.good = func(m, sig []byte) bool { return sm2.VerifyASN1WithSM2(pub, nil, m, sig) }
		case elliptic.P256():
			k.Algorithm = "P-256"
			k.good = func(m, sig []byte) bool {
				d := sha256.Sum256(m)
				return ecdsa.VerifyASN1(pub, d[:], sig)
			}
		}
	}
	if k.good == nil {
		return Key{}, ErrKey.New()
	}
	return k, nil
}

// PrivateKey is a key outside of the product: of a hospital group's own people, who write bundles.
type PrivateKey struct {
	public []byte
	sign   func([]byte) ([]byte, error)
}

// Public implements Signer.
func (k PrivateKey) Public() []byte { return k.public }

// Sign implements Signer.
func (k PrivateKey) Sign(message []byte) ([]byte, error) { return k.sign(message) }

// ParsePrivateKey reads a private key: PKCS #8, PEM.
func ParsePrivateKey(raw []byte) (k PrivateKey, err error) {
	p, _ := pem.Decode(raw)
	if p == nil {
		return k, ErrKey.New()
	}
	v, err := smx509.ParsePKCS8PrivateKey(p.Bytes)
	if err != nil {
		return k, ErrKey.New()
	}
	var public any
	switch v := v.(type) {
	case ed25519.PrivateKey:
		public = v.Public()
		k.sign = func(m []byte) ([]byte, error) { return ed25519.Sign(v, m), nil }
	case *sm2.PrivateKey:
		public = &v.PublicKey
		k.sign = func(m []byte) ([]byte, error) { return v.Sign(rand.Reader, m, sm2.NewSM2SignerOption(true, nil)) }
	case *ecdsa.PrivateKey:
		public = &v.PublicKey
		k.sign = func(m []byte) ([]byte, error) {
			d := sha256.Sum256(m)
			return ecdsa.SignASN1(rand.Reader, v, d[:])
		}
	default:
		return k, ErrKey.New()
	}
	if k.public, err = smx509.MarshalPKIXPublicKey(public); err != nil {
		return k, err
	}
	_, err = ParseKey(k.public) // another curve is refused here
	return k, err
}
