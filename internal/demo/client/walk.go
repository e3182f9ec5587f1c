package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"xinglin/internal/kernel/clock"
)

// Step is one part of a walk and how long it took.
type Step struct {
	Name string
	Took time.Duration
	Note string
}

// Walk is the main job of the product as one person does it: log in, add oneself, choose
// a doctor, hold a seat, pay, read the ticket, cancel, get the money back. n chooses the
// invented person; days says how far ahead to look for a free number that costs money.
// The payment is made at the channel's simulator.
func Walk(ctx context.Context, base string, in Inbox, n, days int) (steps []Step, err error) {
	c := New(base)
	last := clock.Mono()
	step := func(name, format string, a ...any) {
		now := clock.Mono()
		steps = append(steps, Step{name, now.Sub(last), fmt.Sprintf(format, a...)})
		last = now
	}
	if _, err := c.Login(ctx, Phone(n), in); err != nil {
		return steps, fmt.Errorf("log in: %w", err)
	}
	step("log in", "code by text message")
	patient, err := c.oneself(ctx, n)
	if err != nil {
		return steps, fmt.Errorf("add a person: %w", err)
	}
	step("add a person", "")
	sch, err := c.choose(ctx, days)
	if err != nil {
		return steps, fmt.Errorf("choose: %w", err)
	}
	step("choose", "%s %s %s, %d of %d free", sch.Department, sch.Date, sch.Session, sch.Remaining, sch.Capacity)
	a, _, err := c.Hold(ctx, NewKey(), Wish{PatientID: patient, ScheduleID: sch.ID, Any: true})
	if err != nil {
		return steps, fmt.Errorf("hold: %w", err)
	}
	step("hold", "%s until %s", a.RegNo, a.HoldExpires.In(clock.Shanghai).Format("15:04:05"))
	if a, err = c.Pay(ctx, a); err != nil {
		return steps, fmt.Errorf("pay: %w", err)
	}
	step("pay", "ticket %s", a.NumberText)
	if _, err = c.Cancel(ctx, a.ID, a.Version); err != nil {
		return steps, fmt.Errorf("cancel: %w", err)
	}
	step("cancel", "")
	a, err = c.Wait(ctx, a.ID, func(a Appointment) bool { return a.RefundState == "done" || a.PaymentState == "refunded" })
	if err != nil {
		return steps, fmt.Errorf("refund: %w", err)
	}
	p, err := c.Payment(ctx, a.PaymentID)
	if err != nil || p.RefundedFen != p.AmountFen {
		return steps, fmt.Errorf("refund: %d of %d fen: %w", p.RefundedFen, p.AmountFen, err)
	}
	step("refund", "%d fen", p.RefundedFen)
	return steps, nil
}

// oneself is the account's own person, made when there is none.
func (c *Client) oneself(ctx context.Context, n int) (string, error) {
	have, err := c.Patients(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range have {
		if p.Relationship == "self" {
			return p.ID, nil
		}
	}
	p, _, err := c.AddPerson(ctx, Adult(n, "self"))
	return p.ID, err
}

// choose finds a session with a free number that costs money.
func (c *Client) choose(ctx context.Context, days int) (Schedule, error) {
	today := clock.DateOf(clock.System{}.Now())
	ds, err := c.Departments(ctx)
	if err != nil {
		return Schedule{}, err
	}
	for _, d := range ds {
		found, err := c.Schedules(ctx, d.ID, today.Add(2).String(), today.Add(days).String())
		if err != nil {
			return Schedule{}, err
		}
		for _, s := range found {
			if s.State == "open" && s.Remaining > 0 && s.FeeFen > 0 {
				return s, nil
			}
		}
	}
	return Schedule{}, errors.New("no free number in these days")
}

// Pay opens the pay page, pays at the simulator and waits for the ticket.
func (c *Client) Pay(ctx context.Context, a Appointment) (Appointment, error) {
	page, err := c.Prepay(ctx, a.PaymentID)
	if err != nil {
		return a, err
	}
	channel, err := ChannelOf(page)
	if err != nil {
		return a, err
	}
	if err := channel.Pay(ctx, a.PaymentID); err != nil {
		return a, err
	}
	return c.Wait(ctx, a.ID, InState("booked"))
}
