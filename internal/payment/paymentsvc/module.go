// Package paymentsvc is the behaviour of the payment context.
//
// Money comes in three ways that end in the same conditional step: the channel's callback, the active query, and a close that
// finds the order paid. Remote calls happen in jobs or in the request, never in a transaction; each names our own number, so
// that a repeat is harmless at the channel.
package paymentsvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/kernel/event"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/state"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policy []byte

//go:embed policy.tests
var policyTests []byte

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{
		Name: "payment", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(), Masks: masks(),
		Events: []event.Event{payment.PaidEvent{}, payment.ClosedEvent{}, payment.RefundedEvent{}},
	}
}

// New builds the context. channel is a plain nil where WeChat Pay is not configured; then what needs it answers
// payment.channel_down.
func New(base module.Base, books ledger.Service, channel Channel) (*Service, *module.Module) {
	s := &Service{base: base, ledger: books, store: store{}}
	if channel != nil {
		s.channel, s.notices = channel, channel
	}
	return s, &module.Module{
		Name:     "payment",
		Held:     held(),
		Routes:   s.routes,
		Hears:    []inbox.Handler{s.onHeld(), s.onSettled()},
		Jobs:     s.jobs(),
		Checks:   checks(),
		Sets:     sets(),
		Machines: []state.Diagram{paymentLife, refundLife},
		Facts:    s.sources(),
	}
}

var _ payment.Service = (*Service)(nil)
