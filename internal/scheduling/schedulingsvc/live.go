package schedulingsvc

import (
	"context"
	"sync"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/fanout"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/seatboard"
)

// Live counts. Whoever changes a session signals it to all processes after the commit;
// platform/fanout hands what changed to all readers. The calendar in memory (seatboard)
// follows the same signals.

const (
	liveTopic  = "scheduling.live"
	maxWatched = 50 // schedules of one stream; not above fanout.MaxItems
)

// everySession in a signal means that the tenant's plan changed.
var everySession = seatboard.Every

// liveKey is the session in the fan-out.
func liveKey(t scheduling.TenantID, schedule scheduleID) fanout.Key {
	return fanout.Key{Tenant: t, Item: fanout.Item(schedule)}
}

// recast gives ids of one kind as ids of another.
func recast[To, From any](ids []id.ID[From]) []id.ID[To] {
	out := make([]id.ID[To], len(ids))
	for i, v := range ids {
		out[i] = id.ID[To](v)
	}
	return out
}

// liveSource reads sessions for the fan-out.
type liveSource struct{ store store }

// Frames implements fanout.Source.
func (l liveSource) Frames(ctx context.Context, t scheduling.TenantID, items []fanout.Item) ([]fanout.Frame, error) {
	found, err := l.store.counts(ctx, t, recast[scheduling.Schedule](items))
	if err != nil {
		return nil, err
	}
	out := make([]fanout.Frame, 0, len(found))
	for _, c := range found {
		out = append(out, fanout.Frame{Item: fanout.Item(c.Schedule), Version: c.Version, Event: c.Event()})
	}
	return out, nil
}

// Versions implements fanout.Source.
func (l liveSource) Versions(ctx context.Context, t scheduling.TenantID, items []fanout.Item) (map[fanout.Item]int64, error) {
	found, err := l.store.versions(ctx, t, recast[scheduling.Schedule](items))
	if err != nil {
		return nil, err
	}
	out := make(map[fanout.Item]int64, len(found))
	for schedule, version := range found {
		out[fanout.Item(schedule)] = version
	}
	return out, nil
}

// fanOut builds the machines of the live counts; start runs them.
func (s *Service) fanOut() {
	met := fanout.NewMetrics(s.base.Metrics, "scheduling_live")
	s.live = fanout.NewHub(liveSource{s.store}, maxAsked, met)
	s.boards = seatboard.New(seatboard.Reads{Of: s.store.seatsOf, On: s.store.seatsOn}, s.labels.Of, s.base.Clock, s.base.Log, s.base.Metrics)
	s.told = fanout.NewTeller(func(ctx context.Context, data []byte) error { return s.base.Signals.Signal(ctx, liveTopic, data) }, met)
}

// signalLive tells all processes after a commit that a session's seats changed. It only
// notes the session: it never waits and never fails.
func (s *Service) signalLive(_ context.Context, t scheduling.TenantID, schedule scheduleID) {
	k := liveKey(t, schedule)
	s.touch(k)
	s.told.Add(k.Tenant, k.Item)
}

// touch has this process look at the session again.
func (s *Service) touch(k fanout.Key) {
	s.boards.Touch(k.Tenant, scheduleID(k.Item))
	if k.Item != fanout.Item(everySession) {
		s.live.Touch(k)
	}
}

// start listens to the other processes and begins the fan-out; it also asks for the
// extension of every tenant's rota, so that a process that was down catches up.
func (s *Service) start() (stop func(), err error) {
	unhear := func() {}
	if s.base.Signals != nil {
		if unhear, err = s.base.Signals.OnSignal(liveTopic, s.told.Hear(s.touch, s.boards.Distrust)); err != nil {
			return nil, err
		}
	}
	unfree, err := s.hearFree()
	if err != nil {
		unhear()
		return nil, err
	}
	unplan, err := s.hearPlans()
	if err != nil {
		unhear()
		unfree()
		return nil, err
	}
	ctx, cancel := context.WithCancel(obs.WithLog(context.Background(), s.base.Log))
	var running sync.WaitGroup
	running.Go(func() { s.live.Run(ctx) })
	running.Go(func() { s.boards.Run(ctx) })
	if s.base.Signals != nil {
		running.Go(func() { s.told.Run(ctx) })
	}
	running.Go(func() {
		if err := s.askAll(ctx); err != nil && ctx.Err() == nil {
			s.base.Log.Warn("scheduling: the extension at start was not asked for")
		}
	})
	return func() {
		unhear()
		unfree()
		unplan()
		cancel()
		s.close()
		running.Wait()
	}, nil
}
