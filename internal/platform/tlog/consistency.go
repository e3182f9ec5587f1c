package tlog

import (
	"encoding/json"
	"io"

	"xinglin/internal/platform/merkle"
)

// ConsistencyFormat begins a consistency file.
const ConsistencyFormat = "xinglin.consistency.v1"

// Consistency shows that the log of the later head begins with all that the earlier one
// signed: nothing was changed, removed or put between.
type Consistency struct {
	Format    string        `json:"format"`
	Earlier   string        `json:"earlier"` // signed heads
	Later     string        `json:"later"`
	Path      []merkle.Node `json:"path"` // SHA-256 then SM3, base64
	Keys      string        `json:"keys"` // PEM, with which the log began
	Rotations []string      `json:"rotations,omitempty"`
}

// Verify checks it: tlog.signature_false or tlog.proof_false when it fails.
func (c Consistency) Verify(t Trust) (earlier, later Seen, err error) {
	if c.Format != ConsistencyFormat {
		return earlier, later, ErrPaper.New()
	}
	l, err := lineageOf(c.Later, c.Keys, c.Rotations)
	if err != nil {
		return earlier, later, err
	}
	if earlier, err = (Trust{Keys: t.Keys}).Open(l, c.Earlier); err != nil {
		return earlier, later, err
	}
	if later, err = t.Open(l, c.Later); err != nil {
		return earlier, later, err
	}
	if Family(earlier.Origin) != Family(later.Origin) || earlier.Number > later.Number ||
		merkle.VerifyConsistency(earlier.Size, later.Size, c.Path, earlier.Root, later.Root) != nil {
		return earlier, later, ErrProof.Because("head %d does not begin with what head %d signed", later.Number, earlier.Number)
	}
	return earlier, later, nil
}

// ReadConsistency reads a consistency file.
func ReadConsistency(r io.Reader) (c Consistency, err error) {
	d := json.NewDecoder(io.LimitReader(r, MaxProof))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || c.Format != ConsistencyFormat {
		return c, ErrPaper.New()
	}
	return c, nil
}

// IsConsistency looks at the beginning of a file.
func IsConsistency(head []byte) bool { return begins(head, ConsistencyFormat) }
