package schedulingsvc

import (
	"context"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// What a request names changes rarely: sessions, their slots and the hospital's rules are
// kept in the process for a moment, so that refusals by the clock (before the release,
// after the end) and unknown ids cost no transaction. Truth is decided under the lock:
// the plan's version there tells when the kept one is old.
const (
	sessionsKept = 20000
	sessionTime  = 2 * time.Second
	rulesTime    = time.Second
)

// session is one session of a doctor with what does not change while seats are sold.
type session struct {
	scheduleRow
	slots      []scheduling.Slot // by start; Remaining and State are not kept
	labels     names
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

// sessions are what this process keeps. Loads of one key happen once.
type sessions struct {
	bySchedule *otter.Cache[scheduleKey, *session]
	bySlot     *otter.Cache[slotKey, id.ID[scheduling.Schedule]] // zero: there is no such slot
	rules      *otter.Cache[scheduling.TenantID, *keptRules]
}

func newSessions() *sessions {
	return &sessions{
		bySchedule: otter.Must(&otter.Options[scheduleKey, *session]{MaximumSize: sessionsKept, ExpiryCalculator: otter.ExpiryWriting[scheduleKey, *session](sessionTime)}),
		bySlot:     otter.Must(&otter.Options[slotKey, id.ID[scheduling.Schedule]]{MaximumSize: 10 * sessionsKept, ExpiryCalculator: otter.ExpiryWriting[slotKey, id.ID[scheduling.Schedule]](5 * sessionTime)}),
		rules:      otter.Must(&otter.Options[scheduling.TenantID, *keptRules]{MaximumSize: 1000, ExpiryCalculator: otter.ExpiryWriting[scheduling.TenantID, *keptRules](rulesTime)}),
	}
}

// forget is called after this process wrote a rota or rules.
func (c *sessions) forget() {
	c.bySchedule.InvalidateAll()
	c.bySlot.InvalidateAll()
	c.rules.InvalidateAll()
}

// sessionOf finds the session that a request names; scheduling.not_found.
func (s *Service) sessionOf(ctx context.Context, t scheduling.TenantID, r scheduling.HoldRequest) (*session, error) {
	schedule := r.Schedule
	if !r.Any {
		found, err := s.kept.bySlot.Get(ctx, slotKey{t, r.Slot}, otter.LoaderFunc[slotKey, id.ID[scheduling.Schedule]](
			func(ctx context.Context, k slotKey) (id.ID[scheduling.Schedule], error) {
				return s.store.scheduleOf(ctx, k.tenant, k.slot)
			}))
		if err != nil {
			return nil, err
		}
		schedule = found
	}
	if schedule.IsZero() {
		return nil, scheduling.ErrNotFound.New()
	}
	v, err := s.kept.bySchedule.Get(ctx, scheduleKey{t, schedule}, otter.LoaderFunc[scheduleKey, *session](s.loadSession))
	switch {
	case err != nil:
		return nil, err
	case v == nil || len(v.slots) == 0 || !r.Any && v.slot(r.Slot) == nil:
		return nil, scheduling.ErrNotFound.New()
	}
	return v, nil
}

// loadSession reads a session with the names that answers show; nil when there is none,
// which is kept too.
func (s *Service) loadSession(ctx context.Context, k scheduleKey) (*session, error) {
	v, err := s.store.session(ctx, k.tenant, k.schedule)
	if err != nil || v == nil {
		return nil, err
	}
	ids := newNameIDs()
	ids.add(v.Practitioner, v.Department, v.Campus)
	if v.labels, err = s.names(ctx, k.tenant, ids); err != nil {
		return nil, err
	}
	// 儿科, 小儿外科, 儿童保健: the directory knows no such mark.
	v.paediatric = strings.Contains(v.labels.Departments[v.Department].Name, "儿")
	return v, nil
}

// rulesOf are the hospital's rules; what it says is at most a second old.
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
