package db_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"xinglin/internal/platform/db"
)

const visits = `-- +goose Up
CREATE TABLE place (
    tenant_id {{uuid}} NOT NULL,
    id        {{uuid}} NOT NULL,
    session   {{uuid}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
CREATE TABLE visit (
    tenant_id {{uuid}} NOT NULL,
    id        {{uuid}} NOT NULL,
    place     {{uuid}} NOT NULL,
    person    {{uuid}} NOT NULL,
    day       {{int}} NOT NULL,
    state     {{text}} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){{strict}};
CREATE UNIQUE INDEX visit_person ON visit (day, person) WHERE state <> 'cancelled';
`

// TestShape: on a new file SQLite finds a day's visits by the day, in whatever order they
// are wanted; and a second migration changes nothing.
func TestShape(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := []db.Set{{Name: "clinic", FS: fstest.MapFS{"0001_init.sql": {Data: []byte(visits)}}}}
	for range 2 {
		if err := db.MigrateSQLite(t.Context(), dir, set); err != nil {
			t.Fatal(err)
		}
	}
	srv, err := db.Open(t.Context(), db.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	d, err := srv.Context(t.Context(), "clinic")
	if err != nil {
		t.Fatal(err)
	}
	plan := ""
	err = d.Read(t.Context(), tenantA, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `EXPLAIN QUERY PLAN SELECT v.id FROM visit v JOIN place p ON p.tenant_id = v.tenant_id AND p.id = v.place
			WHERE v.tenant_id = $1 AND v.day = $2 AND p.session = $3 AND v.state <> 'cancelled' ORDER BY v.id LIMIT 100`, tenantA, 7, tenantB)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c int
			var line string
			if err := rows.Scan(&a, &b, &c, &line); err != nil {
				return err
			}
			plan += line + "\n"
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plan, "visit_person (day=?)") {
		t.Error(plan)
	}
}
