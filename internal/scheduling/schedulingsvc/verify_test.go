package schedulingsvc

import (
	"bytes"
	"context"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/dbtest"
)

var (
	ruleLine = regexp.MustCompile(`(?m)^ +(CHECK|FOREIGN KEY|UNIQUE) .*\n`)
	ruleTail = regexp.MustCompile(`(?m) CHECK \(.*\)(,?)$`)
)

// loose is the schema without the rules of its tables, so that a test can plant what the
// real one refuses.
func loose(t *testing.T) db.Set {
	t.Helper()
	all, err := fs.Glob(Describe().Migrations, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{}
	for _, name := range all {
		b, err := fs.ReadFile(Describe().Migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		text := ruleTail.ReplaceAllString(ruleLine.ReplaceAllString(string(b), ""), "$1")
		text = strings.ReplaceAll(strings.ReplaceAll(text, "CREATE UNIQUE INDEX", "CREATE INDEX"), ",\n)", "\n)")
		if strings.Contains(text, "CHECK") || strings.Contains(text, "REFERENCES") {
			t.Fatalf("%s: a rule is left", name)
		}
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return db.Set{Name: "scheduling", FS: out}
}

// plant changes the tables behind the product's back.
func (w *world) plant(statements ...string) {
	w.t.Helper()
	err := w.base.DB.Write(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error {
		for _, q := range statements {
			n, err := tx.Exec(ctx, q)
			if err != nil {
				return err
			}
			if n == 0 {
				w.t.Errorf("%s: nothing planted", q)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestVerifyFinds plants each violation and wants the check that is about it to fail.
func TestVerifyFinds(t *testing.T) {
	for name, x := range map[string]struct {
		check string
		do    []string
	}{
		"oversold":             {"no slot is oversold", []string{"UPDATE slot SET booked = capacity + 1 WHERE booked > 0"}},
		"holder":               {"each seat names who has it", []string{"UPDATE slot SET holders = substr(holders, 1, 1) WHERE booked > 0"}},
		"held":                 {"held is the sum of holds and waiting returns", []string{"UPDATE slot SET held = held + 1 WHERE held = 1"}},
		"booked":               {"booked is the count of its appointments", []string{"UPDATE slot SET booked = booked - 1 WHERE booked > 0"}},
		"bit":                  {"each seat has one owner and its bit", []string{"UPDATE slot SET taken = 2 WHERE taken = 1"}},
		"session":              {"a session's seats are those of its slots", []string{"UPDATE schedule SET capacity = capacity + 1"}},
		"hold without timer":   {"each hold has its timer", []string{"UPDATE appointment SET created_at = 1000000 WHERE state = 'pending'", "DELETE FROM job WHERE kind = 'scheduling.expire_holds'"}},
		"return without timer": {"each waiting seat has its timer", []string{"UPDATE appointment SET state_at = 1000000 WHERE state = 'cancelled'", "DELETE FROM job WHERE kind = 'scheduling.return_seat'"}},
		"twice a day": {"one active appointment per person, day and scope", []string{
			"UPDATE appointment SET patient_id = account_id, scope = 1 WHERE state <> 'cancelled'", "UPDATE appointment SET patient_id = tenant_id",
		}},
		"twice a phone": {"one active appointment per person, day and scope", []string{
			"UPDATE appointment SET account_id = tenant_id, per_account = (number > 0) WHERE state <> 'cancelled'",
		}},
		"number twice": {"one active appointment per number of a session", []string{
			"UPDATE appointment SET number = 1 WHERE state <> 'cancelled'",
		}},
		"number of another slot": {"a booking with a fee was paid, a number is given", []string{"UPDATE appointment SET number = 1000 WHERE state = 'pending'"}},
		"booked unpaid":          {"a booking with a fee was paid, a number is given", []string{"UPDATE appointment SET settlement = '' WHERE state = 'booked'"}},
		"refund forgotten":       {"an applied payment of a cancelled visit has its refund asked for", []string{"UPDATE appointment SET state_at = state_at - 600000000 WHERE state = 'cancelled'", "DELETE FROM job WHERE kind = 'scheduling.refund_payment'"}},
		"history broken":         {"each history is a chain to the state", []string{"DELETE FROM appointment_history WHERE to_state = 'booked'"}},
		"history without an end": {"each history is a chain to the state", []string{"DELETE FROM appointment_history WHERE to_state = 'cancelled'"}},
		"stop without a day":     {"a stopped session says since when", []string{"DELETE FROM session_stop"}},
		"stop not done":          {"a stopped session has cancelled its visits", []string{"UPDATE session_stop SET stopped_at = stopped_at - 600000000, schedule_id = (SELECT schedule_id FROM slot WHERE booked > 0 LIMIT 1)"}},
		"missed too early":       {"a visit is missed only after the end of a session that was held", []string{"UPDATE appointment SET state = 'noshow' WHERE state = 'booked'"}},
		"missed for nothing":     {"each missed visit counts once", []string{"UPDATE appointment SET state = 'noshow' WHERE state = 'booked'"}},
		"counts for nothing":     {"each missed visit counts once", []string{"UPDATE incident SET kind = 'missed'"}},
		"foreign child":          {"no child row of a foreign tenant", []string{"DELETE FROM slot"}},
		"foreign history":        {"no child row of a foreign tenant", []string{"DELETE FROM appointment"}},
	} {
		t.Run(name, func(t *testing.T) {
			finds(t, (*world).lived, x.check, x.do)
		})
	}
}

// finds lets a world live, plants a violation and wants the check to see it.
func finds(t *testing.T, live func(*world), check string, plant []string) {
	t.Helper()
	dbtest.EachDatabase(t, append(testkit.Sets(), loose(t)), func(t *testing.T, d *dbtest.Database) {
		w := newWorld(t, d)
		live(w)
		w.plant(plant...)
		var b bytes.Buffer
		rep, err := verify.Run(context.Background(), []verify.Unit{{Context: "scheduling", DB: w.base.DB, Checks: w.m.Checks, Sets: w.m.Sets}}, nil, &b)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range rep.Lines {
			if l.Name == "scheduling: "+check {
				if l.Violations == 0 || len(l.Broken) == 0 {
					t.Errorf("not found:\n%s", b.String())
				}
				return
			}
		}
		t.Errorf("there is no check %q", check)
	})
}

// lived fills a world with one of each: pending, booked twice, cancelled with a waiting
// seat. It is sound.
func (w *world) lived() {
	w.t.Helper()
	w.rules(func(r *scheduling.BookingRules) {
		r.SeatReturn = scheduling.SeatReturn{Kind: scheduling.ReturnRandom, Min: 20, Max: 30}
	})
	w.rota(2500, 40, 30)
	for i, date := range []string{"2026-03-04", "2026-03-04", "2026-03-04", "2026-03-05"} {
		p, v := w.person()
		a := w.hold(p, w.ask(v, w.on(date).ID))
		if i == 0 {
			continue
		}
		if err := w.paid(a); err != nil {
			w.t.Fatal(err)
		}
		if i == 3 {
			if _, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: 2}); err != nil {
				w.t.Fatal(err)
			}
			w.due()
		}
	}
	w.stop(w.on("2026-03-06").ID)
}

// TestSets: what other contexts' invariants are compared with.
func TestSets(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.lived()
		later := w.number(`SELECT COUNT(*) FROM appointment_history h JOIN trail t ON t.tenant_id = h.tenant_id AND t.id = h.act_id WHERE h.tenant_id = $1`, w.tenant)
		holds := w.number(`SELECT COUNT(DISTINCT a.id) FROM appointment a JOIN trail t ON t.tenant_id = a.tenant_id AND t.at = a.created_at AND t.action = 'scheduling.hold' WHERE a.tenant_id = $1`, w.tenant)
		acts := later + holds
		if acts != w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1`, w.tenant)+w.number(`SELECT COUNT(*) FROM appointment_history WHERE tenant_id = $1`, w.tenant) {
			t.Errorf("%d acts in the audit", acts)
		}
		err := w.base.DB.Write(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error { // as the collector does
			_, err := tx.Exec(ctx, `DELETE FROM trail WHERE tenant_id = $1`, w.tenant)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range map[string]string{
			"scheduling.acts":                 `SELECT (SELECT COUNT(*) FROM appointment_history WHERE tenant_id = $1) + (SELECT COUNT(*) FROM appointment WHERE tenant_id = $1)`,
			"scheduling.appointment_payments": `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1`,
			"scheduling.settled":              `SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND settlement <> ''`,
		} {
			rep, err := verify.Run(context.Background(), []verify.Unit{{Context: "scheduling", DB: w.base.DB, Sets: w.m.Sets}},
				[]verify.Subset{{Name: name, Left: name, Right: name}}, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			if l := rep.Lines[len(rep.Lines)-1]; l.Seen != w.number(n, w.tenant) || l.Seen == 0 {
				t.Errorf("%s: %+v", name, l)
			}
		}
	})
}
