package schedulingsvc

import (
	"context"
	"slices"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/idem"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// onSession asks for a right on a session. It lies at a campus: for a role of one campus it is read first, and one that
// the tenant has not is scheduling.not_found.
func (s *Service) onSession(ctx context.Context, action string, schedule scheduleID) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	r := authz.Request{Action: action, Noun: "Schedule", ID: schedule.String()}
	if ofOneCampus(who) {
		item, err := s.lookSession(ctx, who, schedule.String())
		if err != nil {
			return who, "", err
		}
		r.At = item.At
	}
	d, err := s.base.Authz.Check(ctx, r)
	return who, d.Policy, err
}

// halting is the request as the store takes it.
func (s *Service) halting(ctx context.Context, action, key string, schedule scheduleID, version int64, why string) (auth.Principal, halting, error) {
	who, policy, err := s.onSession(ctx, action, schedule)
	k := idem.Key{Op: action, Actor: who.Actor(), Key: key, Hash: idem.HashOf([]any{schedule, version, why})}
	return who, halting{Schedule: schedule, Version: version, Why: why, Key: k, Policy: policy}, err
}

// stopSession stops a session (停诊, A7) with a reason for the audit, 1 to 200 characters and
// no personal data. Nobody books from now on; a job cancels and refunds the visits to come.
// Codes: scheduling.stale, scheduling.schedule_stopped, scheduling.slot_past. Events:
// scheduling.schedule.stopped.v1, then scheduling.appointment.cancelled.v1 for each visit.
func (s *Service) stopSession(ctx context.Context, key string, schedule scheduleID, version int64, why string) (v scheduling.Schedule, stop bookingrules.Stop, hit bool, err error) {
	who, h, err := s.halting(ctx, "scheduling.stop_session", key, schedule, version, why)
	if err != nil {
		return v, stop, false, err
	}
	if strings.TrimSpace(why) == "" || len([]rune(why)) > maxWhy {
		return v, stop, false, scheduling.ErrInput.At("reason", "why, 1 to 200 characters, without personal data")
	}
	if hit, err = s.store.stopSession(ctx, who.Tenant, h); err != nil {
		return v, stop, hit, err
	}
	v, stop, err = s.now(ctx, who.Tenant, schedule)
	return v, stop, hit, err
}

// resumeSession holds a stopped session after all: what is free is on sale again, and who was
// cancelled stays so. Codes: those of bookingrules.DecideResume. Event: scheduling.schedule.resumed.v1.
func (s *Service) resumeSession(ctx context.Context, key string, schedule scheduleID, version int64) (v scheduling.Schedule, hit bool, err error) {
	who, h, err := s.halting(ctx, "scheduling.resume_session", key, schedule, version, "")
	if err != nil {
		return v, false, err
	}
	if hit, err = s.store.resumeSession(ctx, who.Tenant, h); err != nil {
		return v, hit, err
	}
	v, _, err = s.now(ctx, who.Tenant, schedule)
	return v, hit, err
}

// readStop tells how far a stop is; scheduling.not_found when the session is held.
func (s *Service) readStop(ctx context.Context, schedule scheduleID) (bookingrules.Stop, error) {
	who, _, err := s.onSession(ctx, "scheduling.read_stop", schedule)
	if err != nil {
		return bookingrules.Stop{}, err
	}
	_, stop, err := s.now(ctx, who.Tenant, schedule)
	if err == nil && stop.StoppedAt.IsZero() {
		err = scheduling.ErrNotFound.New()
	}
	return stop, err
}

func (s *Service) now(ctx context.Context, t scheduling.TenantID, schedule scheduleID) (scheduling.Schedule, bookingrules.Stop, error) {
	v, stop, err := s.store.sessionNow(ctx, t, schedule)
	return v.shown(s.base.Clock.Now()), stop, err
}

// listSession lists the visits of a session by their numbers, without cancelled ones, from
// the one after a number.
func (s *Service) listSession(ctx context.Context, schedule scheduleID, after, limit int) (out []scheduling.Appointment, more bool, err error) {
	who, _, err := s.onSession(ctx, "scheduling.list_session_appointments", schedule)
	if err != nil {
		return nil, false, err
	}
	found, err := s.store.sessionVisits(ctx, who.Tenant, schedule, after, limit+1)
	for _, v := range found[:min(len(found), limit)] {
		out = append(out, s.shown(v.Appointment))
	}
	return out, len(found) > limit, err
}

// stopTogether bounds the visits that one transaction moves under their session's lock.
const stopTogether = 32

// cancelStopped cancels the visits of a stopped session, some in a transaction. After a
// crash it goes on with those that are left.
func (s *Service) cancelStopped(ctx context.Context, p aboutSession) error {
	who, policy, err := s.onSession(ctx, "scheduling.cancel_stopped", p.Schedule)
	if err != nil {
		return err
	}
	due, err := s.store.stoppedVisits(ctx, who.Tenant, p.Schedule)
	return s.eachSome(due, err, func(some []id.ID[scheduling.Appointment]) error {
		return s.store.cancelStopped(ctx, who.Tenant, p.Schedule, some, policy)
	})
}

// missVisits notes who has not come to a session that is over.
func (s *Service) missVisits(ctx context.Context, p aboutSession) error {
	who, policy, err := s.onSession(ctx, "scheduling.miss_visit", p.Schedule)
	if err != nil {
		return err
	}
	due, err := s.store.missing(ctx, who.Tenant, p.Schedule)
	return s.eachSome(due, err, func(some []id.ID[scheduling.Appointment]) error {
		return s.store.miss(ctx, who.Tenant, p.Schedule, some, policy)
	})
}

func (s *Service) eachSome(due []id.ID[scheduling.Appointment], err error, do func([]id.ID[scheduling.Appointment]) error) error {
	if err != nil {
		return err
	}
	for some := range slices.Chunk(due, stopTogether) {
		if err := do(some); err != nil {
			return err
		}
	}
	return nil
}
