package directorysvc

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
	"xinglin/internal/testkit/pgcluster"
)

// loosen takes the schema's own guards away, as a hand-edited database would be.
const loosen = `-- +goose Up
ALTER TABLE practitioner_role DROP CONSTRAINT practitioner_role_tenant_id_practitioner_id_fkey;
ALTER TABLE practitioner_role DROP CONSTRAINT practitioner_role_tenant_id_department_id_fkey;
ALTER TABLE department DROP CONSTRAINT department_tenant_id_campus_id_parent_id_fkey;
ALTER TABLE department DROP CONSTRAINT department_check;
`

func TestVerifyFinds(t *testing.T) {
	clk := testkit.Clock()
	d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	b := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk)
	own, err := migrations.ReadFile("migrations/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"0001_init.sql": {Data: own}, "0099_loosen.sql": {Data: []byte(loosen)}}
	if err := db.MigratePostgres(t.Context(), d.MigrateDSN, pgcluster.App, []db.Set{{Name: "directory", FS: files}}); err != nil {
		t.Fatal(err)
	}
	b.place(small)
	tree(b, "甲", "乙", "丙")
	if got := b.broken(); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	const (
		works = "directory: each practitioner works in a department, one of them the main one"
		own1  = "directory: no department, campus or role of another tenant"
		trees = "directory: departments form a tree within a campus"
		root  = `UPDATE department SET parent_id = NULL`
		stray = "'01900000-0000-7000-8000-0000000000ee'"
	)
	below := func(child, parent string) string {
		return fmt.Sprintf(`UPDATE department SET parent_id = (SELECT MIN(CAST(id AS TEXT)) FROM department WHERE name = '%s')::uuid WHERE name = '%s'`, parent, child)
	}
	for i, c := range []struct {
		check       string
		n           int
		plant, heal []string
	}{
		{works, 1, []string{`UPDATE practitioner_role SET main = false WHERE practitioner_id = (SELECT id FROM practitioner WHERE licence = '1102')`}, []string{`UPDATE practitioner_role SET main = true WHERE practitioner_id = (SELECT id FROM practitioner WHERE licence = '1102')`}},
		{works, 1, []string{`INSERT INTO practitioner SELECT tenant_id, ` + stray + `, 'x', name, title, specialty, 0, '', 1 FROM practitioner WHERE licence = '1102'`}, []string{`DELETE FROM practitioner WHERE licence = 'x'`}},
		{own1, 1, []string{`INSERT INTO practitioner_role SELECT tenant_id, ` + stray + `, id, true FROM department WHERE name = '甲'`}, []string{`DELETE FROM practitioner_role WHERE practitioner_id = ` + stray}},
		{own1, 1, []string{`INSERT INTO practitioner_role SELECT tenant_id, id, ` + stray + `, false FROM practitioner WHERE licence = '1102'`}, []string{`DELETE FROM practitioner_role WHERE department_id = ` + stray}},
		{trees, 1, []string{below("甲", "甲")}, []string{root}},
		{trees, 2, []string{below("甲", "乙"), below("乙", "甲")}, []string{root}},
		{trees, 3, []string{below("甲", "乙"), below("乙", "丙"), below("丙", "甲")}, []string{root}},
		{trees, 1, []string{below("甲", "急诊科")}, []string{root}}, // of the other campus
		{trees, 1, []string{`UPDATE department SET parent_id = ` + stray + ` WHERE name = '甲'`}, []string{root}},
	} {
		run := func(texts []string) {
			t.Helper()
			err := b.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
				for _, text := range texts {
					n, err := tx.Exec(ctx, text)
					if err == nil && n == 0 {
						err = fmt.Errorf("nothing planted")
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatalf("%d %s: %v", i, c.check, err)
			}
		}
		run(c.plant)
		if got := b.broken(); len(got) != 1 || got[c.check] != c.n {
			t.Errorf("%d: %v, want only %q", i, got, c.check)
		}
		run(c.heal)
		if got := b.broken(); len(got) != 0 {
			t.Fatalf("%d: not healed: %v", i, got)
		}
	}
}
