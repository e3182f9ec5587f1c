package crypt

import (
	"context"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// nested is what platform/db panics with before it does anything when a transaction is
// opened inside another one. Here it means: the caller is inside its own transaction
// and the key is not in the cache.
const nested = "db: a transaction inside a transaction"

func cold(err *error) {
	switch v := recover(); v {
	case nil:
	case nested:
		*err = ErrColdKey.New()
	default:
		panic(v)
	}
}

func (r *Ring) read(ctx context.Context, tenant id.ID[auth.Tenant], fn func(context.Context, db.Tx) error) (err error) {
	defer cold(&err)
	return r.db.Read(ctx, tenant, fn)
}

func (r *Ring) write(ctx context.Context, tenant id.ID[auth.Tenant], fn func(context.Context, db.Tx) error) (err error) {
	defer cold(&err)
	return r.db.Write(ctx, tenant, fn)
}

// The root key's check row stands at the zero tenant under the zero id.

// rootRow names the root key that the store lies under, and has the seed of derived keys.
type rootRow struct {
	print string // empty: there is none yet
	seed  []byte
}

const selectRoot = `SELECT fingerprint, seed FROM root_check WHERE tenant_id = $1 AND id = $1`

func (r *Ring) rootCheck(ctx context.Context) (made rootRow, err error) {
	var zero id.ID[auth.Tenant]
	err = r.read(ctx, zero, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, selectRoot, zero).Scan(&made.print, &made.seed)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	return made, err
}

// putRootCheck names the store's root key and makes its seed, once: it returns the row that stands.
func (r *Ring) putRootCheck(ctx context.Context, at *root) (made rootRow, err error) {
	var zero id.ID[auth.Tenant]
	seed := at.sealSeed(random(seedSize))
	err = r.write(ctx, zero, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO root_check (tenant_id, id, fingerprint, seed, created_at) VALUES ($1, $1, $2, $3, $4)
ON CONFLICT DO NOTHING`, zero, at.print(), seed, r.clock.Now().UnixMicro())
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, selectRoot, zero).Scan(&made.print, &made.seed)
	})
	return made, err
}

// row is a stored key. Destroyed rows have no wrapped key.
type row struct {
	id         keyID
	kind       string        // tenant keys
	person     id.ID[id.Any] // person keys
	generation int
	alg        Algorithm
	wrapped    []byte
	uses       int64
	destroyed  bool
}

func (r *Ring) tenantRows(ctx context.Context, tenant id.ID[auth.Tenant]) (out []row, err error) {
	err = r.read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out = out[:0]
		rows, err := tx.Query(ctx, `SELECT id, kind, generation, algorithm, wrapped FROM tenant_key
WHERE tenant_id = $1 ORDER BY kind, generation`, tenant)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v row
			var alg int
			if err := rows.Scan(&v.id, &v.kind, &v.generation, &alg, &v.wrapped); err != nil {
				return err
			}
			v.alg = Algorithm(alg)
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, err
}

// reserveTenant takes n uses of a tenant's key; false when it has none left.
func (r *Ring) reserveTenant(ctx context.Context, tenant id.ID[auth.Tenant], kid keyID, n int64) (ok bool, err error) {
	err = r.write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		changed, err := tx.Exec(ctx, `UPDATE tenant_key SET uses = uses + $3
WHERE tenant_id = $1 AND id = $2 AND uses + $3 <= $4`, tenant, kid, n, r.limit)
		ok = changed == 1
		return err
	})
	return ok, err
}

// everyGeneration of a person's key: none may be left out.
const everyGeneration = 1_000_000

// personRows reads all generations of at most warmBatch persons.
func (r *Ring) personRows(ctx context.Context, tenant id.ID[auth.Tenant], persons []id.ID[id.Any]) (out []row, err error) {
	list, args := db.Few([]any{tenant}, persons)
	err = r.read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out = out[:0]
		rows, err := tx.Query(ctx, db.OneByOne(tx.Engine(), list, "uuid", everyGeneration, func(match string) string {
			return `SELECT id, person_id, generation, algorithm, wrapped, destroyed_at IS NOT NULL FROM person_key WHERE tenant_id = $1 AND person_id ` + match
		})+` ORDER BY 2, 3`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v row
			var alg int
			if err := rows.Scan(&v.id, &v.person, &v.generation, &alg, &v.wrapped, &v.destroyed); err != nil {
				return err
			}
			v.alg = Algorithm(alg)
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, err
}

const insertPersonKey = `INSERT INTO person_key (tenant_id, id, person_id, generation, algorithm, wrapped, uses, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`

// addPersonKey adds a generation; false when another process added it before or the
// person was shredded.
func (r *Ring) addPersonKey(ctx context.Context, tenant id.ID[auth.Tenant], v row) (ok bool, err error) {
	err = r.write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		ok = false
		if v.generation > 1 {
			live, err := lockPerson(ctx, tx, tenant, v.person)
			if err != nil || !live {
				return err
			}
		}
		changed, err := tx.Exec(ctx, insertPersonKey,
			tenant, v.id, v.person, v.generation, int(v.alg), v.wrapped, v.uses, r.clock.Now().UnixMicro())
		ok = changed == 1
		return err
	})
	return ok, err
}

// lockPerson takes the person's first generation; false when it was destroyed.
func lockPerson(ctx context.Context, tx db.Tx, tenant id.ID[auth.Tenant], person id.ID[id.Any]) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE person_key SET uses = uses
WHERE tenant_id = $1 AND person_id = $2 AND generation = 1 AND destroyed_at IS NULL`, tenant, person)
	return n == 1, err
}

// reservePerson takes n uses of a person's key; false when it has none left or is destroyed.
func (r *Ring) reservePerson(ctx context.Context, tenant id.ID[auth.Tenant], kid keyID, n int64) (ok bool, err error) {
	err = r.write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		changed, err := tx.Exec(ctx, `UPDATE person_key SET uses = uses + $3
WHERE tenant_id = $1 AND id = $2 AND uses + $3 <= $4 AND destroyed_at IS NULL`, tenant, kid, n, r.limit)
		ok = changed == 1
		return err
	})
	return ok, err
}

// destroyPerson leaves tombstones. A person who never had a key gets one too, so that
// no late write makes a key for somebody who was to be forgotten.
func (r *Ring) destroyPerson(ctx context.Context, tenant id.ID[auth.Tenant], person id.ID[id.Any]) error {
	return r.write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		wipe := wipeFreedPG
		if tx.Engine() == db.SQLite {
			wipe = wipeFreedSQLite
		}
		if err := wipe(ctx, tx); err != nil {
			return err
		}
		now := r.clock.Now().UnixMicro()
		_, err := tx.Exec(ctx, `INSERT INTO person_key (tenant_id, id, person_id, generation, algorithm, wrapped, uses, created_at, destroyed_at)
VALUES ($1, $2, $3, 1, $4, NULL, 0, $5, $5) ON CONFLICT DO NOTHING`,
			tenant, id.New[stored](r.clock.Now()), person, int(r.alg), now)
		if err != nil {
			return err
		}
		if live, err := lockPerson(ctx, tx, tenant, person); err != nil || !live {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE person_key SET wrapped = NULL, destroyed_at = $3
WHERE tenant_id = $1 AND person_id = $2 AND destroyed_at IS NULL`, tenant, person, now)
		return err
	})
}
