package app

import (
	"context"
	"io"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/verify"
)

// ErrViolated ends `xinglin verify` when an invariant is broken.
var ErrViolated = fault.Register(fault.Conflict, "app.invariant_broken", "数据不变量被破坏", "An invariant is broken; the lines above name the rows")

// auditAge is how long every audit row is kept at least (R57): older acts may have lost
// theirs.
const auditAge = audit.MinimumDays * 24 * time.Hour

// subsets are the invariants between contexts: every key of the left is in the right.
var subsets = []verify.Subset{
	{Name: "patient: each step has its audit row", Left: "patient.acts", Right: "audit.acts", Age: auditAge},
	{Name: "payment: each step has its audit row", Left: "payment.acts", Right: "audit.acts", Age: auditAge},
	{Name: "scheduling: each transition has its audit row", Left: "scheduling.acts", Right: "audit.acts", Age: auditAge},
	{Name: "scheduling: each visit with a fee has its payment", Left: "scheduling.appointment_payments", Right: "payment.payments"},
	{Name: "payment: each paid registration fee took its effect once", Left: "payment.paid", Right: "scheduling.settled"},
	{Name: "payment: each effect is known to scheduling", Left: "payment.applied", Right: "scheduling.settled"},
	{Name: "clinic: each transition has its audit row", Left: "clinic.acts", Right: "audit.acts", Age: auditAge},
	{Name: "clinic: the turn of each visit that was given up is closed", Left: "scheduling.given_up", Right: "clinic.closed"},
	{Name: "privacy: each step has its audit row", Left: "privacy.acts", Right: "audit.acts", Age: auditAge},
	{Name: "privacy: who was erased has no key", Left: "privacy.erased", Right: "patient.shredded"},
	{Name: "ledger: each posted money fact has its transaction", Left: "payment.ledgered", Right: "ledger.transactions"},
	{Name: "ledger: each transaction has its money fact", Left: "ledger.transactions", Right: "payment.facts"},
}

// Verify is `xinglin verify`: every invariant of every context, beside a live system too.
func Verify(ctx context.Context, where config.Where, out io.Writer) error {
	h, closeAll, err := Offline(ctx, where, true)
	if err != nil {
		return err
	}
	defer closeAll()
	rep, err := verify.Run(ctx, h.units(), subsets, out)
	if err != nil {
		return err
	}
	logs, err := h.inspect(ctx, AuditCheck{}, where, out)
	if err != nil {
		return err
	}
	if !rep.Clean() || !logs {
		return ErrViolated.New()
	}
	return nil
}

// units are what each context brings to verify.
func (h *House) units() []verify.Unit {
	events := map[string][]string{}
	for _, d := range Descriptions() {
		events[d.Name] = []string{}
		for _, e := range d.Events {
			events[d.Name] = append(events[d.Name], e.EventName())
		}
	}
	acts := []string{"keys.export", "keys.rotate", "keys.rotate_root", "mask.copy"} // the command line's own; every other act is named by a policy
	for _, p := range h.Authz.Permissions() {
		acts = append(acts, p.Action)
	}
	var out []verify.Unit
	for _, m := range h.Modules {
		u := verify.Unit{Context: m.Name, DB: h.DBs[m.Name], Checks: m.Checks, Sets: m.Sets, Events: events[m.Name], Actions: acts}
		for _, j := range m.Jobs {
			u.Jobs = append(u.Jobs, j.Kind)
		}
		out = append(out, u)
	}
	return out
}
