package identitysvc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/secret"
)

// Argon2id by the OWASP minimum: 19 MiB, two passes, one lane. At most four at once
// (76 MiB); the rest wait two seconds at most.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonLanes   = 1
	argonKey     = 32
	argonSalt    = 16
	hashesAtOnce = 4
	hashWait     = 2 * time.Second
)

type hasher struct {
	slots chan struct{}
	// unknown is checked for user names that do not exist, so that they cost the same.
	unknown string
}

func newHasher() *hasher {
	salt := make([]byte, argonSalt)
	// A key of zeros belongs to no password that anyone could find.
	return &hasher{slots: make(chan struct{}, hashesAtOnce), unknown: encodeHash(salt, make([]byte, argonKey))}
}

// take waits for a slot: identity.busy after two seconds.
func (h *hasher) take(ctx context.Context) (free func(), err error) {
	free = func() { <-h.slots }
	select {
	case h.slots <- struct{}{}:
		return free, nil
	default:
	}
	t := time.NewTimer(hashWait)
	defer t.Stop()
	select {
	case h.slots <- struct{}{}:
		return free, nil
	case <-t.C:
		return nil, identity.ErrBusy.After(hashWait)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash makes the stored form of a password (the PHC string form).
func (h *hasher) hash(ctx context.Context, p secret.Text) (string, error) {
	free, err := h.take(ctx)
	if err != nil {
		return "", err
	}
	defer free()
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return encodeHash(salt, argon2.IDKey([]byte(p.Reveal()), salt, argonTime, argonMemory, argonLanes, argonKey)), nil
}

// matches compares a password with a stored form; with "" it works as long and says
// no. The caller has taken a slot.
func (h *hasher) matches(stored string, p secret.Text) (bool, error) {
	known := stored != ""
	if !known {
		stored = h.unknown
	}
	salt, want, err := decodeHash(stored)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(p.Reveal()), salt, argonTime, argonMemory, argonLanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

var hashHead = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonLanes)

func encodeHash(salt, key []byte) string {
	b := base64.RawStdEncoding
	return hashHead + b.EncodeToString(salt) + "$" + b.EncodeToString(key)
}

func decodeHash(s string) (salt, key []byte, err error) {
	rest, ok := strings.CutPrefix(s, hashHead)
	a, b, ok2 := strings.Cut(rest, "$")
	if !ok || !ok2 {
		return nil, nil, fmt.Errorf("identity: a stored password hash has another form")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(a); err != nil {
		return nil, nil, fmt.Errorf("identity: a stored password hash has a malformed salt")
	}
	if key, err = base64.RawStdEncoding.DecodeString(b); err != nil || len(key) != argonKey {
		return nil, nil, fmt.Errorf("identity: a stored password hash has a malformed key")
	}
	return salt, key, nil
}

const (
	minPassword = 12  // characters
	maxPassword = 128 // bytes
)

// common are passwords of twelve and more characters that attackers try first.
var common = map[string]bool{
	"123456789012": true, "1234567890123": true, "12345678901234": true, "123456789123": true, "qwertyuiop123": true,
	"qwertyuiopasdf": true, "qwertyuiop[]": true, "1qaz2wsx3edc": true, "1qaz2wsx3edc4rfv": true, "password1234": true,
	"password12345": true, "passwordpassword": true, "password123456": true, "admin1234567": true, "administrator": true,
	"administrator1": true, "adminadmin123": true, "iloveyou1234": true, "letmein12345": true, "welcome12345": true,
	"abcdefghijkl": true, "abcd12345678": true, "abc123456789": true, "a12345678901": true, "woaini1314520": true,
	"5201314520131": true, "qazwsxedcrfv": true, "zaq12wsxcde3": true, "changeme1234": true, "xinglin12345": true,
	"hospital1234": true, "yiyuan123456": true,
}

// checkPassword is the policy: twelve characters, none of the common ones, not one
// character again and again, and not the user name.
func checkPassword(username string, p secret.Text) error {
	s := strings.ToLower(p.Reveal())
	weak := utf8.RuneCountInString(s) < minPassword || len(s) > maxPassword || common[s] ||
		strings.Trim(s, s[:min(1, len(s))]) == "" || strings.Contains(s, username)
	if weak {
		return identity.ErrPasswordWeak.New()
	}
	return nil
}

// newPassword is for accounts that are made without one: 100 bits, shown once.
func newPassword() secret.Text { return secret.New(strings.ToLower(rand.Text()[:20])) }
