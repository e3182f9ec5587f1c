package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// WitnessName is what witnesses of this program call themselves; their key tells them
// apart.
const WitnessName = "xinglin-witness"

const cosignKind = 0x04 // C2SP cosignature/v1: Ed25519 with an instant

func cosignHint(key ed25519.PublicKey) uint32 {
	s := sha256.Sum256(append(append([]byte(WitnessName+"\n"), cosignKind), key...))
	return binary.BigEndian.Uint32(s[:])
}

func cosignMessage(h Head, seconds int64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, h.Body())
}

// Cosign is the line of a witness that saw h grow from what it saw before.
func Cosign(h Head, key ed25519.PrivateKey, at time.Time) string {
	sig := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))
	sig = append(sig, ed25519.Sign(key, cosignMessage(h, at.Unix()))...)
	return Signature{Name: WitnessName, Hint: cosignHint(key.Public().(ed25519.PublicKey)), Bytes: sig}.Line()
}

// Cosigned says whether, and when, the witness with this key signed the head.
func Cosigned(note string, key ed25519.PublicKey) (at time.Time, ok bool) {
	h, signatures, err := Parse(note)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return at, false
	}
	for _, s := range signatures {
		if s.Name != WitnessName || s.Hint != cosignHint(key) || len(s.Bytes) != 8+ed25519.SignatureSize {
			continue
		}
		seconds := int64(binary.BigEndian.Uint64(s.Bytes))
		if ed25519.Verify(key, cosignMessage(h, seconds), s.Bytes[8:]) {
			return time.Unix(seconds, 0).UTC(), true
		}
	}
	return at, false
}
