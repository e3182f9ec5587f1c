package auditsvc

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
)

// Pinned is a head from outside of the database whose signature was checked: a line of
// an anchor file, a witness's word.
type Pinned struct {
	Origin string // the log's name in it; empty is the name that it began with
	Number int64
	Size   uint64
	Root   merkle.Node
	Source string // for people: data/audit.anchor
	Line   int    // of the file; 0 for none
}

func (p Pinned) where() string {
	if p.Line == 0 {
		return p.Source
	}
	return fmt.Sprintf("%s line %d", p.Source, p.Line)
}

// Pins are what an inspection is told beside the database.
type Pins struct {
	Keys   tlog.Keys // of the log; empty: those of the database, which proves less
	KeysOf string    // where they come from, for people
	Heads  []Pinned
	Bad    []string // what was wrong with the papers themselves: findings
}

// Inspection is what was found in one tenant's log. It is clean without findings.
type Inspection struct {
	Size     uint64
	Entries  uint64   // whose text was compared
	Gone     uint64   // whose text is past its time
	Heads    int      // of the database that fit
	Outside  int      // pinned ones that fit
	Lost     int      // pinned ones of a log before, which this one says to be lost
	Unsigned uint64   // entries behind the last head
	KeysOf   string   // where the keys came from, for people
	Told     []string // what the log says about its own life: changes of keys, beginnings
	Findings []string
}

// Clean says that nothing was found.
func (i Inspection) Clean() bool { return len(i.Findings) == 0 }

const (
	inspectStep = 4 * merkle.TileWidth // entries read at once
	maxFindings = 20
	headStep    = 200
)

// Inspect computes a tenant's log again from its rows and compares it with its tree, its
// heads and the pinned ones. It only reads, in pages, and may run beside a live system:
// what comes while it runs is not looked at. Findings name the first bad entry.
func (s *Service) Inspect(ctx context.Context, tenant audit.TenantID, pins Pins) (Inspection, error) {
	in := &inspector{s: s, tenant: tenant, tree: merkle.NewRange(0), edge: map[merkle.TileID]merkle.Tile{}}
	if err := in.begin(ctx, pins); err != nil {
		return in.out, err
	}
	for at := uint64(0); at < in.size && !in.full(); at += inspectStep {
		if err := in.step(ctx, at, min(at+inspectStep, in.size)); err != nil {
			return in.out, err
		}
	}
	if in.full() {
		return in.out, nil
	}
	if err := in.marks(ctx); err != nil {
		return in.out, err
	}
	return in.out, in.finish(ctx)
}

// stretch is a closed segment with what the log says of it.
type stretch struct {
	segmentText
	gone    map[audit.Class]int64 // disposals that the log tells
	present map[audit.Class]int64
	missing int64
	firstAt uint64 // of the missing
}

type inspector struct {
	s      *Service
	tenant audit.TenantID
	out    Inspection
	size   uint64
	state  state
	trust  tlog.Trust   // the given keys, or those of the database
	life   tlog.Lineage // of the keys, as the log tells it
	begun  []begun      // beginnings behind the first
	tree   *merkle.Range
	edge   map[merkle.TileID]merkle.Tile // of the tree as the rows make it

	pinned  []Pinned // by size, those that are not looked at yet
	heads   []signed // of the database, the same
	number  int64    // of the last head that was read
	drained bool

	segments []stretch // by their beginning
	good     uint64    // a head of this size fitted
	diverged bool      // the first head that does not fit was told
	treeTold bool
}

func (in *inspector) full() bool { return len(in.out.Findings) >= maxFindings }

func (in *inspector) say(format string, a ...any) {
	if !in.full() {
		in.out.Findings = append(in.out.Findings, fmt.Sprintf(format, a...))
	}
}

func (in *inspector) begin(ctx context.Context, pins Pins) error {
	st, own, words, err := in.s.store.glance(ctx, in.s.base.DB, in.tenant)
	if err != nil {
		return err
	}
	in.state = st
	in.size, in.out.Size = in.state.size, in.state.size
	in.out.Findings = append(in.out.Findings, pins.Bad[:min(len(pins.Bad), maxFindings)]...)
	in.read(words)
	in.turns(words, own)
	in.trust.Keys, in.out.KeysOf = in.life.All(), "the database's own word"
	if len(pins.Keys) > 0 {
		in.trust.Keys, in.out.KeysOf = pins.Keys, pins.KeysOf
	}
	in.pinned = slices.SortedStableFunc(slices.Values(pins.Heads), func(a, b Pinned) int { return cmp.Compare(a.Size, b.Size) })
	return nil
}

// read takes the log's words about itself. Each is an entry as every other: a false one
// is found where it stands.
func (in *inspector) read(words []entry) {
	for _, e := range words {
		if e.kind != audit.KindSegment {
			continue
		}
		var t segmentText
		if json.Unmarshal([]byte(e.data), &t) != nil || t.From >= t.To || t.To > in.size {
			in.say("entry %d: it is no word about a segment", e.position)
			continue
		}
		if n := len(in.segments); t.Segment != int64(n+1) || n == 0 && t.From != 0 || n > 0 && t.From != in.segments[n-1].To {
			in.say("entry %d: segment %d does not follow the one before", e.position, t.Segment)
			continue
		}
		in.segments = append(in.segments, stretch{segmentText: t, gone: map[audit.Class]int64{}, present: map[audit.Class]int64{}})
	}
	for _, e := range words {
		if e.kind != audit.KindDisposal {
			continue
		}
		var t disposalText
		if json.Unmarshal([]byte(e.data), &t) != nil || t.Segment < 1 || t.Segment > int64(len(in.segments)) {
			in.say("entry %d: it is no word about a disposal", e.position)
			continue
		}
		seg := &in.segments[t.Segment-1]
		due, ends := t.Class.DueAt(time.UnixMicro(seg.LastAt))
		switch {
		case !ends || e.collected.Before(due):
			in.say("entry %d: the %s texts of segment %d went on %s, before their time", e.position, t.Class, t.Segment, e.collected.Format(time.RFC3339))
		case t.Entries != seg.Classes[t.Class]:
			in.say("entry %d: %d %s texts of segment %d went, it had %d", e.position, t.Entries, t.Class, t.Segment, seg.Classes[t.Class])
		default:
			seg.gone[t.Class] = t.Entries
		}
	}
}

// segment is the closed one around a position; nil for none.
func (in *inspector) segment(at uint64) *stretch {
	i, ok := slices.BinarySearchFunc(in.segments, at, func(s stretch, at uint64) int {
		switch {
		case s.To <= at:
			return -1
		case s.From > at:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &in.segments[i]
}

// found is what stands at a position.
type found struct {
	leaf  tlog.Leaf
	class audit.Class
	what  string // for people
	rows  int
	bad   string
}

func (in *inspector) step(ctx context.Context, from, to uint64) error {
	p, base, err := in.s.store.part(ctx, in.s.base.DB, in.tenant, from, to)
	if err != nil {
		return err
	}
	places := make([]found, to-from)
	for _, e := range p.events {
		f := &places[e.position-from]
		l, err := e.leaf()
		if err != nil {
			f.bad = "what changed is no JSON"
		}
		*f = found{leaf: l, class: e.class, what: "event " + e.id.String(), rows: f.rows + 1, bad: f.bad}
	}
	for _, e := range p.entries {
		f := &places[e.position-from]
		*f = found{leaf: e.leaf(), class: e.class, what: e.kind + " " + e.ref.String(), rows: f.rows + 1, bad: f.bad}
	}
	hashes := make([]merkle.Node, 0, len(places))
	for i, f := range places {
		at := from + uint64(i)
		if err := in.marks(ctx); err != nil {
			return err
		}
		stored, ok := nodeAt(base, at)
		n := in.entry(at, f, stored, ok)
		in.tree.Append(n)
		hashes = append(hashes, n)
	}
	return in.compare(ctx, from, hashes)
}

func nodeAt(base map[merkle.TileID]merkle.Tile, at uint64) (merkle.Node, bool) {
	t := base[merkle.TileID{Level: 0, Index: at / merkle.TileWidth}]
	i := int(at % merkle.TileWidth)
	if t.Width() <= i {
		return merkle.Node{}, false
	}
	return t.Node(i), true
}

// entry compares one position with the tree, and gives the hash that counts: the tree's,
// so that one changed row is one finding.
func (in *inspector) entry(at uint64, f found, stored merkle.Node, inTree bool) merkle.Node {
	seg := in.segment(at)
	if seg != nil {
		defer in.closed(seg, at)
	}
	switch {
	case f.rows == 0 && seg != nil && len(seg.gone) > 0:
		if seg.missing++; seg.missing == 1 {
			seg.firstAt = at
		}
		in.out.Gone++
		return stored
	case f.rows == 0:
		in.say("entry %d is missing: it was deleted", at)
		return stored
	case f.rows > 1:
		in.say("entry %d stands there %d times: one was inserted (%s)", at, f.rows, f.what)
		return stored
	}
	if seg != nil {
		seg.present[f.class]++
	}
	in.out.Entries++
	hash := f.leaf.Hash()
	switch {
	case f.bad != "":
		in.say("entry %d (%s) was changed: %s", at, f.what, f.bad)
	case !inTree:
		in.say("entry %d (%s) is not in the tree: it was inserted, or the tree was cut", at, f.what)
		return hash
	case hash != stored:
		in.say("entry %d (%s) is not what was logged there: it was changed, moved or inserted", at, f.what)
	}
	return stored
}

// closed is the end of a segment: what is missing must be what went.
func (in *inspector) closed(seg *stretch, at uint64) {
	if at+1 != seg.To || seg.missing == 0 {
		return
	}
	for _, c := range audit.Classes {
		if _, went := seg.gone[c]; !went && seg.present[c] != seg.Classes[c] {
			in.say("segment %d, entries %d to %d: %d of %d %s entries are there, although their time is not over; the first gap is entry %d",
				seg.Segment, seg.From, seg.To-1, seg.present[c], seg.Classes[c], c, seg.firstAt)
		}
	}
}

// compare looks whether the tree of the database is the one that the rows make.
func (in *inspector) compare(ctx context.Context, from uint64, hashes []merkle.Node) error {
	changed, err := merkle.Append(from, hashes, func(at merkle.TileID) (merkle.Tile, error) { return in.edge[at], nil })
	if err != nil {
		return err
	}
	for at, t := range changed {
		in.edge[at] = t
	}
	keep := map[merkle.TileID]merkle.Tile{}
	for _, at := range merkle.Edge(from + uint64(len(hashes))) {
		keep[at] = in.edge[at]
	}
	defer func() { in.edge = keep }()
	var upper []merkle.TileID
	for at := range changed {
		if at.Level > 0 { // entry has compared the lowest
			upper = append(upper, at)
		}
	}
	stored, err := in.s.store.someTiles(ctx, in.s.base.DB, in.tenant, upper)
	if err != nil {
		return err
	}
	for _, at := range upper {
		t, was := changed[at], stored[at]
		if !in.treeTold && (len(was) < len(t) || string(was[:len(t)]) != string(t)) {
			in.treeTold = true
			in.say("the tree was changed above entries %d to %d", from, from+uint64(len(hashes))-1)
		}
	}
	return nil
}

// marks compares the heads of this size with the tree as it is now.
func (in *inspector) marks(ctx context.Context) error {
	at := in.tree.Size()
	for len(in.pinned) > 0 && in.pinned[0].Size <= at {
		m := in.pinned[0]
		in.pinned = in.pinned[1:]
		if !in.excused(m) && in.agrees(m) {
			in.out.Outside++
		}
	}
	for {
		if err := in.more(ctx); err != nil {
			return err
		}
		if len(in.heads) == 0 || in.heads[0].size > at {
			return nil
		}
		h := in.heads[0]
		in.heads = in.heads[1:]
		p, err := in.trust.Open(in.life, h.note)
		switch {
		case err != nil:
			in.say("head %d is not signed by the log's keys", h.number)
		case p.Number != h.number || p.Size != h.size || p.Origin != in.name(p.Number) || p.Size != at:
			in.say("head %d stands in the wrong row, or out of its order", h.number)
		case in.agrees(Pinned{Number: p.Number, Size: p.Size, Root: p.Root, Source: "the database"}):
			in.out.Heads++
		}
	}
}

// agrees compares one head. Only the first that does not fit is told: all behind it
// cannot fit either.
func (in *inspector) agrees(m Pinned) bool {
	if in.diverged {
		return false
	}
	if in.tree.Root() == m.Root {
		in.good = m.Size
		return true
	}
	in.diverged = true
	in.say("head %d (%s) signed other entries: the first that was changed is one of %d to %d", m.Number, m.where(), in.good, max(m.Size, in.good+1)-1)
	return false
}

// more reads further heads of the database, which must be numbered without a gap.
func (in *inspector) more(ctx context.Context) error {
	if len(in.heads) > 0 || in.drained {
		return nil
	}
	var err error
	in.heads, err = in.s.store.someHeads(ctx, in.s.base.DB, in.tenant, in.number, headStep)
	if err != nil {
		return err
	}
	for i, h := range in.heads {
		if h.number > in.state.heads { // came while this runs
			in.heads, in.drained = in.heads[:i], true
			break
		}
		if h.number != in.number+1 {
			in.say("head %d is missing: it was deleted", in.number+1)
		}
		in.number = h.number
	}
	if len(in.heads) == 0 {
		in.drained = true
		if in.number < in.state.heads {
			in.say("heads %d to %d are missing: they were deleted", in.number+1, in.state.heads)
		}
	}
	return nil
}

// finish looks at what lies behind the log's end.
func (in *inspector) finish(ctx context.Context) error {
	in.out.Unsigned = in.size - min(in.size, in.good)
	behind := slices.DeleteFunc(slices.Clone(in.pinned), in.excused)
	for _, h := range in.heads {
		if p, err := in.trust.Open(in.life, h.note); err == nil {
			behind = append(behind, Pinned{Number: p.Number, Size: p.Size, Root: p.Root, Source: "the database"})
		} else {
			in.say("head %d is not signed by the log's keys", h.number)
		}
	}
	if len(behind) > 0 && !in.full() {
		m := slices.MaxFunc(behind, func(a, b Pinned) int { return cmp.Compare(a.Size, b.Size) })
		in.say("head %d (%s) signed %d entries and the database has %d: it was cut or set back; the first missing entry is %d", m.Number, m.where(), m.Size, in.size, in.size)
	}
	stray, err := in.s.store.stray(ctx, in.s.base.DB, in.tenant)
	if err == nil && stray != "" {
		in.say("%s", stray)
	}
	return err
}
