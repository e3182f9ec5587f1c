package bookingrules

import (
	"bytes"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// Holders says of each seat of a slot which appointment took it last, by the tail of its
// id: who asks again for a sold-out session is looked up only if the tail is there. A
// seat that came back keeps its tail, which costs a look and nothing else.
type Holders []byte

// Tail is the last two bytes of an appointment's id: one stranger in a thousand is looked
// up in vain. That of nobody is zero.
type Tail [2]byte

// TailOf is an appointment's.
func TailOf(a id.ID[scheduling.Appointment]) Tail { return Tail(a[len(a)-len(Tail{}):]) }

// NoHolders are those of a new slot.
func NoHolders(seats int) Holders { return make(Holders, seats*len(Tail{})) }

// With gives the holders after an appointment took a seat.
func (h Holders) With(seat int, a id.ID[scheduling.Appointment]) Holders {
	out, t := bytes.Clone(h), TailOf(a)
	copy(out[seat*len(t):], t[:])
	return out
}

// Into adds the tails to a set.
func (h Holders) Into(set map[Tail]bool) {
	for ; len(h) >= len(Tail{}); h = h[len(Tail{}):] {
		set[Tail(h[:len(Tail{})])] = true
	}
}
