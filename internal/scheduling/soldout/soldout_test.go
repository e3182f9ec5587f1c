package soldout

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

func markKey() Key {
	return Key{Schedule: id.Random[scheduling.Schedule]()}
}

func asking(slot id.ID[scheduling.Slot]) scheduling.HoldRequest {
	r := scheduling.HoldRequest{ID: id.Random[scheduling.Appointment](), Slot: slot}
	r.Any = slot.IsZero()
	return r
}

// TestMarks: what a mark answers, for any seat and for a named slot, and that a key that
// was booked comes before the sell-out.
func TestMarks(t *testing.T) {
	ctx, k := context.Background(), markKey()
	full, free := id.Random[scheduling.Slot](), id.Random[scheduling.Slot]()
	booked := asking(full)
	now := &Mark{Full: map[id.ID[scheduling.Slot]]bool{full: true}, Tails: map[bookingrules.Tail]bool{bookingrules.TailOf(booked.ID): true}}
	m := New(func(context.Context, Key) (*Mark, error) {
		return &Mark{Sold: now.Sold, Full: now.Full, Tails: now.Tails}, nil
	})
	var gone, back int
	m.Gone, m.Back = func(Key) { gone++ }, func(Key) { back++ }
	look := func(h scheduling.HoldRequest, want Answer) {
		t.Helper()
		if got := m.Look(ctx, k, h); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	look(asking(full), Nothing)
	m.Set(ctx, k)
	look(asking(full), Sold)
	look(asking(free), Nothing)
	look(asking(id.ID[scheduling.Slot]{}), Nothing)
	look(booked, Known)

	m.Clear(k)
	look(asking(full), Nothing)
	now.Sold = true
	m.Set(ctx, k)
	look(asking(free), Sold)
	look(asking(id.ID[scheduling.Slot]{}), Sold)
	look(booked, Known)
	if gone != 1 || back != 1 {
		t.Errorf("told %d times gone, %d times back", gone, back)
	}
}

// TestMarkRaces: a read that began before a seat came back is not kept, and one that fails
// leaves nothing.
func TestMarkRaces(t *testing.T) {
	ctx, k := context.Background(), markKey()
	var m *Marks
	var reads atomic.Int64
	m = New(func(context.Context, Key) (*Mark, error) {
		switch reads.Add(1) {
		case 1:
			m.Clear(k) // a seat comes back while the session is read
		case 2:
			return nil, errors.New("down")
		}
		return &Mark{Sold: true}, nil
	})
	for range 2 {
		m.Set(ctx, k)
		if m.Look(ctx, k, asking(id.ID[scheduling.Slot]{})) != Nothing {
			t.Fatal("kept")
		}
	}
	m.Set(ctx, k)
	if m.Look(ctx, k, asking(id.ID[scheduling.Slot]{})) != Sold {
		t.Fatal("not kept")
	}
	m.Set(ctx, k) // young: not read again
	if reads.Load() != 3 {
		t.Errorf("%d reads", reads.Load())
	}
}

// TestMarkCrowd: a crowd that is refused at once reads its session once.
func TestMarkCrowd(t *testing.T) {
	ctx, k := context.Background(), markKey()
	var reads atomic.Int64
	gate := make(chan struct{})
	m := New(func(context.Context, Key) (*Mark, error) {
		reads.Add(1)
		<-gate
		return &Mark{Sold: true}, nil
	})
	var first, others sync.WaitGroup
	first.Go(func() { m.Set(ctx, k) })
	eventually(t, "one reads", func() bool { return reads.Load() == 1 })
	for range 100 {
		others.Go(func() { m.Set(ctx, k) })
	}
	others.Wait() // they do not wait for the one
	close(gate)
	first.Wait()
	if reads.Load() != 1 || m.Look(ctx, k, asking(id.ID[scheduling.Slot]{})) != Sold {
		t.Fatalf("%d reads", reads.Load())
	}
}

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if f() {
			return
		}
		<-tick.C
	}
	t.Fatal("not in time: " + what)
}
