package terminologysvc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/verify"
	"xinglin/internal/terminology"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// bench is the context on one engine.
type bench struct {
	*apitest.Harness
	t    *testing.T
	s    *Service
	mod  *module.Module
	base module.Base
}

func each(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		base := testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
		s, mod := New(base)
		f(t, &bench{Harness: apitest.New(t, mod.Routes), t: t, s: s, mod: mod, base: base})
	}, dbtest.WithClock(clk))
}

func (b *bench) load(who auth.Principal, dryRun bool, list string) (terminology.ImportReport, error) {
	return b.s.Import(testkit.As(context.Background(), who), terminology.ImportRequest{System: terminology.ICD10, File: strings.NewReader(list), DryRun: dryRun})
}

func (b *bench) count(query string) (n int) {
	b.t.Helper()
	err := b.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, query, apitest.Main).Scan(&n)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) change(query string, args ...any) {
	b.t.Helper()
	err := b.base.DB.Write(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, query, append([]any{apitest.Main}, args...)...)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) broken() map[string]int {
	b.t.Helper()
	var text strings.Builder
	var acts []string
	for _, p := range b.base.Authz.Permissions() {
		acts = append(acts, p.Action)
	}
	rep, err := verify.Run(context.Background(), []verify.Unit{{Context: "terminology", DB: b.base.DB, Checks: b.mod.Checks, Events: []string{}, Actions: acts, Jobs: []string{}}}, nil, &text)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, text.String())
	}
	out := map[string]int{}
	for _, l := range rep.Lines {
		if n := l.Violations + l.InFlight; n > 0 {
			out[l.Name] = n
		}
	}
	return out
}

// list is n codes in the insurance form.
func list(n int, name string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%c%02d.%03dx%03d %s%d\n", 'A'+i/2600%26, i/26%100, i%26, i%7, name, i)
	}
	return b.String()
}

func outcome(r terminology.ImportReport) string {
	return fmt.Sprintf("%d rows: %d new, %d changed, %d same, %d refused, version %d", r.Rows, r.New, r.Changed, r.Same, r.RefusedCount, r.Version)
}

func TestImport(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		op := apitest.Staff(apitest.Main, auth.Operator)
		const n = 1300 // three batches
		for _, x := range []struct {
			dryRun bool
			list   string
			want   string
		}{
			{true, list(n, "病"), "1300 rows: 1300 new, 0 changed, 0 same, 0 refused, version 0"},
			{false, list(n, "病"), "1300 rows: 1300 new, 0 changed, 0 same, 0 refused, version 1"},
			{false, list(n, "病"), "1300 rows: 0 new, 0 changed, 1300 same, 0 refused, version 1"},
			{true, list(2, "症") + list(n, "病")[len(list(2, "病")):], "1300 rows: 0 new, 2 changed, 1298 same, 0 refused, version 1"},
			{false, list(2, "症") + "A00.000x000 症0\n", "3 rows: 0 new, 2 changed, 1 same, 0 refused, version 2"},
			{false, "A00.000x000 症0\nI10 x\nnothing\n", "3 rows: 1 new, 0 changed, 1 same, 1 refused, version 3"},
		} {
			r, err := b.load(op, x.dryRun, x.list)
			if r.RefusedCount > 0 && errors.Is(err, terminology.ErrRows) {
				err = nil
			}
			if got := outcome(r); err != nil || got != x.want {
				t.Errorf("%v\n got %s\nwant %s", err, got, x.want)
			}
		}
		if n := b.count(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'terminology.import_codes'`); n != 3 {
			t.Errorf("%d audit rows for three versions", n)
		}
		if n := b.count(`SELECT COUNT(*) FROM concept WHERE tenant_id = $1 AND version = 2`); n != 2 {
			t.Errorf("%d concepts of version 2", n)
		}
		if r, err := b.load(op, false, strings.Repeat("bad row\n", 3)); !errors.Is(err, terminology.ErrUnreadable) || r.Rows != 0 {
			t.Errorf("%v %+v", err, r)
		}
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Staff(apitest.Main, auth.Doctor), apitest.Staff(apitest.Main, auth.SystemAdmin)} {
			if _, err := b.load(who, false, list(1, "x")); fault.KindOf(err) != fault.Forbidden {
				t.Errorf("%v: %v", who.Grants, err)
			}
		}
		if _, err := b.s.Import(testkit.As(context.Background(), op), terminology.ImportRequest{System: "icd11", File: strings.NewReader("")}); !errors.Is(err, terminology.ErrSystem) {
			t.Errorf("%v", err)
		}
		if br := b.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// TestTwoImports: of two lists at once no row is mixed up: the counts are true, and who
// finds another import is told so.
func TestTwoImports(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				_, err := b.load(apitest.Staff(apitest.Main, auth.Operator), false, list(1600, fmt.Sprintf("病%d-", i)))
				if err != nil && !errors.Is(err, terminology.ErrBusy) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if br := b.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
		r, err := b.load(apitest.Staff(apitest.Main, auth.Operator), false, list(1600, "终"))
		if err != nil || r.New+r.Changed != 1600 || b.count(`SELECT COUNT(*) FROM concept WHERE tenant_id = $1`) != 1600 {
			t.Errorf("%v %s", err, outcome(r))
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		text := "I10.x00 特发性(原发性)高血压\nI10.x00x002 高血压\nI10.x00x023 高血压病1级\nI11.900 高血压性心脏病\nO10.900 妊娠合并高血压，未特指\nJ45.900x001 支气管哮喘\nK10.x00 颌的发育性疾患I10\nE10.100 1型糖尿病_50%\n"
		if _, err := b.load(apitest.Staff(apitest.Main, auth.Operator), false, text+list(100, "病")); err != nil {
			t.Fatal(err)
		}
		doctor := apitest.Staff(apitest.Main, auth.Doctor)
		for q, want := range map[string]string{
			"i10": "I10.x00x002 I10.x00x023 I10.x00 K10.x00", "I10.X00": "I10.x00 I10.x00x002 I10.x00x023", "高血压": "I10.x00x002 I10.x00x023 I11.900 I10.x00 O10.900", "高血压 妊娠": "O10.900",
			"哮喘": "J45.900x001", "Ｊ４５": "J45.900x001", "50%": "E10.100", "%": "E10.100", "_": "E10.100", "45": "A01.019x003", "none": "", " ": "", "高血压，未": "O10.900", "' OR 1=1": "",
		} {
			var got []string
			for _, x := range b.Do(doctor, "GET", "/terminology/icd10?q="+escape(q), nil).Want(t, 200).Items(t) {
				got = append(got, x["code"].(string))
			}
			if d := cmp.Diff(want, strings.Join(got, " ")); d != "" {
				t.Errorf("%q: %s", q, d)
			}
		}
		if got := b.Do(doctor, "GET", "/terminology/icd10?q=A0", nil).Want(t, 200).Items(t); len(got) != terminology.MaxFound {
			t.Errorf("%d found", len(got))
		}
		if got := b.Do(apitest.Staff(apitest.Other, auth.Doctor), "GET", "/terminology/icd10?q=I10", nil).Want(t, 200).Items(t); len(got) != 0 {
			t.Errorf("another tenant's: %v", got)
		}
		b.Do(doctor, "GET", "/terminology/icd10", nil).Refused(t, 422, "http.invalid")
		b.Do(doctor, "GET", "/terminology/icd10?q="+strings.Repeat("x", 65), nil).Refused(t, 422, "http.invalid")
		b.Do(apitest.Patient(apitest.Main), "GET", "/terminology/icd10?q=I10", nil).Refused(t, 403, "authz.denied")
		b.Do(apitest.Nobody(apitest.Main), "GET", "/terminology/icd10?q=I10", nil).Refused(t, 401, "auth.required")
	})
}

func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// TestVerify plants what each check looks for.
func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if _, err := b.load(apitest.Staff(apitest.Main, auth.Operator), false, list(3, "病")); err != nil {
			t.Fatal(err)
		}
		for name, sql := range map[string][2]string{
			"terminology: an edition counts its concepts":                   {`UPDATE code_system SET concepts = 9 WHERE tenant_id = $1`, `UPDATE code_system SET concepts = 3 WHERE tenant_id = $1`},
			"terminology: a concept is of an edition and not newer than it": {`UPDATE concept SET version = 7 WHERE tenant_id = $1 AND code = 'A00.001x001'`, `UPDATE concept SET version = 1 WHERE tenant_id = $1`},
		} {
			b.change(sql[0])
			if got := b.broken(); len(got) != 1 || got[name] != 1 {
				t.Errorf("%s: %v", name, got)
			}
			b.change(sql[1])
		}
		if got := b.broken(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}
