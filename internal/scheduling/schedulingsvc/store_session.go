package schedulingsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// scheduleOf is the session of a slot that is for sale; zero when there is none.
func (s store) scheduleOf(ctx context.Context, t scheduling.TenantID, slot id.ID[scheduling.Slot]) (out id.ID[scheduling.Schedule], err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, `SELECT schedule_id FROM slot WHERE tenant_id = $1 AND id = $2 AND capacity > 0`, t, slot).Scan(&out)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	return out, err
}

// session reads a session with its slots; nil when there is none.
func (s store) session(ctx context.Context, t scheduling.TenantID, schedule id.ID[scheduling.Schedule]) (v *session, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, err = sessionIn(ctx, tx, schedule)
		if errors.Is(err, scheduling.ErrNotFound) {
			v, err = nil, nil
		}
		return err
	})
	return v, err
}

func sessionIn(ctx context.Context, tx db.Tx, schedule id.ID[scheduling.Schedule]) (*session, error) {
	row, err := scheduleIn(ctx, tx, schedule)
	if err != nil {
		return nil, err
	}
	slots, err := slotsIn(ctx, tx, schedule)
	if err != nil {
		return nil, err
	}
	return &session{scheduleRow: row, slots: slots}, nil
}

// mark reads what a sold-out session answers with: its full slots, then the keys of its
// appointments. In this order each seat that was seen as taken has its key, or came free
// in between, and that clears the mark.
func (s store) mark(ctx context.Context, k scheduleKey) (*mark, error) {
	var out *mark
	err := s.db.Read(ctx, k.tenant, func(ctx context.Context, tx db.Tx) error {
		out = &mark{sold: true, full: map[id.ID[scheduling.Slot]]bool{}, keys: map[id.ID[scheduling.Appointment]]bool{}}
		p := &db.Pipeline{}
		p.Query(db.Each(func(r db.Rows) error {
			var slot id.ID[scheduling.Slot]
			var starts int64
			var full bool
			if err := r.Scan(&slot, &starts, &full); err != nil {
				return err
			}
			if full {
				out.full[slot] = true
			} else if starts > tx.Now().UnixMicro() {
				out.sold = false
			}
			return nil
		}), `SELECT id, starts_at, taken = full_mask FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND capacity > 0`, k.tenant, k.schedule)
		p.Query(db.Each(func(r db.Rows) error {
			var a id.ID[scheduling.Appointment]
			err := r.Scan(&a)
			out.keys[a] = true
			return err
		}), `SELECT id FROM appointment WHERE tenant_id = $1 AND schedule_id = $2 AND state <> 'cancelled'`, k.tenant, k.schedule)
		return tx.Send(ctx, p)
	})
	return out, err
}
