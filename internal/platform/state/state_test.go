package state_test

import (
	"slices"
	"testing"

	"xinglin/internal/platform/state"
)

type step string

var hold = state.Machine[step]{
	Noun: "Hold", Initial: "held",
	Steps: []state.Step[step]{
		{From: "held", To: "booked", By: "payment.paid", Guard: "before the deadline"},
		{From: "held", To: "expired", By: "timer"},
		{From: "expired", To: "booked", By: "payment.paid", Guard: "the slot is free"},
		{From: "booked", To: "cancelled", By: "scheduling.cancel"},
	},
}

var _ state.Diagram = hold

func TestMachine(t *testing.T) {
	for _, c := range []struct {
		from, to step
		can      bool
	}{{"held", "booked", true}, {"held", "cancelled", false}, {"expired", "booked", true}, {"cancelled", "held", false}, {"held", "held", false}} {
		if hold.Can(c.from, c.to) != c.can {
			t.Errorf("can %s to %s is %v", c.from, c.to, !c.can)
		}
	}
	if to, ok := hold.By("held", "timer"); !ok || to != "expired" {
		t.Errorf("held by timer: %q %v", to, ok)
	}
	if to, ok := hold.By("booked", "timer"); ok || to != "" {
		t.Errorf("booked by timer: %q %v", to, ok)
	}
	if got := hold.Final(); !slices.Equal(got, []step{"cancelled"}) || !hold.IsFinal("cancelled") || hold.IsFinal("held") {
		t.Errorf("final: %v", got)
	}
	if got := hold.From("booked"); !slices.Equal(got, []step{"held", "expired"}) {
		t.Errorf("into booked: %v", got)
	}
	if err := hold.Check(); err != nil {
		t.Error(err)
	}
}

func TestCheckFindsMistakes(t *testing.T) {
	for name, m := range map[string]state.Machine[step]{
		"twice":     {Initial: "a", Steps: []state.Step[step]{{From: "a", To: "b", By: "x"}, {From: "a", To: "b", By: "x"}}},
		"unreached": {Initial: "a", Steps: []state.Step[step]{{From: "a", To: "b", By: "x"}, {From: "c", To: "a", By: "x"}}},
	} {
		if m.Check() == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestMermaid(t *testing.T) {
	const want = `stateDiagram-v2
    [*] --> held
    held --> booked: payment.paid [before the deadline]
    held --> expired: timer
    expired --> booked: payment.paid [the slot is free]
    booked --> cancelled: scheduling.cancel
    cancelled --> [*]
`
	if got := hold.Mermaid(); got != want || hold.Name() != "Hold" {
		t.Errorf("got\n%s", got)
	}
}
