package crypt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// A tenant signs under two keys of its own: SM2 with SM3 (GB/T 32918) and ECDSA P-256
// with SHA-256. They lie wrapped like every key of the tenant, as PKCS #8.
const (
	kindSM2  = "sign_sm2"
	kindP256 = "sign_p256"
)

func signs(kind string) bool { return kind == kindSM2 || kind == kindP256 }

// newSigningKey makes one; alg is what wraps it.
func newSigningKey(now time.Time, alg Algorithm, kind string, generation int) (*key, error) {
	var private any
	var err error
	if kind == kindSM2 {
		private, err = sm2.GenerateKey(rand.Reader)
	} else {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	raw, err := smx509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &key{id: id.New[stored](now), alg: alg, generation: generation, raw: raw}, nil
}

// Signer signs for a tenant. The private key stays inside.
type Signer struct {
	public []byte
	sign   func(message []byte) ([]byte, error)
}

// Public is the public key: PKIX, DER.
func (s Signer) Public() []byte { return s.public }

// Sign gives the signature over the message, ASN.1: SM2 with the default identity, or
// ECDSA over its SHA-256.
func (s Signer) Sign(message []byte) ([]byte, error) { return s.sign(message) }

// Signers are the tenant's SM2 key and its P-256 key of a generation, in this order; they
// are made when there are none. Whoever signs says which generation is in force: the first
// is 1. Call it outside of transactions.
func (r *Ring) Signers(ctx context.Context, tenant id.ID[auth.Tenant], generation int) ([]Signer, error) {
	t, err := r.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	kinds, want := []string{kindSM2, kindP256}, map[string]int{}
	for _, kind := range kinds {
		if t[kind].of(generation) == nil {
			want[kind] = generation
		}
	}
	if len(want) > 0 { // or another process made them: its keys stay
		if t, err = r.addGenerations(ctx, tenant, want); err != nil {
			return nil, err
		}
	}
	var out []Signer
	for _, kind := range kinds {
		k := t[kind].of(generation)
		if k == nil {
			return nil, ErrUnreadable.Because("no %s key of generation %d", kind, generation)
		}
		s, err := newSigner(k)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// of is the key of a generation; nil for none.
func (s *keySet) of(generation int) *key {
	if s == nil {
		return nil
	}
	for _, k := range s.keys {
		if k.generation == generation {
			return k
		}
	}
	return nil
}

func newSigner(k *key) (Signer, error) {
	private, err := smx509.ParsePKCS8PrivateKey(k.raw)
	if err != nil {
		return Signer{}, ErrUnreadable.Because("signing key %s", k.id)
	}
	var s Signer
	var public any
	switch p := private.(type) {
	case *sm2.PrivateKey:
		public = &p.PublicKey
		s.sign = func(m []byte) ([]byte, error) { return p.Sign(rand.Reader, m, sm2.NewSM2SignerOption(true, nil)) }
	case *ecdsa.PrivateKey:
		public = &p.PublicKey
		s.sign = func(m []byte) ([]byte, error) {
			digest := sha256.Sum256(m)
			return ecdsa.SignASN1(rand.Reader, p, digest[:])
		}
	default:
		return s, errors.New("crypt: a signing key of another kind")
	}
	if s.public, err = smx509.MarshalPKIXPublicKey(public); err != nil {
		return s, err
	}
	return s, nil
}
