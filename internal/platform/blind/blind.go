// Package blind is how a context finds rows by what it keeps sealed: by keyed hashes in columns of their own, whose key rotates while
// people are entered and looked for (ADR 0024).
//
// Each blind index has two columns, one for odd generations of the key and one for even ones. Which generations are in force in a
// context's tables is a row of its own database, blind_generation, read in the very transaction that writes or looks for an index:
// a process that has not heard of a rotation learns of it there and cannot be wrong. While there are two, writers fill both columns, and
// both are unique; a row of the older generation alone is found by that one, until all rows have the newer one.
package blind

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
)

// Value is what a row is found by, before it is hashed. The zero value has no index.
type Value struct {
	purpose string
	text    secret.Text
}

// Of is a normalised text for a purpose (a table's column, say).
func Of(purpose string, text secret.Text) Value { return Value{purpose, text} }

// None tells that there is nothing to be hashed.
func (v Value) None() bool { return v.purpose == "" }

// Pair is a value's index for the two columns; nil for the one that is not in force.
type Pair struct{ Odd, Even []byte }

// Columns are the arguments for both columns: NULL for the one that is not in force.
func (p Pair) Columns() (odd, even any) { return null(p.Odd), null(p.Even) }

func null(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// Both are the indexes that are in force.
func (p Pair) Both() (out [][]byte) {
	for _, b := range [][]byte{p.Odd, p.Even} {
		if b != nil {
			out = append(out, b)
		}
	}
	return out
}

// Match is a condition on the two columns that the row of the value fulfils, and the arguments with its own added.
func (p Pair) Match(odd, even string, args []any) (where string, all []any) {
	var parts []string
	for _, c := range []struct {
		name string
		b    []byte
	}{{odd, p.Odd}, {even, p.Even}} {
		if c.b != nil {
			args = append(args, c.b)
			parts = append(parts, c.name+" = $"+strconv.Itoa(len(args)))
		}
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// Even tells which of the two columns a generation stands in.
func Even(generation int) bool { return generation%2 == 0 }

// Index makes the indexes of one context.
type Index struct{ ring *crypt.Ring }

// New gives the indexes under the keys of ring.
func New(ring *crypt.Ring) Index { return Index{ring} }

// Write makes the indexes of values for rows that the transaction writes, and holds the generations as they are until it ends.
func (x Index) Write(ctx context.Context, tx db.Tx, values ...Value) ([]Pair, error) {
	hold := holdSQLite
	if tx.Engine() == db.Postgres {
		hold = holdPG
	}
	g, err := hold(ctx, tx)
	if err != nil {
		return nil, err
	}
	return x.pairs(ctx, tx, g, values)
}

// Read makes the indexes of values for look, which looks for their rows, and repeats it when a generation ceased to be in force in
// between: a statement of PostgreSQL sees more than the one before it.
func (x Index) Read(ctx context.Context, tx db.Tx, values []Value, look func([]Pair) error) error {
	for {
		g, err := inForce(ctx, tx)
		if err != nil {
			return err
		}
		pairs, err := x.pairs(ctx, tx, g, values)
		if err != nil {
			return err
		}
		if err := look(pairs); err != nil || tx.Engine() != db.Postgres {
			return err
		}
		now, err := inForce(ctx, tx)
		if err != nil || now.Oldest == g.Oldest {
			return err
		}
	}
}

func (x Index) pairs(ctx context.Context, tx db.Tx, g Generations, values []Value) ([]Pair, error) {
	out := make([]Pair, len(values))
	for i, v := range values {
		if v.None() {
			continue
		}
		for n := g.Oldest; n <= g.Newest; n++ {
			b, err := x.ring.Blind(ctx, tx.Tenant(), v.purpose, v.text.Reveal(), n)
			if errors.Is(err, crypt.ErrColdKey) { // this process does not know the generation yet
				tenant := tx.Tenant()
				return nil, &db.Repeat{Between: func(ctx context.Context) error { return x.ring.RefreshTenant(ctx, tenant) }}
			}
			if err != nil {
				return nil, err
			}
			if Even(n) {
				out[i].Even = b
			} else {
				out[i].Odd = b
			}
		}
	}
	return out, nil
}
