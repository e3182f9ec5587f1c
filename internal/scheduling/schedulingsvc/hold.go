package schedulingsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
	"xinglin/internal/platform/admission"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/soldout"
)

// keyDrift is how far a key's time may be from ours: keys that lie together in time lie
// together in the index.
const keyDrift = 24 * time.Hour

// mostHolds are under way in one process: a fifth of a second of what it can sell. The door lets fewer in; it is for what comes another way.
const mostHolds = 1024

// openTime bounds how long a reader waits for a payment that was not opened yet.
const openTime = 3 * time.Second

// holding is a request that passed what can be decided without the database.
type holding struct {
	Request scheduling.HoldRequest
	Account scheduling.AccountID
	Actor   string
	Policy  string
	Origin  string
	Trace   string
	Rules   *scheduling.BookingRules
	Desk    bool // booked at the window: the account is not the one that asks
	Session *session
}

// held is what a hold came to.
type held struct {
	scheduling.Appointment
	hit     bool // the same request had its effect before
	person  patient.Booker
	session *session // nil for a hit that was found before the session
}

// seller takes seats. The product combines requests; the bench puts the other ways of
// the field in its place.
type seller interface {
	// hold takes a seat for the request, or answers with the appointment that the same
	// request made before (hit). Codes: those of errors.go, batch.busy, batch.outcome_unknown.
	hold(ctx context.Context, t scheduling.TenantID, h *holding) (v appointmentRow, hit bool, err error)
}

// Hold takes a seat for a person of the caller's.
func (s *Service) Hold(ctx context.Context, r scheduling.HoldRequest) (scheduling.Appointment, bool, error) {
	h, err := s.hold(ctx, r)
	return h.Appointment, h.hit, err
}

func (s *Service) hold(ctx context.Context, r scheduling.HoldRequest) (out held, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return out, err
	}
	if err := checkRequest(r, s.base.Clock.Now()); err != nil {
		return out, err
	}
	if s.soldOut(ctx, who.Tenant, r) {
		return out, noSeat(r)
	}
	if err := s.under.Enter(); err != nil {
		return out, err
	}
	defer s.under.Leave()
	s.readAhead(ctx, who.Tenant, r)
	booker, policy, err := s.mayHold(ctx, who, r.Patient)
	if err != nil {
		return out, err
	}
	return s.take(ctx, who, booker, &holding{Request: r, Account: who.Account, Policy: policy})
}

// readAhead reads a session that is not kept while it is found out who asks: the first requests after a release need not wait twice.
func (s *Service) readAhead(ctx context.Context, t scheduling.TenantID, r scheduling.HoldRequest) {
	if _, ok := s.kept.look(t, askOf(r)); !ok {
		go func() { _, _ = s.kept.loads.Do(ctx, t, 0, askOf(r)) }() // what fails is read again, and told, by sessionOf
	}
}

// soldOut answers from memory for the many who come when the last seat is gone. That a session is full is public, so nothing needs
// to be read of who asks for whom; a request that may have had its effect before goes the long way.
func (s *Service) soldOut(ctx context.Context, t scheduling.TenantID, r scheduling.HoldRequest) bool {
	v, ok := s.kept.look(t, askOf(r))
	return ok && v != nil && s.marks.Look(ctx, soldout.Key{Tenant: t, Schedule: v.ID}, r) == soldout.Sold
}

// take takes a seat for a request whose right was checked.
func (s *Service) take(ctx context.Context, who auth.Principal, booker patient.Booker, h *holding) (out held, err error) {
	r, now := h.Request, s.base.Clock.Now()
	sess, err := s.sessionOf(ctx, who.Tenant, r)
	if err != nil {
		return out, err
	}
	if err := lotteryFirst(sess.scheduleRow, now); err != nil {
		return out, err
	}
	leave, err := s.base.Admission.Enter(ctx, admission.Scope{Tenant: who.Tenant, Department: id.As[id.Any](sess.Department), Schedule: id.As[id.Any](sess.ID)})
	if err != nil {
		return out, err
	}
	defer func() { leave(err) }()
	h.Actor, h.Origin, h.Trace, h.Session = who.Actor(), obs.Origin(ctx), obs.Trace(ctx), sess
	if h.Rules, err = s.rulesOf(ctx, who.Tenant); err != nil {
		return out, err
	}
	if h.Desk {
		desk := bookingrules.AtDesk(*h.Rules)
		h.Rules = &desk
	}
	if err = allowed(h, booker, now); err != nil {
		return s.knownOr(ctx, who.Tenant, h, err)
	}
	obs.SetNumber(ctx, bookingrules.RegNo(r.ID, sess.Date))
	v, hit, err := s.seats.hold(ctx, who.Tenant, h)
	if err != nil {
		return out, err
	}
	return held{Appointment: s.shown(v.Appointment), hit: hit, person: booker, session: sess}, nil
}

// knownOr answers a repeat of a request that had its effect in time; else the refusal.
// Before the release nothing can have been sold, so the crowd that waits for it costs no look.
func (s *Service) knownOr(ctx context.Context, t scheduling.TenantID, h *holding, refusal error) (held, error) {
	if errors.Is(refusal, scheduling.ErrNotReleased) {
		return held{}, refusal
	}
	v, err := s.store.appointment(ctx, t, h.Request.ID)
	switch {
	case errors.Is(err, scheduling.ErrNotFound):
		return held{}, refusal
	case err != nil:
		return held{}, err
	case !h.same(v):
		return held{}, scheduling.ErrKeyReused.New()
	}
	return held{Appointment: s.shown(v.Appointment), hit: true}, nil
}

// same reports whether a known appointment came of the same request.
func (h *holding) same(v appointmentRow) bool {
	if v.Account != h.Account && !h.Desk || v.Patient != h.Request.Patient || v.AnySlot != h.Request.Any {
		return false
	}
	if v.AnySlot {
		return v.Schedule == h.Request.Schedule
	}
	return v.Slot == h.Request.Slot
}

// checkRequest refuses what no hospital's rules allow.
func checkRequest(r scheduling.HoldRequest, now time.Time) error {
	made := r.ID.Time()
	switch {
	case made.IsZero() || made.Before(now.Add(-keyDrift)) || made.After(now.Add(keyDrift)):
		return scheduling.ErrKeyClock.New()
	case r.Patient.IsZero():
		return scheduling.ErrInput.At("patient_id", "needed")
	case r.Any == r.Schedule.IsZero() || r.Any != r.Slot.IsZero():
		return scheduling.ErrInput.At("slot_id", "a slot, or a schedule with any")
	}
	return nil
}

// mayHold asks the patient context for the link and the policies for the right. A
// person who is not linked does not exist for the caller.
func (s *Service) mayHold(ctx context.Context, who auth.Principal, p scheduling.PatientID) (b patient.Booker, policy string, err error) {
	linked := false
	if who.Kind == auth.Patient {
		b, err = s.patients.Booker(ctx, p)
		if fault.KindOf(err) == fault.NotFound {
			return b, "", scheduling.ErrPatientNotYours.Wrap(err)
		}
		if err != nil {
			return b, "", err
		}
		linked = true
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.hold", Noun: "Patient", ID: p.String(), Attrs: map[string]any{"linked": linked}})
	return b, d.Policy, err
}

// allowed asks the hospital's rules about the clock and the age. The person's past and
// the other visits are read with the seats.
func allowed(h *holding, b patient.Booker, now time.Time) error {
	sch := h.Session
	start := sch.slots[len(sch.slots)-1].StartsAt
	if !h.Request.Any {
		start = sch.slot(h.Request.Slot).StartsAt
	}
	err := bookingrules.Bookable(*h.Rules, bookingrules.SlotFacts{Day: sch.Date, SlotStart: start, ReleasedAt: sch.ReleasedAt, Stopped: sch.Stopped}, now)
	if err != nil {
		return err
	}
	return bookingrules.CheckAge(h.Rules.Age, b.Birth, b.Birth != 0, sch.Date, sch.paediatric)
}

// openNow opens a payment that should be there by now: payment hears of each hold, but
// the broker may be down, and the patient wants to pay. What fails is tried by the next reader.
func (s *Service) openNow(ctx context.Context, t scheduling.TenantID, a scheduling.Appointment) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	_, err := s.payments.Open(ctx, payment.Request{
		ID: a.Payment, Tenant: t, Account: a.Account, Purpose: payment.ForAppointment, Reference: id.As[id.Any](a.ID), Number: a.RegNo,
		Description: payment.RegistrationFee, Amount: a.Fee, Deadline: a.HoldExpiresAt,
	})
	if err != nil {
		code := "internal"
		if f := fault.Of(err); f != nil {
			code = f.Code.Name
		}
		obs.Log(ctx).Warn("scheduling: the payment will be opened later", "code", code, "timeout", errors.Is(err, context.DeadlineExceeded))
	}
}
