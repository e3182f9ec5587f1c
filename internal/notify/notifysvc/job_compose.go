package notifysvc

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/job"
	"xinglin/internal/scheduling"
)

func (s *Service) jobs() []job.Handler {
	return []job.Handler{
		job.Call(composeKind, s.compose),
		job.Call(smsKind, func(ctx context.Context, j smsJob) error { return s.deliver(ctx, j.Tenant, j.Delivery) }),
	}
}

// compose looks up the names that an event does not carry and queues the message. The
// message id is derived from the event's row and the appointment, so a repeat is the same message.
func (s *Service) compose(ctx context.Context, c composeJob) error {
	tenant, err := id.Parse[auth.Tenant](c.Tenant)
	if err != nil {
		return fmt.Errorf("notify: compose: %w", err)
	}
	message, err := id.Parse[id.Any](c.Message)
	if err != nil {
		return fmt.Errorf("notify: compose: %w", err)
	}
	if c.Visit.Account.IsZero() {
		return nil // booked at the desk for somebody without an account
	}
	for i := range message {
		message[i] ^= c.Visit.Appointment[i] // one row may carry several appointments
	}
	params, err := s.facts(ctx, tenant, c)
	if err != nil {
		return err
	}
	phoneless, err := s.send(ctx, notify.Message{
		ID: message, Tenant: tenant, Account: c.Visit.Account, Template: c.Template, Params: params,
		Channels: []notify.Channel{notify.InApp, notify.SMS}, Expires: s.base.Clock.Now().Add(24 * time.Hour),
	})
	if err == nil && phoneless {
		// A new account's phone comes by a job of identity's: later tries queue the text message too.
		return notify.ErrRecipient.New()
	}
	return err
}

func (s *Service) facts(ctx context.Context, tenant notify.TenantID, c composeJob) (map[string]secret.Text, error) {
	v := c.Visit
	p := map[string]string{"appointment": v.Appointment.String(), "number": c.Number, "amount": money.Fen(c.Fen).String()}
	if !v.Department.IsZero() {
		if err := s.place(ctx, tenant, v, p); err != nil {
			return nil, err
		}
	}
	if c.Template == "scheduling.cancelled" {
		p["refund"], p["refund_en"] = "未产生费用。", "Nothing was charged."
		if c.Fen > 0 {
			p["refund"] = "挂号费 ¥" + money.Fen(c.Fen).String() + " 将原路退回。"
			p["refund_en"] = "The fee of ¥" + money.Fen(c.Fen).String() + " goes back to where it came from."
		}
	}
	out := map[string]secret.Text{}
	for k, x := range p {
		out[k] = secret.New(x)
	}
	return out, nil
}

// place adds where, when and who of a visit in both languages.
func (s *Service) place(ctx context.Context, tenant notify.TenantID, v scheduling.Visit, p map[string]string) error {
	person, department, campus := directory.PractitionerID(v.Practitioner), directory.DepartmentID(v.Department), directory.CampusID(v.Campus)
	l, err := s.directory.Labels(ctx, tenant, []directory.PractitionerID{person}, []directory.DepartmentID{department}, []directory.CampusID{campus})
	if err != nil {
		return err
	}
	both := func(name string, label directory.Label) {
		p[name], p[name+"_en"] = label.Name, cmp.Or(label.NameEN, label.Name)
	}
	both("department", l.Departments[department])
	both("campus", l.Campuses[campus])
	doctor := l.Practitioners[person]
	p["doctor"] = cmp.Or(strings.TrimSpace(doctor.Name+" "+doctor.Title), "门诊医师")
	p["doctor_en"] = cmp.Or(doctor.NameEN, doctor.Name, "the doctor on duty")
	_, m, d := v.Date.Parts()
	p["date"], p["date_en"] = fmt.Sprintf("%d月%d日", int(m), d), fmt.Sprintf("%d %s", d, m.String()[:3])
	p["time"] = v.StartsAt.In(clock.Shanghai).Format("15:04")
	return nil
}
