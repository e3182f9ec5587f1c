package schedulingsvc

import (
	"context"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// readSalePG reads a sale in one round trip. Persons under a cap take turns first; then
// the sessions are locked; only then it is read what they have and what stands in the way
// of the requests.
func readSalePG(ctx context.Context, tx db.Tx, v *sale, seats seatsRead) error {
	schedules, counts, any, named, people := v.asked()
	days := v.capDays()
	p := &db.Pipeline{}
	if len(days) > 0 {
		lockPeople(tx, p, people)
	}
	lockSessions(tx, p, schedules...)
	p.Query(db.Each(func(r db.Rows) error {
		var l lockedRow
		err := r.Scan(&l.schedule, &l.version, &l.stopped, db.Instant(&l.released))
		v.locked(l)
		return err
	}), `SELECT id, version, stopped, released_at FROM schedule WHERE tenant_id = $1 AND id = ANY($2::uuid[])`, tx.Tenant(), id.Bytes(schedules))
	if len(named) > 0 {
		p.Query(seats.each, `SELECT id, taken, holders FROM slot WHERE tenant_id = $1 AND id = ANY($2::uuid[])`, tx.Tenant(), id.Bytes(named))
	}
	if len(any) > 0 {
		var wanted []id.ID[scheduling.Schedule]
		var seatsWanted []int64
		for _, c := range schedules {
			if any[c] {
				wanted, seatsWanted = append(wanted, c), append(seatsWanted, int64(counts[c]))
			}
		}
		// Each free slot has a seat at least, so as many slots as requests are enough.
		p.Query(seats.each, `SELECT f.id, f.taken, f.holders FROM unnest($2::uuid[], $3::bigint[]) AS w(schedule, n) CROSS JOIN LATERAL (
				SELECT s.id, s.taken, s.holders FROM slot s WHERE s.tenant_id = $1 AND s.schedule_id = w.schedule AND s.taken <> s.full_mask AND s.starts_at > $4
				ORDER BY s.starts_at LIMIT w.n) AS f`, tx.Tenant(), id.Bytes(wanted), seatsWanted, v.now.UnixMicro())
	}
	readRivals(tx, p, v, v.all(bidOpen))
	if len(days) > 0 {
		p.Query(db.Each(func(r db.Rows) error {
			var who scheduling.PatientID
			var d clock.Date
			err := r.Scan(&who, &d)
			v.days[who] = append(v.days[who], d)
			return err
		}), `SELECT patient_id, day FROM appointment WHERE tenant_id = $1 AND day = ANY($2::int[]) AND patient_id = ANY($3::uuid[]) AND state <> 'cancelled'`,
			tx.Tenant(), int32s(days), id.Bytes(people))
	}
	if v.asksPast() {
		p.Query(db.Each(func(r db.Rows) error { return v.incident(r) }),
			`SELECT patient_id, kind, day, on_day FROM incident WHERE tenant_id = $1 AND patient_id = ANY($2::uuid[]) AND day >= $3`,
			tx.Tenant(), id.Bytes(people), clock.DateOf(v.now).Add(-pastDays))
	}
	return tx.Send(ctx, p)
}

func int32s(days []clock.Date) []int32 {
	out := make([]int32, 0, len(days))
	for _, d := range days {
		out = append(out, int32(d))
	}
	return out
}

// insertSoldPG writes the appointments with the commit, in one statement.
func insertSoldPG(tx db.Tx, v *sale) {
	if of := v.all(bidSold); len(of) > 0 {
		text, args := insertText(tx, of)
		tx.Last(text, args...)
	}
}

// insertText writes the appointments of bids.
func insertText(tx db.Tx, of []*bid) (text string, args []any) {
	n := len(of)
	var (
		ids, accounts, patients, slots = make([][16]byte, n), make([][16]byte, n), make([][16]byte, n), make([][16]byte, n)
		fees, ends, cutoffs            = make([]int64, n), make([]int64, n), make([]int64, n)
		scopes, days, numbers          = make([]int32, n), make([]int32, n), make([]int32, n)
		anys, phones                   = make([]bool, n), make([]bool, n)
		states                         = make([]string, n)
	)
	for i, b := range of {
		v := &b.row
		ids[i], accounts[i], patients[i], slots[i] = v.ID, v.Account, v.Patient, v.Slot
		fees[i], ends[i], cutoffs[i] = int64(v.Fee), v.stateAt().UnixMicro(), v.CancelBefore.UnixMicro()
		scopes[i], days[i], numbers[i] = v.Scope, int32(v.Date), int32(v.Seat)
		anys[i], phones[i], states[i] = v.AnySlot, v.PerAccount, string(v.State)
	}
	return `INSERT INTO appointment (tenant_id, id, account_id, patient_id, slot_id, fee_fen, created_at, state_at, cancel_before, scope, day, number, version,
			any_slot, per_account, state, cancel_reason, settlement)
		SELECT $1, r.id, r.account, r.patient, r.slot, r.fee, $2, r.ends, r.cutoff, r.scope, r.day, r.number, 1, r.any_slot, r.phone, r.state, '', ''
		FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[], $10::int[], $11::int[], $12::int[],
			$13::bool[], $14::bool[], $15::text[]) AS r(id, account, patient, slot, fee, ends, cutoff, scope, day, number, any_slot, phone, state)`,
		[]any{tx.Tenant(), tx.Now().UnixMicro(), ids, accounts, patients, slots, fees, ends, cutoffs, scopes, days, numbers, anys, phones, states}
}

// readRivals looks for the appointments under the bids' keys, and for bids whose person
// (or phone) has its visit of the day already.
func readRivals(tx db.Tx, p *db.Pipeline, v *sale, open []*bid) {
	var ids, patients, accounts [][16]byte
	var days, nth, scopes []int32
	var phones []bool
	for i, b := range open {
		ids, patients, accounts = append(ids, b.h.Request.ID), append(patients, b.h.Request.Patient), append(accounts, b.h.Account)
		days, nth = append(days, int32(b.h.Session.Date)), append(nth, int32(i))
		scopes = append(scopes, bookingrules.Scope(b.h.Rules.Limit, b.h.Session.Schedule))
		phones = append(phones, b.h.Rules.Limit.Per == scheduling.PerAccount)
	}
	p.Query(db.Each(func(r db.Rows) error {
		var row appointmentRow
		err := scanAppointment(r, &row)
		v.known[row.ID] = row
		return err
	}), `SELECT `+appointmentColumns+appointmentTables+` WHERE a.tenant_id = $1 AND a.id = ANY($2::uuid[])`, tx.Tenant(), ids)
	p.Query(db.Each(func(r db.Rows) error {
		var i int
		err := r.Scan(&i)
		open[i].busy = true
		return err
	}), `SELECT w.nth FROM unnest($2::int[], $3::int[], $4::uuid[], $5::uuid[], $6::int[], $7::bool[]) AS w(nth, day, patient, account, scope, phone)
		WHERE EXISTS (SELECT 1 FROM appointment a WHERE a.tenant_id = $1 AND a.day = w.day AND a.patient_id = w.patient AND a.scope = w.scope AND a.state <> 'cancelled')
		OR w.phone AND EXISTS (SELECT 1 FROM appointment a WHERE a.tenant_id = $1 AND a.day = w.day AND a.account_id = w.account AND a.scope = w.scope AND a.per_account AND a.state <> 'cancelled')`,
		tx.Tenant(), nth, days, patients, accounts, scopes, phones)
}

// saveTraysPG counts the seats with the commit. A seat that is taken already breaks the
// check of the row, and the sale with it.
func saveTraysPG(tx db.Tx, v *sale) {
	var ids [][16]byte
	var tails [][]byte
	var bits []int64
	var held, booked []int32
	for _, t := range v.tills {
		for _, y := range t.trays {
			if y.bits != 0 {
				ids, bits, held, booked = append(ids, y.slot.ID), append(bits, y.bits), append(held, int32(y.held)), append(booked, int32(y.booked))
				tails = append(tails, y.holders)
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	tx.Last(`UPDATE slot SET taken = CASE WHEN slot.taken & c.bits = 0 THEN slot.taken | c.bits ELSE -1 END, held = slot.held + c.held, booked = slot.booked + c.booked,
			holders = c.holders, version = slot.version + 1
		FROM unnest($2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::bytea[]) AS c(id, bits, held, booked, holders) WHERE slot.tenant_id = $1 AND slot.id = c.id`,
		tx.Tenant(), ids, bits, held, booked, tails)
}
