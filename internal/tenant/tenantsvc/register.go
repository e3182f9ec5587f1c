package tenantsvc

import (
	"context"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/tenant"
)

// fresh is how long a process may not notice what another one changed.
const fresh = time.Second

// registry is the whole registry as read at one moment; it is never changed.
type registry struct {
	version int64 // 0: nothing was ever written
	tenants []tenant.Tenant
	hosts   map[string]tenant.ID
}

// register keeps the registry for a second, so that a request costs no query and
// neither does a flood of unknown host names. After a second one query of one row
// tells whether it is still the same.
type register struct {
	store store
	mono  func() time.Time

	turn chan struct{} // one at a time; it guards have and read
	mu   sync.RWMutex
	have *registry
	read time.Time
}

func newRegister(s store) *register {
	return &register{store: s, mono: clock.Mono, turn: make(chan struct{}, 1)}
}

func (r *register) peek() (*registry, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.have, r.have != nil && r.mono().Sub(r.read) < fresh
}

// now gives the registry, at most a second old.
func (r *register) now(ctx context.Context) (*registry, error) {
	if have, ok := r.peek(); ok {
		return have, nil
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	have, ok := r.peek()
	if ok { // another request has just read it
		return have, nil
	}
	began := r.mono() // before the question: the answer is at least as new
	if have != nil && have.version > 0 {
		v, err := r.store.version(ctx)
		if err != nil {
			return nil, err
		}
		if v == have.version {
			r.keep(have, began)
			return have, nil
		}
	}
	have, err := r.store.load(ctx)
	if err != nil {
		return nil, err
	}
	r.keep(have, began)
	return have, nil
}

func (r *register) keep(have *registry, read time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.have, r.read = have, read
}

// forget makes the next request ask the database.
func (r *register) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = time.Time{}
}
