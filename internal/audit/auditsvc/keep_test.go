package auditsvc

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/trail"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestDueAt: 184 days are six months and not enough, 190 are; years are civil years (R11,
// R56, R57).
func TestDueAt(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		class audit.Class
		when  time.Time
		due   bool
	}{
		{audit.Operation, at.AddDate(0, 6, 0), false},
		{audit.Operation, at.AddDate(0, 0, 184), false},
		{audit.Operation, at.AddDate(0, 0, 190).Add(-time.Microsecond), false},
		{audit.Operation, at.AddDate(0, 0, 190), true},
		{audit.Transaction, at.AddDate(0, 0, 190), false},
		{audit.Transaction, at.AddDate(3, 0, 0), false},
		{audit.Transaction, at.AddDate(3, 0, 1), true},
		{audit.Record, at.AddDate(15, 0, -1), false},
		{audit.Record, at.AddDate(15, 0, 0), false},
		{audit.Record, at.AddDate(15, 0, 1), true},
	} {
		due, ends := c.class.DueAt(at)
		if !ends || !due.After(c.when) != c.due {
			t.Errorf("%s at %s: due %s", c.class, c.when, due)
		}
	}
	for _, c := range []audit.Class{audit.Permanent, "", "other"} {
		if _, ends := c.DueAt(at); ends {
			t.Errorf("%q ends", c)
		}
	}
	for noun, want := range map[string]audit.Class{"Line": audit.Operation, "Payment": audit.Transaction, "Patient": audit.Transaction, "Prescription": audit.Record, "": audit.Operation} {
		if got := audit.ClassOf(noun); got != want || !got.Known() {
			t.Errorf("%q: %s", noun, got)
		}
	}
}

// mixed are acts of three classes.
func mixed(n int) []trail.Row {
	out := rows(apitest.Main, n)
	for i := range out {
		out[i].Noun = []string{"Book", "Payment", "Prescription"}[i%3]
	}
	return out
}

func (b *bench) keep() {
	b.t.Helper()
	if err := b.s.keepJob(b.system(), struct{}{}); err != nil {
		b.t.Fatal(err)
	}
}

// TestRetention: with a clock that is moved 184 and 190 days, 3 and 15 years ahead, the
// texts of each class go when they may and not before; the hashes stay: every head, every
// proof that was given out and the inspection hold.
func TestRetention(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := mixed(90)
		b.collect(mine)
		head := b.sign()
		var proofs []tlog.Proof
		for i := range 3 {
			p, err := b.s.store.proof(b.as(), b.base.DB, apitest.Main, trail.Entry{Action: "audit.read_proof", Noun: "AuditLog"}, id.As[id.Any](mine[i].ID))
			if err != nil {
				t.Fatal(err)
			}
			proofs = append(proofs, p)
		}
		left := map[audit.Class]int{audit.Operation: 30, audit.Transaction: 30, audit.Record: 30}
		look := func(when string) Inspection {
			t.Helper()
			b.keep()
			b.sign()
			for class, want := range left {
				n := b.countWhere("audit_event", "class = '"+string(class)+"'")
				if n != want {
					t.Errorf("%s: %d of class %s, want %d", when, n, class, want)
				}
			}
			for i, p := range proofs {
				if _, err := p.Verify(tlog.Trust{Keys: b.keys()}); err != nil {
					t.Errorf("%s: proof %d: %v", when, i, err)
				}
			}
			return b.clean(Pins{Heads: []Pinned{pinned(head)}})
		}
		look("the same day")
		if n := b.count("log_segment", apitest.Main); n != 0 {
			t.Errorf("closed today: %d", n)
		}
		b.clk.Add(24 * time.Hour)
		look("a day")
		if n := b.count("log_segment", apitest.Main); n != 1 {
			t.Errorf("closed: %d", n)
		}
		at := func(when string, years, days int) Inspection {
			t.Helper()
			b.clk.Set(testkit.Start.AddDate(years, 0, days))
			return look(when)
		}
		at("184 days", 0, 184)
		left[audit.Operation] = 0
		if rep := at("190 days", 0, 190); rep.Gone != 30 {
			t.Errorf("%+v", rep)
		}
		at("3 years", 3, 0)
		left[audit.Transaction] = 0
		at("3 years and a day", 3, 1)
		at("15 years less a day", 15, -1)
		left[audit.Record] = 0
		rep := at("15 years and a day", 15, 1)
		if rep.Gone != 90 {
			t.Errorf("%+v", rep)
		}
		v := b.Do(b.boss, "GET", "/audit/log", nil).Want(t, 200).Map(t)
		if v["disposed"] != 90.0 {
			t.Errorf("disposed %v", v["disposed"])
		}
		var file bytes.Buffer
		if n, err := b.s.Export(t.Context(), apitest.Main, 0, 0, &file); err != nil || n < 90 {
			t.Fatal(n, err)
		}
		got, err := tlog.VerifyBundle(&file, tlog.Trust{Keys: b.keys()}, nil)
		if err != nil || got.Gone != 90 || got.Earlier == 0 {
			t.Errorf("bundle: %+v, %v", got, err)
		}
	})
}

func (b *bench) countWhere(table, where string) (n int) {
	b.t.Helper()
	err := b.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT COUNT(*) FROM "+table+" WHERE tenant_id = $1 AND "+where, tx.Tenant()).Scan(&n)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestDisposalHidesNothing: who deletes more than what went, or invents a disposal, is
// found; so is a disposal before its time.
func TestDisposalHidesNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collect(mixed(30))
		b.clk.Add(24 * time.Hour)
		b.keep()
		b.sign()
		b.clk.Set(testkit.Start.AddDate(0, 0, 200))
		b.keep()
		b.sign()
		b.clean(Pins{})
		b.do("DELETE FROM audit_event WHERE tenant_id = $1 AND position = 4")
		rep := b.inspect(Pins{})
		if rep.Clean() || !strings.Contains(rep.Findings[0], "9 of 10 transaction entries are there") || !strings.Contains(rep.Findings[0], "first gap is entry 0") {
			t.Errorf("one more: %q", rep.Findings)
		}
		b.do(fmt.Sprintf(`INSERT INTO log_leaf (tenant_id, position, kind, ref, class, data, collected_at) SELECT tenant_id, position + 1000, kind, tenant_id, class,
			replace(data, '"operation"', '"transaction"'), collected_at FROM log_leaf WHERE tenant_id = $1 AND kind = '%s'`, audit.KindDisposal))
		rep = b.inspect(Pins{})
		if text := strings.Join(rep.Findings, "; "); !strings.Contains(text, "before their time") || !strings.Contains(text, "beyond the log's end") {
			t.Errorf("an invented disposal: %q", rep.Findings)
		}
	})
}

// TestSealNeedsEverything: a stretch with a gap is not closed.
func TestSealNeedsEverything(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collect(rows(apitest.Main, 5))
		b.do("DELETE FROM audit_event WHERE tenant_id = $1 AND position = 2")
		b.clk.Add(24 * time.Hour)
		if err := b.s.keepJob(b.system(), struct{}{}); err == nil {
			t.Error("closed over a gap")
		}
	})
}
