package schedulingsvc

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
)

// What a request names changes rarely: sessions, their slots and the hospital's rules are
// kept in the process for a while, so that refusals by the clock (before the release,
// after the end) and unknown ids cost no transaction. Truth is decided under the lock:
// the plan's version there tells when the kept one is old. A process that writes a plan
// tells the others; sessionTime bounds how long a lost word can make a refusal wrong.
const (
	sessionsKept = 20000
	sessionTime  = 15 * time.Second
	unknownTime  = 2 * time.Second
	rulesTime    = 15 * time.Second
)

// session is one session of a doctor with what does not change while seats are sold.
type session struct {
	scheduleRow
	slots      []scheduling.Slot // by start; Remaining and State are not kept
	labels     directory.Labels
	paediatric bool
}

// slot finds one of the session's slots; nil when it has none of this id.
func (v *session) slot(want id.ID[scheduling.Slot]) *scheduling.Slot {
	for i := range v.slots {
		if v.slots[i].ID == want {
			return &v.slots[i]
		}
	}
	return nil
}

type (
	scheduleKey struct {
		tenant   scheduling.TenantID
		schedule id.ID[scheduling.Schedule]
	}
	slotKey struct {
		tenant scheduling.TenantID
		slot   id.ID[scheduling.Slot]
	}
	// keptRules are the rules of a tenant.
	keptRules struct{ scheduling.BookingRules }
)

// sessions are what this process keeps. After a release the crowd asks for sessions that
// nobody has asked for before: those that wait at once are read together, with the other
// sessions of their departments and days, which are asked for next.
type sessions struct {
	bySchedule *otter.Cache[scheduleKey, *session] // nil: there is none
	bySlot     *otter.Cache[slotKey, id.ID[scheduling.Schedule]]
	rules      *otter.Cache[scheduling.TenantID, *keptRules]
	loads      *batch.Combiner[scheduling.TenantID, sessionAsk, *session]
	plans      atomic.Int64 // how often plans changed: what was read before is not kept after
}

// sessionAsk names a session by its id, or by one of its slots.
type sessionAsk struct {
	schedule id.ID[scheduling.Schedule]
	slot     id.ID[scheduling.Slot]
}

func newSessions() *sessions {
	return &sessions{
		bySchedule: otter.Must(&otter.Options[scheduleKey, *session]{
			MaximumSize: sessionsKept,
			ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[scheduleKey, *session]) time.Duration {
				if e.Value == nil {
					return unknownTime
				}
				return sessionTime
			}),
		}),
		bySlot: otter.Must(&otter.Options[slotKey, id.ID[scheduling.Schedule]]{
			MaximumSize: 10 * sessionsKept,
			ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[slotKey, id.ID[scheduling.Schedule]]) time.Duration {
				if e.Value.IsZero() {
					return unknownTime
				}
				return sessionTime
			}),
		}),
		rules: otter.Must(&otter.Options[scheduling.TenantID, *keptRules]{MaximumSize: 1000, ExpiryCalculator: otter.ExpiryWriting[scheduling.TenantID, *keptRules](rulesTime)}),
	}
}

// forget is called after a rota or rules were written.
func (c *sessions) forget() {
	c.plans.Add(1)
	c.drop()
}

func (c *sessions) drop() {
	c.bySchedule.InvalidateAll()
	c.bySlot.InvalidateAll()
	c.rules.InvalidateAll()
}

// look finds what is kept of an ask; false: it must be read.
func (c *sessions) look(t scheduling.TenantID, ask sessionAsk) (*session, bool) {
	schedule := ask.schedule
	if schedule.IsZero() {
		found, ok := c.bySlot.GetIfPresent(slotKey{t, ask.slot})
		if !ok || found.IsZero() {
			return nil, ok
		}
		schedule = found
	}
	return c.bySchedule.GetIfPresent(scheduleKey{t, schedule})
}

// keep takes what was read for the asks; what was not found is kept as such.
func (c *sessions) keep(t scheduling.TenantID, asks []sessionAsk, found []*session) map[sessionAsk]*session {
	out := make(map[sessionAsk]*session, len(asks))
	for _, v := range found {
		out[sessionAsk{schedule: v.ID}] = v
		c.bySchedule.Set(scheduleKey{t, v.ID}, v)
		for i := range v.slots {
			out[sessionAsk{slot: v.slots[i].ID}] = v
			c.bySlot.Set(slotKey{t, v.slots[i].ID}, v.ID)
		}
	}
	for _, a := range asks {
		switch {
		case out[a] != nil:
		case a.schedule.IsZero():
			c.bySlot.Set(slotKey{t, a.slot}, id.ID[scheduling.Schedule]{})
		default:
			c.bySchedule.Set(scheduleKey{t, a.schedule}, nil)
		}
	}
	return out
}

// askOf is how a request names its session.
func askOf(r scheduling.HoldRequest) sessionAsk {
	if r.Any {
		return sessionAsk{schedule: r.Schedule}
	}
	return sessionAsk{slot: r.Slot}
}

// sessionOf finds the session that a request names; scheduling.not_found, batch.busy,
// batch.outcome_unknown.
func (s *Service) sessionOf(ctx context.Context, t scheduling.TenantID, r scheduling.HoldRequest) (*session, error) {
	ask := askOf(r)
	v, ok := s.kept.look(t, ask)
	if !ok {
		var err error
		if v, err = s.kept.loads.Do(ctx, t, 0, ask); err != nil {
			return nil, err
		}
	}
	if v == nil || len(v.slots) == 0 || !r.Any && v.slot(r.Slot) == nil {
		return nil, scheduling.ErrNotFound.New()
	}
	return v, nil
}

// loadSessions reads the sessions that are asked for and not kept by now, with the names
// that answers show.
func (s *Service) loadSessions(ctx context.Context, t scheduling.TenantID, asks []sessionAsk) ([]batch.Result[*session], error) {
	out := make([]batch.Result[*session], len(asks))
	plans := s.kept.plans.Load()
	var missing []sessionAsk
	for i, a := range asks {
		v, ok := s.kept.look(t, a)
		if out[i].Out = v; !ok {
			missing = append(missing, a)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	found, err := s.store.sessionsAround(ctx, t, missing)
	if err != nil {
		return nil, err
	}
	ids := labels.NewIDs()
	for _, v := range found {
		ids.Add(v.Practitioner, v.Department, v.Campus)
	}
	named, err := s.labels.Of(ctx, t, ids)
	if err != nil {
		return nil, err
	}
	for _, v := range found {
		v.labels = named
		// 儿科, 小儿外科, 儿童保健: the directory knows no such mark.
		v.paediatric = strings.Contains(named.Departments[v.Department].Name, "儿")
	}
	read := s.kept.keep(t, missing, found)
	if s.kept.plans.Load() != plans { // what was read may be the old plan
		s.kept.drop()
	}
	for i, a := range asks {
		if v := read[a]; v != nil {
			out[i].Out = v
		}
	}
	return out, nil
}

// planTopic: a plan or rules were written; what processes keep of them goes.
const planTopic = "scheduling.plan"

// forget drops what this process keeps of plans and rules, and tells the others.
func (s *Service) forget() {
	s.kept.forget()
	if s.base.Signals == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.base.Signals.Signal(ctx, planTopic, nil); err != nil {
		s.base.Log.Debug("scheduling: a plan signal was not sent")
	}
}

// hearPlans listens to the other processes' plans.
func (s *Service) hearPlans() (stop func(), err error) {
	if s.base.Signals == nil {
		return func() {}, nil
	}
	return s.base.Signals.OnSignal(planTopic, func([]byte) { s.kept.forget() })
}

// rulesOf are the hospital's rules as they are, or were rulesTime ago if a word got lost.
func (s *Service) rulesOf(ctx context.Context, t scheduling.TenantID) (*scheduling.BookingRules, error) {
	v, err := s.kept.rules.Get(ctx, t, otter.LoaderFunc[scheduling.TenantID, *keptRules](func(ctx context.Context, t scheduling.TenantID) (*keptRules, error) {
		r, _, err := s.store.rules(ctx, t)
		return &keptRules{r}, err
	}))
	if err != nil {
		return nil, err
	}
	return &v.BookingRules, nil
}
