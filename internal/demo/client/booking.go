package client

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Schedule is one session of one doctor.
type Schedule struct {
	ID           string    `json:"id"`
	Date         string    `json:"date"`
	Session      string    `json:"session"`
	DepartmentID string    `json:"department_id"`
	Department   string    `json:"department_name"`
	Practitioner string    `json:"practitioner_name"`
	DoctorID     string    `json:"practitioner_id"`
	Class        string    `json:"class"`
	FeeFen       int64     `json:"fee_fen"`
	StartsAt     time.Time `json:"starts_at"`
	State        string    `json:"state"`
	Capacity     int       `json:"capacity"`
	Remaining    int       `json:"remaining"`
	Version      int64     `json:"version"`
}

// Slot is a period of a schedule.
type Slot struct {
	ID        string    `json:"id"`
	StartsAt  time.Time `json:"starts_at"`
	Capacity  int       `json:"capacity"`
	Remaining int       `json:"remaining"`
	State     string    `json:"state"`
}

// Appointment is a patient's place.
type Appointment struct {
	ID           string    `json:"id"`
	NumberText   string    `json:"number_text"`
	Number       *int      `json:"number"`
	RegNo        string    `json:"reg_no"`
	PatientID    string    `json:"patient_id"`
	ScheduleID   string    `json:"schedule_id"`
	SlotID       string    `json:"slot_id"`
	Date         string    `json:"date"`
	StartsAt     time.Time `json:"starts_at"`
	EndsAt       time.Time `json:"ends_at"`
	FeeFen       int64     `json:"fee_fen"`
	State        string    `json:"state"`
	PaymentID    string    `json:"payment_id"`
	PaymentState string    `json:"payment_state"`
	RefundState  string    `json:"refund_state"`
	Cancellable  bool      `json:"cancellable"`
	Version      int64     `json:"version"`
	HoldExpires  time.Time `json:"hold_expires_at"`
}

// Payment is the money of an appointment.
type Payment struct {
	ID          string `json:"id"`
	AmountFen   int64  `json:"amount_fen"`
	State       string `json:"state"`
	RefundedFen int64  `json:"refunded_fen"`
	Version     int64  `json:"version"`
}

// Department is one clinic.
type Department struct {
	ID       string `json:"id"`
	CampusID string `json:"campus_id"`
	Name     string `json:"name"`
}

// Departments lists them.
func (c *Client) Departments(ctx context.Context) ([]Department, error) {
	var list struct{ Items []Department }
	_, err := c.Do(ctx, http.MethodGet, "/departments", nil, &list)
	return list.Items, err
}

// Schedules lists a department's sessions of some days (YYYY-MM-DD, both included).
func (c *Client) Schedules(ctx context.Context, department, from, to string) ([]Schedule, error) {
	q := url.Values{"department_id": {department}, "from": {from}, "to": {to}}
	var list struct{ Items []Schedule }
	_, err := c.Do(ctx, http.MethodGet, "/schedules?"+q.Encode(), nil, &list)
	return list.Items, err
}

// Slots lists the periods of a schedule.
func (c *Client) Slots(ctx context.Context, schedule string) ([]Slot, error) {
	var list struct{ Items []Slot }
	_, err := c.Do(ctx, http.MethodGet, "/schedules/"+schedule+"/slots", nil, &list)
	return list.Items, err
}

// Wish is what a hold asks for: a slot, or any of a schedule.
type Wish struct {
	PatientID  string `json:"patient_id"`
	SlotID     string `json:"slot_id,omitempty"`
	ScheduleID string `json:"schedule_id,omitempty"`
	Any        bool   `json:"any,omitempty"`
}

// Hold asks for a seat under an Idempotency-Key; hit tells that it was known.
func (c *Client) Hold(ctx context.Context, key string, w Wish) (a Appointment, hit bool, err error) {
	res, err := c.Do(ctx, http.MethodPost, "/appointments", w, &a, Key(key))
	return a, res.Header.Get("Idempotency-Hit") == "true", err
}

// Appointment reads one.
func (c *Client) Appointment(ctx context.Context, id string) (a Appointment, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/appointments/"+id, nil, &a)
	return a, err
}

// Appointments lists the account's, newest first.
func (c *Client) Appointments(ctx context.Context) (out []Appointment, err error) {
	cursor := ""
	for range 100 {
		var list struct {
			Items []Appointment
			Next  string
		}
		if _, err = c.Do(ctx, http.MethodGet, "/appointments?limit=100&cursor="+url.QueryEscape(cursor), nil, &list); err != nil {
			return nil, err
		}
		out = append(out, list.Items...)
		if cursor = list.Next; cursor == "" {
			return out, nil
		}
	}
	return out, fmt.Errorf("client: a list of more than 100 pages")
}

// Cancel cancels with the version that the caller saw.
func (c *Client) Cancel(ctx context.Context, id string, version int64) (a Appointment, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/appointments/"+id+"/cancel", map[string]any{}, &a, IfMatch(version))
	return a, err
}

// Wait reads an appointment until ok likes it, at most as long as ctx lives.
func (c *Client) Wait(ctx context.Context, id string, ok func(Appointment) bool) (a Appointment, err error) {
	err = Until(ctx, "appointment "+id, func(ctx context.Context) (bool, error) {
		var err error
		if a, err = c.Appointment(ctx, id); err != nil && (StatusOf(err) == 0 || StatusOf(err) >= 500) {
			return false, nil // a restart
		}
		return err == nil && ok(a), err
	})
	if err != nil {
		err = fmt.Errorf("%w (state %s, payment %s, refund %s)", err, a.State, a.PaymentState, a.RefundState)
	}
	return a, err
}

// InState is for Wait.
func InState(state string) func(Appointment) bool {
	return func(a Appointment) bool { return a.State == state }
}

// Prepay opens the pay page of a payment.
func (c *Client) Prepay(ctx context.Context, payment string) (payURL string, err error) {
	var out struct {
		PayURL string `json:"pay_url"`
	}
	_, err = c.Do(ctx, http.MethodPost, "/payments/"+payment+"/prepay",
		map[string]any{"channel": "wechat", "return_url": "/m/"}, &out)
	return out.PayURL, err
}

// Payment reads one.
func (c *Client) Payment(ctx context.Context, id string) (p Payment, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/payments/"+id, nil, &p)
	return p, err
}

// Channel is the simulated other side of a payment: base is the simulator's address.
type Channel struct{ Base string }

// ChannelOf finds the simulator behind a pay page.
func ChannelOf(payURL string) (Channel, error) {
	u, err := url.Parse(payURL)
	if err != nil {
		return Channel{}, err
	}
	return Channel{u.Scheme + "://" + u.Host}, nil
}

// Number is the payment's number at the channel.
func Number(payment string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(payment, "-", ""))
	if err != nil {
		return ""
	}
	return hex.EncodeToString(b)
}

// Pay declares a payment paid, as the person does on the pay page.
func (s Channel) Pay(ctx context.Context, payment string) error {
	_, err := s.Control(ctx, http.MethodPost, "/sim/transactions/"+Number(payment)+"/pay", nil, nil)
	return err
}

// Faults replaces the simulator's faults, see paysim.Faults.
func (s Channel) Faults(ctx context.Context, f any) error {
	_, err := s.Control(ctx, http.MethodPost, "/sim/faults", f, nil)
	return err
}

// Delivery is one callback as it was sent.
type Delivery struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Status  int               `json:"status"`
}

// Deliveries are the callbacks about a payment so far.
func (s Channel) Deliveries(ctx context.Context, payment string) ([]Delivery, error) {
	var list struct{ Items []Delivery }
	_, err := s.Control(ctx, http.MethodGet, "/sim/deliveries?out_trade_no="+Number(payment), nil, &list)
	return list.Items, err
}

// Control sends one request to the simulator's own door.
func (s Channel) Control(ctx context.Context, method, path string, body, out any) (Answer, error) {
	return New(s.Base).Do(ctx, method, path, body, out)
}
