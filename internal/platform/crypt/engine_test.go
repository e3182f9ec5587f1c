package crypt

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/dbtest"
)

var start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)

// bench is a key store on one engine.
type bench struct {
	keys *db.DB
	file string // the root key's
}

// each runs the test on both engines, each time with a store of its own.
func each(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	dbtest.Each(t, []db.Set{Migrations()}, func(t *testing.T, srv *db.Server) {
		fn(t, &bench{keys: must(srv.Context(t.Context(), "keys"))(t), file: filepath.Join(t.TempDir(), "keys")})
	})
}

// ring opens the store as a process of its own would.
func (b *bench) ring(t *testing.T, algorithm string) *Ring {
	t.Helper()
	r, err := Open(context.Background(), Options{
		DB: b.keys, Keys: "file:" + b.file, Create: true, Algorithm: algorithm, Clock: clock.NewManual(start),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func field(tenant id.ID[auth.Tenant], person id.ID[id.Any]) Field {
	return Field{Tenant: tenant, Person: person, Table: "patient", Column: "name", Row: "row-1"}
}

func newTenant() id.ID[auth.Tenant] { return id.New[auth.Tenant](start) }
func newPerson() id.ID[id.Any]      { return id.New[id.Any](start) }

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func count(t *testing.T, b *bench, tenant id.ID[auth.Tenant], where string, args ...any) (n int) {
	t.Helper()
	err := b.keys.Read(t.Context(), tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, fmt.Sprintf("SELECT COUNT(*) FROM person_key WHERE tenant_id = $1 AND %s", where), append([]any{tenant}, args...)...).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
