package tlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"xinglin/internal/platform/merkle"
)

// A bundle is a range of a log in a file, one JSON object a line, checked by itself with
// one public key and in constant memory:
//
//	{"format", "from", "to", "head", "keys", "before", "behind", "rotations"}   the first line
//	{"n", "kind", "data"}      an entry
//	{"n", "hash"}              an entry whose text is past its time: its hash is left
//	{"earlier"}                a head that was signed when the log had so many entries
//
// before and behind are the nodes of the tree over what lies outside of the range:
// together with the entries they make the root that the head signs.

// BundleFormat begins a bundle.
const BundleFormat = "xinglin.bundle.v1"

// Limits of a bundle.
const (
	maxBundleLine = 2 << 20
	MaxData       = 256 << 10 // bytes of one entry
)

type opening struct {
	Format string        `json:"format"`
	From   uint64        `json:"from"`
	To     uint64        `json:"to"`
	Head   string        `json:"head"`
	Keys   string        `json:"keys"`
	Before []merkle.Node `json:"before"`
	Behind []merkle.Node `json:"behind"`

	Rotations []string `json:"rotations,omitempty"`
}

// Entry is one line of a bundle: an entry of the log, or an earlier head.
type Entry struct {
	N       *uint64      `json:"n,omitempty"`
	Kind    string       `json:"kind,omitempty"`
	Data    string       `json:"data,omitempty"`
	Hash    *merkle.Node `json:"hash,omitempty"`
	Earlier string       `json:"earlier,omitempty"`
}

// BundleWriter writes a bundle.
type BundleWriter struct {
	out      *bufio.Writer
	next, to uint64
}

// NewBundle begins the bundle of entries [from, to) under a head; get reads the log's
// tiles.
func NewBundle(w io.Writer, note string, l Lineage, from, to uint64, get merkle.Get) (*BundleWriter, error) {
	h, _, err := Parse(note)
	if err != nil {
		return nil, err
	}
	if from > to || to > h.Size {
		return nil, ErrPaper.Because("entries %d to %d of %d", from, to, h.Size)
	}
	before, err := merkle.Load(0, from, get)
	if err != nil {
		return nil, err
	}
	behind, err := merkle.Load(to, h.Size, get)
	if err != nil {
		return nil, err
	}
	b := &BundleWriter{out: bufio.NewWriter(w), next: from, to: to}
	return b, b.line(opening{BundleFormat, from, to, note, l.First().PEM(), before.Nodes(), behind.Nodes(), l.Rotations()})
}

func (b *BundleWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = b.out.Write(append(text, '\n'))
	return err
}

// Next is the position of the entry that Put takes next.
func (b *BundleWriter) Next() uint64 { return b.next }

// Put writes the next entry.
func (b *BundleWriter) Put(l Leaf) error {
	n := b.next
	b.next++
	return b.line(Entry{N: &n, Kind: l.Kind, Data: l.Data})
}

// PutHash writes the next entry whose text is gone.
func (b *BundleWriter) PutHash(hash merkle.Node) error {
	n := b.next
	b.next++
	return b.line(Entry{N: &n, Hash: &hash})
}

// PutHead writes a head that was signed when the log had as many entries as now are
// before the next one.
func (b *BundleWriter) PutHead(note string) error { return b.line(Entry{Earlier: note}) }

// Close ends the bundle: every entry must have been written.
func (b *BundleWriter) Close() error {
	if b.next != b.to {
		return ErrPaper.Because("%d entries are missing", b.to-b.next)
	}
	return b.out.Flush()
}

// BundleReport is what a bundle shows.
type BundleReport struct {
	Seen
	From, To uint64
	Gone     uint64 // entries of which only the hash is left
	Earlier  int    // earlier heads that fit
}

// VerifyBundle checks a bundle from its beginning to its end. The error names the first
// thing that does not fit. each sees every entry before the whole is known to be good;
// nil is allowed.
func VerifyBundle(r io.Reader, t Trust, each func(n uint64, l Leaf) error) (rep BundleReport, err error) {
	in := bufio.NewReaderSize(r, maxBundleLine)
	var o opening
	line, err := in.ReadSlice('\n')
	if err != nil || strictly(line, &o) != nil || o.Format != BundleFormat {
		return rep, ErrPaper.At("line", "line 1 is no beginning of a bundle")
	}
	rep.From, rep.To = o.From, o.To
	life, err := lineageOf(o.Head, o.Keys, o.Rotations)
	if err != nil {
		return rep, err
	}
	if rep.Seen, err = t.Open(life, o.Head); err != nil {
		return rep, err
	}
	if o.From > o.To || o.To > rep.Size {
		return rep, ErrPaper.At("line", "the range lies outside of the head")
	}
	tree, err := merkle.RangeOf(0, o.From, o.Before)
	if err != nil {
		return rep, ErrProof.At("before", "the nodes before the range have another number")
	}
	v := bundleCheck{t: Trust{Keys: t.Keys}, life: life, rep: &rep, tree: tree, each: each, good: o.From}
	for n := 2; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		var e Entry
		if err != nil || strictly(line, &e) != nil {
			return rep, ErrPaper.At("line", fmt.Sprintf("line %d cannot be read", n))
		}
		if err := v.take(e, n); err != nil {
			return rep, err
		}
	}
	return rep, v.end(o.Behind)
}

type bundleCheck struct {
	t    Trust // without a witness: earlier heads need none
	life Lineage
	rep  *BundleReport
	tree *merkle.Range
	each func(uint64, Leaf) error
	good uint64 // up to here an earlier head was right
}

func (v *bundleCheck) take(e Entry, line int) error {
	if e.Earlier != "" {
		return v.earlier(e.Earlier)
	}
	at := v.tree.Size()
	switch {
	case e.N == nil || (e.Hash == nil) == (e.Kind == ""):
		return ErrPaper.At("line", fmt.Sprintf("line %d is no entry", line))
	case *e.N != at || at >= v.rep.To:
		return ErrProof.At("entry", fmt.Sprintf("line %d has entry %d where %d must stand: entries were removed, inserted or moved", line, *e.N, at))
	case e.Hash != nil:
		v.rep.Gone++
		v.tree.Append(*e.Hash)
		return nil
	}
	l := Leaf{e.Kind, e.Data}
	v.tree.Append(l.Hash())
	if v.each != nil {
		return v.each(at, l)
	}
	return nil
}

func (v *bundleCheck) earlier(note string) error {
	s, err := v.t.Open(v.life, note)
	if err != nil {
		return err
	}
	if Family(s.Origin) != Family(v.rep.Origin) || s.Size != v.tree.Size() {
		return ErrProof.At("head", fmt.Sprintf("head %d of %s stands at the wrong place", s.Number, s.Origin))
	}
	if v.tree.Root() != s.Root {
		return ErrProof.At("entry", fmt.Sprintf("head %d does not fit: the first entry that was changed is one of %d to %d", s.Number, v.good, s.Size-1))
	}
	v.good = s.Size
	v.rep.Earlier++
	return nil
}

func (v *bundleCheck) end(behind []merkle.Node) error {
	if at := v.tree.Size(); at != v.rep.To {
		return ErrProof.At("entry", fmt.Sprintf("the bundle was cut: entry %d is missing", at))
	}
	rest, err := merkle.RangeOf(v.rep.To, v.rep.Size, behind)
	if err != nil {
		return ErrProof.At("behind", "the nodes behind the range have another number")
	}
	if err := v.tree.Join(rest); err != nil {
		return ErrProof.New()
	}
	if v.tree.Root() != v.rep.Root {
		return ErrProof.At("entry", fmt.Sprintf("head %d does not fit: the first entry that was changed is one of %d to %d", v.rep.Number, v.good, max(v.rep.To, v.good+1)-1))
	}
	return nil
}

// IsBundle looks at the beginning of a file.
func IsBundle(head []byte) bool { return begins(head, BundleFormat) }

func begins(head []byte, format string) bool {
	return bytes.HasPrefix(head, []byte(`{"format":"`+format+`"`))
}
