package trail_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/trail"
	"xinglin/internal/testkit/dbtest"
)

var (
	tenant  = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	account = id.Must[auth.Account]("0190aaaa-0000-7000-8000-0000000000ac")
	start   = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	sets    = []db.Set{{Name: "shelf", FS: db.NoMigrations}, {Name: "cellar", FS: db.NoMigrations}}
)

type sink struct {
	rows  map[id.ID[trail.Act]]trail.Row
	calls int
	fail  error
}

func (s *sink) Collect(_ context.Context, owner string, rows []trail.Row) error {
	s.calls++
	for _, r := range rows {
		s.rows[r.ID] = r
	}
	if owner == "cellar" {
		return nil
	}
	return s.fail
}

func TestRecordAndCollect(t *testing.T) {
	c := clock.NewManual(start)
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		shelf, err1 := srv.Context(ctx, "shelf")
		cellar, err2 := srv.Context(ctx, "cellar")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		ctx = obs.WithOrigin(obs.WithNumber(obs.WithTrace(ctx, "trace-1"), "REG-1"), "api 127.0.0.1")
		who := auth.With(ctx, auth.Principal{Kind: auth.Patient, Tenant: tenant, Account: account})
		record := func(ctx context.Context, d *db.DB, e trail.Entry) (act id.ID[trail.Act], err error) {
			err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
				act, err = trail.Record(ctx, tx, e)
				return err
			})
			return act, err
		}
		entry := trail.Entry{Action: "shelf.put", Noun: "Thing", ID: "t-1", Policy: "shelf.own", Why: "asked", Changed: []string{"name"}}
		if _, err := record(ctx, shelf, entry); !errors.Is(err, auth.ErrNone) {
			t.Errorf("nobody: %v", err)
		}
		for _, bad := range []trail.Entry{{Action: "a"}, {Noun: "n"}, {Action: "a", Noun: "n", Changed: "text"}} {
			if _, err := record(who, shelf, bad); err == nil {
				t.Errorf("accepted %+v", bad)
			}
		}
		act, err := record(who, shelf, entry)
		if err != nil {
			t.Fatal(err)
		}
		entry.Changed = map[string]trail.Change{"state": {From: "held", To: "booked"}}
		change, err := record(who, shelf, entry)
		if err != nil {
			t.Fatal(err)
		}
		system := auth.With(ctx, auth.Principal{Kind: auth.System, Tenant: tenant, Name: "job:cellar.sweep"})
		for range 501 {
			if _, err := record(system, cellar, trail.Entry{Action: "cellar.sweep", Noun: "Thing"}); err != nil {
				t.Fatal(err)
			}
		}
		s := &sink{rows: map[id.ID[trail.Act]]trail.Row{}, fail: errors.New("the keeper is away")}
		col := &trail.Collector{DBs: []*db.DB{shelf, cellar}, Sink: s}
		if err := col.Collect(ctx); err == nil || len(s.rows) != 503 || s.calls != 3 {
			t.Errorf("a failing sink: %v, %d rows, %d calls", err, len(s.rows), s.calls)
		}
		s.fail, s.rows, s.calls = nil, map[id.ID[trail.Act]]trail.Row{}, 0
		for range 2 { // what was not kept comes again, once it was it is gone
			if err := col.Collect(ctx); err != nil || len(s.rows) != 2 || s.calls != 1 {
				t.Errorf("collected %d rows in %d calls, %v", len(s.rows), s.calls, err)
			}
		}
		got := s.rows[act]
		got.Changed = nil
		want := trail.Row{
			Tenant: tenant, ID: act, At: start, Actor: "patient:" + account.String(), Action: "shelf.put", Noun: "Thing",
			Object: "t-1", Policy: "shelf.own", Why: "asked", Origin: "api 127.0.0.1", Trace: "trace-1", Number: "REG-1",
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
		if a := string(s.rows[act].Changed); a != `["name"]` {
			t.Errorf("changed %s", a)
		}
		if len(s.rows[change].Changed) < len(`{"state":{"from":"held","to":"booked"}}`) {
			t.Errorf("changed %s", s.rows[change].Changed)
		}
	}, dbtest.WithClock(c))
}

// Acts that share a transaction come to their keeper as if each had been recorded alone;
// a single one is a plain row.
func TestRecordAll(t *testing.T) {
	c := clock.NewManual(start)
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		shelf, err := srv.Context(ctx, "shelf")
		if err != nil {
			t.Fatal(err)
		}
		want := map[id.ID[trail.Act]]trail.Part{}
		for _, n := range []int{1, 2, 40} {
			parts := make([]trail.Part, n)
			for i := range parts {
				parts[i] = trail.Part{
					ID: id.New[trail.Act](start), Actor: "job:x", Object: fmt.Sprint("t-", n, "-", i), Policy: "shelf.own", Origin: "bus", Trace: "trace-1", Number: fmt.Sprint("REG-", i),
				}
				want[parts[i].ID] = parts[i]
			}
			err := shelf.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
				return trail.RecordAll(ctx, tx, trail.Entry{Action: "shelf.put", Noun: "Thing", Changed: []string{"state"}}, parts)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var rows, plain int
		err = shelf.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, `SELECT COUNT(*), COUNT(CASE WHEN actor = 'job:x' THEN 1 END) FROM trail WHERE tenant_id = $1`, tenant).Scan(&rows, &plain)
		})
		if err != nil || rows != 3 || plain != 1 {
			t.Errorf("%d rows, %d plain, %v", rows, plain, err)
		}
		s := &sink{rows: map[id.ID[trail.Act]]trail.Row{}}
		if err := (&trail.Collector{DBs: []*db.DB{shelf}, Sink: s}).Collect(ctx); err != nil || len(s.rows) != len(want) {
			t.Fatalf("%d acts, %v", len(s.rows), err)
		}
		for act, p := range want {
			r := s.rows[act]
			got := trail.Part{ID: r.ID, Actor: r.Actor, Object: r.Object, Policy: r.Policy, Origin: r.Origin, Trace: r.Trace, Number: r.Number}
			if got != p || r.Action != "shelf.put" || r.Noun != "Thing" || string(r.Changed) != `["state"]` || !r.At.Equal(start) {
				t.Errorf("got %+v, want %+v", r, p)
			}
		}
	}, dbtest.WithClock(c))
}
