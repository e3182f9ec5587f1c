package schedulingsvc

import (
	"bytes"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// holders says of each seat of a slot which appointment took it last, by the tail of its
// id: who asks again for a sold-out session is looked up only if the tail is there. A
// seat that came back keeps its tail, which costs a look and nothing else.
type holders []byte

// tail is the last two bytes of an appointment's id: one stranger in a thousand is looked
// up in vain. That of nobody is zero.
type tail [2]byte

func tailOf(a id.ID[scheduling.Appointment]) tail { return tail(a[len(a)-len(tail{}):]) }

// noHolders are those of a new slot.
func noHolders(seats int) holders { return make(holders, seats*len(tail{})) }

// with gives the holders after an appointment took a seat.
func (h holders) with(seat int, a id.ID[scheduling.Appointment]) holders {
	out, t := bytes.Clone(h), tailOf(a)
	copy(out[seat*len(t):], t[:])
	return out
}

// into adds the tails to a set.
func (h holders) into(set map[tail]bool) {
	for ; len(h) >= len(tail{}); h = h[len(tail{}):] {
		set[tail(h[:len(tail{})])] = true
	}
}
