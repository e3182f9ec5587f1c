package mask

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"xinglin/internal/platform/trail"
)

// frameRules are those of the tables that every context carries. Facts on their way stay, with what was heard of them: their
// payloads are ids, codes, dates and amounts by rule (archtest), and a copy without them would be half way in a hundred places. So do
// jobs, given back to whoever takes them. Keys of requests, dead letters and the broker's places go.
func frameRules() map[string][]Rule {
	out := map[string][]Rule{}
	for _, r := range []Rule{
		{Table: "idempotency", Drop: true},
		{Table: "dead_letter", Drop: true},
		{Table: "inbox_position", Drop: true},
		{Table: "blind_generation", Drop: true}, // a copy has keys of its own
		{Table: "outbox", Row: unpublished},
		{Table: "job", Row: givenBack},
		{Table: "trail", Row: trailRow},
	} {
		out[r.Table] = append(out[r.Table], r)
	}
	return out
}

// unpublished makes the copy's own broker learn of the fact.
func unpublished(_ context.Context, _ *Copy, r *Row) error {
	r.Set("incarnation", "")
	r.Set("seq", int64(0))
	r.Set("claimed", int64(0))
	return nil
}

func givenBack(_ context.Context, c *Copy, r *Row) error {
	if r.Text("state") == "running" {
		r.Set("state", "ready")
	}
	r.Set("owner", "")
	r.Set("lease_until", int64(0))
	r.Set("error", c.Text(r.Text("error")))
	return nil
}

const maxActs = 4 << 20 // bytes of JSON in one combined row

// trailRow keeps who did what to which item, and the codes among its words.
func trailRow(_ context.Context, c *Copy, r *Row) error {
	acts, err := trail.Rewrite(r.Bytes("acts"), maxActs, func(p *trail.Part) {
		p.Actor, p.Object, p.Origin, p.Trace = c.Actor(p.Actor), c.Object(p.Object), "", ""
	})
	if err != nil {
		return err
	}
	r.Set("acts", acts)
	return c.trailWords(r)
}

// trailWords rewrites what a row of the trail and one of the audit have in common.
func (c *Copy) trailWords(r *Row) error {
	r.Set("object", c.Object(r.Text("object")))
	r.Set("why", c.Code(r.Text("why")))
	changed, err := c.changed(r.Bytes("changed"))
	if err != nil {
		return err
	}
	r.Set("changed", changed)
	return nil
}

// idText is the id of an item, or several.
var idText = regexp.MustCompile(`^[0-9a-f:/ ._-]*$`)

// Object keeps the id of an item, and hides what is none.
func (c *Copy) Object(s string) string {
	if s == "" || idText.MatchString(s) && strings.ContainsAny(s, "0123456789") && find(s, nil, false).none() {
		return s
	}
	return maskedWord
}

// changed keeps the names of fields and steps between coded values.
func (c *Copy) changed(b []byte) (string, error) {
	var fields []string
	if json.Unmarshal(b, &fields) == nil {
		for i, f := range fields {
			fields[i] = c.Code(f)
		}
		out, err := json.Marshal(fields)
		return string(out), err
	}
	var steps map[string]trail.Change
	if err := json.Unmarshal(b, &steps); err != nil {
		return "[]", nil // neither form: nothing of it is kept
	}
	kept := map[string]trail.Change{}
	for f, s := range steps {
		kept[c.Code(f)] = trail.Change{From: c.Code(s.From), To: c.Code(s.To)}
	}
	out, err := json.Marshal(kept)
	return string(out), err
}

// AuditRow moves a collected audit event back into the trail of the context that it came from: the copy's own log takes it up, under
// the copy's keys. A log cannot be copied with other words in it: that is what it is for.
func AuditRow(_ context.Context, c *Copy, r *Row) error {
	if err := c.trailWords(r); err != nil {
		return err
	}
	values := map[string]any{"actor": c.Actor(r.Text("actor")), "origin": "", "trace": ""}
	for _, name := range []string{"tenant_id", "id", "at", "action", "noun", "object", "policy", "why", "changed", "number"} {
		values[name] = r.values[name]
	}
	r.Move(r.Text("context"), "trail", values)
	return nil
}
