package auditsvc

import (
	"fmt"
	"slices"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/platform/tlog"
)

// begun is a beginning of the log behind its first one.
type begun struct {
	beginText
	lost tlog.Head
}

// turns takes the log's words about its keys and its beginnings. The keys of the table
// count only when no change tells the first ones.
func (in *inspector) turns(words []entry, own tlog.Keys) {
	first := own
	words = slices.DeleteFunc(slices.Clone(words), func(e entry) bool { return e.kind != audit.KindKeys && e.kind != audit.KindBegin })
	for _, e := range words {
		if e.kind != audit.KindKeys {
			continue
		}
		if r, err := tlog.OpenRotation(e.data); err == nil && r.Generation == 2 {
			first = r.Old
		}
		break
	}
	if len(first) > 0 {
		in.life = tlog.Begin(origin(in.tenant), first)
	}
	for _, e := range words {
		if e.kind == audit.KindKeys {
			in.rotation(e)
			continue
		}
		in.beginning(e)
	}
	if n := len(in.begun) + 1; n != in.state.beginning {
		in.say("the log is at its beginning %d, and its entries tell of %d", in.state.beginning, n)
	}
	if n := max(in.life.Generation(), 1); n != in.state.generation {
		in.say("the log is signed by keys of generation %d, and its entries tell of %d", in.state.generation, n)
	}
}

func (in *inspector) rotation(e entry) {
	l, err := in.life.Rotate(e.data)
	if err != nil {
		in.say("entry %d: the change of keys is false: it is not signed by the keys before it", e.position)
		return
	}
	in.life = l
	r, err := tlog.OpenRotation(e.data)
	if err == nil {
		in.tell("entry %d: keys of generation %d since %s, from head %d on", e.position, r.Generation, r.At.Format(time.RFC3339), r.From)
	}
}

func (in *inspector) beginning(e entry) {
	t, lost, err := beginOf(e.data)
	kept, heads := uint64(0), int64(0)
	if n := len(in.begun); n > 0 {
		kept, heads = in.begun[n-1].Kept, in.begun[n-1].Heads
	}
	own := in.life.First()
	switch {
	case err != nil, t.Beginning != len(in.begun)+2, t.Kept > e.position, t.Kept < kept, t.Heads < heads,
		lost.Origin != tlog.Beginning(origin(in.tenant), t.Beginning-1), len(own) > 0 && t.Keys != own.PEM():
		in.say("entry %d: it is no word about a new beginning of the log", e.position)
		return
	}
	in.begun = append(in.begun, begun{t, lost})
	in.tell("entry %d: the log was set back and begins anew as %s since %s; of the one before, head %d of %d entries was known and %d entries are kept",
		e.position, tlog.Beginning(origin(in.tenant), t.Beginning), time.UnixMicro(t.At).UTC().Format(time.RFC3339), lost.Number, lost.Size, t.Kept)
}

// tell takes what is no finding.
func (in *inspector) tell(format string, a ...any) {
	in.out.Told = append(in.out.Told, fmt.Sprintf(format, a...))
}

// name is the log's name in a head of this number.
func (in *inspector) name(number int64) string {
	n := 1
	for i, b := range in.begun {
		if number > b.Heads {
			n = i + 2
		}
	}
	return tlog.Beginning(origin(in.tenant), n)
}

// excused says whether a head is one of those that the log says to be lost, or cannot be
// compared for another reason, which is a finding.
func (in *inspector) excused(m Pinned) bool {
	n := 1
	for m.Origin != "" && n <= len(in.begun)+1 && m.Origin != tlog.Beginning(origin(in.tenant), n) {
		n++
	}
	switch {
	case n > len(in.begun)+1:
		in.say("head %d (%s) is of %s, of which the log does not tell: it was set back", m.Number, m.where(), m.Origin)
		return true
	case n == len(in.begun)+1 || m.Size <= in.begun[n-1].Kept:
		return false
	}
	lost := in.begun[n-1].lost
	if m.Size > lost.Size || m.Size == lost.Size && m.Root != lost.Root {
		in.say("head %d (%s) signed %d entries of the log before, and this one says that head %d of %d was its last", m.Number, m.where(), m.Size, lost.Number, lost.Size)
		return true
	}
	in.out.Lost++
	return true
}
