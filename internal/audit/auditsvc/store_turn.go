package auditsvc

import (
	"context"

	"xinglin/internal/audit"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/trail"
)

// rotate writes a change of keys into the log and puts the new ones in force, in one
// transaction: false when a head was signed or the keys were changed meanwhile.
func (s store) rotate(ctx context.Context, d *db.DB, tenant audit.TenantID, st state, r rotation, act trail.Entry) (ok bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE log_state SET generation = $2 + 1 WHERE tenant_id = $1 AND generation = $2 AND beginning = $3 AND heads = $4`,
			tx.Tenant(), st.generation, st.beginning, st.heads)
		if ok = err == nil && n == 1; !ok {
			return err
		}
		if err := s.putKeys(ctx, tx, r.keys, st.generation+1, r.at); err != nil {
			return err
		}
		return s.turn(ctx, tx, audit.KindKeys, st.generation+1, r.text, act)
	})
	return ok, err
}

// beginAnew gives the log its next name: false when a head was signed or it has one
// meanwhile.
func (s store) beginAnew(ctx context.Context, d *db.DB, tenant audit.TenantID, st state, text string, act trail.Entry) (ok bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		if _, err := s.lockLog(ctx, tx); err != nil { // an empty log has no row yet
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE log_state SET beginning = $2 + 1 WHERE tenant_id = $1 AND beginning = $2 AND generation = $3 AND heads = $4`,
			tx.Tenant(), st.beginning, st.generation, st.heads)
		if ok = err == nil && n == 1; !ok {
			return err
		}
		return s.turn(ctx, tx, audit.KindBegin, st.beginning+1, text, act)
	})
	return ok, err
}

// turn puts the log's own word about its nth turn behind it, and the act into the trail.
func (s store) turn(ctx context.Context, tx db.Tx, kind string, n int, text string, act trail.Entry) error {
	size, err := s.lockLog(ctx, tx)
	if err != nil {
		return err
	}
	e := entry{size, kind, refOf(kind, n), audit.Permanent, text, tx.Now()}
	_, fresh, err := s.put(ctx, tx, e)
	if err != nil {
		return err
	}
	if !fresh {
		return audit.ErrBroken.Because("the log has this word already")
	}
	if err := s.grow(ctx, tx, size, []merkle.Node{e.leaf().Hash()}); err != nil {
		return err
	}
	_, err = trail.Record(ctx, tx, act)
	return err
}
