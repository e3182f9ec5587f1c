package schedulingsvc

import (
	"context"
	"maps"
	"slices"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
)

type appointmentBody struct {
	ID                id.ID[scheduling.Appointment] `json:"id"`
	NumberText        string                        `json:"number_text" doc:"A018; empty before booking" example:"A018"`
	Number            *int                          `json:"number" nullable:"true" doc:"Number within the session; null before booking"`
	RegNo             string                        `json:"reg_no" example:"REG-260304-7K3Q9XAB"`
	PatientID         scheduling.PatientID          `json:"patient_id"`
	PatientNameMasked string                        `json:"patient_name_masked" example:"张*三"`
	ScheduleID        id.ID[scheduling.Schedule]    `json:"schedule_id"`
	SlotID            id.ID[scheduling.Slot]        `json:"slot_id"`
	Date              clock.Date                    `json:"date"`
	Session           string                        `json:"session" enum:"morning,afternoon,evening"`
	StartsAt          time.Time                     `json:"starts_at"`
	EndsAt            time.Time                     `json:"ends_at"`
	DepartmentID      scheduling.DepartmentID       `json:"department_id"`
	DepartmentName    string                        `json:"department_name"`
	PractitionerID    scheduling.PractitionerID     `json:"practitioner_id"`
	PractitionerName  string                        `json:"practitioner_name"`
	PractitionerTitle string                        `json:"practitioner_title"`
	CampusName        string                        `json:"campus_name"`
	Location          string                        `json:"location"`
	Class             string                        `json:"class" enum:"ordinary,expert,special"`
	FeeFen            money.Fen                     `json:"fee_fen"`
	State             string                        `json:"state" enum:"pending,booked,arrived,fulfilled,cancelled,noshow"`
	CancelReason      string                        `json:"cancel_reason,omitempty" enum:"patient,staff,expired,stopped"`
	HoldExpiresAt     *time.Time                    `json:"hold_expires_at,omitempty"`
	PaymentID         string                        `json:"payment_id,omitempty" format:"uuid" doc:"Left out for a person when the visit was booked at a window without an account: its money is the window's"`
	PaymentState      string                        `json:"payment_state,omitempty" enum:"open,paid,closed,refunding,refunded"`
	RefundState       string                        `json:"refund_state,omitempty" enum:"none,requested,done"`
	Cancellable       bool                          `json:"cancellable" doc:"By the patient, now"`
	CancelBefore      *time.Time                    `json:"cancel_before,omitempty"`
	Version           int64                         `json:"version"`
	CreatedAt         time.Time                     `json:"created_at"`
	ServerTime        time.Time                     `json:"server_time" doc:"For countdowns"`
	History           []transitionBody              `json:"history,omitempty"`
}

type transitionBody struct {
	From string    `json:"from"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
	By   string    `json:"by" doc:"hold, paid, expire, cancel, stop, arrive, finish, miss"`
}

type postAppointmentIn struct {
	Key  string `header:"Idempotency-Key" required:"true" doc:"The client's UUIDv7; it becomes the appointment's id"`
	Body struct {
		PatientID  string `json:"patient_id" format:"uuid"`
		SlotID     string `json:"slot_id,omitempty" format:"uuid"`
		ScheduleID string `json:"schedule_id,omitempty" format:"uuid"`
		Any        bool   `json:"any,omitempty" doc:"The earliest free time of the schedule"`
	}
}

type postAppointmentOut struct {
	ETag string `header:"ETag"`
	Hit  string `header:"Idempotency-Hit"`
	Body appointmentBody
}

// request is the hold that a body asks for.
func (in *postAppointmentIn) request() (r scheduling.HoldRequest, err error) {
	r.Any = in.Body.Any
	if r.ID, err = httpx.Key[scheduling.Appointment](in.Key); err != nil {
		return r, err
	}
	if r.Patient, err = optional[patient.Patient](in.Body.PatientID); err != nil {
		return r, err
	}
	if r.Slot, err = optional[scheduling.Slot](in.Body.SlotID); err != nil {
		return r, err
	}
	r.Schedule, err = optional[scheduling.Schedule](in.Body.ScheduleID)
	return r, err
}

func (s *Service) postAppointment(ctx context.Context, in *postAppointmentIn) (*postAppointmentOut, error) {
	r, err := in.request()
	if err != nil {
		return nil, err
	}
	h, err := s.hold(ctx, r)
	if err != nil {
		return nil, err
	}
	if !h.hit { // all of it is known: no look at other contexts on the way of the rush
		return &postAppointmentOut{ETag: httpx.ETag(h.Version), Body: s.heldOut(h)}, nil
	}
	bodies, err := s.bodies(ctx, []scheduling.Appointment{h.Appointment})
	if err != nil {
		return nil, err
	}
	return &postAppointmentOut{ETag: httpx.ETag(h.Version), Body: bodies[0], Hit: "true"}, nil
}

// heldOut is the answer to a new hold.
func (s *Service) heldOut(h held) appointmentBody {
	b := appointmentOut(h.Appointment, h.session.labels)
	b.PatientNameMasked, b.ServerTime = h.person.Masked, s.base.Clock.Now().UTC()
	if !h.Payment.IsZero() {
		b.PaymentID, b.PaymentState, b.RefundState = h.Payment.String(), string(payment.Open), "none"
	}
	return b
}

type listAppointmentsIn struct {
	State  string `query:"state" enum:"pending,booked,arrived,fulfilled,cancelled,noshow"`
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

func (s *Service) getAppointments(ctx context.Context, a *httpx.API, in *listAppointmentsIn) (*out[list[appointmentBody]], error) {
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := s.List(ctx, scheduling.State(in.State), page.Request{Cursor: cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	bodies, err := s.bodies(ctx, found.Items)
	if err != nil {
		return nil, err
	}
	return &out[list[appointmentBody]]{list[appointmentBody]{Items: bodies, Next: a.Seal(ctx, found.Next)}}, nil
}

func (s *Service) getAppointment(ctx context.Context, in *idIn) (*tagged[appointmentBody], error) {
	aid, err := httpx.ID[scheduling.Appointment](in.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.Get(ctx, aid)
	if err != nil {
		return nil, err
	}
	return s.taggedBody(ctx, a, true)
}

type postCancelIn struct {
	ID    string `path:"id" format:"uuid"`
	Match string `header:"If-Match" required:"true"`
	Body  *cancelBody
}

type cancelBody struct {
	Reason string `json:"reason,omitempty" maxLength:"200" doc:"Required of the staff: why, without personal data"`
}

func (s *Service) postCancel(ctx context.Context, in *postCancelIn) (*tagged[appointmentBody], error) {
	aid, err := httpx.ID[scheduling.Appointment](in.ID)
	if err != nil {
		return nil, err
	}
	version, err := httpx.Version(in.Match)
	if err != nil {
		return nil, err
	}
	r := scheduling.CancelRequest{ID: aid, Version: version}
	if in.Body != nil {
		r.Why = in.Body.Reason
	}
	a, err := s.Cancel(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.taggedBody(ctx, a, true)
}

func (s *Service) taggedBody(ctx context.Context, a scheduling.Appointment, history bool) (*tagged[appointmentBody], error) {
	bodies, err := s.bodies(ctx, []scheduling.Appointment{a})
	if err != nil {
		return nil, err
	}
	if history {
		for _, h := range a.History {
			bodies[0].History = append(bodies[0].History, transitionBody{string(h.From), string(h.To), h.At, h.By})
		}
	}
	return &tagged[appointmentBody]{httpx.ETag(a.Version), bodies[0]}, nil
}

// openGrace is how long payment has to hear of a hold before a reader opens the payment.
const openGrace = 2 * time.Second

// bodies adds the names and the states of the payments, each in one batch. Without the
// payment context the states are those that this context knows itself.
func (s *Service) bodies(ctx context.Context, as []scheduling.Appointment) ([]appointmentBody, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	ids, people, money := labels.NewIDs(), map[scheduling.PatientID]bool{}, map[scheduling.PaymentID]bool{}
	for _, a := range as {
		ids.Add(a.Practitioner, a.Department, a.Campus)
		people[a.Patient] = true
		if !a.Payment.IsZero() {
			money[a.Payment] = true
		}
	}
	n, err := s.labels.Of(ctx, who.Tenant, ids)
	if err != nil {
		return nil, err
	}
	masked, err := s.patients.MaskedNames(ctx, who.Tenant, slices.Collect(maps.Keys(people)))
	if err != nil {
		return nil, err
	}
	paid := map[scheduling.PaymentID]payment.Payment{}
	if len(money) > 0 {
		if paid, err = s.payments.States(ctx, who.Tenant, slices.Collect(maps.Keys(money))); err != nil {
			obs.Log(ctx).Warn("scheduling: payment states not read", "kind", string(fault.KindOf(err)))
		}
	}
	out := make([]appointmentBody, 0, len(as))
	now := s.base.Clock.Now().UTC()
	for _, a := range as {
		b := appointmentOut(a, n)
		b.PatientNameMasked, b.ServerTime = masked[a.Patient], now
		if !a.Payment.IsZero() {
			p, known := paid[a.Payment]
			windows := who.Kind == auth.Patient && a.Account.IsZero() // money that only the window takes and gives
			if !known && !windows && a.State == scheduling.Pending && now.Sub(a.CreatedAt) > openGrace {
				s.openNow(ctx, who.Tenant, a)
			}
			if !windows {
				b.PaymentID = a.Payment.String()
			}
			b.PaymentState, b.RefundState = paymentState(a, p, known), refundState(a, p)
		}
		out = append(out, b)
	}
	return out, nil
}

func appointmentOut(a scheduling.Appointment, n directory.Labels) appointmentBody {
	p, d := n.Practitioners[a.Practitioner], n.Departments[a.Department]
	b := appointmentBody{
		ID: a.ID, NumberText: scheduling.Ticket{Appointment: a.ID, Schedule: a.Schedule, Session: a.Session, Number: a.Number}.Text(), RegNo: a.RegNo, PatientID: a.Patient,
		ScheduleID: a.Schedule, SlotID: a.Slot, Date: a.Date, Session: string(a.Session), StartsAt: a.StartsAt, EndsAt: a.EndsAt, DepartmentID: a.Department, DepartmentName: d.Name,
		PractitionerID: a.Practitioner, PractitionerName: p.Name, PractitionerTitle: p.Title, CampusName: n.Campuses[a.Campus].Name, Location: a.Location, Class: string(a.Class),
		FeeFen: a.Fee, State: string(a.State), CancelReason: string(a.CancelReason), Cancellable: a.Cancellable, Version: a.Version, CreatedAt: a.CreatedAt,
	}
	if b.Location == "" {
		b.Location = d.Location
	}
	if a.Number > 0 {
		b.Number = &a.Number
	}
	if !a.HoldExpiresAt.IsZero() {
		b.HoldExpiresAt = &a.HoldExpiresAt
	}
	if a.State == scheduling.Booked {
		b.CancelBefore = &a.CancelBefore
	}
	return b
}

// paymentState is the payment's own word, or what follows from the appointment.
func paymentState(a scheduling.Appointment, p payment.Payment, known bool) string {
	switch {
	case known:
		return string(p.State)
	case a.Settlement == scheduling.Refund || a.Settlement == scheduling.Applied && a.State == scheduling.Cancelled:
		return string(payment.Refunding)
	case a.Settlement == scheduling.Applied:
		return string(payment.Paid)
	case a.State == scheduling.Pending:
		return string(payment.Open)
	}
	return string(payment.Closed)
}

// refundState says what became of money that goes back: it is requested as soon as the
// appointment says so, though the job has not run yet.
func refundState(a scheduling.Appointment, p payment.Payment) string {
	due := a.Settlement == scheduling.Refund || a.Settlement == scheduling.Applied && a.State == scheduling.Cancelled
	switch {
	case p.Pending > 0:
		return "requested"
	case p.State == payment.Refunded || due && p.Refunded > 0 && p.Refunded >= p.Amount:
		return "done"
	case due:
		return "requested"
	}
	return "none"
}
