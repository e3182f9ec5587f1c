// Package turnorder decides in which order those who wait are called, in what state a
// line is, and what a person may be told about the time to wait. It only computes.
//
// The order: who was there in time goes by number. Who came late, or comes back after a
// missed call, is special: called after the next two (Gap), in the order of coming, and
// between two of them two others are called while there are others. A special person who
// has overtaken somebody and comes back once more goes after them, so that nobody is
// overtaken twice because of the same person. Nobody starves: a number is put off by lower
// numbers and by one special person for two of them; a special one by those who were
// special before and those it has overtaken, not by people who come later.
package turnorder

import (
	"cmp"
	"slices"
	"time"
)

// Gap is how many are called before a special person, and between two of them.
const Gap = 2

// Waiting is one who waits, K being the key of turns.
type Waiting[K comparable] struct {
	Key     K
	Number  int       // within the session
	Special bool      // late, or back after a missed call
	Joined  int64     // how many calls the line had made when the person joined it
	Since   time.Time // when that was
	Passed  int64     // the number of the person's own last call as a special one, from 1; 0: none
}

// Made is what a line has done so far.
type Made struct {
	Calls   int64 // calls of next, from 1
	Special int64 // the number of the last call of a special person; 0: none
}

// Next is who is called now; false when nobody waits.
func Next[K comparable](m Made, all []Waiting[K]) (Waiting[K], bool) {
	var none Waiting[K]
	regular, special := -1, -1
	for i, w := range all {
		switch {
		case !w.Special:
			if regular < 0 || before(w, all[regular]) {
				regular = i
			}
		case blocked(w, all):
		case special < 0 || earlier(w, all[special]):
			special = i
		}
	}
	switch {
	case special >= 0 && (regular < 0 || due(m, all[special])):
		return all[special], true
	case regular >= 0:
		return all[regular], true
	}
	return none, false
}

// before orders those who were there in time.
func before[K comparable](a, b Waiting[K]) bool {
	return cmp.Or(cmp.Compare(a.Number, b.Number), a.Since.Compare(b.Since)) < 0
}

// earlier orders the special ones.
func earlier[K comparable](a, b Waiting[K]) bool {
	return cmp.Or(cmp.Compare(a.Joined, b.Joined), a.Since.Compare(b.Since), cmp.Compare(a.Number, b.Number)) < 0
}

// due tells that enough others were called since the person joined and since the last
// special one.
func due[K comparable](m Made, w Waiting[K]) bool {
	return m.Calls-w.Joined >= Gap && (m.Special == 0 || m.Calls-m.Special >= Gap)
}

// blocked tells that somebody still waits whom the person has overtaken before. The
// special person who joined first is never blocked by another special one, because who
// blocks has joined earlier.
func blocked[K comparable](w Waiting[K], all []Waiting[K]) bool {
	if w.Passed == 0 {
		return false
	}
	return slices.ContainsFunc(all, func(x Waiting[K]) bool { return x.Key != w.Key && x.Joined < w.Passed })
}

// Called is what the line has made after calling w.
func (m Made) called(special bool) Made {
	m.Calls++
	if special {
		m.Special = m.Calls
	}
	return m
}

// After is what the line has made after calling w, as Next says.
func After[K comparable](m Made, w Waiting[K]) Made { return m.called(w.Special) }

// Order is all who wait in the order in which they are called if nobody comes or goes.
func Order[K comparable](m Made, all []Waiting[K]) []Waiting[K] {
	left, out := slices.Clone(all), make([]Waiting[K], 0, len(all))
	for len(left) > 0 {
		w, ok := Next(m, left)
		if !ok { // cannot be: somebody waits
			break
		}
		m = After(m, w)
		out = append(out, w)
		left = slices.DeleteFunc(left, func(x Waiting[K]) bool { return x.Key == w.Key })
	}
	return out
}
