// Package outbox lets facts leave a context: Add writes them in the use case's own
// transaction, the Relay publishes each row as one message and remembers where the
// broker holds it. A row stays for seven days at least and until every context that
// hears it has acknowledged past it; when the broker lost its stream, all kept rows are
// published again, and inboxes drop the repeats.
package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
)

// Headers of a message, beside its id (the outbox row's) and its data (a JSON array of events of one name).
const (
	HeaderTenant = "Xinglin-Tenant"
	HeaderName   = "Xinglin-Event"
	HeaderAt     = "Xinglin-At" // microseconds since 1970, the producer's commit time
	HeaderTrace  = "Traceparent"
	HeaderNumber = "Xinglin-Number"
)

// MaxEvents and MaxBytes (of JSON) bound one Add: what a combined batch may carry.
const (
	MaxEvents = 1000
	MaxBytes  = 1<<20 - 1<<12 // a foreign broker's default limit, less the headers
)

const topic = "outbox"

// Subject is where events of this name travel: ev.<context>.<event name>.
func Subject(name string) string {
	owner, _, _ := strings.Cut(name, ".")
	return "ev." + owner + "." + name
}

// Add writes the events, all of one name, as one row that becomes one message, and
// wakes the relay after the commit. Without events it does nothing.
func Add(ctx context.Context, tx db.Tx, ev ...event.Event) error {
	if len(ev) == 0 {
		return nil
	}
	name := ev[0].EventName()
	if owner, _, _ := strings.Cut(name, "."); owner != tx.Context() {
		return fmt.Errorf("outbox: context %s cannot tell %s", tx.Context(), name)
	}
	if len(ev) > MaxEvents {
		return fmt.Errorf("outbox: %d events of %s in one row, at most %d", len(ev), name, MaxEvents)
	}
	for _, e := range ev[1:] {
		if e.EventName() != name {
			return fmt.Errorf("outbox: %s and %s in one row", name, e.EventName())
		}
	}
	payload, err := json.Marshal(ev)
	if err != nil {
		return fmt.Errorf("outbox: %s: %w", name, err)
	}
	if len(payload) > MaxBytes {
		return fmt.Errorf("outbox: %d events of %s have %d bytes, at most %d", len(ev), name, len(payload), MaxBytes)
	}
	now := tx.Now()
	tx.Last(`INSERT INTO outbox (tenant_id, id, name, payload, trace, number, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tx.Tenant(), id.New[event.Row](now), name, string(payload), obs.Trace(ctx), obs.Number(ctx), now.UnixMicro())
	tx.Wake(topic)
	return nil
}
