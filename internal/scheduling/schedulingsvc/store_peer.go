package schedulingsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// The ways of the field on PostgreSQL. They write the product's rows through the
// product's statements; what differs is how the seat is found and how many requests
// share a transaction.

// errPeerRefused rolls a transaction back whose result is decided.
var errPeerRefused = errors.New("scheduling: refused")

// sellAlone is the way of the field: one transaction for each request, under the row lock
// of its session.
func (s store) sellAlone(ctx context.Context, t scheduling.TenantID, h *holding) (batch.Result[sold], error) {
	return s.sellBy(ctx, t, h, takeUnderLock)
}

// taking finds a seat for the bid in one round trip and puts it into its tray; written
// tells that the appointment is there too.
type taking func(ctx context.Context, tx db.Tx, v *sale, b *bid) (written bool, err error)

// sellConditionally takes the seat by one conditional update of its slot: who comes
// second waits for that row, and no session is locked.
func (s store) sellConditionally(ctx context.Context, t scheduling.TenantID, h *holding) (batch.Result[sold], error) {
	return s.sellBy(ctx, t, h, takeConditionally)
}

// sellInOne takes the seat and writes the appointment in one statement.
func (s store) sellInOne(ctx context.Context, t scheduling.TenantID, h *holding) (batch.Result[sold], error) {
	return s.sellBy(ctx, t, h, takeInOne)
}

func (s store) sellBy(ctx context.Context, t scheduling.TenantID, h *holding, take taking) (out batch.Result[sold], err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v := newSale([]*holding{h})
		v.now = tx.Now()
		v.tills[h.Session.ID] = &till{session: h.Session}
		b := v.bids[0]
		written, err := take(ctx, tx, v, b)
		if err != nil {
			return err
		}
		if err := refusedBy(v, b); err != nil {
			b.state, b.err = bidRefused, err
		}
		switch {
		case b.state == bidGiven && written:
			b.state = bidSold
		case b.state == bidGiven:
			if err := insertGiven(ctx, tx, v); err != nil {
				return err
			}
		}
		if b.state != bidSold {
			if err := explain(ctx, tx, v); err != nil {
				return err
			}
			out = v.results()[0]
			return errPeerRefused
		}
		s.changed(ctx, tx, h.Session.ID)
		out = v.results()[0]
		return s.closeSale(ctx, tx, v)
	})
	if errors.Is(err, errPeerRefused) {
		err = nil
	}
	return out, err
}

// insertGiven writes the appointments of bids that have a seat; a constraint may drop some.
func insertGiven(ctx context.Context, tx db.Tx, v *sale) error {
	given := v.all(bidGiven)
	if len(given) == 0 {
		return nil
	}
	text, args := insertText(tx, given)
	rows, err := tx.Query(ctx, text+` ON CONFLICT DO NOTHING RETURNING id`, args...)
	made := make(map[id.ID[scheduling.Appointment]]bool, len(given))
	_, err = db.Collect(rows, err, func(r db.Rows, a *id.ID[scheduling.Appointment]) error {
		err := r.Scan(a)
		made[*a] = true
		return err
	})
	for _, b := range given {
		if made[b.h.Request.ID] {
			b.state = bidSold
		}
	}
	return err
}

// explain finds out why bids were not written or refused, and takes their seats back.
func explain(ctx context.Context, tx db.Tx, v *sale) error {
	open := append(v.all(bidGiven), v.all(bidRefused)...)
	if len(open) == 0 {
		return nil
	}
	p := &db.Pipeline{}
	again := readRivals(tx, p, v, open, nil)
	if err := tx.Send(ctx, p); err != nil {
		return err
	}
	if err := again(ctx); err != nil {
		return err
	}
	for _, b := range open {
		dropped := b.state == bidGiven
		if !v.hindered(b) && dropped { // its rival is gone
			b.refuse(batch.ErrAgain)
		}
		if dropped {
			v.takeBack(b)
		}
	}
	return nil
}

// refusedBy decides what is read beside the seat: the person's past and other visits.
func refusedBy(v *sale, b *bid) error {
	if err := bookingrules.CheckPast(b.h.Rules, v.past[b.h.Request.Patient], clock.DateOf(v.now)); err != nil {
		return err
	}
	return bookingrules.CheckCaps(b.h.Rules.Caps, b.h.Session.Date, v.days[b.h.Request.Patient])
}

// readPerson adds the person's turn, other visits and past to a pipeline.
func readPerson(tx db.Tx, v *sale, p *db.Pipeline) {
	_, _, _, _, people := v.asked()
	if days := v.capDays(); len(days) > 0 {
		lockPeople(tx, p, people)
		p.Query(db.Each(func(r db.Rows) error {
			var d clock.Date
			err := r.Scan(&d)
			v.days[people[0]] = append(v.days[people[0]], d)
			return err
		}), `SELECT day FROM appointment WHERE tenant_id = $1 AND day = ANY($2::int[]) AND patient_id = $3 AND state <> 'cancelled'`, tx.Tenant(), int32s(days), people[0])
	}
	if v.asksPast() {
		p.Query(db.Each(func(r db.Rows) error { return v.incident(r) }),
			`SELECT patient_id, kind, day, on_day FROM incident WHERE tenant_id = $1 AND patient_id = $2 AND day >= $3`,
			tx.Tenant(), people[0], clock.DateOf(v.now).Add(-pastDays))
	}
}

// give puts a slot's seat into a bid.
func (b *bid) give(t *till, slot id.ID[scheduling.Slot], bit int64, v *sale) {
	b.tray, b.bit, b.state = &tray{slot: t.slot(slot)}, bit, bidGiven
	b.row = b.appointment(t, v.now)
}

// counted are how many seats of each kind one hold of the session takes.
func counted(t *till) (held, booked int) {
	if t.Fee == 0 {
		return 0, 1
	}
	return 1, 0
}

// takeUnderLock locks the session's row and reads the seats of the slot, or of any slot,
// behind the lock.
func takeUnderLock(ctx context.Context, tx db.Tx, v *sale, b *bid) (bool, error) {
	p := &db.Pipeline{}
	readPerson(tx, v, p)
	h, t, seats := b.h, v.tills[b.h.Session.ID], seatsRead{}
	p.Query(db.Each(func(r db.Rows) error { return r.Scan(&t.stopped, db.Instant(&t.released)) }),
		`SELECT stopped, released_at FROM schedule WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE`, tx.Tenant(), t.ID)
	if h.Request.Any {
		p.Query(seats.each, `SELECT id, taken, holders FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND taken <> full_mask AND starts_at > $3 ORDER BY starts_at LIMIT 1`,
			tx.Tenant(), t.ID, v.now.UnixMicro())
	} else {
		p.Query(seats.each, `SELECT id, taken, holders FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), h.Request.Slot)
	}
	if err := tx.Send(ctx, p); err != nil {
		return false, err
	}
	for slot, y := range seats {
		if y.slot = t.slot(slot); y.slot != nil {
			t.trays = append(t.trays, &y)
		}
	}
	if err := v.give(b); err != nil {
		b.refuse(err)
		return false, nil
	}
	b.state = bidGiven
	return false, nil
}

// freeSlotText picks and locks the slot that the request wants, while it has a seat. Of
// any it is the earliest that nobody else is taking a seat of at this moment.
func freeSlotText(h *holding) (text string, key any) {
	const columns = `SELECT s.id, s.taken FROM slot s WHERE s.tenant_id = $1 AND s.taken <> s.full_mask
		AND EXISTS (SELECT 1 FROM schedule c WHERE c.tenant_id = $1 AND c.id = s.schedule_id AND NOT c.stopped)`
	if h.Request.Any {
		return columns + ` AND s.schedule_id = $2 AND s.starts_at > $3 ORDER BY s.starts_at LIMIT 1 FOR NO KEY UPDATE OF s`, h.Request.Schedule
	}
	return columns + ` AND s.id = $2 AND s.starts_at > $3 FOR NO KEY UPDATE OF s`, h.Request.Slot
}

// holderText puts a tail into the holders of the seat that is taken.
func holderText(arg string) string {
	return `overlay(slot.holders PLACING ` + arg + `::bytea FROM 2 * (64 - position(B'1' IN (~free.taken & (free.taken + 1))::bit(64))) + 1)`
}

func tailBytes(b *bid) []byte {
	t := bookingrules.TailOf(b.h.Request.ID)
	return t[:]
}

func takeConditionally(ctx context.Context, tx db.Tx, v *sale, b *bid) (bool, error) {
	p := &db.Pipeline{}
	readPerson(tx, v, p)
	t := v.tills[b.h.Session.ID]
	text, key := freeSlotText(b.h)
	held, booked := counted(t)
	p.Query(db.Each(func(r db.Rows) error {
		var slot id.ID[scheduling.Slot]
		var bit int64
		if err := r.Scan(&slot, &bit); err != nil {
			return err
		}
		b.give(t, slot, bit, v)
		return nil
	}), `WITH free AS MATERIALIZED (`+text+`)
		UPDATE slot SET taken = slot.taken | (slot.taken + 1), held = slot.held + $4, booked = slot.booked + $5, version = slot.version + 1, holders = `+holderText("$6")+`
		FROM free WHERE slot.tenant_id = $1 AND slot.id = free.id RETURNING slot.id, ~free.taken & (free.taken + 1)`, tx.Tenant(), key, v.now.UnixMicro(), held, booked, tailBytes(b))
	if err := tx.Send(ctx, p); err != nil {
		return false, err
	}
	return false, b.orNoSeat(ctx, tx)
}

// orNoSeat refuses a bid without a seat. A waiter of any may find the slot full that it
// waited for while another has seats: it tries again.
func (b *bid) orNoSeat(ctx context.Context, tx db.Tx) error {
	if b.state == bidGiven {
		return nil
	}
	b.state, b.err = bidRefused, noSeat(b.h.Request)
	if !b.h.Request.Any {
		return nil
	}
	var free bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND taken <> full_mask AND starts_at > $3)`,
		tx.Tenant(), b.h.Request.Schedule, tx.Now().UnixMicro()).Scan(&free)
	if free {
		b.err = batch.ErrAgain
	}
	return err
}

func takeInOne(ctx context.Context, tx db.Tx, v *sale, b *bid) (written bool, err error) {
	p := &db.Pipeline{}
	readPerson(tx, v, p)
	t := v.tills[b.h.Session.ID]
	text, key := freeSlotText(b.h)
	held, booked := counted(t)
	// What depends on the slot is told for each that may come: cut-off and end of the hold.
	var slots [][16]byte
	var cutoffs, ends []int64
	for i := range t.slots {
		probe := bid{h: b.h, tray: &tray{slot: &t.slots[i]}, bit: 1}
		row := probe.appointment(t, v.now)
		slots, cutoffs, ends = append(slots, row.Slot), append(cutoffs, row.CancelBefore.UnixMicro()), append(ends, row.stateAt().UnixMicro())
	}
	h, rules := b.h, b.h.Rules.Limit
	p.Query(db.Each(func(r db.Rows) error {
		var slot id.ID[scheduling.Slot]
		var bit int64
		if err := r.Scan(&slot, &bit, &written); err != nil {
			return err
		}
		b.give(t, slot, bit, v)
		return nil
	}), `WITH free AS MATERIALIZED (`+text+`),
		took AS (UPDATE slot SET taken = slot.taken | (slot.taken + 1), held = slot.held + $4, booked = slot.booked + $5, version = slot.version + 1, holders = `+holderText("$19")+`
			FROM free WHERE slot.tenant_id = $1 AND slot.id = free.id RETURNING slot.id, slot.first, ~free.taken & (free.taken + 1) AS bit),
		made AS (INSERT INTO appointment (tenant_id, id, account_id, patient_id, slot_id, fee_fen, created_at, state_at, cancel_before, scope, day, number, version,
				any_slot, per_account, state, cancel_reason, settlement)
			SELECT $1, $6, $7, $8, took.id, $10, $11, w.ends, w.cutoff, $9, $12, took.first + 64 - position(B'1' IN took.bit::bit(64)), 1, $13, $14, $15, '', ''
			FROM took JOIN unnest($16::uuid[], $17::bigint[], $18::bigint[]) AS w(id, cutoff, ends) ON w.id = took.id
			ON CONFLICT DO NOTHING RETURNING id)
		SELECT took.id, took.bit, EXISTS (SELECT 1 FROM made) FROM took`,
		tx.Tenant(), key, v.now.UnixMicro(), held, booked, h.Request.ID, h.Account, h.Request.Patient, bookingrules.Scope(rules, t.Schedule), int64(t.Fee),
		tx.Now().UnixMicro(), t.Date, h.Request.Any, rules.Per == scheduling.PerAccount, string(bookingrules.FirstState(t.Fee)), slots, cutoffs, ends, tailBytes(b))
	if err := tx.Send(ctx, p); err != nil {
		return false, err
	}
	return written, b.orNoSeat(ctx, tx)
}

// takenSeat is a seat that Redis gave.
type takenSeat struct {
	h    *holding
	slot *scheduling.Slot
	bit  int64
}

// writeTaken writes the rows of seats that are decided already, in one transaction,
// without a lock.
func (s store) writeTaken(ctx context.Context, t scheduling.TenantID, seats []takenSeat) (out []batch.Result[sold], err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		hs := make([]*holding, len(seats))
		for i := range seats {
			hs[i] = seats[i].h
		}
		v := newSale(hs)
		v.now = tx.Now()
		trays := map[id.ID[scheduling.Slot]]*tray{}
		for i, b := range v.bids {
			t := v.tills[b.h.Session.ID]
			if t == nil {
				t = &till{session: b.h.Session}
				v.tills[b.h.Session.ID] = t
			}
			y := trays[seats[i].slot.ID]
			if y == nil {
				y = &tray{slot: seats[i].slot, holders: bookingrules.NoHolders(seats[i].slot.Capacity)}
				trays[seats[i].slot.ID], t.trays = y, append(t.trays, y)
			}
			b.tray, b.bit, b.state = y, seats[i].bit, bidGiven
			y.count(b.bit, t.Fee == 0, 1)
			y.holders = y.holders.With(bookingrules.SeatOf(b.bit), b.h.Request.ID)
			b.row = b.appointment(t, v.now)
		}
		if err := insertGiven(ctx, tx, v); err != nil {
			return err
		}
		if err := explain(ctx, tx, v); err != nil {
			return err
		}
		out = v.results()
		return s.closeSale(ctx, tx, v)
	})
	return out, err
}
