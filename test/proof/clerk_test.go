package proof

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling/rotagen"
	"xinglin/test/rig"
)

// TestClerk: an empty installation, a hospital's rota of 2,000 rows as its clerk wrote
// it, as CSV and as a workbook, first with seven errors, then without; then a person books,
// pays and cancels.
func TestClerk(t *testing.T) {
	for _, e := range rig.Engines {
		t.Run(string(e), func(t *testing.T) {
			w := rig.NewWorld(t, e)
			bad, planted := rota(t, rotagen.Options{Seed: 7, Rows: 2000, Errors: true})
			refuse(t, w, "bad.csv", []byte(bad), "row", planted)
			refuse(t, w, "bad.xlsx", rig.Workbook(t, bad), "出诊表 row", planted)
			good, _ := rota(t, rotagen.Options{Seed: 7, Rows: 2000})
			book := filepath.Join(t.TempDir(), "good.xlsx")
			must(t, os.WriteFile(book, rig.Workbook(t, good), 0o600))
			begin := clock.Mono()
			report := rig.Must(t, append(append([]string{"import", "rota"}, w.Where()...), book)...)
			t.Logf("2,000 rows of .xlsx in %s\n%s", clock.Mono().Sub(begin).Round(time.Millisecond), report)
			for _, want := range []string{
				"2000 rows (xlsx)", "imported", "sheet 填表说明 skipped: no_headings", "sheet 字典 skipped: hidden", "campuses         2 new", "departments     12 new", "doctors         60 new",
			} {
				if !strings.Contains(report, want) {
					t.Errorf("the report does not say %q", want)
				}
			}
			begin = clock.Mono()
			same := load(t, w, good)
			t.Logf("the same as .csv in %s\n%s", clock.Mono().Sub(begin).Round(time.Millisecond), same)
			for _, want := range []string{"2000 rows (utf-8-bom)", "doctors          0 new", "rota rules       0 new,     0 changed", "exceptions       0 new,     0 changed"} {
				if !strings.Contains(same, want) {
					t.Errorf("the same rota as text: the report does not say %q", want)
				}
			}
			if again := load(t, w, good); !strings.Contains(again, "doctors          0 new") {
				t.Errorf("a second import of the same file changes something:\n%s", again)
			}
			p := w.Serve(t)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			steps, err := client.Walk(ctx, p.URL, w, 1, 7)
			for _, s := range steps {
				t.Logf("%-14s %8s  %s", s.Name, s.Took.Round(time.Millisecond), s.Note)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.Verify(t)
		})
	}
}

func rota(t *testing.T, o rotagen.Options) (string, []rotagen.Planted) {
	t.Helper()
	today := rig.InDays(0)
	o.From = today.Add(-(int(today.Weekday()) + 6) % 7) // Monday of this week
	var b bytes.Buffer
	planted, err := rotagen.Write(&b, o)
	must(t, err)
	return b.String(), planted
}

func load(t *testing.T, w *rig.World, file string) string {
	t.Helper()
	return w.Import(t, file)
}

// refuse imports a file with planted errors: each is named by line and column, nothing
// is written.
func refuse(t *testing.T, w *rig.World, name string, body []byte, at string, planted []rotagen.Planted) {
	t.Helper()
	if len(planted) != 7 {
		t.Fatalf("%d errors planted, want 7", len(planted))
	}
	file := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(file, body, 0o600))
	begin := clock.Mono()
	r := rig.Run(t, append(append([]string{"import", "rota"}, w.Where()...), file)...)
	if r.Code != 1 || !strings.Contains(r.Stdout, "refused, nothing was written") || !strings.Contains(r.Stderr, "scheduling.import_rows") {
		t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	t.Logf("seven errors named in %s\n%s", clock.Mono().Sub(begin).Round(time.Millisecond), r.Stdout)
	if n := strings.Count(r.Stdout, "  "+at+" "); n != len(planted) {
		t.Errorf("%d rows are named, want %d", n, len(planted))
	}
	for _, x := range planted {
		if want := fmt.Sprintf("  %s %d, %s:", at, x.Line, x.Column); !strings.Contains(r.Stdout, want) {
			t.Errorf("%q is not named (%s)", want, x.What)
		}
	}
	tenant := w.TenantID(t, "main")
	if n := w.Count(t, "directory", tenant, `SELECT COUNT(*) FROM practitioner WHERE tenant_id = $1`, tenant); n != 0 {
		t.Errorf("%d doctors were made all the same", n)
	}
}
