package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
)

// One algorithm, on purpose: what reads our own tokens back (hints) knows no other, so that none, HS256 with the public
// key, or a key inside the token cannot even be asked for.
const algorithm = "ES256"

const (
	pointSize = 1 + 32 + 32 // uncompressed P-256
	maxJWS    = 4096        // characters
)

// header is the protected header of what we sign; of what we read, alg and kid count, and the rest must not be there.
type header struct {
	Alg  string   `json:"alg"`
	Kid  string   `json:"kid"`
	Typ  string   `json:"typ,omitempty"`
	Crit []string `json:"crit,omitempty"`
	Jwk  any      `json:"jwk,omitempty"`
	Jku  string   `json:"jku,omitempty"`
	X5u  string   `json:"x5u,omitempty"`
}

var b64 = base64.RawURLEncoding

// signJWS signs claims in the compact form.
func signJWS(k signer, typ string, claims any) (string, error) {
	h, err := json.Marshal(header{Alg: algorithm, Kid: k.kid, Typ: typ})
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := b64.EncodeToString(h) + "." + b64.EncodeToString(c)
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	v.FillBytes(sig[32:])
	return text + "." + b64.EncodeToString(sig), nil
}

var errJWS = errors.New("provider: not a token of ours")

// openJWS verifies a token against the keys that we published and reads its claims.
func openJWS(text string, find func(kid string) *ecdsa.PublicKey, claims any) error {
	parts := strings.Split(text, ".")
	if len(text) > maxJWS || len(parts) != 3 {
		return errJWS
	}
	var h header
	if err := readPart(parts[0], &h); err != nil || h.Alg != algorithm || h.Crit != nil || h.Jwk != nil || h.Jku != "" || h.X5u != "" || h.Typ != "" && h.Typ != "JWT" {
		return errJWS
	}
	key := find(h.Kid)
	if key == nil {
		return errJWS
	}
	sig, err := b64.Strict().DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return errJWS
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return errJWS
	}
	return readPart(parts[1], claims)
}

func readPart(text string, into any) error {
	b, err := b64.Strict().DecodeString(text)
	if err != nil {
		return errJWS
	}
	if json.Unmarshal(b, into) != nil {
		return errJWS
	}
	return nil
}

// point writes a public key as 0x04 X Y.
func point(k *ecdsa.PublicKey) ([]byte, error) { return k.Bytes() }

// readPoint reads it; a point that is not on the curve is no key.
func readPoint(b []byte) (*ecdsa.PublicKey, error) {
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b)
}
