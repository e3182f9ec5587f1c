// Package attest is the word that a third party gives about something that it cannot
// read: a witness signs the digest of a subject exactly once. Whoever needs a value that
// nobody could know before (a lottery's draw, a log's head) takes the signature.
//
// A subject is the public half of a key that its owner makes for this one matter and
// publishes before. Only the owner can ask for its statement, so that nobody else uses
// the subject up; the witness needs no register of owners and no shared secret.
package attest

import (
	"crypto/ed25519"
	"encoding/binary"
)

// The domains keep the two kinds of messages apart from each other and from all others.
const (
	askDomain = "xinglin-witness-ask-v1"
	sayDomain = "xinglin-witness-say-v1"
)

// DigestSize is the size of a digest (SHA-256 or SM3), in bytes.
const DigestSize = 32

// Subject is an Ed25519 public key.
type Subject [ed25519.PublicKeySize]byte

// Digest is what the statement is about.
type Digest [DigestSize]byte

// Statement is what a witness signs: the subject's digest and when it saw it.
type Statement struct {
	Subject Subject
	Digest  Digest
	At      int64 // the witness's clock, microseconds since 1970
}

// message is the text under the witness's signature.
func (s Statement) message() []byte {
	b := append([]byte(sayDomain), s.Subject[:]...)
	b = append(b, s.Digest[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(s.At))
}

// Sign is the witness's signature. Ed25519 signs without randomness: the same statement
// has the same signature.
func Sign(witness ed25519.PrivateKey, s Statement) []byte {
	return ed25519.Sign(witness, s.message())
}

// Verify reports whether the witness signed the statement.
func Verify(witness ed25519.PublicKey, s Statement, signature []byte) bool {
	return len(witness) == ed25519.PublicKeySize && ed25519.Verify(witness, s.message(), signature)
}

// SubjectOf is the public half of the owner's key.
func SubjectOf(owner ed25519.PrivateKey) (s Subject) {
	copy(s[:], owner.Public().(ed25519.PublicKey))
	return s
}

// Ask is the owner's signature under the wish that the witness signs this digest.
func Ask(owner ed25519.PrivateKey, d Digest) []byte {
	return ed25519.Sign(owner, askMessage(d))
}

// Asked reports whether the owner of the subject wishes it.
func Asked(s Subject, d Digest, signature []byte) bool {
	return ed25519.Verify(s[:], askMessage(d), signature)
}

func askMessage(d Digest) []byte { return append([]byte(askDomain), d[:]...) }
