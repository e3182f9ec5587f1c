// Package softkey is an authenticator (WebAuthn) in memory that signs for real, ES256, as a browser would hand its answers
// on. Its fields let a test lie in one place at a time: another origin, another host, no user verification, a counter that
// goes back, an algorithm that is none.
package softkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// Key is one credential.
type Key struct {
	Origin string // what the browser writes into the client data
	Host   string // the relying party's id
	// Count is the counter of the last answer; each answer is one more, unless Synced.
	Count  uint32
	Synced bool // a passkey of a cloud: it may be copied, and counts nothing
	Deaf   bool // does not recognise its person: no user verification
	Alg    int64

	ID         []byte
	UserHandle []byte

	t    testing.TB
	pair *ecdsa.PrivateKey
}

const es256 = -7

// New is a key that was not registered yet.
func New(t testing.TB, origin, host string) *Key {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("softkey: %v", err)
	}
	k := &Key{Origin: origin, Host: host, Alg: es256, ID: make([]byte, 32), t: t, pair: pair}
	_, _ = rand.Read(k.ID) // never fails
	return k
}

// Clone is a copy of the key, with its counter as it is now.
func (k *Key) Clone() *Key {
	c := *k
	return &c
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (k *Key) decode(text any) []byte {
	k.t.Helper()
	s, _ := text.(string)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		k.t.Fatalf("softkey: %v", err)
	}
	return b
}

// clientData is what the browser says about the ceremony.
func (k *Key) clientData(kind string, challenge any) []byte {
	k.t.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": k.Origin, "crossOrigin": false})
	if err != nil {
		k.t.Fatalf("softkey: %v", err)
	}
	return b
}

// Flags of the authenticator's data.
const (
	userPresent  = 0x01
	userVerified = 0x04
	mayBackup    = 0x08
	backedUp     = 0x10
	attested     = 0x40
)

// data is the authenticator's data without a credential.
func (k *Key) data(flags byte) []byte {
	host := sha256.Sum256([]byte(k.Host))
	flags |= userPresent
	if !k.Deaf {
		flags |= userVerified
	}
	if k.Synced {
		flags |= mayBackup | backedUp
	}
	return binary.BigEndian.AppendUint32(append(host[:], flags), k.Count)
}

func (k *Key) counted() {
	if !k.Synced {
		k.Count++
	}
}

// Make answers navigator.credentials.create: public_key of the answer of POST /auth/passkeys/options.
func (k *Key) Make(publicKey map[string]any) map[string]any {
	k.t.Helper()
	k.counted()
	user, _ := publicKey["user"].(map[string]any)
	k.UserHandle = k.decode(user["id"])
	data := append(k.data(attested), make([]byte, 16)...) // no model
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
	data = append(append(data, k.ID...), k.cose()...)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3}, text("fmt")...)
	object = append(append(object, text("none")...), text("attStmt")...)
	object = append(append(object, 0xa0), text("authData")...)
	object = append(object, blob(data)...)
	return map[string]any{
		"id": b64(k.ID), "rawId": b64(k.ID), "type": "public-key", "clientExtensionResults": map[string]any{}, "authenticatorAttachment": "platform",
		"response": map[string]any{
			"clientDataJSON": b64(k.clientData("webauthn.create", publicKey["challenge"])), "attestationObject": b64(object), "transports": []string{"internal", "hybrid"},
		},
	}
}

// Sign answers navigator.credentials.get: public_key of a question.
func (k *Key) Sign(publicKey map[string]any) map[string]any {
	k.t.Helper()
	k.counted()
	client := k.clientData("webauthn.get", publicKey["challenge"])
	data := k.data(0)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.pair, sum[:])
	if err != nil {
		k.t.Fatalf("softkey: %v", err)
	}
	return map[string]any{
		"id": b64(k.ID), "rawId": b64(k.ID), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{
			"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(k.UserHandle),
		},
	}
}

// ---- the little CBOR that this takes (RFC 8949) ----

// cose is the public key: {1: 2, 3: alg, -1: 1, -2: x, -3: y}.
func (k *Key) cose() []byte {
	point, err := k.pair.PublicKey.Bytes() // 4, x, y
	if err != nil {
		k.t.Fatalf("softkey: %v", err)
	}
	out := []byte{0xa5, 0x01, 0x02, 0x03}
	out = append(out, number(k.Alg)...)
	out = append(out, 0x20, 0x01, 0x21)
	out = append(append(out, blob(point[1:33])...), 0x22)
	return append(out, blob(point[33:])...)
}

// head is the first bytes of an item: its major type and a length or value.
func head(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	}
	return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
}

func number(n int64) []byte {
	if n < 0 {
		return head(1, uint64(-1-n))
	}
	return head(0, uint64(n))
}

func blob(b []byte) []byte { return append(head(2, uint64(len(b))), b...) }

func text(s string) []byte { return append(head(3, uint64(len(s))), s...) }
