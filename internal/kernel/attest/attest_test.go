package attest

import (
	"crypto/ed25519"
	"testing"
)

func key(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

// TestStatement: a signature holds for its statement, its witness and nothing else.
func TestStatement(t *testing.T) {
	t.Parallel()
	w, owner := key(1), key(2)
	s := Statement{Subject: SubjectOf(owner), Digest: Digest{7}, At: 1_772_000_000_000_000}
	pub := w.Public().(ed25519.PublicKey)
	sig := Sign(w, s)
	if !Verify(pub, s, sig) || string(sig) != string(Sign(w, s)) {
		t.Fatal("a good signature, the same each time")
	}
	for name, other := range map[string]Statement{
		"subject": {Subject: SubjectOf(key(3)), Digest: s.Digest, At: s.At},
		"digest":  {Subject: s.Subject, Digest: Digest{8}, At: s.At},
		"instant": {Subject: s.Subject, Digest: s.Digest, At: s.At + 1},
	} {
		if Verify(pub, other, sig) {
			t.Errorf("%s changed and the signature holds", name)
		}
	}
	if Verify(key(3).Public().(ed25519.PublicKey), s, sig) || Verify(pub[:31], s, sig) || Verify(nil, s, sig) || Verify(pub, s, nil) {
		t.Error("a foreign or broken key or signature holds")
	}
	ask := Ask(owner, s.Digest)
	if !Asked(s.Subject, s.Digest, ask) || Asked(s.Subject, Digest{8}, ask) || Asked(SubjectOf(w), s.Digest, ask) || Asked(s.Subject, s.Digest, sig) {
		t.Error("the owner's wish")
	}
}
