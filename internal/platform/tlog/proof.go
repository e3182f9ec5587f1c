package tlog

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"xinglin/internal/platform/merkle"
)

// Leaf is one entry of a log: what sort it is, and its canonical text.
type Leaf struct {
	Kind string // audit.event.v1
	Data string // UTF-8, the same bytes for the same entry for ever
}

// Hash is the leaf's hash in the tree: over kind, newline and data.
func (l Leaf) Hash() merkle.Node { return merkle.Leaf([]byte(l.Kind + "\n" + l.Data)) }

// GoodKind says whether a kind can stand in a log: no white space, at most 60 bytes.
func GoodKind(kind string) bool { return goodName(kind) && len(kind) <= 60 }

// ProofFormat begins a proof file.
const ProofFormat = "xinglin.proof.v1"

// MaxProof bounds a proof file, in bytes.
const MaxProof = 2 << 20

// Proof shows that one entry stands in the log under a signed head.
type Proof struct {
	Format   string        `json:"format"`
	Position uint64        `json:"position"`
	Kind     string        `json:"kind"`
	Data     string        `json:"data"`
	Path     []merkle.Node `json:"path"` // SHA-256 then SM3, base64, from the leaf up
	Head     string        `json:"head"` // the signed head
	Keys     string        `json:"keys"` // PEM, with which the log began; whoever checks takes the keys that he was told
	// Rotations are the log's changes of keys, in their order.
	Rotations []string `json:"rotations,omitempty"`
}

// Trust is what the one who checks was told beside the file.
type Trust struct {
	Keys    Keys              // of the log; at least one
	Witness ed25519.PublicKey // nil asks for none
}

// Seen is what a head is worth to who checks.
type Seen struct {
	Head
	By          Keys      // that signed
	WitnessedAt time.Time // zero when no witness was asked for
}

// Open checks a head of a log with this life. It holds under the trusted keys, and under
// those that are bound to them by changes of keys, each for the heads of its time.
func (t Trust) Open(l Lineage, note string) (s Seen, err error) {
	if s.Head, _, err = Parse(note); err != nil {
		return s, err
	}
	s.Head, s.By, err = t.within(l, s.Number).Open(note)
	if err != nil || t.Witness == nil {
		return s, err
	}
	at, ok := Cosigned(note, t.Witness)
	if !ok {
		return s, ErrSigned.Because("head %d is not cosigned by the given witness", s.Number)
	}
	s.WitnessedAt = at
	return s, nil
}

// Verify checks the proof: tlog.signature_false or tlog.proof_false when it fails.
func (p Proof) Verify(t Trust) (Seen, error) {
	if p.Format != ProofFormat {
		return Seen{}, ErrPaper.New()
	}
	l, err := lineageOf(p.Head, p.Keys, p.Rotations)
	if err != nil {
		return Seen{}, err
	}
	s, err := t.Open(l, p.Head)
	if err != nil {
		return s, err
	}
	if err := merkle.VerifyInclusion(p.Position, s.Size, Leaf{p.Kind, p.Data}.Hash(), p.Path, s.Root); err != nil {
		return s, ErrProof.Because("entry %d is not in the log as the file has it", p.Position)
	}
	return s, nil
}

// lineageOf is the life that a paper tells. Keys alone say nothing that the one who
// checks was not told: they may be missing.
func lineageOf(head, keys string, rotations []string) (Lineage, error) {
	if len(rotations) == 0 {
		return Lineage{}, nil
	}
	h, _, err := Parse(head)
	if err != nil {
		return Lineage{}, err
	}
	ks, err := ParseKeys([]byte(keys))
	if err != nil {
		return Lineage{}, err
	}
	return LineageOf(h.Origin, ks, rotations)
}

// ReadProof reads a proof file.
func ReadProof(r io.Reader) (p Proof, err error) {
	d := json.NewDecoder(io.LimitReader(r, MaxProof))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || p.Format != ProofFormat {
		return p, ErrPaper.New()
	}
	return p, nil
}

// describe is a head in a line for people.
func (s Seen) describe() string {
	var names []string
	for _, k := range s.By {
		names = append(names, fmt.Sprintf("%s key %.16s", strings.ToUpper(k.Algorithm), k.Fingerprint()))
	}
	text := fmt.Sprintf("head %d of %s: %d entries, signed %s by %s", s.Number, s.Origin, s.Size, s.At.Format(time.RFC3339), strings.Join(names, " and "))
	if !s.WitnessedAt.IsZero() {
		text += ", witnessed " + s.WitnessedAt.Format(time.RFC3339)
	}
	return text
}

// String is a head in a line for people.
func (s Seen) String() string { return s.describe() }
