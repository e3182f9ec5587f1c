package blind_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

var phone = blind.Of("patient.phone", secret.New("13800138000"))

// each gives a database with the frame's tables, and the rings of two processes.
func each(t *testing.T, f func(t *testing.T, d *db.DB, here, there *crypt.Ring)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, []db.Set{crypt.Migrations()}, func(t *testing.T, srv *db.Server) {
		d, err := srv.Context(t.Context(), "keys")
		if err != nil {
			t.Fatal(err)
		}
		f(t, d, testkit.Ring(t, srv, clk), testkit.Ring(t, srv, clk))
	}, dbtest.WithClock(clk))
}

func write(t *testing.T, d *db.DB, x blind.Index) (out blind.Pair) {
	t.Helper()
	err := d.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		ps, err := x.Write(ctx, tx, phone, blind.Value{})
		if err == nil && (len(ps) != 2 || len(ps[1].Both()) != 0) {
			err = errors.New("the value that is none has an index")
		}
		if err == nil {
			out = ps[0]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func move(t *testing.T, d *db.DB, f func(context.Context, db.Tx, int) error, generation int) error {
	t.Helper()
	return d.Write(db.Outside(t.Context()), apitest.Main, func(ctx context.Context, tx db.Tx) error { return f(ctx, tx, generation) })
}

// A process that has not heard of a rotation writes the generations that are in force, whichever these are.
func TestGenerations(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, here, there *crypt.Ring) {
		old, late := blind.New(here), blind.New(there)
		first := write(t, d, late)
		if first.Odd == nil || first.Even != nil {
			t.Fatalf("at first: %v", first)
		}
		if err := move(t, d, blind.End, 2); err == nil {
			t.Error("a generation ended that had not begun")
		}
		if _, err := here.Rotate(t.Context(), apitest.Main, nil); err != nil {
			t.Fatal(err)
		}
		for range 2 { // repeating is no error
			if err := move(t, d, blind.Begin, 2); err != nil {
				t.Fatal(err)
			}
		}
		both := write(t, d, late)
		if !crypt.Equal(both.Odd, first.Odd) || both.Even == nil || !crypt.Equal(both.Even, write(t, d, old).Even) {
			t.Fatalf("while they rotate: %v", both)
		}
		if next, err := here.BlindNext(t.Context(), apitest.Main, both.Odd, 2); err != nil || !crypt.Equal(next, both.Even) {
			t.Errorf("the second column does not follow from the first: %v", err)
		}
		if err := move(t, d, blind.Begin, 4); err == nil {
			t.Error("a generation was left out")
		}
		for range 2 {
			if err := move(t, d, blind.End, 2); err != nil {
				t.Fatal(err)
			}
		}
		if err := move(t, d, blind.Begin, 2); err != nil { // a late repeat changes nothing
			t.Fatal(err)
		}
		if p := write(t, d, late); p.Odd != nil || !crypt.Equal(p.Even, both.Even) {
			t.Fatalf("afterwards: %v", p)
		}
	})
}

// Who looks while a generation ends looks again.
func TestReadLooksAgain(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, here, there *crypt.Ring) {
		if _, err := here.Rotate(t.Context(), apitest.Main, nil); err != nil {
			t.Fatal(err)
		}
		if err := move(t, d, blind.Begin, 2); err != nil {
			t.Fatal(err)
		}
		looks := 0
		var last blind.Pair
		err := d.Read(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			return blind.New(there).Read(ctx, tx, []blind.Value{phone}, func(p []blind.Pair) error {
				looks++
				last = p[0]
				if looks == 1 {
					return move(t, d, blind.End, 2)
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		want := 1 // the snapshot of a transaction of SQLite
		if d.Engine() == db.Postgres {
			want = 2
		}
		if looks != want || (last.Odd == nil) != (want == 2) {
			t.Errorf("%d looks, the last by %v", looks, last)
		}
	})
}

// A generation begins only when everybody has ended who writes without it.
func TestBeginWaitsForWriters(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, here, _ *crypt.Ring) {
		if _, err := here.Rotate(t.Context(), apitest.Main, nil); err != nil {
			t.Fatal(err)
		}
		var ended atomic.Bool
		begun := make(chan error, 1)
		err := d.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			p, err := blind.New(here).Write(ctx, tx, phone)
			if err == nil && p[0].Even != nil {
				err = errors.New("the generation has begun")
			}
			if err != nil {
				return err
			}
			started := make(chan struct{})
			go func() {
				close(started)
				begun <- d.Write(context.WithoutCancel(db.Outside(t.Context())), apitest.Main, func(ctx context.Context, tx db.Tx) error {
					err := blind.Begin(ctx, tx, 2)
					if err == nil && !ended.Load() {
						err = errors.New("it began while somebody writes without it")
					}
					return err
				})
			}()
			<-started
			for range 20 { // gives it the time to be wrong
				if _, err := blind.InForce(ctx, tx); err != nil {
					return err
				}
			}
			ended.Store(true) // the commit is all that is left
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-begun; err != nil {
			t.Error(err)
		}
	})
}

func TestMatch(t *testing.T) {
	for want, p := range map[string]blind.Pair{
		"(a = $2)":           {Odd: []byte{1}},
		"(b = $2)":           {Even: []byte{2}},
		"(a = $2 OR b = $3)": {Odd: []byte{1}, Even: []byte{2}},
	} {
		where, args := p.Match("a", "b", []any{"t"})
		if where != want || len(args) != 1+len(p.Both()) {
			t.Errorf("%s with %d arguments, want %s", where, len(args), want)
		}
		odd, even := p.Columns()
		if (odd == nil) != (p.Odd == nil) || (even == nil) != (p.Even == nil) {
			t.Errorf("%s: columns %v %v", want, odd, even)
		}
	}
}
