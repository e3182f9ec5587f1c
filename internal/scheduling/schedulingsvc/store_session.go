package schedulingsvc

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// aroundMax bounds how many sessions of the same departments and days are read beside
// those that were asked for.
const aroundMax = 1000

// sessionsAround reads at most maxAsked sessions that are asked for and the others of
// their departments and days. What there is not is left out.
func (s store) sessionsAround(ctx context.Context, t scheduling.TenantID, asks []sessionAsk) (out []*session, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = nil
		wanted, err := askedSchedules(ctx, tx, asks)
		if err != nil || len(wanted) == 0 {
			return err
		}
		list, args := asked(t, wanted)
		rows, err := tx.Query(ctx, `SELECT `+scheduleColumns+` FROM schedule
			WHERE tenant_id = $1 AND (department_id, day) IN (SELECT s.department_id, s.day FROM schedule s WHERE s.tenant_id = $1 AND s.id IN (`+list+`))
			ORDER BY id IN (`+list+`) DESC LIMIT `+strconv.Itoa(maxAsked+aroundMax), args...)
		if out, err = db.Collect(rows, err, func(r db.Rows, v **session) error {
			*v = &session{}
			return scanSchedule(r, &(*v).scheduleRow)
		}); err != nil {
			return err
		}
		return slotsOf(ctx, tx, out)
	})
	return out, err
}

// askedSchedules are the ids of the sessions that are asked for, each once; a slot that is
// not for sale has none.
func askedSchedules(ctx context.Context, tx db.Tx, asks []sessionAsk) ([]scheduleID, error) {
	seen := map[scheduleID]bool{}
	var slots []scheduleID
	for _, a := range asks {
		if a.schedule.IsZero() {
			slots = append(slots, scheduleID(a.slot))
		} else {
			seen[a.schedule] = true
		}
	}
	if len(slots) > 0 {
		list, args := asked(tx.Tenant(), slots)
		rows, err := tx.Query(ctx, `SELECT DISTINCT schedule_id FROM slot WHERE tenant_id = $1 AND id IN (`+list+`) AND capacity > 0`, args...)
		found, err := db.Collect(rows, err, func(r db.Rows, v *scheduleID) error { return r.Scan(v) })
		if err != nil {
			return nil, err
		}
		for _, v := range found {
			seen[v] = true
		}
	}
	return slices.Collect(maps.Keys(seen)), nil
}

// slotsOf reads the slots of sessions into them.
func slotsOf(ctx context.Context, tx db.Tx, of []*session) error {
	bySchedule := make(map[scheduleID]*session, len(of))
	for _, v := range of {
		bySchedule[v.ID] = v
	}
	for some := range slices.Chunk(slices.Collect(maps.Keys(bySchedule)), maxAsked) {
		list, args := asked(tx.Tenant(), some)
		rows, err := tx.Query(ctx, `SELECT `+slotColumns+` FROM slot WHERE tenant_id = $1 AND schedule_id IN (`+list+`) AND capacity > 0 ORDER BY schedule_id, starts_at`, args...)
		found, err := db.Collect(rows, err, func(r db.Rows, v *scheduling.Slot) error { return scanSlot(r, v) })
		if err != nil {
			return err
		}
		for _, l := range found {
			v := bySchedule[l.Schedule]
			v.slots = append(v.slots, l)
		}
	}
	return nil
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
func (s store) mark(ctx context.Context, k scheduleKey) (*mark, error) {
	var out *mark
	err := s.db.Read(ctx, k.tenant, func(ctx context.Context, tx db.Tx) error {
		out = &mark{sold: true, full: map[id.ID[scheduling.Slot]]bool{}, tails: map[tail]bool{}}
		rows, err := tx.Query(ctx, `SELECT id, starts_at, taken = full_mask, holders FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND capacity > 0`, k.tenant, k.schedule)
		_, err = db.Collect(rows, err, func(r db.Rows, _ *struct{}) error {
			var slot id.ID[scheduling.Slot]
			var starts int64
			var full bool
			var by holders
			if err := r.Scan(&slot, &starts, &full, (*[]byte)(&by)); err != nil {
				return err
			}
			by.into(out.tails)
			if full {
				out.full[slot] = true
			} else if starts > tx.Now().UnixMicro() {
				out.sold = false
			}
			return nil
		})
		return err
	})
	return out, err
}
