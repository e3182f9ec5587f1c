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
	Base  string // http://127.0.0.1:8080
	Seed  uint64
	Clock clock.Clock // the server's
	Log   *slog.Logger
	Pause time.Duration // mean pause of a person between two acts; 0 = 40 s
	Inbox client.Inbox  // where their codes arrive
}

const (
	pause   = 40 * time.Second
	actTime = 30 * time.Second // an act ends, one way or the other
	hands   = 3                // acts of the opening at once
	aweek   = 7
)

// house is the hospital as its visitors find it.
type house struct {
	Options
	departments []client.Department
}

func open(ctx context.Context, o Options) (*house, error) {
	if o.Pause == 0 {
		o.Pause = pause
	}
	h := &house{Options: o}
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
func Open(ctx context.Context, o Options, people int) error {
	h, err := open(ctx, o)
	if err != nil {
		return err
	}
	turn := make(chan int)
	var all sync.WaitGroup
	for range hands {
		all.Go(func() {
			for n := range turn {
				v := h.visitor(n)
				h.act(ctx, v, v.first)
			}
		})
	}
	for n := range people {
		select {
		case turn <- n:
		case <-ctx.Done():
		}
	}
	close(turn)
	all.Wait()
	return ctx.Err()
}

// Run lets so many people come and go until ctx ends. They are those of the opening
// first, with their visits.
func Run(ctx context.Context, o Options, people int) error {
	h, err := open(ctx, o)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for n := range people {
		v := h.visitor(n)
		all.Go(func() {
			for v.wait(ctx, time.Duration(v.rnd.ExpFloat64()*float64(h.Pause))) {
				h.act(ctx, v, v.next)
			}
		})
	}
	all.Wait()
	return nil
}

// act lets a person do one thing. What goes wrong is told without names, and the person
// tries again later.
func (h *house) act(ctx context.Context, v *visitor, do func(context.Context) (string, error)) {
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

func (h *house) visitor(n int) *visitor {
	return &visitor{house: h, n: n, c: client.New(h.Base), rnd: rand.New(rand.NewPCG(h.Seed, uint64(n)))} //nolint:gosec // a play
}
