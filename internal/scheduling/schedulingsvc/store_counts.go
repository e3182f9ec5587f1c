package schedulingsvc

import (
	"context"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// seatCount is what the live stream shows of a schedule.
type seatCount struct {
	Schedule  id.ID[scheduling.Schedule]
	Version   int64
	Remaining int
	Slots     map[id.ID[scheduling.Slot]]int // only when the version changed
	At        time.Time
}

// counts reads the schedules whose version is above the known one, with their slots.
func (s store) counts(ctx context.Context, t scheduling.TenantID, known map[id.ID[scheduling.Schedule]]int64) (out []seatCount, err error) {
	args := []any{t}
	for k := range known {
		args = append(args, k)
	}
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, version + (SELECT COALESCE(SUM(l.version), 0) FROM slot l WHERE l.tenant_id = schedule.tenant_id AND l.schedule_id = schedule.id)
			FROM schedule WHERE tenant_id = $1 AND id IN (`+db.In(2, len(known))+`)`, args...)
		out, err = db.Collect(rows, err, func(r db.Rows, c *seatCount) error { return r.Scan(&c.Schedule, &c.Version) })
		if err != nil {
			return err
		}
		kept := out[:0]
		for _, c := range out {
			if c.Version <= known[c.Schedule] {
				continue
			}
			c.At, c.Slots = tx.Now(), map[id.ID[scheduling.Slot]]int{}
			slots, err := slotsIn(ctx, tx, c.Schedule)
			if err != nil {
				return err
			}
			for _, v := range slots {
				c.Slots[v.ID] = v.Remaining
				c.Remaining += v.Remaining
			}
			kept = append(kept, c)
		}
		out = kept
		return nil
	})
	return out, err
}
