package crypt

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// EnsurePersons is EnsurePerson for many new persons at once, a transaction for each
// 200: for whoever loads a whole hospital. Persons with a key keep it.
func (r *Ring) EnsurePersons(ctx context.Context, tenant id.ID[auth.Tenant], persons []id.ID[id.Any]) error {
	n := min(personBlock, r.limit)
	for len(persons) > 0 {
		some := persons[:min(len(persons), warmBatch)]
		persons = persons[len(some):]
		rows := make([]row, 0, len(some))
		for _, p := range some {
			w, err := r.tenantKey(ctx, tenant, kindWrap)
			if err != nil {
				return err
			}
			k, err := newKey(r.clock.Now(), r.alg, 1)
			if err != nil {
				return err
			}
			rows = append(rows, row{
				id: k.id, person: p, generation: 1, alg: k.alg, uses: n,
				wrapped: w.seal(wrapAAD(tenant, kindPerson, p, k.id), k.raw),
			})
		}
		if err := r.addPersonKeys(ctx, tenant, rows); err != nil {
			return err
		}
		sets, err := r.loadPersons(ctx, tenant, some)
		if err != nil {
			return err
		}
		for _, v := range rows {
			if k := sets[v.person].find(v.id); k != nil { // ours, not an older one
				k.grant(n)
			}
		}
	}
	return nil
}

func (r *Ring) addPersonKeys(ctx context.Context, tenant id.ID[auth.Tenant], rows []row) error {
	return r.write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		for _, v := range rows {
			if _, err := tx.Exec(ctx, insertPersonKey, tenant, v.id, v.person, v.generation, int(v.alg), v.wrapped, v.uses, r.clock.Now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}
