package admission

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"xinglin/internal/kernel/auth"
)

type kind byte

const (
	kindPlace kind = 'P' // a place in line
	kindPass  kind = 'A' // admitted
	kindWork  kind = 'W' // a proof of work to do
)

// tag stands for a tenant, account, session or room: eight bytes of a keyed hash, so
// that a token in a URL or a log names nobody.
type tag [8]byte

// token is what a signed text says.
type token struct {
	kind     kind
	tenant   tag
	account  tag
	session  tag
	room     tag
	arrived  int64 // microseconds; orders places across processes
	expires  int64 // seconds
	position uint32
}

const (
	tokenBytes = 1 + 4*8 + 8 + 8 + 4
	macBytes   = 16
)

var tokenText = base64.RawURLEncoding.EncodedLen(tokenBytes + macBytes)

// sealer signs and reads tokens.
type sealer struct{ key []byte }

func (s sealer) mac(domain string, data []byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(domain))
	m.Write([]byte{0})
	m.Write(data)
	return m.Sum(nil)
}

func (s sealer) tagOf(domain string, data []byte) (t tag) {
	copy(t[:], s.mac(domain, data))
	return t
}

// of fills in whose token it is.
func (s sealer) of(t token, who auth.Principal) token {
	t.tenant = s.tagOf("tenant", who.Tenant[:])
	t.account = s.tagOf("account", who.Account[:])
	t.session = s.tagOf("session", who.Session[:])
	return t
}

func (s sealer) sign(t token) string {
	b := make([]byte, 0, tokenBytes+macBytes)
	b = append(b, byte(t.kind))
	for _, x := range []tag{t.tenant, t.account, t.session, t.room} {
		b = append(b, x[:]...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(t.arrived))
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires))
	b = binary.BigEndian.AppendUint32(b, t.position)
	b = append(b, s.mac("token", b)[:macBytes]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// open reads a token of the kind that who shows: admission.token_forged, _shared, _expired.
func (s sealer) open(k kind, text string, who auth.Principal, now time.Time) (t token, err error) {
	if len(text) != tokenText {
		return t, ErrForged.New()
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !hmac.Equal(b[tokenBytes:], s.mac("token", b[:tokenBytes])[:macBytes]) || kind(b[0]) != k {
		return t, ErrForged.New()
	}
	t.kind = k
	for i, x := range []*tag{&t.tenant, &t.account, &t.session, &t.room} {
		copy(x[:], b[1+8*i:])
	}
	t.arrived = int64(binary.BigEndian.Uint64(b[33:]))
	t.expires = int64(binary.BigEndian.Uint64(b[41:]))
	t.position = binary.BigEndian.Uint32(b[49:])
	if mine := s.of(t, who); mine != t {
		return t, ErrShared.New()
	}
	if now.Unix() >= t.expires {
		return t, ErrExpired.New()
	}
	return t, nil
}
