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

// sellAlone is the way of the product before requests were combined: one transaction for
// each, under the lock of its session.
func (s store) sellAlone(ctx context.Context, t scheduling.TenantID, h *holding) (batch.Result[sold], error) {
	out, err := s.sell(ctx, t, []*holding{h})
	if err != nil {
		return batch.Result[sold]{}, err
	}
	return out[0], nil
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
			if err := writeGiven(ctx, tx, []*bid{b}); err != nil {
				return err
			}
		}
		if b.state != bidSold {
			if _, err := explain(ctx, tx, v); err != nil {
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

// refusedBy decides what is read beside the seat: the person's past and other visits.
func refusedBy(v *sale, b *bid) error {
	if err := suspended(b.h.Rules, v.past[b.h.Request.Patient], clock.DateOf(v.now)); err != nil {
		return err
	}
	return bookingrules.CheckCaps(b.h.Rules.Caps, b.h.Session.Date, v.days[b.h.Request.Patient])
}

// readPerson adds the person's turn, other visits and past to a pipeline.
func readPerson(tx db.Tx, v *sale, p *db.Pipeline) {
	_, _, _, _, people := v.asked()
	if days := v.capDays(); len(days) > 0 {
		p.Exec(`-- global: locks, no rows
			SELECT pg_advisory_xact_lock($1)`, turns(tx.Tenant(), people)[0])
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
		UPDATE slot SET taken = slot.taken | (slot.taken + 1), held = slot.held + $4, booked = slot.booked + $5, version = slot.version + 1
		FROM free WHERE slot.tenant_id = $1 AND slot.id = free.id RETURNING slot.id, ~free.taken & (free.taken + 1)`, tx.Tenant(), key, v.now.UnixMicro(), held, booked)
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
	b.state, b.err = bidRefused, noSeat(b.h)
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
	var cutoffs []int64
	var expires []*int64
	for i := range t.slots {
		probe := bid{h: b.h, tray: &tray{slot: &t.slots[i]}, bit: 1}
		row := probe.appointment(t, v.now)
		slots, cutoffs = append(slots, row.Slot), append(cutoffs, row.CancelBefore.UnixMicro())
		expires = append(expires, nil)
		if !row.HoldExpiresAt.IsZero() {
			at := row.HoldExpiresAt.UnixMicro()
			expires[i] = &at
		}
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
		took AS (UPDATE slot SET taken = slot.taken | (slot.taken + 1), held = slot.held + $4, booked = slot.booked + $5, version = slot.version + 1
			FROM free WHERE slot.tenant_id = $1 AND slot.id = free.id RETURNING slot.id, slot.first, ~free.taken & (free.taken + 1) AS bit),
		made AS (INSERT INTO appointment (tenant_id, id, account_id, patient_id, schedule_id, slot_id, scope, fee_fen, hold_expires_at, cancel_before,
				version, created_at, updated_at, day, number, any_slot, per_account, state, cancel_reason, settlement)
			SELECT $1, $6, $7, $8, $9, took.id, $10, $11, w.expires, w.cutoff, 1, $12, $12, $13, took.first + 64 - position(B'1' IN took.bit::bit(64)), $14, $15, $16, '', ''
			FROM took JOIN unnest($17::uuid[], $18::bigint[], $19::bigint[]) AS w(id, cutoff, expires) ON w.id = took.id
			ON CONFLICT DO NOTHING RETURNING id)
		SELECT took.id, took.bit, EXISTS (SELECT 1 FROM made) FROM took`,
		tx.Tenant(), key, v.now.UnixMicro(), held, booked, h.Request.ID, h.Account, h.Request.Patient, t.ID, bookingrules.Scope(rules, t.Schedule), int64(t.Fee),
		tx.Now().UnixMicro(), t.Date, h.Request.Any, rules.Per == scheduling.PerAccount, string(bookingrules.FirstState(t.Fee)), slots, cutoffs, expires)
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
				y = &tray{slot: seats[i].slot}
				trays[seats[i].slot.ID], t.trays = y, append(t.trays, y)
			}
			b.tray, b.bit, b.state = y, seats[i].bit, bidGiven
			y.count(b.bit, t.Fee == 0, 1)
			b.row = b.appointment(t, v.now)
		}
		var given []*bid
		v.each(bidGiven, func(b *bid) { given = append(given, b) })
		if err := writeGiven(ctx, tx, given); err != nil {
			return err
		}
		if _, err := explain(ctx, tx, v); err != nil {
			return err
		}
		out = v.results()
		return s.closeSale(ctx, tx, v)
	})
	return out, err
}
