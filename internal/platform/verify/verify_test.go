package verify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
	"xinglin/internal/testkit/dbtest"
)

type thing struct{}

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	start  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	old    = start.Add(-time.Hour)
)

func sets() []db.Set {
	var out []db.Set
	for _, n := range []string{"port", "starboard"} {
		out = append(out, db.Set{Name: n, FS: fstest.MapFS{"0001_init.sql": {Data: []byte(`-- +goose Up
CREATE TABLE thing (
    tenant_id {{uuid}} NOT NULL,
    id        {{uuid}} NOT NULL,
    at        {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "thing"}}
`)}}})
	}
	return out
}

type pair struct {
	t           *testing.T
	ctx         context.Context
	left, right *db.DB
}

func each(t *testing.T, f func(p *pair)) {
	c := clock.NewManual(start)
	dbtest.Each(t, sets(), func(t *testing.T, srv *db.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		p := &pair{t: t, ctx: ctx}
		var err error
		if p.left, err = srv.Context(ctx, "port"); err != nil {
			t.Fatal(err)
		}
		if p.right, err = srv.Context(ctx, "starboard"); err != nil {
			t.Fatal(err)
		}
		f(p)
	}, dbtest.WithClock(c))
}

func (p *pair) exec(d *db.DB, text string, args ...any) {
	p.t.Helper()
	err := d.Write(p.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, text, append([]any{tenant}, args...)...)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) add(d *db.DB, at time.Time) id.ID[thing] {
	v := id.Random[thing]()
	p.exec(d, "INSERT INTO thing (tenant_id, id, at) VALUES ($1, $2, $3)", v, at.UnixMicro())
	return v
}

const things = "-- global: verify\nSELECT CAST(id AS TEXT), at FROM thing"

func (p *pair) run() (verify.Report, string, error) {
	var b strings.Builder
	rep, err := verify.Run(p.ctx, []verify.Unit{
		{
			Context: "port", DB: p.left, Sets: []verify.Set{{Name: "port: things", SQL: things}},
			Checks: []verify.Check{{Name: "port: nothing is ancient", SQL: things + " WHERE at < 1000"}},
			Events: []string{"port.thing.made.v1"}, Actions: []string{"port.make"}, Jobs: []string{"port.job"},
		},
		{Context: "starboard", DB: p.right, Sets: []verify.Set{{Name: "starboard: things", SQL: things}}},
	}, []verify.Subset{{Name: "each left thing has its right thing", Left: "port: things", Right: "starboard: things"}}, &b)
	return rep, b.String(), err
}

func line(rep verify.Report, name string) verify.Line {
	for _, l := range rep.Lines {
		if l.Name == name {
			return l
		}
	}
	return verify.Line{Name: "missing", Violations: -1}
}

func TestClean(t *testing.T) {
	each(t, func(p *pair) {
		for range 30 {
			v := p.add(p.left, old)
			p.exec(p.right, "INSERT INTO thing (tenant_id, id, at) VALUES ($1, $2, $3)", v, old.UnixMicro())
			p.add(p.right, old)
		}
		p.exec(p.left, "INSERT INTO outbox (tenant_id, id, name, payload, trace, number, created_at) VALUES ($1, $2, 'port.thing.made.v1', $4, '', '', $3)", id.Random[thing](), old.UnixMicro(), []byte("[]"))
		rep, text, err := p.run()
		if err != nil || !rep.Clean() {
			t.Fatalf("%v\n%s", err, text)
		}
		if l := line(rep, "each left thing has its right thing"); l.Seen != 30 {
			t.Errorf("%+v", l)
		}
		if strings.Contains(text, "FAIL") || strings.Count(text, "ok  ") != len(rep.Lines) || len(rep.Lines) != 9 {
			t.Errorf("%d lines\n%s", len(rep.Lines), text)
		}
	})
}

func TestViolations(t *testing.T) {
	each(t, func(p *pair) {
		missing := p.add(p.left, old)
		young := p.add(p.left, start.Add(-time.Minute))
		future := p.add(p.left, start.Add(time.Hour)) // no work in flight lies ahead
		p.add(p.right, old)
		for i := range 25 {
			p.add(p.left, time.UnixMicro(int64(i+1)))
		}
		p.exec(p.left, "INSERT INTO outbox (tenant_id, id, name, payload, trace, number, created_at) VALUES ($1, $2, 'port.thing.odd.v1', $4, '', '', $3)", id.Random[thing](), start.UnixMicro(), []byte("[]"))
		p.exec(p.left, `INSERT INTO trail (tenant_id, id, at, actor, action, noun, object, policy, why, changed, origin, trace, number)
			VALUES ($1, $2, $3, '', 'port.odd', 'Thing', '', '', '', '[]', '', '', '')`, id.Random[thing](), start.UnixMicro())
		p.exec(p.left, `INSERT INTO job (tenant_id, id, kind, key, payload, run_at, state, max, trace, number, created_at)
			VALUES ($1, $2, 'port.gone', '', '{}', $3, 'ready', 1, '', '', $3)`, id.Random[thing](), start.UnixMicro())
		rep, text, err := p.run()
		if err != nil || rep.Clean() {
			t.Fatalf("%v\n%s", err, text)
		}
		for name, want := range map[string][2]int{
			"each left thing has its right thing":          {27, 1},
			"port: nothing is ancient":                     {25, 0},
			"port: each outbox row is a known event":       {1, 0},
			"port: each audit row is a known action":       {1, 0},
			"port: each audit row names who and what":      {1, 0},
			"port: each open job has a handler":            {1, 0},
			"starboard: each audit row names who and what": {0, 0},
		} {
			if l := line(rep, name); l.Violations != want[0] || l.InFlight != want[1] || len(l.Broken) != min(want[0], verify.MaxNamed) {
				t.Errorf("%s: %+v, want %v", name, l, want)
			}
		}
		l := line(rep, "each left thing has its right thing")
		if len(l.Young) != 1 || l.Young[0] != young.String() {
			t.Errorf("young: %v, want %s", l.Young, young)
		}
		for _, want := range []string{"FAIL  port: nothing is ancient", "and 5 more", "port.thing.odd.v1", "port.gone", "in flight  " + young.String()} {
			if !strings.Contains(text, want) {
				t.Errorf("the report lacks %q:\n%s", want, text)
			}
		}
		named := fmt.Sprint(l.Broken)
		_, _ = missing, future // random ids: named only if they sort among the first twenty
		for _, b := range l.Broken {
			if _, err := id.Parse[thing](b); err != nil {
				t.Errorf("a broken row is named %q in %s", b, named)
			}
		}
	})
}

// TestAge: what the right side may have forgotten is not asked of it.
func TestAge(t *testing.T) {
	each(t, func(p *pair) {
		p.add(p.left, start.Add(-25*time.Hour))
		missing := p.add(p.left, start.Add(-23*time.Hour))
		for age, want := range map[time.Duration]int{0: 2, 24 * time.Hour: 1} {
			rep, err := verify.Run(p.ctx, []verify.Unit{
				{Context: "port", DB: p.left, Sets: []verify.Set{{Name: "left", SQL: things}}},
				{Context: "starboard", DB: p.right, Sets: []verify.Set{{Name: "right", SQL: things}}},
			}, []verify.Subset{{Name: "age", Left: "left", Right: "right", Age: age}}, &strings.Builder{})
			l := line(rep, "age")
			if err != nil || l.Violations != want || l.Seen != want || want == 1 && l.Broken[0] != missing.String() {
				t.Errorf("age %s: %+v, %v", age, l, err)
			}
		}
	})
}

func TestCheckThatCannotRun(t *testing.T) {
	each(t, func(p *pair) {
		var b strings.Builder
		rep, err := verify.Run(p.ctx, []verify.Unit{{
			Context: "port", DB: p.left,
			Sets:   []verify.Set{{Name: "broken", SQL: "-- global: verify\nSELECT nothing, at FROM nowhere"}, {Name: "things", SQL: things}},
			Checks: []verify.Check{{Name: "port: broken", SQL: "-- global: verify\nSELECT nothing, at FROM nowhere"}},
		}},
			[]verify.Subset{{Name: "s", Left: "things", Right: "broken"}, {Name: "no set", Left: "things", Right: "absent"}}, &b)
		if err == nil || rep.Clean() || strings.Count(b.String(), "not checked") != 3 {
			t.Errorf("%v\n%s", err, b.String())
		}
		_, err = verify.Run(p.ctx, []verify.Unit{{DB: p.left, Sets: []verify.Set{{Name: "a"}, {Name: "a"}}}}, nil, &b)
		if err == nil {
			t.Error("a set twice")
		}
	})
}

// Larger than every buffer, and the right side is longer than the left: bounded memory means that both are streamed.
func TestManyKeys(t *testing.T) {
	each(t, func(p *pair) {
		err := p.right.Write(p.ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			for i := range 3000 {
				if _, err := tx.Exec(ctx, "INSERT INTO thing (tenant_id, id, at) VALUES ($1, $2, $3)", tenant, id.New[thing](start), int64(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		v := id.Must[thing]("00000000-0000-7000-8000-000000000001")
		p.exec(p.left, "INSERT INTO thing (tenant_id, id, at) VALUES ($1, $2, $3)", v, old.UnixMicro())
		rep, text, err := p.run()
		l := line(rep, "each left thing has its right thing")
		if err != nil || l.Seen != 1 || l.Violations != 1 || l.Broken[0] != v.String() {
			t.Errorf("%v %+v\n%s", err, l, text)
		}
	})
}
