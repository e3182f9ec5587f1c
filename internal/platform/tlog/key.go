package tlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"io"
	"os"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// Algorithms of a log's keys.
const (
	SM2  = "sm2"  // GB/T 32918 with SM3 and the default identity
	P256 = "p256" // ECDSA P-256 with SHA-256
)

// Key is a public key of a log.
type Key struct {
	Algorithm string
	DER       []byte // PKIX
	pub       *ecdsa.PublicKey
}

// Keys are the keys of a log, or those that somebody trusts.
type Keys []Key

const (
	maxKeys    = 16
	maxKeyFile = 64 << 10
	pemType    = "PUBLIC KEY"
)

func parseKey(der []byte) (Key, error) {
	v, err := smx509.ParsePKIXPublicKey(der)
	if err != nil {
		return Key{}, ErrKey.New()
	}
	pub, ok := v.(*ecdsa.PublicKey)
	if !ok {
		return Key{}, ErrKey.New()
	}
	k := Key{DER: bytes.Clone(der), pub: pub}
	switch pub.Curve {
	case sm2.P256():
		k.Algorithm = SM2
	case elliptic.P256():
		k.Algorithm = P256
	default:
		return Key{}, ErrKey.New()
	}
	return k, nil
}

// KeysOf are the keys from their PKIX forms.
func KeysOf(ders ...[]byte) (out Keys, err error) {
	for _, d := range ders {
		k, err := parseKey(d)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// ParseKeys reads PEM blocks, at least one.
func ParseKeys(text []byte) (out Keys, err error) {
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != pemType || len(out) == maxKeys {
			return nil, ErrKey.New()
		}
		k, err := parseKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		out, text = append(out, k), rest
	}
	if len(out) == 0 {
		return nil, ErrKey.New()
	}
	return out, nil
}

// ReadKeys reads a file of public keys.
func ReadKeys(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, ErrKey.Wrap(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, ErrKey.Wrap(err)
	}
	return ParseKeys(b)
}

// PEM is the keys as a file.
func (ks Keys) PEM() string {
	var b bytes.Buffer
	for _, k := range ks {
		_ = pem.Encode(&b, &pem.Block{Type: pemType, Bytes: k.DER}) // a buffer takes everything
	}
	return b.String()
}

// Fingerprint names a key: SHA-256 over its PKIX form, 64 hexadecimal digits.
func (k Key) Fingerprint() string {
	s := sha256.Sum256(k.DER)
	return hex.EncodeToString(s[:])
}

// LogID names a log at a witness: its origin with its keys, so that nobody else can take
// its place.
func LogID(origin string, ks Keys) string {
	h := sha256.New()
	h.Write([]byte("xinglin-log-v1\n" + origin + "\n"))
	for _, k := range ks {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(k.DER))))
		h.Write(k.DER)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hint is the four bytes that tell the key of a signature (C2SP signed notes: SHA-256
// over name, newline, type and key).
func (k Key) hint(name string) uint32 {
	kind := []byte{0x02}
	if k.Algorithm == SM2 {
		kind = []byte("\xffsm2")
	}
	s := sha256.Sum256(append(append([]byte(name+"\n"), kind...), k.DER...))
	return binary.BigEndian.Uint32(s[:])
}

// Verify says whether the key signed the message.
func (k Key) Verify(message, signature []byte) bool {
	if k.Algorithm == SM2 {
		return sm2.VerifyASN1WithSM2(k.pub, nil, message, signature)
	}
	digest := sha256.Sum256(message)
	return ecdsa.VerifyASN1(k.pub, digest[:], signature)
}

// Open reads a head and wants it signed by one of the keys, and no signature of any of
// them false. It gives the keys that signed.
func (ks Keys) Open(note string) (h Head, by Keys, err error) {
	h, signatures, err := Parse(note)
	if err != nil {
		return h, nil, err
	}
	if by, err = ks.signed(h.Body(), h.Origin, signatures); err != nil {
		return h, nil, err
	}
	if len(by) == 0 {
		return h, nil, ErrSigned.Because("head %d is signed by none of the given keys", h.Number)
	}
	return h, by, nil
}

// signed are those of the keys that signed the body under the name; a false signature of
// any of them is an error.
func (ks Keys) signed(body, name string, signatures []Signature) (by Keys, err error) {
	for _, s := range signatures {
		for _, k := range ks {
			if s.Name != name || s.Hint != k.hint(name) {
				continue
			}
			if !k.Verify([]byte(body), s.Bytes) {
				return nil, ErrSigned.Because("the signature of key %.16s is false", k.Fingerprint())
			}
			by = append(by, k)
		}
	}
	return by, nil
}

// All says whether every one of the keys is among those that signed.
func (ks Keys) All(by Keys) bool {
	for _, k := range ks {
		if !by.has(k) {
			return false
		}
	}
	return true
}

// And is the keys with those of more that are not among them.
func (ks Keys) And(more ...Key) Keys {
	for _, k := range more {
		if !ks.has(k) {
			ks = append(ks, k)
		}
	}
	return ks
}

func (ks Keys) has(k Key) bool {
	for _, x := range ks {
		if bytes.Equal(x.DER, k.DER) {
			return true
		}
	}
	return false
}
