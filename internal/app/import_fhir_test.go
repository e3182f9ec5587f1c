package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/interop/fhirgen"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/dbtest"
)

// TestImportFHIR brings an invented region through the wired product, on both engines,
// into one of two tenants.
func TestImportFHIR(t *testing.T) {
	dbtest.EachDatabase(t, Sets(), func(t *testing.T, d *dbtest.Database) {
		clk := clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))
		srv := d.Open(t, dbtest.WithClock(clk))
		h, err := Wire(t.Context(), Machines{
			DB: srv, Clock: clk, Crypt: testkit.Ring(t, srv, clk), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Signals: testkit.Signals(),
		})
		if err != nil {
			t.Fatal(err)
		}
		cli := auth.With(t.Context(), auth.Principal{Kind: auth.CLI, Name: "test"})
		for _, code := range []string{"east", "west"} {
			if _, err := h.Tenants.Ensure(cli, tenant.Tenant{Code: code, Name: code, Hosts: []string{code + ".test"}}); err != nil {
				t.Fatal(err)
			}
		}
		o := fhirgen.Options{Seed: 5, Hospitals: 6, Doctors: 130, Patients: 250, Clinical: 2}
		first := load(t, h, "east", o, false)
		if c := counts(first); c["Patient"] != (interop.Counts{Type: "Patient", Taken: 250}) || c["Practitioner"].Taken != 130 || c["Location"].Taken != 6 || first.RefusedCount != 0 {
			t.Fatalf("%+v", first)
		}
		if c := counts(load(t, h, "east", o, false)); c["Patient"].Unchanged != 250 || c["PractitionerRole"].Unchanged != 130 || c["Organization"].Unchanged != 6 {
			t.Fatalf("the second run: %+v", c)
		}
		o.Renamed = true
		for _, dryRun := range []bool{true, false} {
			if c := counts(load(t, h, "east", o, dryRun)); c["Patient"].Updated != 25 || c["Patient"].Unchanged != 225 {
				t.Fatalf("renamed: %+v", c["Patient"])
			}
		}
		ts, err := h.Tenants.List(cli)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range ts { // the other tenant sees nothing of it, and may have the same
			got, err := h.Directory.Practitioners(t.Context(), x.ID, directory.Query{Page: page.Request{Limit: 100}})
			if want := map[string]int{"east": 100, "west": 0}[x.Code]; err != nil || len(got.Items) != want {
				t.Errorf("%s: %d practitioners, %v", x.Code, len(got.Items), err)
			}
		}
		if c := counts(load(t, h, "west", o, false)); c["Patient"].Taken != 250 || c["PractitionerRole"].Taken != 130 {
			t.Fatalf("west: %+v", c)
		}
		var text strings.Builder
		rep, err := verify.Run(context.Background(), h.units(), subsets, &text)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range rep.Lines { // audit rows wait for the collector, which does not run here
			if l.Violations > 0 && !strings.Contains(l.Name, "audit row") {
				t.Errorf("%s: %d\n%s", l.Name, l.Violations, text.String())
			}
		}
		for _, x := range ts {
			leaks(t, h, x.ID)
		}
	})
}

func load(t *testing.T, h *House, code string, o fhirgen.Options, dryRun bool) interop.Report {
	t.Helper()
	writers := []func(io.Writer, fhirgen.Options) error{fhirgen.Patients, fhirgen.Practitioners, fhirgen.Hospitals}
	n := 0
	ctx, err := h.asOperator(t.Context(), code, "test")
	if err != nil {
		t.Fatal(err)
	}
	rep, err := h.Interop.ImportFHIR(ctx, interop.ImportRequest{DryRun: dryRun, Next: func() (string, io.Reader, error) {
		if n == len(writers) {
			return "", nil, io.EOF
		}
		var b bytes.Buffer
		err := writers[n](&b, o)
		n++
		return "f", &b, err
	}})
	if err != nil && !errors.Is(err, interop.ErrRefused) {
		t.Fatal(err)
	}
	return rep
}

func counts(r interop.Report) map[string]interop.Counts {
	out := map[string]interop.Counts{}
	for _, c := range r.Types {
		out[c.Type] = c
	}
	return out
}

// leaks looks for what identifies a person in the texts of the tables that leave patient.
func leaks(t *testing.T, h *House, tid directory.TenantID) {
	t.Helper()
	for name, d := range h.DBs {
		err := d.Read(t.Context(), tid, func(ctx context.Context, tx db.Tx) error {
			rows, err := tx.Query(ctx, `SELECT CAST(changed AS TEXT) || why || object || COALESCE(policy, '') FROM trail WHERE tenant_id = $1`, tid)
			all, err := db.Collect(rows, err, func(r db.Rows, v *string) error { return r.Scan(v) })
			for _, x := range all {
				for _, word := range []string{"Vonrueden", "Brekke", "Mill Lane", "MAIN STREET", "us-ssn"} {
					if strings.Contains(x, word) {
						t.Errorf("%s: the trail tells %s", name, word)
					}
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
