package paymentsvc

import (
	"context"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

var rule = regexp.MustCompile(`^ +(CHECK|FOREIGN KEY|UNIQUE) `)

// loose is the schema without the rules of its tables, so that a test can plant what the real one refuses.
func loose(t *testing.T) db.Set {
	t.Helper()
	b, err := fs.ReadFile(Describe().Migrations, "0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, line := range strings.Split(string(b), "\n") {
		if !rule.MatchString(line) {
			kept = append(kept, line)
		}
	}
	text := strings.ReplaceAll(strings.Join(kept, "\n"), ",\n)", "\n)")
	return db.Set{Name: "payment", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(text)}}}
}

// TestVerify: each check finds what was planted, and nothing before.
func TestVerify(t *testing.T) {
	tests := []struct {
		name, check, sql string
	}{
		{"refunds above the payment", "never exceed", `UPDATE payment SET refunded_fen = amount_fen + 1 WHERE tenant_id = $1 AND id = $2`},
		{"a refund's amount changed", "never exceed", `UPDATE refund SET amount_fen = amount_fen + 1 WHERE tenant_id = $1 AND payment_id = $2`},
		{"a second refund beside the columns", "never exceed", `INSERT INTO refund (tenant_id, id, payment_id, amount_fen, reason, state, held, version, created_at)
			SELECT tenant_id, payment_id, payment_id, amount_fen, reason, 'requested', 1, 1, created_at FROM refund WHERE tenant_id = $1 AND payment_id = $2`},
		{"paid without effect", "its effect or its refund", `UPDATE payment SET effect = 'none' WHERE tenant_id = $1 AND id = $2`},
		{"refunded without a refund", "its effect or its refund", `UPDATE payment SET effect = 'refunded' WHERE tenant_id = $1 AND id = $2;
			DELETE FROM refund WHERE tenant_id = $1 AND payment_id = $2`},
		{"open, yet paid", "what the columns say", `UPDATE payment SET state = 'open' WHERE tenant_id = $1 AND id = $2`},
		{"a state without history", "its history", `UPDATE payment SET state = 'refunding' WHERE tenant_id = $1 AND id = $2`},
		{"open without timer", "closing timer", `UPDATE payment SET state = 'open', paid_at = NULL, channel_transaction = NULL WHERE tenant_id = $1 AND id = $2;
			DELETE FROM job WHERE tenant_id = $1 AND kind = 'payment.close' AND EXISTS (SELECT 1 FROM payment WHERE tenant_id = $1 AND id = $2)`},
		{"a refund without job", "has its job", `UPDATE refund SET state = 'processing' WHERE tenant_id = $1 AND payment_id = $2`},
		{"a lost money fact", "money fact", `DELETE FROM fact WHERE tenant_id = $1 AND payment_id = $2 AND kind = 'payment.paid'`},
		{"a money fact of another amount", "money fact", `UPDATE fact SET amount_fen = 1 WHERE tenant_id = $1 AND payment_id = $2`},
		{"a fact that the ledger never got", "money fact", `UPDATE fact SET posted_at = NULL WHERE tenant_id = $1 AND payment_id = $2`},
		{"children whose payment is not in their tenant", "another tenant", `DELETE FROM payment WHERE tenant_id = $1 AND id = $2`},
		{"a lost effect", "had its effect", `UPDATE notification SET outcome = 'new' WHERE tenant_id = $1 AND payment_id = $2`},
		{"a callback without notification", "another tenant", `DELETE FROM notification WHERE tenant_id = $1 AND payment_id = $2`},
	}
	clk := testkit.Clock()
	dbtest.EachDatabase(t, append(testkit.Sets(), loose(t)), func(t *testing.T, d *dbtest.Database) {
		ch := &script{}
		w := build(t, d.Open(t, dbtest.WithClock(clk)), clk, ch)
		var made []payment.Payment
		for range tests {
			made = append(made, whole(w, ch))
		}
		w.clean()
		if t.Failed() {
			return
		}
		for i, tt := range tests {
			before := violations(w.verify(), tt.check)
			plant(t, w, tt.sql, made[i].ID)
			if after := violations(w.verify(), tt.check); after <= before {
				t.Errorf("%s: not found (%d, before %d)", tt.name, after, before)
			}
		}
	})
}

// whole is a payment with a callback, its effect, and a refund of a part that failed.
func whole(w *world, ch *script) payment.Payment {
	w.t.Helper()
	p := w.open(1000)
	n := note(p, "N"+numberOf(p.ID), "R"+numberOf(p.ID))
	n.Transaction.TransactionID = numberOf(p.ID)
	ch.notify = ch.answer(n)
	if got := callback(w.t, w.Harness, "{}"); got != 204 {
		w.t.Fatal(got)
	}
	w.due()
	if err := w.settle(p.ID, scheduling.Applied); err != nil {
		w.t.Fatal(err)
	}
	ch.refund = ch.done
	if _, err := w.svc.Refund(w.ctx(), refundOf(w, p, 300)); err != nil {
		w.t.Fatal(err)
	}
	w.due()
	return p
}

// plant changes rows as nobody should.
func plant(t *testing.T, w *world, sql string, p payment.ID) {
	t.Helper()
	err := w.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		for _, text := range strings.Split(sql, ";") {
			n, err := tx.Exec(ctx, text, apitest.Main, p)
			if err != nil {
				return err
			}
			if n == 0 {
				t.Errorf("nothing planted: %s", text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func violations(r verify.Report, check string) (n int) {
	for _, l := range r.Lines {
		if strings.Contains(l.Name, check) {
			n += l.Violations
		}
	}
	return n
}
