package batch

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Bound is how many calls of a use case one process has under way. A use case that reads before it hands its item in
// refuses here first: under ten times the load it can bear, what is read for requests that find a full queue afterwards
// would leave no time for those that have a place.
type Bound struct {
	Name    string // of the metrics
	Most    int64
	Metrics *Metrics // nil: none

	inside atomic.Int64
}

// Enter takes a place; batch.busy when there is none. Who has entered leaves.
func (b *Bound) Enter() error {
	if b.inside.Add(1) <= b.Most {
		return nil
	}
	b.inside.Add(-1)
	b.Metrics.refused(b.Name)
	return ErrBusy.After(time.Second + rand.N(time.Second))
}

// Leave gives the place back.
func (b *Bound) Leave() { b.inside.Add(-1) }
