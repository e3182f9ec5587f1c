package schedulingsvc

import (
	"context"
	"errors"
	"strings"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
)

// keyDrift is how far a key's time may be from ours: keys that lie together in time lie
// together in the index.
const keyDrift = 24 * time.Hour

// openTime bounds how long a request waits for the payment to open; the job does it otherwise.
const openTime = 3 * time.Second

// Hold takes a seat for a person of the caller's.
func (s *Service) Hold(ctx context.Context, r scheduling.HoldRequest) (scheduling.Appointment, bool, error) {
	none := scheduling.Appointment{}
	who, err := auth.From(ctx)
	if err != nil {
		return none, false, err
	}
	now := s.base.Clock.Now()
	if err := checkRequest(r, now); err != nil {
		return none, false, err
	}
	booker, policy, err := s.mayHold(ctx, who, r.Patient)
	if err != nil {
		return none, false, err
	}
	o, err := s.store.offer(ctx, who.Tenant, r, clock.DateOf(now))
	if err != nil {
		return none, false, err
	}
	h := holding{Request: r, Account: who.Account, Policy: policy, offer: o}
	if o.Known != nil {
		if !h.same(*o.Known) {
			return none, false, scheduling.ErrKeyReused.New()
		}
		if o.Known.State == scheduling.Pending { // the first try may have died before it opened the payment
			s.openNow(ctx, who.Tenant, o.Known.Appointment)
		}
		return s.shown(o.Known.Appointment), true, nil
	}
	if err := lotteryFirst(o.Schedule, now); err != nil {
		return none, false, err
	}
	if err := s.allowed(ctx, who.Tenant, o, booker, now); err != nil {
		return none, false, err
	}
	sch := o.Schedule
	h.RegNo = regNo(r.ID, sch.Date)
	h.LimitKey = limitKey(o.Rules.Limit, limitFacts{
		Day: sch.Date, Department: sch.Department, Practitioner: sch.Practitioner, Session: sch.Session, Patient: r.Patient, Account: who.Account,
	})
	ctx = obs.WithNumber(ctx, h.RegNo)
	v, hit, err := s.store.hold(ctx, who.Tenant, h)
	if err != nil {
		return none, false, err
	}
	if v.State == scheduling.Pending {
		s.openNow(ctx, who.Tenant, v.Appointment)
	}
	return s.shown(v.Appointment), hit, nil
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

// allowed asks the hospital's rules about the clock, the age and the person's past.
func (s *Service) allowed(ctx context.Context, t scheduling.TenantID, o offer, b patient.Booker, now time.Time) error {
	sch := o.Schedule
	err := bookable(o.Rules, bookFacts{Day: sch.Date, SlotStart: o.Slot.StartsAt, ReleasedAt: sch.ReleasedAt, Stopped: sch.Stopped}, now)
	if err != nil {
		return err
	}
	today := clock.DateOf(now)
	if err := suspended(o.Rules, o.Past, today); err != nil {
		return err
	}
	paediatric := false
	if o.Rules.Age.Kind == scheduling.AgePaediatric {
		if paediatric, err = s.paediatric(ctx, t, sch.Department); err != nil {
			return err
		}
	}
	return checkAge(o.Rules.Age, b.Birth, b.Birth != 0, sch.Date, paediatric)
}

// suspended refuses a person who missed or gave back too many visits.
func suspended(r scheduling.BookingRules, past incidents, today clock.Date) error {
	until, blocked := blockedUntil(r.NoShow, past.missed, today)
	for _, a := range r.Returns {
		days := past.returned
		if a.SameDay {
			days = past.returnedSameDay
		}
		if u, hit := blockedUntil(a, days, today); hit && u > until {
			until, blocked = u, true
		}
	}
	if blocked {
		return scheduling.ErrSuspended.At("until", until.String())
	}
	return nil
}

// paediatric reports whether a department cares for children, by its name (儿科, 小儿外科,
// 儿童保健): the directory knows no such mark.
func (s *Service) paediatric(ctx context.Context, t scheduling.TenantID, d scheduling.DepartmentID) (bool, error) {
	l, err := s.dir.Labels(ctx, t, nil, []scheduling.DepartmentID{d}, nil)
	return strings.Contains(l.Departments[d].Name, "儿"), err
}

// openNow opens the payment within the request. When it fails the job does it soon.
func (s *Service) openNow(ctx context.Context, t scheduling.TenantID, a scheduling.Appointment) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := s.openPayment(ctx, t, a); err != nil {
		code := "internal"
		if f := fault.Of(err); f != nil {
			code = f.Code.Name
		}
		obs.Log(ctx).Warn("scheduling: the payment will be opened later", "code", code, "timeout", errors.Is(err, context.DeadlineExceeded))
	}
}

// openPayment opens the payment under the appointment's own id; again is the same one.
func (s *Service) openPayment(ctx context.Context, t scheduling.TenantID, a scheduling.Appointment) error {
	_, err := s.payments.Open(ctx, payment.Request{
		ID: a.Payment, Tenant: t, Account: a.Account, Purpose: payment.ForAppointment, Reference: id.As[id.Any](a.ID), Number: a.RegNo,
		Description: "挂号费", Amount: a.Fee, Deadline: a.HoldExpiresAt,
	})
	return err
}
