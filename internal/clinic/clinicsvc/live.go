package clinicsvc

import (
	"context"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/fanout"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
)

// Live lines. Whoever changes a line signals it to all processes after the commit;
// platform/fanout hands the new version to all who look. Walls get the whole board.

const (
	liveTopic = "clinic.live"
	maxAsked  = 200              // items in one question of a hub
	wallBeat  = 10 * time.Second // how often a wall hears that it is still connected
)

// lineSource reads the versions of lines. Its frames are short: who is told that a line
// changed asks again with the own rights.
type lineSource struct {
	store store
	event string
}

// Frames implements fanout.Source.
func (l lineSource) Frames(ctx context.Context, t clinic.TenantID, items []fanout.Item) ([]fanout.Frame, error) {
	found, err := l.Versions(ctx, t, items)
	if err != nil {
		return nil, err
	}
	out := make([]fanout.Frame, 0, len(found))
	for item, version := range found {
		text := "event: " + l.event + "\ndata: {\"version\":" + strconv.FormatInt(version, 10) + "}\n\n"
		out = append(out, fanout.Frame{Item: item, Version: version, Event: []byte(text)})
	}
	return out, nil
}

// Versions implements fanout.Source.
func (l lineSource) Versions(ctx context.Context, t clinic.TenantID, items []fanout.Item) (map[fanout.Item]int64, error) {
	ids := make([]scheduleID, len(items))
	for i, v := range items {
		ids[i] = id.As[scheduling.Schedule](v)
	}
	found, err := l.store.lineVersions(ctx, t, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[fanout.Item]int64, len(found))
	for line, version := range found {
		out[id.As[id.Any](line)] = version
	}
	return out, nil
}

// fanOut builds the machines of the live lines; start runs them.
func (s *Service) fanOut() {
	met := fanout.NewMetrics(s.base.Metrics, "clinic_queue")
	s.queues = fanout.NewHub(lineSource{s.store, "queue"}, maxAsked, met)
	s.places = fanout.NewHub(lineSource{s.store, "turn"}, maxAsked, fanout.NewMetrics(s.base.Metrics, "clinic_turn"))
	s.walls = fanout.NewHub(wallSource{s}, maxAsked, fanout.NewMetrics(s.base.Metrics, "clinic_wall"))
	s.told = fanout.NewTeller(func(ctx context.Context, data []byte) error { return s.base.Signals.Signal(ctx, liveTopic, data) }, met)
}

// moved tells all processes after a commit that a line changed. It only notes it.
func (s *Service) moved(t clinic.TenantID, line scheduleID) {
	k := fanout.Key{Tenant: t, Item: id.As[id.Any](line)}
	s.touch(k)
	if s.base.Signals != nil {
		s.told.Add(k.Tenant, k.Item)
	}
}

// touch has this process look at the line again. Which walls show it is found out by the
// versions of their boards, which the hub compares each second.
func (s *Service) touch(k fanout.Key) {
	s.queues.Touch(k)
	s.places.Touch(k)
}

// start listens to the other processes and begins the fan-out.
func (s *Service) start() (stop func(), err error) {
	unhear := func() {}
	if s.base.Signals != nil {
		if unhear, err = s.base.Signals.OnSignal(liveTopic, s.told.Hear(s.touch, func() {})); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(obs.WithLog(context.Background(), s.base.Log))
	var running sync.WaitGroup
	for _, h := range []*fanout.Hub{s.queues, s.places, s.walls} {
		running.Go(func() { h.Run(ctx) })
	}
	if s.base.Signals != nil {
		running.Go(func() { s.told.Run(ctx) })
	}
	return func() {
		unhear()
		cancel()
		running.Wait()
	}, nil
}
