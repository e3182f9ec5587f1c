// Package event describes domain events: plain structs with a versioned name that
// travel from a context's outbox to the contexts that hear them. Events carry ids
// and facts, never names, phones or free text (archtest checks the fields).
package event

import (
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// Event is what a contract's event structs implement. The name is
// context.noun.verb.vN, for example scheduling.appointment.booked.v1.
type Event interface {
	EventName() string
}

// Meta is the envelope that a consumer sees beside the event.
type Meta struct {
	ID     id.ID[Row]         // the outbox row: the unit of repeat
	Name   string             // the versioned event name
	Tenant id.ID[auth.Tenant] // the legal operator
	At     time.Time          // commit time at the producer, UTC
	Trace  string             // W3C traceparent of the request that caused it
	Number string             // business number (REG-..., RX-...), empty if none
}

// Row is the noun of outbox rows.
type Row struct{}
