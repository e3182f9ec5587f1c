package httpx

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	maxAddresses = 65536 // keys that one budget remembers
	budgetShards = 16
)

// Budget is a rate for each key (an address, an account): so many a second, and some at
// once. Its memory is bounded: when there are too many keys the oldest half is forgotten,
// which is to say forgiven. It is safe for concurrent use.
type Budget[K comparable] struct {
	each   int64 // nanoseconds that one costs
	burst  int64 // nanoseconds that may be owed
	begin  time.Time
	seed   maphash.Seed
	shards [budgetShards]budgetShard[K]
}

type budgetShard[K comparable] struct {
	mu    sync.Mutex
	young map[K]int64 // until when the key has spent, in nanoseconds after begin
	old   map[K]int64
}

// NewBudget allows perSecond and burst at once. now is monotonic, as in Take.
func NewBudget[K comparable](perSecond, burst float64, now time.Time) *Budget[K] {
	b := &Budget[K]{seed: maphash.MakeSeed(), begin: now}
	b.each = max(1, int64(float64(time.Second)/perSecond))
	b.burst = int64(burst * float64(b.each))
	for i := range b.shards {
		b.shards[i].young = map[K]int64{}
	}
	return b
}

// Take spends one of the key's; 0, or how long until there is one again.
func (b *Budget[K]) Take(k K, now time.Time) time.Duration {
	at := int64(now.Sub(b.begin))
	s := &b.shards[maphash.Comparable(b.seed, k)%budgetShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	spent, known := s.young[k]
	if !known {
		spent = s.old[k]
	}
	next := max(spent, at) + b.each
	wait := next - at - b.burst
	if wait > 0 {
		if known {
			return time.Duration(wait)
		}
		next = spent // a busy key is carried over the turn
	}
	if !known && len(s.young) >= maxAddresses/budgetShards/2 {
		s.old, s.young = s.young, map[K]int64{}
	}
	s.young[k] = next
	return time.Duration(max(0, wait))
}

func (b *Budget[K]) size() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.young) + len(s.old)
		s.mu.Unlock()
	}
	return n
}
