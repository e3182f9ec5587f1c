// Package rekey brings the rows of all contexts to the present generations of their keys while the product is in use (ADR 0024). A
// context declares its sealed columns and its blind indexes once; the machine walks them, in key order, in bounded batches, with pauses,
// and can be killed at any point: how far it has come is kept with the rotation (crypt.Part), and a batch that is repeated finds
// nothing to do.
//
// A row that was changed meanwhile is left as it is: each update names the bytes that it replaces. So is a row that does not open;
// it is counted.
package rekey

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
)

// Columns are what one context keeps under keys.
type Columns struct {
	Sealed []Sealed
	Blind  []Blind
}

// Sealed is a table with sealed columns.
type Sealed struct {
	Table string
	// Key is the column whose order the walk follows, unique in its tenant: a UUID, or with " int" behind it a number, with " bytes"
	// bytes.
	Key string
	// Row is the column whose text is crypt.Field.Row; empty: Key.
	Row string
	// Person is the column of the person whose key seals; empty: the tenant's key does.
	Person  string
	Columns []Column
}

// Column is a sealed column, and the names in crypt.Field that it is sealed for.
type Column struct{ Name, Table, Column string }

// Blind is a blind index: its columns for odd and even generations (package blind).
type Blind struct{ Table, Key, Odd, Even string }

// Name names the index in a rotation.
func (b Blind) Name() string { return b.Table + "." + b.Odd }

// Unit is a context with columns.
type Unit struct {
	Context string
	DB      *db.DB
	Columns Columns
}

// Parts are those of a rotation of these contexts.
func Parts(context string, c Columns) (out []crypt.Part) {
	for _, s := range c.Sealed {
		out = append(out, crypt.Part{Context: context, Name: s.Table, Kind: crypt.SealPart})
	}
	for _, b := range c.Blind {
		out = append(out, crypt.Part{Context: context, Name: b.Name(), Kind: crypt.IndexPart})
	}
	return out
}

// Options of a machine.
type Options struct {
	Unit    Unit
	Ring    *crypt.Ring
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics *Metrics // nil counts nothing
	Batch   int      // rows of one transaction; 0 means 500
	// Share of the time that it works, in percent; 0 means 50, 100 rests never.
	Share int
	// Turn is how long one Run works; 0 means 20 s.
	Turn time.Duration
	// Settle is how long another process may seal under the keys before: a pass that begins later and finds nothing is the last one.
	// 0 means 35 s, more than crypt allows.
	Settle time.Duration
}

const (
	defaultBatch  = 500
	defaultShare  = 50
	defaultTurn   = 20 * time.Second
	defaultSettle = 35 * time.Second
)

// Machine works off the parts of one context.
type Machine struct {
	o    Options
	mono func() time.Time
}

// New makes a machine.
func New(o Options) *Machine {
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if o.Share == 0 {
		o.Share = defaultShare
	}
	if o.Turn == 0 {
		o.Turn = defaultTurn
	}
	if o.Settle == 0 {
		o.Settle = defaultSettle
	}
	return &Machine{o: o, mono: clock.Mono}
}

// Run works for at most a turn on the rotations that are going on. It is called again and again, by one process at a time; two at a
// time would only do some work twice.
func (m *Machine) Run(ctx context.Context) error {
	end := m.mono().Add(m.o.Turn)
	for m.mono().Before(end) {
		rotations, err := m.o.Ring.Rotations(ctx)
		if err != nil {
			return err
		}
		worked := false
		for _, v := range rotations {
			did, err := m.rotation(ctx, v, end)
			if err != nil {
				return err
			}
			worked = worked || did
		}
		if !worked {
			return nil
		}
	}
	return nil
}

// rotation works on the context's parts of one rotation; false when nothing is to be done now.
func (m *Machine) rotation(ctx context.Context, v crypt.Rotation, end time.Time) (worked bool, err error) {
	if err := m.o.Ring.RefreshTenant(ctx, v.Tenant); err != nil {
		return false, err
	}
	mine := v.Parts[:0:0]
	for _, p := range v.Parts {
		if p.Context == m.o.Unit.Context {
			mine = append(mine, p)
		}
	}
	if worked, err = m.indexes(ctx, v, mine, end); err != nil {
		return worked, err
	}
	for i := range mine {
		p := &mine[i]
		s, ok := m.sealed(p)
		if !ok || p.Phase == crypt.Done {
			continue
		}
		for m.mono().Before(end) && p.Phase != crypt.Done && !p.Pause.After(m.o.Clock.Now()) {
			if err := m.rest(ctx, func() error { return m.reseal(ctx, v, p, s) }); err != nil {
				return worked, err
			}
			worked = true
		}
	}
	return worked, nil
}

func (m *Machine) sealed(p *crypt.Part) (Sealed, bool) {
	for _, s := range m.o.Unit.Columns.Sealed {
		if p.Kind == crypt.SealPart && p.Name == s.Table {
			return s, true
		}
	}
	return Sealed{}, false
}

func (m *Machine) blind(p *crypt.Part) (Blind, bool) {
	for _, b := range m.o.Unit.Columns.Blind {
		if p.Kind == crypt.IndexPart && p.Name == b.Name() {
			return b, true
		}
	}
	return Blind{}, false
}

// rest does one batch and then pauses, so that the work takes its share of the time.
func (m *Machine) rest(ctx context.Context, batch func() error) error {
	began := m.mono()
	if err := batch(); err != nil {
		return err
	}
	pause := m.mono().Sub(began) * time.Duration(100-m.o.Share) / time.Duration(m.o.Share)
	if pause <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Metrics count the rows that were looked at.
type Metrics struct{ rows *prometheus.CounterVec }

// NewMetrics registers them; nil without a registerer.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	if reg == nil {
		return nil, nil
	}
	m := &Metrics{rows: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "xinglin_rekey_rows_total",
		Help: "Rows that a rotation of keys looked at, by context, part and what came of it: same, changed, skipped (they do not open).",
	}, []string{"context", "part", "result"})}
	return m, reg.Register(m.rows)
}

func (m *Metrics) add(p *crypt.Part, seen, changed, skipped int64) {
	if m == nil {
		return
	}
	for result, n := range map[string]int64{"same": seen - changed - skipped, "changed": changed, "skipped": skipped} {
		if n > 0 {
			m.rows.WithLabelValues(p.Context, p.Name, result).Add(float64(n))
		}
	}
}
