package schedulingsvc

import (
	"bytes"
	"context"
	"slices"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// readSalePG reads a sale in one round trip. Persons under a cap take turns first; then
// the sessions are locked; only then it is read what they have and what stands in the way
// of the requests.
//
// Lists of keys are looked up one by one (LATERAL with LIMIT). On the first morning the
// statistics say that the tables are empty, and a list against such a table is planned as
// a look at all of the tenant's rows, with the list as a filter: at 18,000 bookings one
// such look took 70 ms, and it stays planned that way until somebody analyses.
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
	}), `SELECT x.id, x.version, x.stopped, x.released_at FROM unnest($2::uuid[]) AS k(id) CROSS JOIN LATERAL (
			SELECT id, version, stopped, released_at FROM schedule WHERE tenant_id = $1 AND id = k.id LIMIT 1) AS x`, tx.Tenant(), id.Bytes(schedules))
	if len(named) > 0 {
		p.Query(seats.each, `SELECT x.id, x.taken, x.holders FROM unnest($2::uuid[]) AS k(id) CROSS JOIN LATERAL (
			SELECT id, taken, holders FROM slot WHERE tenant_id = $1 AND id = k.id LIMIT 1) AS x`, tx.Tenant(), id.Bytes(named))
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
	again := readRivals(tx, p, v, v.all(bidOpen), days)
	if v.asksPast() {
		p.Query(db.Each(func(r db.Rows) error { return v.incident(r) }),
			`SELECT x.patient_id, x.kind, x.day, x.on_day FROM unnest($2::uuid[]) AS k(person) CROSS JOIN LATERAL (
				SELECT patient_id, kind, day, on_day FROM incident WHERE tenant_id = $1 AND patient_id = k.person AND day >= $3 LIMIT 1000) AS x`,
			tx.Tenant(), id.Bytes(people), clock.DateOf(v.now).Add(-pastDays))
	}
	if err := tx.Send(ctx, p); err != nil {
		return err
	}
	return again(ctx)
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

// readRivals adds the look for what stands in the way of bids: appointments under their
// keys, what the persons have on the days (by the caps more than those of the bids), and
// by the rules what the accounts have. again reads the appointments of keys that were
// found, which is rare, when the pipeline was sent.
func readRivals(tx db.Tx, p *db.Pipeline, v *sale, open []*bid, capped []clock.Date) (again func(ctx context.Context) error) {
	ids, people, accounts := make([][16]byte, 0, len(open)), make([][16]byte, 0, len(open)), [][16]byte{}
	days := slices.Clone(capped)
	for _, b := range open {
		ids, people, days = append(ids, b.h.Request.ID), append(people, b.h.Request.Patient), append(days, b.h.Session.Date)
		if b.h.Rules.Limit.Per == scheduling.PerAccount {
			accounts = append(accounts, b.h.Account)
		}
	}
	slices.Sort(days)
	days = slices.Compact(days)
	slices.SortFunc(people, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	people = slices.Compact(people) // else what somebody has would count for each of the own bids
	var found [][16]byte
	p.Query(db.Each(func(r db.Rows) error {
		var a id.ID[scheduling.Appointment]
		err := r.Scan(&a)
		found = append(found, a)
		return err
	}), `SELECT x.id FROM unnest($2::uuid[]) AS k(id) CROSS JOIN LATERAL (SELECT id FROM appointment WHERE tenant_id = $1 AND id = k.id LIMIT 1) AS x`, tx.Tenant(), ids)
	p.Query(db.Each(func(r db.Rows) error {
		var l limit
		var who scheduling.PatientID
		err := r.Scan(&who, &l.day, &l.scope)
		l.who = who
		v.limits[l] = true
		if _, in := slices.BinarySearch(capped, l.day); in {
			v.days[who] = append(v.days[who], l.day)
		}
		return err
	}), `SELECT a.patient_id, a.day, a.scope FROM unnest($2::int[]) AS d(day) CROSS JOIN unnest($3::uuid[]) AS w(person) CROSS JOIN LATERAL (
			SELECT x.patient_id, x.day, x.scope FROM appointment x WHERE x.tenant_id = $1 AND x.day = d.day AND x.patient_id = w.person AND x.state <> 'cancelled' LIMIT 100) AS a`,
		tx.Tenant(), int32s(days), people) // two lists against the table would be planned as a look at the whole day
	if len(accounts) > 0 {
		p.Query(db.Each(func(r db.Rows) error {
			l := limit{phone: true}
			var who scheduling.AccountID
			err := r.Scan(&who, &l.day, &l.scope)
			l.who = who
			v.limits[l] = true
			return err
		}), `SELECT a.account_id, a.day, a.scope FROM unnest($2::int[]) AS d(day) CROSS JOIN unnest($3::uuid[]) AS w(account) CROSS JOIN LATERAL (
				SELECT x.account_id, x.day, x.scope FROM appointment x WHERE x.tenant_id = $1 AND x.day = d.day AND x.account_id = w.account AND x.per_account
					AND x.state <> 'cancelled' LIMIT 100) AS a`,
			tx.Tenant(), int32s(days), accounts)
	}
	return func(ctx context.Context) error {
		if len(found) == 0 {
			return nil
		}
		rows, err := tx.Query(ctx, `SELECT `+appointmentColumns+appointmentTables+` WHERE a.tenant_id = $1 AND a.id = ANY($2::uuid[])`, tx.Tenant(), found)
		all, err := db.Collect(rows, err, func(r db.Rows, row *appointmentRow) error { return scanAppointment(r, row) })
		for _, row := range all {
			v.known[row.ID] = row
		}
		return err
	}
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
