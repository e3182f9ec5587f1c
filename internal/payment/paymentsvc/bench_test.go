package paymentsvc

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// BenchmarkHeld opens the payments of one message of holds in one transaction, as the
// consumer does. PostgreSQL's log is measured by its position.
func BenchmarkHeld(b *testing.B) {
	for _, e := range dbtest.Engines {
		for _, n := range []int{1, 50, 500} {
			b.Run(fmt.Sprintf("%s/%d", e, n), func(b *testing.B) { benchmarkHeld(b, e, n) })
		}
	}
}

func benchmarkHeld(b *testing.B, e db.Engine, n int) {
	d := dbtest.Make(b, e, testkit.Sets(Describe()))
	hearing(b, d)(1000) // PostgreSQL plans otherwise for empty tables, and a connection keeps that plan
	hear := hearing(b, d)
	from := logPosition(b, d)
	b.ReportAllocs()
	for b.Loop() {
		hear(n)
	}
	rows := float64(b.N * n)
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	if e == db.Postgres {
		b.ReportMetric(float64(logPosition(b, d)-from)/rows, "WAL-B/row")
	}
}

// hearing is a process on the database that hears n holds at once.
func hearing(b *testing.B, d *dbtest.Database) func(n int) {
	srv := d.Open(b, dbtest.WithClock(testkit.Clock()))
	base := testkit.Base(b, srv, Describe())
	svc, _ := New(base, nil, nil)
	ctx := testkit.AsSystem(b.Context(), apitest.Main, "consumer:payment")
	return func(n int) {
		batch := make([]scheduling.AppointmentHeld, n)
		for i := range batch {
			batch[i] = heldEvent(i)
		}
		err := base.DB.Write(ctx, apitest.Main, func(ctx context.Context, tx db.Tx) error {
			return svc.held(ctx, tx, event.Meta{Tenant: apitest.Main}, batch)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// heldEvent is a hold as scheduling tells it.
func heldEvent(i int) scheduling.AppointmentHeld {
	return scheduling.AppointmentHeld{
		Appointment: id.New[scheduling.Appointment](testkit.Start), Account: id.Random[auth.Account](), Fee: 2500,
		RegNo: fmt.Sprintf("REG-20260302-%06d", i), ExpiresAt: testkit.Start.Add(15 * time.Minute),
	}
}

// logPosition is how far PostgreSQL's log was written, in bytes; 0 on SQLite.
func logPosition(b *testing.B, d *dbtest.Database) int64 {
	b.Helper()
	if d.Engine != db.Postgres {
		return 0
	}
	texts, _, err := d.Login(b).In("", "", "SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS text)")
	if err != nil {
		b.Fatal(err)
	}
	at, err := strconv.ParseInt(texts[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return at
}
