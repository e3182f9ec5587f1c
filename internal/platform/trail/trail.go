// Package trail writes the audit row of a use case into its own transaction, and hands
// the rows of every context to whoever keeps them (the audit context). A row says who
// did what to which item under which policy and why; it names the fields that changed
// and never holds personal data.
package trail

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/packed"
)

// Act is the noun of a trail row: history rows keep the id of the act that made them.
type Act struct{}

// Change is one field's step between two coded values (states, amounts, dates).
type Change struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Entry is what the use case says about itself; the rest comes from the context.
type Entry struct {
	Action string // operation id: scheduling.hold
	Noun   string // Appointment
	ID     string // of the item, empty for a kind as a whole
	Policy string // authz.Decision.Policy
	Why    string // the reason's code or the operator's words; never personal data
	// Changed is a []string of field names, or a map[string]Change for fields whose
	// values are no personal data.
	Changed any
}

// Part is one act of a combined transaction: what Record takes from the context, each
// with its own actor.
type Part struct {
	ID     id.ID[Act] `json:"id"`
	Actor  string     `json:"actor"`
	Object string     `json:"object,omitempty"`
	Policy string     `json:"policy"`
	Origin string     `json:"origin"`
	Trace  string     `json:"trace,omitempty"`
	Number string     `json:"number"`
}

// shorten leaves out what follows from the id: an item of the act's own id, the trace of
// a request whose key it is, and the end of its business number.
func (p *Part) shorten() {
	if p.Object == p.ID.String() {
		p.Object = ""
	}
	if p.Trace == obs.TraceOf(p.ID) {
		p.Trace = ""
	}
	if tail := p.ID.Tail(); strings.HasSuffix(p.Number, "-"+tail) {
		p.Number = strings.TrimSuffix(p.Number, tail)
	}
}

func (p *Part) restore() {
	if p.Object == "" {
		p.Object = p.ID.String()
	}
	if p.Trace == "" {
		p.Trace = obs.TraceOf(p.ID)
	}
	if strings.HasSuffix(p.Number, "-") {
		p.Number += p.ID.Tail()
	}
}

// Combined is the actor of a row that carries several acts.
const Combined = "combined"

// RecordAll writes one row for all the acts of a combined transaction; the collector takes
// it apart. e gives what they share. A single act has a plain row.
func RecordAll(ctx context.Context, tx db.Tx, e Entry, parts []Part) error {
	if e.Action == "" || e.Noun == "" || len(parts) == 0 {
		return fmt.Errorf("trail: a combined entry without action, noun or acts: %q %q", e.Action, e.Noun)
	}
	if len(parts) == 1 {
		write(tx, e, parts[0])
		return nil
	}
	parts = slices.Clone(parts)
	for i := range parts {
		parts[i].shorten()
	}
	acts, err := json.Marshal(parts)
	if err != nil {
		return fmt.Errorf("trail: %w", err)
	}
	tx.Last(`INSERT INTO trail (tenant_id, id, at, actor, action, noun, object, policy, why, changed, origin, trace, number, acts)
		VALUES ($1, $2, $3, $4, $5, $6, '', '', '', $7, '', '', '', $8)`,
		tx.Tenant(), id.New[Act](tx.Now()), tx.Now().UnixMicro(), Combined, e.Action, e.Noun, db.JSON(e.Changed), packed.Pack(acts))
	return nil
}

// Rewrite changes the acts of a combined row, packed as they stand in it and at most limit bytes of JSON: for copies of a
// database. nil stays nil. What follows from an act's id may be left empty.
func Rewrite(acts []byte, limit int, change func(*Part)) ([]byte, error) {
	if len(acts) == 0 {
		return nil, nil
	}
	text, err := packed.Unpack(acts, limit)
	if err != nil {
		return nil, err
	}
	var parts []Part
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, fmt.Errorf("trail: a combined row is no list of acts") // the decoder's words quote it
	}
	for i := range parts {
		change(&parts[i])
	}
	if text, err = json.Marshal(parts); err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	return packed.Pack(text), nil
}

// Record writes the row. The actor is the principal of ctx (auth.required without
// one); origin, trace and business number are those of ctx.
func Record(ctx context.Context, tx db.Tx, e Entry) (id.ID[Act], error) {
	who, err := auth.From(ctx)
	if err != nil {
		return id.ID[Act]{}, err
	}
	switch c := e.Changed.(type) {
	case nil:
		e.Changed = []string{}
	case []string:
		if c == nil {
			e.Changed = []string{}
		}
	case map[string]Change:
	default:
		return id.ID[Act]{}, fmt.Errorf("trail: %s: Changed is %T", e.Action, e.Changed)
	}
	if e.Action == "" || e.Noun == "" {
		return id.ID[Act]{}, fmt.Errorf("trail: an entry without action or noun: %q %q", e.Action, e.Noun)
	}
	act := id.New[Act](tx.Now())
	write(tx, e, Part{
		ID: act, Actor: who.Actor(), Object: e.ID, Policy: e.Policy, Origin: obs.Origin(ctx), Trace: obs.Trace(ctx), Number: obs.Number(ctx),
	})
	return act, nil
}

// write writes the row of one act.
func write(tx db.Tx, e Entry, p Part) {
	tx.Last(`INSERT INTO trail (tenant_id, id, at, actor, action, noun, object, policy, why, changed, origin, trace, number)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		tx.Tenant(), p.ID, tx.Now().UnixMicro(), p.Actor, e.Action, e.Noun, p.Object, p.Policy, e.Why, db.JSON(e.Changed), p.Origin, p.Trace, p.Number)
}
