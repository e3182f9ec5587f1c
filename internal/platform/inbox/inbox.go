// Package inbox lets facts arrive in a context: On is one kind of event and what it
// does here; the Consumer hears the broker, runs the handlers of a message in one
// transaction together with the message's inbox row, so that a repeat has no effect,
// and puts what fails for good into the dead letters. Messages that wait and whose
// handlers allow it (OnTogether) share a transaction: one commit for many facts.
package inbox

import (
	"bytes"
	"context"
	"encoding/json"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
)

// Codes of dead letters; no caller sees them.
var (
	ErrUnknown = fault.Register(fault.Invalid, "inbox.unknown_event", "未知的事件", "Nothing here hears this event")
	ErrPoison  = fault.Register(fault.Malformed, "inbox.poison", "事件内容无法读取", "The message cannot be read")
)

// Handler is what a context does about one kind of event. Make it with On, OnAll or OnTogether.
type Handler struct {
	Event    string // versioned name
	together bool
	read     func(m event.Meta, payload []byte) (any, error)
	lock     func(ctx context.Context, tx db.Tx, read []any) error // nil: none
	run      func(ctx context.Context, tx db.Tx, m event.Meta, read any) error
}

// On makes the handler of one kind of event. f runs once per event of the message, all
// in ONE transaction with the inbox row; remote work goes through a job. E is a plain
// struct whose EventName has a value receiver.
func On[E event.Event](f func(ctx context.Context, tx db.Tx, m event.Meta, e E) error) Handler {
	return OnAll(func(ctx context.Context, tx db.Tx, m event.Meta, events []E) error {
		for _, e := range events {
			if err := f(ctx, tx, m, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// OnAll is On for a handler that takes all events of a message at once, in their order.
func OnAll[E event.Event](f func(ctx context.Context, tx db.Tx, m event.Meta, events []E) error) Handler {
	var zero E
	return Handler{
		Event: zero.EventName(),
		read: func(m event.Meta, payload []byte) (any, error) {
			text, err := outbox.Unpack(payload)
			if err != nil {
				return nil, ErrPoison.Because("%s", m.Name)
			}
			var events []E
			if err := json.NewDecoder(bytes.NewReader(text)).Decode(&events); err != nil {
				return nil, ErrPoison.Because("%s", m.Name) // the decoder's words quote the payload
			}
			return events, nil
		},
		run: func(ctx context.Context, tx db.Tx, m event.Meta, read any) error {
			return f(ctx, tx, m, read.([]E))
		},
	}
}

// OnTogether is On for a handler whose transaction may hold many messages of the tenant
// beside each other. Before f, lock is called once with all events of the transaction
// that are new here: it locks every row that f will change, in the order of the keys, so
// that two transactions, or one and a use case, never wait for each other in a circle.
// nil means that f only inserts rows which no other event inserts. When the transaction
// fails, each message is tried alone.
func OnTogether[E event.Event](lock func(ctx context.Context, tx db.Tx, events []E) error, f func(ctx context.Context, tx db.Tx, m event.Meta, e E) error) Handler {
	h := On(f)
	h.together = true
	if lock != nil {
		h.lock = func(ctx context.Context, tx db.Tx, read []any) error {
			var events []E
			for _, r := range read {
				events = append(events, r.([]E)...)
			}
			if len(events) == 0 {
				return nil
			}
			return lock(ctx, tx, events)
		}
	}
	return h
}
