package ledgersvc

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

func each(t *testing.T, f func(t *testing.T, ctx context.Context, s *Service)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		s, _ := New(testkit.Base(t, srv, Describe(), testkit.WithClock(clk)))
		f(t, testkit.AsSystem(t.Context(), apitest.Main, "job:test"), s)
	}, dbtest.WithClock(clk))
}

func paid(amount money.Fen) ledger.Transaction {
	return ledger.Transaction{
		ID: id.Random[ledger.Transaction](), Tenant: apitest.Main, Kind: "payment.paid", Reference: id.Random[id.Any](), Number: "REG-1",
		At: testkit.Start, Postings: []ledger.Posting{{Account: ledger.ChannelReceivable, Amount: amount}, {Account: ledger.AdvanceReceived, Amount: -amount}},
	}
}

func with(t ledger.Transaction, f func(*ledger.Transaction)) ledger.Transaction {
	t.Postings = append([]ledger.Posting(nil), t.Postings...)
	f(&t)
	return t
}

func TestCheck(t *testing.T) {
	good := paid(2500)
	tests := []struct {
		name string
		t    ledger.Transaction
		want *fault.Code
	}{
		{"balanced", good, nil},
		{"three lines", with(good, func(t *ledger.Transaction) {
			t.Postings[0].Amount = 2000
			t.Postings = append(t.Postings, ledger.Posting{Account: ledger.RefundPayable, Amount: 500})
		}), nil},
		{"unbalanced", with(good, func(t *ledger.Transaction) { t.Postings[0].Amount++ }), ledger.ErrUnbalanced},
		{"one line", with(good, func(t *ledger.Transaction) { t.Postings = t.Postings[:1] }), ledger.ErrInvalid},
		{"no lines", with(good, func(t *ledger.Transaction) { t.Postings = nil }), ledger.ErrInvalid},
		{"101 lines", with(good, func(t *ledger.Transaction) { t.Postings = make([]ledger.Posting, 101) }), ledger.ErrInvalid},
		{"zero amounts", with(good, func(t *ledger.Transaction) { t.Postings[0].Amount, t.Postings[1].Amount = 0, 0 }), ledger.ErrInvalid},
		{"strange account", with(good, func(t *ledger.Transaction) { t.Postings[0].Account = "cash" }), ledger.ErrInvalid},
		{"overflow", with(good, func(t *ledger.Transaction) {
			t.Postings = []ledger.Posting{{Account: "asset:a", Amount: 1 << 62}, {Account: "asset:b", Amount: 1 << 62}, {Account: "asset:c", Amount: -5}}
		}), ledger.ErrInvalid},
		{"no id", with(good, func(t *ledger.Transaction) { t.ID = ledger.TransactionID{} }), ledger.ErrInvalid},
		{"no kind", with(good, func(t *ledger.Transaction) { t.Kind = "" }), ledger.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			debit, err := check(tt.t)
			if tt.want == nil && (err != nil || debit != 2500) {
				t.Fatalf("debit %v, %v", debit, err)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPost(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, s *Service) {
		p := paid(2500)
		for range 3 {
			if err := s.Post(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Post(ctx, with(p, func(t *ledger.Transaction) { t.Number = "REG-2" })); !errors.Is(err, ledger.ErrReused) {
			t.Fatalf("another content under the same id: %v", err)
		}
		if err := s.Post(ctx, paid(100)); err != nil {
			t.Fatal(err)
		}
		for account, want := range map[string]money.Fen{ledger.ChannelReceivable: 2600, ledger.AdvanceReceived: -2600, ledger.RefundPayable: 0} {
			if got, err := s.Balance(ctx, apitest.Main, account); err != nil || got != want {
				t.Fatalf("%s: %v %v, want %v", account, got, err, want)
			}
		}
		other := testkit.AsSystem(t.Context(), apitest.Other, "job:test")
		if got, err := s.Balance(other, apitest.Other, ledger.ChannelReceivable); err != nil || got != 0 {
			t.Fatalf("the other tenant sees %v %v", got, err)
		}
	})
}

func TestWhoMay(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, s *Service) {
		tests := []struct {
			name          string
			who           auth.Principal
			post, balance bool
		}{
			{"patient", apitest.Patient(apitest.Main), false, false},
			{"doctor", apitest.Staff(apitest.Main, auth.Doctor), false, false},
			{"operator", apitest.Staff(apitest.Main, auth.Operator), false, true},
			{"operator of another tenant", apitest.Staff(apitest.Other, auth.Operator), false, false},
			{"job of another tenant", auth.Principal{Kind: auth.System, Tenant: apitest.Other, Name: "job:x"}, false, false},
			{"job", auth.Principal{Kind: auth.System, Tenant: apitest.Main, Name: "job:x"}, true, true},
		}
		for _, tt := range tests {
			as := testkit.As(t.Context(), tt.who)
			if err := s.Post(as, paid(1)); (err == nil) != tt.post || (err != nil && !errors.Is(err, authz.ErrDenied)) {
				t.Errorf("%s posts: %v", tt.name, err)
			}
			if _, err := s.Balance(as, apitest.Main, ledger.AdvanceReceived); (err == nil) != tt.balance {
				t.Errorf("%s reads: %v", tt.name, err)
			}
		}
	})
}

// TestPostRace: the same transaction from many at once stands in the books once.
func TestPostRace(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, s *Service) {
		p := paid(700)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := s.Post(ctx, p); err != nil {
					t.Errorf("post: %v", err)
				}
			})
		}
		wg.Wait()
		if got, err := s.Balance(ctx, apitest.Main, ledger.ChannelReceivable); err != nil || got != 700 {
			t.Fatalf("balance %v %v", got, err)
		}
	})
}

// loose is the schema without foreign keys, so that a test can plant what the real one refuses.
func loose(t *testing.T) db.Set {
	t.Helper()
	b, err := fs.ReadFile(Describe().Migrations, "0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, line := range strings.Split(string(b), "\n") {
		if !strings.Contains(line, "FOREIGN KEY") {
			kept = append(kept, line)
		}
	}
	text := strings.ReplaceAll(strings.Join(kept, "\n"), ",\n)", "\n)")
	return db.Set{Name: "ledger", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(text)}}}
}

func TestVerify(t *testing.T) {
	tests := []struct {
		name, check, sql string
	}{
		{"changed posting", "sum to zero", `UPDATE posting SET amount_fen = amount_fen + 1 WHERE tenant_id = $1 AND transaction_id = $2 AND line = 1`},
		{"both sides changed", "sum to zero", `UPDATE posting SET amount_fen = amount_fen * 2 WHERE tenant_id = $1 AND transaction_id = $2`},
		{"lost posting", "sum to zero", `DELETE FROM posting WHERE tenant_id = $1 AND transaction_id = $2 AND line = 2`},
		{"no postings", "sum to zero", `DELETE FROM posting WHERE tenant_id = $1 AND transaction_id = $2`},
		{"posting without transaction", "without its transaction", `DELETE FROM ledger_transaction WHERE tenant_id = $1 AND id = $2`},
	}
	clk := testkit.Clock()
	sets := append(testkit.Sets(), loose(t))
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		base := testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
		s, m := New(base)
		ctx := testkit.AsSystem(t.Context(), apitest.Main, "job:test")
		unit := []verify.Unit{{Context: "ledger", DB: base.DB, Checks: m.Checks, Sets: m.Sets, Events: []string{}, Actions: []string{"ledger.post"}, Jobs: []string{}}}
		clean := func() verify.Report {
			r, err := verify.Run(t.Context(), unit, []verify.Subset{{Name: "itself", Left: "ledger.transactions", Right: "ledger.transactions"}}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if err := s.Post(ctx, paid(900)); err != nil {
			t.Fatal(err)
		}
		clk.Add(verify.Grace * 2)
		if r := clean(); !r.Clean() {
			t.Fatalf("not clean: %+v", r)
		}
		for _, tt := range tests {
			p := paid(900)
			if err := s.Post(ctx, p); err != nil {
				t.Fatal(err)
			}
			clk.Add(verify.Grace * 2)
			before := violations(clean(), tt.check)
			err := base.DB.Write(ctx, apitest.Main, func(ctx context.Context, tx db.Tx) error {
				_, err := tx.Exec(ctx, tt.sql, apitest.Main, p.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if after := violations(clean(), tt.check); after <= before {
				t.Errorf("%s: %d violations, before %d", tt.name, after, before)
			}
		}
	}, dbtest.WithClock(clk))
}

func violations(r verify.Report, check string) (n int) {
	for _, l := range r.Lines {
		if strings.Contains(l.Name, check) {
			n += l.Violations
		}
	}
	return n
}
