package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// errOvertaken: another process made the same generation first.
var errOvertaken = errors.New("crypt: the generation is there already")

func (r *Ring) writeAll(ctx context.Context, fn func(context.Context, db.Tx) error) (err error) {
	defer cold(&err)
	return r.db.WriteAll(ctx, fn)
}

// underRoot holds the root key as it is until the transaction ends; errOtherRoot when it is another one.
func underRoot(ctx context.Context, tx db.Tx, at *root) error {
	n, err := tx.Exec(ctx, `UPDATE root_check SET fingerprint = fingerprint WHERE tenant_id = $1 AND id = $1 AND fingerprint = $2`,
		id.ID[auth.Tenant]{}, at.print())
	if err == nil && n == 0 {
		err = errOtherRoot
	}
	return err
}

const insertTenantKey = `INSERT INTO tenant_key (tenant_id, id, kind, generation, algorithm, wrapped, uses, created_at)
VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT DO NOTHING`

// addTenantKeys adds those generations that no other process added before. errOtherRoot when the root key that wraps them was
// replaced meanwhile.
func (r *Ring) addTenantKeys(ctx context.Context, tenant id.ID[auth.Tenant], at *root, add []row) error {
	return r.writeAll(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := underRoot(ctx, tx, at); err != nil {
			return err
		}
		for _, v := range add {
			if _, err := tx.Exec(ctx, insertTenantKey, tenant, v.id, v.kind, v.generation, int(v.alg), v.wrapped, r.clock.Now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

// addRotation writes the rotation with its new generations and its parts, or nothing.
func (r *Ring) addRotation(ctx context.Context, v Rotation, at *root, add []row) error {
	err := r.writeAll(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := underRoot(ctx, tx, at); err != nil {
			return err
		}
		now := v.Started.UnixMicro()
		n, err := tx.Exec(ctx, `INSERT INTO rotation (tenant_id, id, index_generation, started_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			v.Tenant, v.ID, v.IndexGeneration, now)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrRotating.New()
		}
		for _, k := range add {
			n, err := tx.Exec(ctx, insertTenantKey, v.Tenant, k.id, k.kind, k.generation, int(k.alg), k.wrapped, now)
			if err != nil {
				return err
			}
			if n == 0 {
				return errOvertaken
			}
		}
		for _, p := range v.Parts {
			_, err := tx.Exec(ctx, `INSERT INTO rotation_part (tenant_id, rotation_id, context, name, kind, phase, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
				v.Tenant, v.ID, p.Context, p.Name, p.Kind, string(Waiting), now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errOtherRoot) {
		if _, err := r.follow(ctx); err != nil {
			return err
		}
		return errOvertaken
	}
	return err
}

const rotationColumns = `SELECT tenant_id, id, index_generation, started_at, ended_at FROM rotation `

func scanRotation(r db.Rows, v *Rotation) error {
	return r.Scan(&v.Tenant, &v.ID, &v.IndexGeneration, db.Instant(&v.Started), db.Instant(&v.Ended))
}

func (r *Ring) openRotations(ctx context.Context) (out []Rotation, err error) {
	err = r.db.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, rotationColumns+`WHERE ended_at IS NULL ORDER BY started_at, tenant_id LIMIT 1000 -- global: the work of all tenants`)
		if out, err = db.Collect(rows, err, scanRotation); err != nil {
			return err
		}
		for i := range out {
			if out[i].Parts, err = partsOf(ctx, tx, out[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (r *Ring) lastRotation(ctx context.Context, tenant id.ID[auth.Tenant]) (v Rotation, err error) {
	err = r.read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, rotationColumns+`WHERE tenant_id = $1 ORDER BY started_at DESC, id DESC LIMIT 1`, tenant)
		all, err := db.Collect(rows, err, scanRotation)
		if err != nil || len(all) == 0 {
			return err
		}
		v = all[0]
		v.Parts, err = partsOf(ctx, tx, v)
		return err
	})
	return v, err
}

func partsOf(ctx context.Context, tx db.Tx, v Rotation) ([]Part, error) {
	rows, err := tx.Query(ctx, `SELECT context, name, kind, phase, pass, position, seen, found, changed, skipped, pause_until FROM rotation_part
WHERE tenant_id = $1 AND rotation_id = $2 ORDER BY kind, context, name LIMIT 1000`, v.Tenant, v.ID)
	return db.Collect(rows, err, func(r db.Rows, p *Part) error {
		return r.Scan(&p.Context, &p.Name, &p.Kind, &p.Phase, &p.Pass, &p.Position, &p.Seen, &p.Found, &p.Changed, &p.Skipped, db.Instant(&p.Pause))
	})
}

func (r *Ring) savePart(ctx context.Context, v Rotation, p Part) error {
	return r.write(ctx, v.Tenant, func(ctx context.Context, tx db.Tx) error {
		now, pause := r.clock.Now().UnixMicro(), int64(0)
		if !p.Pause.IsZero() {
			pause = p.Pause.UnixMicro()
		}
		n, err := tx.Exec(ctx, `UPDATE rotation_part SET phase = $5, pass = $6, position = $7, seen = $8, found = $9, changed = $10, skipped = $11, pause_until = $12,
updated_at = $13 WHERE tenant_id = $1 AND rotation_id = $2 AND context = $3 AND name = $4`,
			v.Tenant, v.ID, p.Context, p.Name, string(p.Phase), p.Pass, p.Position, p.Seen, p.Found, p.Changed, p.Skipped, pause, now)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("crypt: the rotation has no part %s.%s", p.Context, p.Name)
		}
		if p.Phase != Done {
			return nil
		}
		_, err = tx.Exec(ctx, `UPDATE rotation SET ended_at = $3 WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL AND NOT EXISTS
(SELECT 1 FROM rotation_part WHERE tenant_id = $1 AND rotation_id = $2 AND phase <> 'done')`, v.Tenant, v.ID, now)
		return err
	})
}

func (r *Ring) generations(ctx context.Context, tenant id.ID[auth.Tenant]) (out []Generation, err error) {
	err = r.read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, kind, generation, algorithm, uses, created_at, wrapped FROM tenant_key
WHERE tenant_id = $1 ORDER BY kind, generation LIMIT 10000`, tenant)
		out, err = db.Collect(rows, err, func(r db.Rows, g *Generation) error {
			var kid keyID
			var alg int
			var wrapped []byte
			if err := r.Scan(&kid, &g.Kind, &g.Number, &alg, &g.Uses, db.Instant(&g.Made), &wrapped); err != nil {
				return err
			}
			h, err := parse(wrapped)
			if err != nil {
				return ErrUnreadable.Because("tenant key %s: %w", kid, err)
			}
			g.ID, g.Algorithm, g.Wrapped = kid.String(), Algorithm(alg).String(), (&root{id: h.key}).print()
			return nil
		})
		if err != nil {
			return err
		}
		return countPersonKeys(ctx, tx, tenant, out)
	})
	return out, err
}

// countPersonKeys tells how many persons' keys lie under each of the tenant's. The header names it (format.go).
func countPersonKeys(ctx context.Context, tx db.Tx, tenant id.ID[auth.Tenant], out []Generation) error {
	rows, err := tx.Query(ctx, `SELECT substr(wrapped, 3, 16), COUNT(*) FROM person_key WHERE tenant_id = $1 AND wrapped IS NOT NULL
GROUP BY 1 LIMIT 10000`, tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var under []byte
		var n int64
		if err := rows.Scan(&under, &n); err != nil {
			return err
		}
		for i := range out {
			if len(under) == len(keyID{}) && out[i].ID == keyID(under).String() {
				out[i].PersonKeys = n
			}
		}
	}
	return rows.Err()
}

// rollPersonKeys adds the next generation of each person, unless another process did or the person was destroyed meanwhile. Persons
// are locked in key order.
func (r *Ring) rollPersonKeys(ctx context.Context, tenant id.ID[auth.Tenant], rows []row) error {
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.person[:], b.person[:]) })
	return r.write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		live := map[id.ID[id.Any]]bool{}
		var lock, add db.Pipeline
		for _, v := range rows {
			lock.Query(db.Each(func(r db.Rows) error {
				var p id.ID[id.Any]
				err := r.Scan(&p)
				live[p] = true
				return err
			}), `UPDATE person_key SET uses = uses WHERE tenant_id = $1 AND person_id = $2 AND generation = 1 AND destroyed_at IS NULL
RETURNING person_id`, tenant, v.person)
		}
		if err := tx.Send(ctx, &lock); err != nil {
			return err
		}
		now := r.clock.Now().UnixMicro()
		for _, v := range rows {
			if live[v.person] {
				add.Exec(insertPersonKey, tenant, v.id, v.person, v.generation, int(v.alg), v.wrapped, v.uses, now)
			}
		}
		return tx.Send(ctx, &add)
	})
}

// wrapAll brings every tenant's keys and the seed from one root key to another.
func (r *Ring) wrapAll(ctx context.Context, from, to *root) error {
	return r.writeAll(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := underRoot(ctx, tx, from); errors.Is(err, errOtherRoot) {
			return ErrRotating.Because("the root key was replaced meanwhile")
		} else if err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE root_check SET fingerprint = $2, seed = $3 WHERE tenant_id = $1 AND id = $1`,
			id.ID[auth.Tenant]{}, to.print(), to.sealSeed(r.seed))
		if err != nil {
			return err
		}
		type owned struct {
			row
			tenant id.ID[auth.Tenant]
		}
		rows, err := tx.Query(ctx, `SELECT tenant_id, id, kind, algorithm, wrapped FROM tenant_key ORDER BY tenant_id, id -- global: the root key is over all tenants`)
		all, err := db.Collect(rows, err, func(r db.Rows, v *owned) error {
			var alg int
			err := r.Scan(&v.tenant, &v.id, &v.kind, &alg, &v.wrapped)
			v.alg = Algorithm(alg)
			return err
		})
		if err != nil {
			return err
		}
		for _, v := range all {
			raw, err := from.open(v.tenant, v.row)
			if err != nil {
				return err
			}
			wrapped := to.wraps[v.alg].seal(wrapAAD(v.tenant, v.kind, id.ID[id.Any]{}, v.id), raw)
			if _, err := tx.Exec(ctx, `UPDATE tenant_key SET wrapped = $3 WHERE tenant_id = $1 AND id = $2`, v.tenant, v.id, wrapped); err != nil {
				return err
			}
		}
		return nil
	})
}
