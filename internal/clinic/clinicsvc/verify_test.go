package clinicsvc

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
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/dbtest"
)

// report runs the context's checks and gives the names of those that fail.
func (w *world) report() (broken []string) {
	w.t.Helper()
	var acts []string
	for _, p := range w.base.Authz.Permissions() {
		acts = append(acts, p.Action)
	}
	var events []string
	for _, e := range Describe().Events {
		events = append(events, e.EventName())
	}
	var text bytes.Buffer
	rep, err := verify.Run(context.Background(), []verify.Unit{{Context: "clinic", DB: w.base.DB, Checks: w.m.Checks, Sets: w.m.Sets, Events: events, Actions: acts}}, nil, &text)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range rep.Lines {
		if l.Violations > 0 {
			broken = append(broken, l.Name)
		}
	}
	return broken
}

// clean wants no violation.
func (w *world) clean() {
	w.t.Helper()
	if b := w.report(); len(b) > 0 {
		w.t.Errorf("verify: %v", b)
	}
}

var (
	ruleLine = regexp.MustCompile(`(?m)^ +(CHECK|FOREIGN KEY|UNIQUE) .*\n`)
	ruleTail = regexp.MustCompile(`(?m) CHECK \(.*\)(,?)$`)
)

// loose is the schema without the rules of its tables, so that a test can plant what the
// real one refuses.
func loose(t *testing.T) db.Set {
	t.Helper()
	b, err := fs.ReadFile(Describe().Migrations, "0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	text := ruleTail.ReplaceAllString(ruleLine.ReplaceAllString(string(b), ""), "$1")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "CREATE UNIQUE INDEX", "CREATE INDEX"), ",\n)", "\n)")
	if strings.Contains(text, "CHECK") || strings.Contains(text, "REFERENCES") {
		t.Fatal("a rule is left")
	}
	return db.Set{Name: "clinic", FS: fstest.MapFS{"0001_init.sql": &fstest.MapFile{Data: []byte(text)}}}
}

// TestVerifyFinds plants each violation and wants the check that is about it to fail.
func TestVerifyFinds(t *testing.T) {
	set := testkit.Sets(Describe())
	set[len(set)-1] = loose(t)
	dbtest.EachDatabase(t, set, func(t *testing.T, d *dbtest.Database) {
		clk := testkit.Clock()
		w := worldOn(t, d.Open(t, dbtest.WithClock(clk)), clk, nil)
		for name, x := range map[string]struct{ check, do string }{
			"two called":          {"at most one of a line is called", "UPDATE turn SET state = 'called' WHERE state = 'waiting'"},
			"no check-in":         {"who waits or was called has checked in before", "UPDATE turn SET checked_in_at = NULL WHERE state = 'called'"},
			"called before it":    {"who waits or was called has checked in before", "UPDATE turn SET called_at = checked_in_at - 1 WHERE state = 'called'"},
			"done without an end": {"who waits or was called has checked in before", "UPDATE turn SET left_at = NULL WHERE state = 'done'"},
			"state":               {"each history is a chain to the state", "UPDATE turn SET state = 'missed' WHERE state = 'done'"},
			"a step left out":     {"each history is a chain to the state", "DELETE FROM turn_history WHERE seq = 2"},
			"calls":               {"calls of a turn are those of its history", "UPDATE turn SET calls = 2 WHERE state = 'called'"},
			"calls of the line":   {"a line has counted its calls", "UPDATE line SET calls = calls + 1"},
			"no line":             {"each turn has its line", "UPDATE turn SET line_id = id WHERE state = 'expected'"},
			"no turn":             {"each turn has its line", "UPDATE turn_history SET turn_id = act_id WHERE seq = 1"},
		} {
			w.change("DELETE FROM turn_history", "DELETE FROM turn", "DELETE FROM line")
			line := w.session(2)
			vs := w.book(line, 4)
			w.checkIn(vs[:3]...)
			w.next(line)
			w.next(line)
			w.clean()
			if w.change(x.do) == 0 {
				t.Errorf("%s: nothing planted", name)
			}
			if got := strings.Join(w.report(), "; "); !strings.Contains(got, "clinic: "+x.check) {
				t.Errorf("%s: found %q, want %q", name, got, x.check)
			}
		}
	})
}

// change changes the tables behind the product's back.
func (w *world) change(statements ...string) (rows int64) {
	w.t.Helper()
	err := w.base.DB.Write(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error {
		rows = 0
		for _, q := range statements {
			n, err := tx.Exec(ctx, q)
			if err != nil {
				return err
			}
			rows += n
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}
