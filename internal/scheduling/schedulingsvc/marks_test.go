package schedulingsvc

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

func markKey() scheduleKey {
	return scheduleKey{schedule: id.Random[scheduling.Schedule]()}
}

func asking(slot id.ID[scheduling.Slot]) *holding {
	r := scheduling.HoldRequest{ID: id.Random[scheduling.Appointment](), Slot: slot}
	r.Any = slot.IsZero()
	return &holding{Request: r}
}

// TestMarks: what a mark answers, for any seat and for a named slot, and that a key that
// was booked comes before the sell-out.
func TestMarks(t *testing.T) {
	ctx, k := context.Background(), markKey()
	full, free := id.Random[scheduling.Slot](), id.Random[scheduling.Slot]()
	booked := asking(full)
	now := &mark{full: map[id.ID[scheduling.Slot]]bool{full: true}, tails: map[bookingrules.Tail]bool{bookingrules.TailOf(booked.Request.ID): true}}
	m := newMarks(func(context.Context, scheduleKey) (*mark, error) {
		return &mark{sold: now.sold, full: now.full, tails: now.tails}, nil
	})
	var gone, back int
	m.gone, m.back = func(scheduleKey) { gone++ }, func(scheduleKey) { back++ }
	look := func(h *holding, want markAnswer) {
		t.Helper()
		if got := m.look(ctx, k, h); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	look(asking(full), markNothing)
	m.set(ctx, k)
	look(asking(full), markSold)
	look(asking(free), markNothing)
	look(asking(id.ID[scheduling.Slot]{}), markNothing)
	look(booked, markKnown)

	m.clear(k)
	look(asking(full), markNothing)
	now.sold = true
	m.set(ctx, k)
	look(asking(free), markSold)
	look(asking(id.ID[scheduling.Slot]{}), markSold)
	look(booked, markKnown)
	if gone != 1 || back != 1 {
		t.Errorf("told %d times gone, %d times back", gone, back)
	}
}

// TestMarkRaces: a read that began before a seat came back is not kept, and one that fails
// leaves nothing.
func TestMarkRaces(t *testing.T) {
	ctx, k := context.Background(), markKey()
	var m *marks
	var reads atomic.Int64
	m = newMarks(func(context.Context, scheduleKey) (*mark, error) {
		switch reads.Add(1) {
		case 1:
			m.clear(k) // a seat comes back while the session is read
		case 2:
			return nil, errors.New("down")
		}
		return &mark{sold: true}, nil
	})
	for range 2 {
		m.set(ctx, k)
		if m.look(ctx, k, asking(id.ID[scheduling.Slot]{})) != markNothing {
			t.Fatal("kept")
		}
	}
	m.set(ctx, k)
	if m.look(ctx, k, asking(id.ID[scheduling.Slot]{})) != markSold {
		t.Fatal("not kept")
	}
	m.set(ctx, k) // young: not read again
	if reads.Load() != 3 {
		t.Errorf("%d reads", reads.Load())
	}
}

// TestMarkCrowd: a crowd that is refused at once reads its session once.
func TestMarkCrowd(t *testing.T) {
	ctx, k := context.Background(), markKey()
	var reads atomic.Int64
	gate := make(chan struct{})
	m := newMarks(func(context.Context, scheduleKey) (*mark, error) {
		reads.Add(1)
		<-gate
		return &mark{sold: true}, nil
	})
	var first, others sync.WaitGroup
	first.Go(func() { m.set(ctx, k) })
	eventually(t, "one reads", func() bool { return reads.Load() == 1 })
	for range 100 {
		others.Go(func() { m.set(ctx, k) })
	}
	others.Wait() // they do not wait for the one
	close(gate)
	first.Wait()
	if reads.Load() != 1 || m.look(ctx, k, asking(id.ID[scheduling.Slot]{})) != markSold {
		t.Fatalf("%d reads", reads.Load())
	}
}
