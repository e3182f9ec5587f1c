package patientsvc

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// plant is a violation and the check that finds it.
type plant struct {
	name   string
	check  int
	loosen []string // what forbids it, taken away first
	sql    string
}

// unchained is a copy of the table without its constraints.
func unchained(table string) []string {
	return []string{
		`CREATE TABLE loose AS SELECT * FROM ` + table, `DROP TABLE ` + table, `ALTER TABLE loose RENAME TO ` + table,
	}
}

var forbidden = []plant{
	{"a document twice", 0, []string{`DROP INDEX patient_number`}, `UPDATE patient SET number_index = (SELECT o.number_index FROM patient o
		WHERE o.tenant_id = $1 AND o.shredded_at IS NOT NULL) WHERE tenant_id = $1`},
	{"a link of another tenant", 1, unchained("link"), `UPDATE link SET tenant_id = randomblob(16) WHERE tenant_id = $1 AND relationship = 'self'`},
	{"a claim of another tenant", 1, unchained("claim"), `UPDATE claim SET patient_id = randomblob(16) WHERE tenant_id = $1`},
	{"oneself twice", 4, []string{`DROP INDEX link_self`}, `UPDATE link SET relationship = 'self', guardian = FALSE WHERE tenant_id = $1`},
	{"a child without consent", 3, nil, `UPDATE link SET consent_at = NULL, guardian = FALSE WHERE tenant_id = $1 AND relationship = 'child'`},
	{"shredded by nobody", 5, nil, `DELETE FROM history WHERE tenant_id = $1 AND to_state = 'shredded'`},
}

// possible ones pass the constraints; each leaves the checks of those after it alone.
var possible = []plant{
	{"a child's friend", 3, nil, `UPDATE link SET relationship = 'other', guardian = FALSE WHERE tenant_id = $1 AND relationship = 'child'`},
	{"shredded, not forgotten", 5, nil, `UPDATE patient SET sex = 'male' WHERE tenant_id = $1 AND shredded_at IS NOT NULL`},
	{"proved without a link", 6, nil, `UPDATE claim SET state = 'proved', closed_at = created_at WHERE tenant_id = $1`},
	{"links not counted", 4, nil, `UPDATE holder SET active = active + 1 WHERE tenant_id = $1`},
	{"nobody finds by name", 9, nil, `DELETE FROM search_key WHERE tenant_id = $1 AND kind = 'name'`},
	{"a registered child without consent", 10, nil, `UPDATE patient SET origin = 'desk', consent_at = NULL WHERE tenant_id = $1 AND birth > 15000`},
	{"a person of nobody", 2, nil, `DELETE FROM link WHERE tenant_id = $1 AND relationship = 'self'`},
}

// Each check finds what is planted.
func TestVerifyFinds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.populate()
		for _, p := range possible {
			h.finds(t, p)
		}
	})
}

// What the constraints forbid is found too, should they ever be missing. PostgreSQL's
// owner alone could take them away, so this is SQLite only.
func TestVerifyFindsTheForbidden(t *testing.T) {
	for _, p := range forbidden {
		t.Run(p.name, func(t *testing.T) {
			clk := testkit.Clock()
			d := dbtest.Make(t, db.SQLite, testkit.Sets(Describe()))
			h := newHouse(t, d.Open(t, dbtest.WithClock(clk)), clk, "")
			h.populate()
			h.finds(t, p)
		})
	}
}

// populate makes a family, a shredded person and an open claim.
func (h *house) populate() {
	h.t.Helper()
	who := apitest.Patient(apitest.Main)
	h.add(who, zhang)
	h.add(who, child)
	gone := h.add(who, newPerson("李四", residentID("19600101", 11), "", patient.Parent))
	if err := h.s.Shred(testkit.AsCLI(context.Background(), apitest.Main), gone.ID); err != nil {
		h.t.Fatal(err)
	}
	h.claim(apitest.Patient(apitest.Main), zhang)
	h.clean()
	h.clk.Add(time.Hour)
}

func (h *house) finds(t *testing.T, p plant) {
	t.Helper()
	name := h.mod.Checks[p.check].Name
	if slices.Contains(h.violations(), name) {
		t.Fatalf("%s: broken before", p.name)
	}
	err := h.base.DB.Write(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		for _, l := range p.loosen {
			if _, err := tx.Exec(ctx, l); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, p.sql, apitest.Main)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := h.violations(); !slices.Contains(v, name) {
		t.Errorf("%s: found %q", p.name, v)
	}
}

// The shortest fourteen years: the check never blames a link to somebody of 14.
func TestSurelyChild(t *testing.T) {
	least := 1 << 20
	for d := clock.NewDate(1880, time.January, 1); d < clock.NewDate(2110, time.January, 1); d = d.Add(1) {
		y, m, day := d.Parts()
		least = min(least, int(clock.NewDate(y+childAge, m, day)-d))
	}
	if !strings.Contains(checks()[3].SQL, "< 5112") || least != 5112 {
		t.Errorf("fourteen years have at least %d days", least)
	}
}
