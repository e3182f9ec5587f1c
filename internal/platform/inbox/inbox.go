// Package inbox lets facts arrive in a context: On is one kind of event and what it
// does here; the Consumer hears the broker, runs the handlers of a message in one
// transaction together with the message's inbox row, so that a repeat has no effect,
// and puts what fails for good into the dead letters.
package inbox

import (
	"bytes"
	"context"
	"encoding/json"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/db"
)

// Codes of dead letters; no caller sees them.
var (
	ErrUnknown = fault.Register(fault.Invalid, "inbox.unknown_event", "未知的事件", "Nothing here hears this event")
	ErrPoison  = fault.Register(fault.Malformed, "inbox.poison", "事件内容无法读取", "The message cannot be read")
)

// Handler is what a context does about one kind of event. Make it with On.
type Handler struct {
	Event string // versioned name
	run   func(ctx context.Context, tx db.Tx, m event.Meta, payload []byte) error
}

// On makes the handler of one kind of event. f runs once per event of the message, all
// in ONE transaction with the inbox row; remote work goes through a job. E is a plain
// struct whose EventName has a value receiver.
func On[E event.Event](f func(ctx context.Context, tx db.Tx, m event.Meta, e E) error) Handler {
	var zero E
	return Handler{Event: zero.EventName(), run: func(ctx context.Context, tx db.Tx, m event.Meta, payload []byte) error {
		var events []E
		if err := json.NewDecoder(bytes.NewReader(payload)).Decode(&events); err != nil {
			return ErrPoison.Because("%s", m.Name) // the decoder's words quote the payload
		}
		for _, e := range events {
			if err := f(ctx, tx, m, e); err != nil {
				return err
			}
		}
		return nil
	}}
}
