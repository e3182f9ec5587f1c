// Package traffic lets simulated patients use a demo hospital as people do: over its
// HTTP API, with codes from the demo's inbox and money from the payment simulator. An
// opening fills the first days with a fixed seed; afterwards people come and go.
package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
)

// Options of the people.
type Options struct {
	Base   string // http://127.0.0.1:8080
	Seed   uint64
	Clock  clock.Clock // the server's
	Log    *slog.Logger
	Pause  time.Duration // mean pause of a person between two acts; 0 = 40 s
	Inbox  client.Inbox  // where their codes arrive
	Nurse  string        // user name of who calls the people in
	Spared string        // the doctor whose line is left to whoever tries the demo
}

const (
	pause   = 40 * time.Second
	actTime = 30 * time.Second // an act ends, one way or the other
	hands   = 3                // acts of the opening at once
	aweek   = 7
)

// House is the hospital as its visitors find it.
type House struct {
	Options
	departments []client.Department
	known       map[int]*visitor
}

// Find looks the hospital up; it must have departments.
func Find(ctx context.Context, o Options) (*House, error) {
	if o.Pause == 0 {
		o.Pause = pause
	}
	h := &House{Options: o, known: map[int]*visitor{}}
	var err error
	if h.departments, err = client.New(o.Base).Departments(ctx); err != nil {
		return nil, err
	}
	if len(h.departments) == 0 {
		return nil, errors.New("traffic: the hospital has no departments")
	}
	return h, nil
}

// Open brings so many people: each logs in, enters himself and books; most pay, some
// give the visit back, some let the hold run out. Whom the hospital refuses, by its
// rules or because it is full, has come in vain: that is no error.
func (h *House) Open(ctx context.Context, people int) error {
	turn := make(chan *visitor)
	var all sync.WaitGroup
	for range hands {
		all.Go(func() {
			for v := range turn {
				h.act(ctx, v, v.first)
			}
		})
	}
	for n := range people {
		select {
		case turn <- h.visitor(n):
		case <-ctx.Done():
		}
	}
	close(turn)
	all.Wait()
	return ctx.Err()
}

// Run lets so many people come and go until ctx ends. They are those of the opening
// first, with their visits.
func (h *House) Run(ctx context.Context, people int) {
	var all sync.WaitGroup
	if people > 0 {
		all.Go(func() { h.nurse(ctx) })
	}
	for n := range people {
		v := h.visitor(n)
		all.Go(func() {
			for v.wait(ctx, time.Duration(v.rnd.ExpFloat64()*float64(h.Pause))) {
				h.act(ctx, v, v.next)
			}
		})
	}
	all.Wait()
}

// act lets a person do one thing. What goes wrong is told without names, and the person
// tries again later.
func (h *House) act(ctx context.Context, v *visitor, do func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	did, err := do(ctx)
	switch {
	case err == nil:
		h.Log.Debug("visitor", "did", did)
	case client.CodeOf(err) != "":
		h.Log.Debug("visitor", "did", did, "refused", client.CodeOf(err))
	case ctx.Err() == nil:
		h.Log.Info("visitor", "did", did, "failed", fmt.Sprintf("%T", err))
	}
}

// visitor is the n-th person, the same one each time: who logged in at the opening stays so.
func (h *House) visitor(n int) *visitor {
	v, ok := h.known[n]
	if !ok {
		v = &visitor{House: h, n: n, c: client.New(h.Base), rnd: rand.New(rand.NewPCG(h.Seed, uint64(n)))} //nolint:gosec // a play
		h.known[n] = v
	}
	return v
}
