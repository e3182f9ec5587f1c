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

// slotsMax bounds the slots of a session: a day has as many minutes.
const slotsMax = 24 * 60

// aroundMax bounds how many sessions of the same departments and days are read beside
// those that were asked for.
const aroundMax = 1000

// sessionsAround reads at most maxAsked sessions that are asked for and the others of
// their departments and days, in one round trip. What there is not is left out.
func (s store) sessionsAround(ctx context.Context, t scheduling.TenantID, asks []sessionAsk) (out []*session, err error) {
	wanted, args := wantedText(s.db.Engine(), t, asks)
	around := `SELECT ` + scheduleColumns + ` FROM schedule
		WHERE tenant_id = $1 AND (department_id, day) IN (SELECT a.department_id, a.day FROM schedule a WHERE a.tenant_id = $1 AND a.id IN (` + wanted + `))`
	slots := `CROSS JOIN slot l WHERE l.tenant_id = $1 AND l.schedule_id = a.id AND l.capacity > 0` // CROSS: SQLite would begin with all slots
	// PostgreSQL would look at all of the tenant's rows where it takes the tables for empty: see db.OneByOne.
	if s.db.Engine() == db.Postgres {
		around = `SELECT x.* FROM (SELECT DISTINCT a.department_id, a.day FROM (` + wanted + `) AS k(id) CROSS JOIN LATERAL (
				SELECT department_id, day FROM schedule WHERE tenant_id = $1 AND id = k.id LIMIT 1) AS a) AS p
			CROSS JOIN LATERAL (SELECT ` + scheduleColumns + ` FROM schedule WHERE tenant_id = $1 AND department_id = p.department_id AND day = p.day LIMIT ` + strconv.Itoa(maxAsked+aroundMax) + `) AS x`
		slots = `CROSS JOIN LATERAL (SELECT * FROM slot WHERE tenant_id = $1 AND schedule_id = a.id AND capacity > 0 LIMIT ` + strconv.Itoa(slotsMax) + `) AS l`
	}
	text := `WITH around AS MATERIALIZED (` + around + ` ORDER BY id IN (` + wanted + `) DESC LIMIT ` + strconv.Itoa(maxAsked+aroundMax) + `)
		SELECT a.*, l.id, l.schedule_id, l.starts_at, l.ends_at, l.first, l.capacity, l.held, l.booked FROM around a ` + slots + ` ORDER BY a.id, l.starts_at`
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
func wantedText(e db.Engine, t scheduling.TenantID, asks []sessionAsk) (text string, args []any) {
	var schedules, slots []any
	for _, a := range asks {
		if a.schedule.IsZero() {
			slots = append(slots, a.slot)
		} else {
			schedules = append(schedules, a.schedule)
		}
	}
	args = []any{t}
	var parts []string
	find := func(ids []any, query string) {
		if len(ids) == 0 {
			return
		}
		var list string
		list, args = db.Few(args, ids)
		parts = append(parts, db.OneByOne(e, list, "uuid", 1, func(match string) string { return query + ` AND w.id ` + match }))
	}
	find(schedules, `SELECT w.id FROM schedule w WHERE w.tenant_id = $1`)
	find(slots, `SELECT w.schedule_id FROM slot w WHERE w.tenant_id = $1 AND w.capacity > 0`)
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
