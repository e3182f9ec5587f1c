package schedulingsvc

import (
	"context"
	"strconv"
	"strings"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/soldout"
)

// aroundMax bounds how many sessions of the same departments and days are read beside
// those that were asked for.
const aroundMax = 1000

// sessionsAround reads at most maxAsked sessions that are asked for and the others of
// their departments and days, in one round trip. What there is not is left out.
func (s store) sessionsAround(ctx context.Context, t scheduling.TenantID, asks []sessionAsk) (out []*session, err error) {
	wanted, args := wantedText(t, asks)
	text := `WITH around AS MATERIALIZED (SELECT ` + scheduleColumns + ` FROM schedule
			WHERE tenant_id = $1 AND (department_id, day) IN (SELECT a.department_id, a.day FROM schedule a WHERE a.tenant_id = $1 AND a.id IN (` + wanted + `))
			ORDER BY id IN (` + wanted + `) DESC LIMIT ` + strconv.Itoa(maxAsked+aroundMax) + `)
		SELECT a.*, l.id, l.schedule_id, l.starts_at, l.ends_at, l.first, l.capacity, l.held, l.booked
		FROM around a CROSS JOIN slot l WHERE l.tenant_id = $1 AND l.schedule_id = a.id AND l.capacity > 0 ORDER BY a.id, l.starts_at` // CROSS: SQLite would begin with all slots
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, text, args...)
		_, err = db.Collect(rows, err, func(r db.Rows, _ *struct{}) error {
			v, l := &session{}, scheduling.Slot{}
			var held, booked int
			err := scanSchedule(r, &v.scheduleRow, &l.ID, &l.Schedule, db.Instant(&l.StartsAt), db.Instant(&l.EndsAt), &l.First, &l.Capacity, &held, &booked)
			if len(out) == 0 || out[len(out)-1].ID != v.ID {
				out = append(out, v)
			}
			v = out[len(out)-1]
			v.slots = append(v.slots, l)
			return err
		})
		return err
	})
	return out, err
}

// wantedText selects the ids of the sessions that are asked for by their own id or by one
// of their slots; a slot that is not for sale has none. Its lists have few lengths.
func wantedText(t scheduling.TenantID, asks []sessionAsk) (text string, args []any) {
	var schedules, slots []any
	for _, a := range asks {
		if a.schedule.IsZero() {
			slots = append(slots, a.slot)
		} else {
			schedules = append(schedules, a.schedule)
		}
	}
	args = []any{t}
	list := func(ids []any) (text string) {
		text, args = db.Few(args, ids)
		return text
	}
	var parts []string
	if len(schedules) > 0 {
		parts = append(parts, `SELECT w.id FROM schedule w WHERE w.tenant_id = $1 AND w.id IN (`+list(schedules)+`)`)
	}
	if len(slots) > 0 {
		parts = append(parts, `SELECT w.schedule_id FROM slot w WHERE w.tenant_id = $1 AND w.id IN (`+list(slots)+`) AND w.capacity > 0`)
	}
	return strings.Join(parts, ` UNION ALL `), args
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

// mark reads what a sold-out session answers with: its full slots and who has their seats.
func (s store) mark(ctx context.Context, k soldout.Key) (*soldout.Mark, error) {
	var out *soldout.Mark
	err := s.db.Read(ctx, k.Tenant, func(ctx context.Context, tx db.Tx) error {
		out = &soldout.Mark{Sold: true, Full: map[id.ID[scheduling.Slot]]bool{}, Tails: map[bookingrules.Tail]bool{}}
		rows, err := tx.Query(ctx, `SELECT id, starts_at, taken = full_mask, holders FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND capacity > 0`, k.Tenant, k.Schedule)
		_, err = db.Collect(rows, err, func(r db.Rows, _ *struct{}) error {
			var slot id.ID[scheduling.Slot]
			var starts int64
			var full bool
			var by bookingrules.Holders
			if err := r.Scan(&slot, &starts, &full, (*[]byte)(&by)); err != nil {
				return err
			}
			by.Into(out.Tails)
			if full {
				out.Full[slot] = true
			} else if starts > tx.Now().UnixMicro() {
				out.Sold = false
			}
			return nil
		})
		return err
	})
	return out, err
}
