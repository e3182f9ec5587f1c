package schedulingsvc

import (
	"context"
	"hash/fnv"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// readSalePG reads a sale in one round trip. Persons under a cap take turns first, so
// that two processes cannot both find room for them; then the sessions are locked in the
// order of their ids, all of them before any row is written; only then the seats are read.
func readSalePG(ctx context.Context, tx db.Tx, v *sale, seats map[id.ID[scheduling.Slot]]int64) error {
	schedules, counts, any, named, people := v.asked()
	days := v.capDays()
	p := &db.Pipeline{}
	if len(days) > 0 {
		p.Exec(`-- global: locks, no rows
			SELECT COUNT(pg_advisory_xact_lock(k)) FROM (SELECT k FROM unnest($1::bigint[]) AS k ORDER BY k) AS turns`, turns(tx.Tenant(), people))
	}
	p.Query(db.Each(func(r db.Rows) error {
		var l lockedRow
		err := r.Scan(&l.schedule, &l.version, &l.stopped, db.Instant(&l.released))
		v.locked(l)
		return err
	}), `SELECT id, version, stopped, released_at FROM schedule WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR NO KEY UPDATE`, tx.Tenant(), id.Bytes(schedules))
	seat := db.Each(func(r db.Rows) error {
		var slot id.ID[scheduling.Slot]
		var taken int64
		err := r.Scan(&slot, &taken)
		seats[slot] = taken
		return err
	})
	if len(named) > 0 {
		p.Query(seat, `SELECT id, taken FROM slot WHERE tenant_id = $1 AND id = ANY($2::uuid[])`, tx.Tenant(), id.Bytes(named))
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
		p.Query(seat, `SELECT f.id, f.taken FROM unnest($2::uuid[], $3::bigint[]) AS w(schedule, n) CROSS JOIN LATERAL (
				SELECT s.id, s.taken FROM slot s WHERE s.tenant_id = $1 AND s.schedule_id = w.schedule AND s.taken <> s.full_mask AND s.starts_at > $4
				ORDER BY s.starts_at LIMIT w.n) AS f`, tx.Tenant(), id.Bytes(wanted), seatsWanted, v.now.UnixMicro())
	}
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

// turns are the persons' lock numbers within the tenant.
func turns(t scheduling.TenantID, people []scheduling.PatientID) []int64 {
	out := make([]int64, 0, len(people))
	for _, p := range people {
		h := fnv.New64a()
		h.Write(t[:])
		h.Write(p[:])
		out = append(out, int64(h.Sum64())) //nolint:gosec // all bits count
	}
	return out
}

func int32s(days []clock.Date) []int32 {
	out := make([]int32, 0, len(days))
	for _, d := range days {
		out = append(out, int32(d))
	}
	return out
}

// insertGivenPG writes the appointments in one statement and says which it wrote.
func insertGivenPG(ctx context.Context, tx db.Tx, given []*bid) (map[id.ID[scheduling.Appointment]]bool, error) {
	n := len(given)
	var (
		ids, accounts, patients, schedules, slots = make([][16]byte, n), make([][16]byte, n), make([][16]byte, n), make([][16]byte, n), make([][16]byte, n)
		scopes, fees, cutoffs                     = make([]int64, n), make([]int64, n), make([]int64, n)
		expires                                   = make([]*int64, n)
		days, numbers                             = make([]int32, n), make([]int32, n)
		anys, phones                              = make([]bool, n), make([]bool, n)
		states                                    = make([]string, n)
	)
	for i, b := range given {
		v := &b.row
		ids[i], accounts[i], patients[i], schedules[i], slots[i] = v.ID, v.Account, v.Patient, v.Schedule, v.Slot
		scopes[i], fees[i], cutoffs[i], days[i], numbers[i] = v.Scope, int64(v.Fee), v.CancelBefore.UnixMicro(), int32(v.Date), int32(v.Seat)
		anys[i], phones[i], states[i] = v.AnySlot, v.PerAccount, string(v.State)
		if !v.HoldExpiresAt.IsZero() {
			at := v.HoldExpiresAt.UnixMicro()
			expires[i] = &at
		}
	}
	rows, err := tx.Query(ctx, `INSERT INTO appointment (tenant_id, id, account_id, patient_id, schedule_id, slot_id, scope, fee_fen, hold_expires_at, cancel_before,
			version, created_at, updated_at, day, number, any_slot, per_account, state, cancel_reason, settlement)
		SELECT $1, r.id, r.account, r.patient, r.schedule, r.slot, r.scope, r.fee, r.expires, r.cutoff, 1, $2, $2, r.day, r.number, r.any_slot, r.phone, r.state, '', ''
		FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::int[], $13::int[],
			$14::bool[], $15::bool[], $16::text[]) AS r(id, account, patient, schedule, slot, scope, fee, expires, cutoff, day, number, any_slot, phone, state)
		ON CONFLICT DO NOTHING RETURNING id`,
		tx.Tenant(), tx.Now().UnixMicro(), ids, accounts, patients, schedules, slots, scopes, fees, expires, cutoffs, days, numbers, anys, phones, states)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	made := make(map[id.ID[scheduling.Appointment]]bool, n)
	for rows.Next() {
		var a id.ID[scheduling.Appointment]
		if err := rows.Scan(&a); err != nil {
			return nil, err
		}
		made[a] = true
	}
	return made, rows.Err()
}

// rivalsPG looks for the appointments under the bids' keys, and for bids whose person (or
// phone) has its visit of the day already.
func rivalsPG(ctx context.Context, tx db.Tx, open []*bid) (known map[id.ID[scheduling.Appointment]]appointmentRow, busy map[*bid]bool, err error) {
	known, busy = map[id.ID[scheduling.Appointment]]appointmentRow{}, map[*bid]bool{}
	var ids, patients, accounts [][16]byte
	var days, nth []int32
	var scopes []int64
	var phones []bool
	for i, b := range open {
		ids, patients, accounts = append(ids, b.h.Request.ID), append(patients, b.h.Request.Patient), append(accounts, b.h.Account)
		days, nth = append(days, int32(b.h.Session.Date)), append(nth, int32(i))
		scopes = append(scopes, bookingrules.Scope(b.h.Rules.Limit, b.h.Session.Schedule))
		phones = append(phones, b.h.Rules.Limit.Per == scheduling.PerAccount)
	}
	p := &db.Pipeline{}
	p.Query(db.Each(func(r db.Rows) error {
		var v appointmentRow
		err := scanAppointment(r, &v)
		known[v.ID] = v
		return err
	}), `SELECT `+appointmentColumns+appointmentTables+` WHERE a.tenant_id = $1 AND a.id = ANY($2::uuid[])`, tx.Tenant(), ids)
	p.Query(db.Each(func(r db.Rows) error {
		var i int
		err := r.Scan(&i)
		busy[open[i]] = true
		return err
	}), `SELECT w.nth FROM unnest($2::int[], $3::int[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bool[]) AS w(nth, day, patient, account, scope, phone)
		WHERE EXISTS (SELECT 1 FROM appointment a WHERE a.tenant_id = $1 AND a.day = w.day AND a.patient_id = w.patient AND a.scope = w.scope AND a.state <> 'cancelled')
		OR w.phone AND EXISTS (SELECT 1 FROM appointment a WHERE a.tenant_id = $1 AND a.day = w.day AND a.account_id = w.account AND a.scope = w.scope AND a.per_account AND a.state <> 'cancelled')`,
		tx.Tenant(), nth, days, patients, accounts, scopes, phones)
	return known, busy, tx.Send(ctx, p)
}

// saveTraysPG counts the seats with the commit.
func saveTraysPG(tx db.Tx, v *sale) {
	var ids [][16]byte
	var bits []int64
	var held, booked []int32
	for _, t := range v.tills {
		for _, y := range t.trays {
			if y.bits != 0 {
				ids, bits, held, booked = append(ids, y.slot.ID), append(bits, y.bits), append(held, int32(y.held)), append(booked, int32(y.booked))
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	tx.Last(`UPDATE slot SET taken = slot.taken | c.bits, held = slot.held + c.held, booked = slot.booked + c.booked, version = slot.version + 1
		FROM unnest($2::uuid[], $3::bigint[], $4::int[], $5::int[]) AS c(id, bits, held, booked) WHERE slot.tenant_id = $1 AND slot.id = c.id`,
		tx.Tenant(), ids, bits, held, booked)
}
