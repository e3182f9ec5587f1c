package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// Algorithm seals fields. Its number is the second byte of every sealed field.
type Algorithm byte

// The algorithms: an international and a national one (R60). Software SM4 is no
// certified cryptographic module (R70).
const (
	AES256GCM Algorithm = 1 // 32-byte keys, HMAC-SHA256 for indexes
	SM4GCM    Algorithm = 2 // 16-byte keys (RFC 8998), HMAC-SM3 for indexes
)

// ParseAlgorithm reads the configuration's word: aes-256-gcm (also when empty) or sm4-gcm.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch s {
	case "", "aes-256-gcm":
		return AES256GCM, nil
	case "sm4-gcm":
		return SM4GCM, nil
	}
	return 0, fmt.Errorf("algorithm %q: want aes-256-gcm or sm4-gcm", s)
}

// String is the configuration's word.
func (a Algorithm) String() string {
	switch a {
	case AES256GCM:
		return "aes-256-gcm"
	case SM4GCM:
		return "sm4-gcm"
	}
	return "unknown"
}

func (a Algorithm) keySize() int {
	if a == SM4GCM {
		return sm4.BlockSize // key and block of SM4 are both 128 bits
	}
	return 32
}

func (a Algorithm) hash() func() hash.Hash {
	if a == SM4GCM {
		return sm3.New
	}
	return sha256.New
}

func (a Algorithm) aead(raw []byte) (cipher.AEAD, error) {
	if len(raw) != a.keySize() {
		return nil, fmt.Errorf("%s: key of %d bytes", a, len(raw))
	}
	var block cipher.Block
	var err error
	switch a {
	case AES256GCM:
		block, err = aes.NewCipher(raw)
	case SM4GCM:
		block, err = sm4.NewCipher(raw)
	default:
		err = errors.New("unknown algorithm")
	}
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func mac(a Algorithm, key []byte, parts ...string) []byte {
	h := hmac.New(a.hash(), key)
	h.Write([]byte(strings.Join(parts, "\x00")))
	return h.Sum(nil)
}

// The sealed form, version 1:
//
//	byte  0      version, 1
//	byte  1      algorithm, 1 = AES-256-GCM, 2 = SM4-GCM
//	bytes 2-17   id of the key
//	bytes 18-29  nonce, random
//	bytes 30-    ciphertext, then the tag of 16 bytes
//
// Associated data: "xinglin/v1" NUL tenant NUL table NUL column NUL row, the tenant
// as a lower-case UUID. So a field opens only where it was written.
const (
	version    = 1
	nonceSize  = 12
	tagSize    = 16
	headerSize = 2 + 16 + nonceSize
	// MaxPlain bounds one field.
	MaxPlain = 1 << 20
)

type header struct {
	alg   Algorithm
	key   keyID
	nonce []byte
	body  []byte
}

func parse(sealed []byte) (header, error) {
	if len(sealed) < headerSize+tagSize || len(sealed) > headerSize+tagSize+MaxPlain {
		return header{}, fmt.Errorf("sealed field of %d bytes", len(sealed))
	}
	if sealed[0] != version {
		return header{}, fmt.Errorf("sealed field of version %d", sealed[0])
	}
	return header{
		alg:   Algorithm(sealed[1]),
		key:   keyID(sealed[2:18]),
		nonce: sealed[18:headerSize],
		body:  sealed[headerSize:],
	}, nil
}

// seal makes the sealed form under k.
func (k *key) seal(aad string, plain []byte) []byte {
	out := make([]byte, headerSize, headerSize+len(plain)+tagSize)
	out[0], out[1] = version, byte(k.alg)
	copy(out[2:18], k.id[:])
	copy(out[18:headerSize], random(nonceSize))
	return k.aead.Seal(out, out[18:headerSize], plain, []byte(aad))
}

// open is the reverse; the header must name k and its algorithm.
func (k *key) open(aad string, h header) ([]byte, error) {
	if h.key != k.id || h.alg != k.alg {
		return nil, errors.New("sealed under another key")
	}
	return k.aead.Open(nil, h.nonce, h.body, []byte(aad))
}

// Field is where a sealed value stands. Every part is bound into the ciphertext, so
// it cannot be moved to another tenant, table, column or row.
type Field struct {
	Tenant id.ID[auth.Tenant]
	// Person whose key seals; zero seals under the tenant's key. It must be an id
	// that stays (the patient), not an account.
	Person id.ID[id.Any]
	Table  string // without the schema
	Column string
	Row    string // the row's id as text
}

func (f Field) aad() (string, error) {
	if f.Tenant.IsZero() || f.Table == "" || f.Column == "" || f.Row == "" {
		return "", errors.New("crypt: a field needs tenant, table, column and row")
	}
	if strings.Contains(f.Table+f.Column+f.Row, "\x00") {
		return "", errors.New("crypt: NUL in a field's place")
	}
	return strings.Join([]string{"xinglin/v1", f.Tenant.String(), f.Table, f.Column, f.Row}, "\x00"), nil
}

// wrapAAD binds a wrapped key to its place in the store.
func wrapAAD(tenant id.ID[auth.Tenant], kind string, person id.ID[id.Any], key keyID) string {
	return strings.Join([]string{"xinglin/wrap/v1", tenant.String(), kind, person.String(), key.String()}, "\x00")
}
