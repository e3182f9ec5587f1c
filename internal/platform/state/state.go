// Package state writes state machines as tables: who may go from where to where, by
// which event or act, under which guard. The store makes the step conditional
// (WHERE state = from); this table says which steps exist, and draws them.
package state

import (
	"fmt"
	"slices"
	"strings"
)

// Step is one allowed transition.
type Step[S ~string] struct {
	From, To S
	By       string // event or act: scheduling.hold, payment.paid, timer
	Guard    string // in words, empty if none
}

// Machine is one noun's life.
type Machine[S ~string] struct {
	Noun    string // Appointment
	Initial S
	Steps   []Step[S]
}

// Diagram is a machine of any state type, for the generated reference.
type Diagram interface {
	Name() string
	Mermaid() string
}

// Name is the noun.
func (m Machine[S]) Name() string { return m.Noun }

// Can reports whether some step leads from one state to the other.
func (m Machine[S]) Can(from, to S) bool {
	return slices.ContainsFunc(m.Steps, func(s Step[S]) bool { return s.From == from && s.To == to })
}

// By is the state that the event or act leads to from here; false if it leads nowhere.
// Where guards decide between several, it is the first in the table.
func (m Machine[S]) By(from S, by string) (S, bool) {
	for _, s := range m.Steps {
		if s.From == from && s.By == by {
			return s.To, true
		}
	}
	var none S
	return none, false
}

// From lists the states that one may come from into to, in the order of the table.
func (m Machine[S]) From(to S) []S {
	var out []S
	for _, s := range m.Steps {
		if s.To == to && !slices.Contains(out, s.From) {
			out = append(out, s.From)
		}
	}
	return out
}

// States lists every state, the initial one first, then in the order of the table.
func (m Machine[S]) States() []S {
	out := []S{m.Initial}
	for _, s := range m.Steps {
		for _, x := range []S{s.From, s.To} {
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}

// Final lists the states that nothing leaves.
func (m Machine[S]) Final() []S {
	return slices.DeleteFunc(m.States(), func(x S) bool {
		return slices.ContainsFunc(m.Steps, func(s Step[S]) bool { return s.From == x })
	})
}

// IsFinal reports whether nothing leaves the state.
func (m Machine[S]) IsFinal(x S) bool { return slices.Contains(m.Final(), x) }

// Check finds mistakes in the table: a repeated step, a state that the initial one
// does not reach. It is for the tests of the contexts.
func (m Machine[S]) Check() error {
	type edge struct {
		from, to S
		by       string
	}
	seen := map[edge]bool{}
	for _, s := range m.Steps {
		e := edge{s.From, s.To, s.By}
		if seen[e] {
			return fmt.Errorf("state: %s: %s to %s by %s is there twice", m.Noun, s.From, s.To, s.By)
		}
		seen[e] = true
	}
	reached := []S{m.Initial}
	for i := 0; i < len(reached); i++ {
		for _, s := range m.Steps {
			if s.From == reached[i] && !slices.Contains(reached, s.To) {
				reached = append(reached, s.To)
			}
		}
	}
	for _, x := range m.States() {
		if !slices.Contains(reached, x) {
			return fmt.Errorf("state: %s: nothing leads to %s", m.Noun, x)
		}
	}
	return nil
}

// Mermaid draws the machine as a stateDiagram-v2.
func (m Machine[S]) Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	fmt.Fprintf(&b, "    [*] --> %s\n", m.Initial)
	for _, s := range m.Steps {
		fmt.Fprintf(&b, "    %s --> %s: %s", s.From, s.To, s.By)
		if s.Guard != "" {
			fmt.Fprintf(&b, " [%s]", s.Guard)
		}
		b.WriteByte('\n')
	}
	for _, x := range m.Final() {
		fmt.Fprintf(&b, "    %s --> [*]\n", x)
	}
	return b.String()
}
