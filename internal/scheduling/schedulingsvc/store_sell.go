package schedulingsvc

import (
	"context"
	"errors"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
)

// isNoSeat reports a refusal that a freed seat would change.
func isNoSeat(err error) bool {
	return errors.Is(err, scheduling.ErrFull) || errors.Is(err, scheduling.ErrSlotTaken)
}

// writers is how many batches may run at once: a SQLite file has one writer, and on
// PostgreSQL a third gains nothing (PERF).
func (s store) writers() int {
	if s.db.Engine() == db.SQLite {
		return 1
	}
	return 2
}

// saleRounds bounds how often seats that were taken back are offered again in one batch.
const saleRounds = 4

// sell is the work of the combiner: one transaction for the requests of one tenant. It
// locks the sessions in the order of their ids and reads their seats, decides, writes the
// appointments, looks for what stood in the way of those that were not written, and
// leaves counts, events, audit and timers to the round trip of the commit.
func (s store) sell(ctx context.Context, t scheduling.TenantID, hs []*holding) (out []batch.Result[sold], err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v := newSale(hs)
		if err := s.sellIn(ctx, tx, v); err != nil {
			return err
		}
		out = v.results()
		return nil
	})
	return out, err
}

func (s store) sellIn(ctx context.Context, tx db.Tx, v *sale) error {
	v.now = tx.Now()
	if err := s.openSale(ctx, tx, v); err != nil {
		return err
	}
	for range saleRounds {
		given := v.allot()
		if err := writeGiven(ctx, tx, given); err != nil {
			return err
		}
		back, err := explain(ctx, tx, v)
		if err != nil {
			return err
		}
		if len(back) == 0 || !v.reopen(back) {
			break
		}
	}
	return s.closeSale(ctx, tx, v)
}

// openSale locks and reads. The plan of a session that changed since it was kept is read anew.
func (s store) openSale(ctx context.Context, tx db.Tx, v *sale) error {
	seats := map[id.ID[scheduling.Slot]]int64{}
	var err error
	if tx.Engine() == db.Postgres {
		err = readSalePG(ctx, tx, v, seats)
	} else {
		err = readSaleSQLite(ctx, tx, v, seats)
	}
	if err != nil {
		return err
	}
	for schedule, t := range v.tills {
		if t.session == nil {
			if t.session, err = sessionIn(ctx, tx, schedule); err != nil {
				return err
			}
			for i := range t.slots { // what was read by the old plan may lack slots
				sl := &t.slots[i]
				var taken int64
				if err := tx.QueryRow(ctx, `SELECT taken FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), sl.ID).Scan(&taken); err != nil {
					return err
				}
				seats[sl.ID] = taken
			}
		}
		for i := range t.slots {
			if taken, ok := seats[t.slots[i].ID]; ok {
				t.trays = append(t.trays, &tray{slot: &t.slots[i], taken: taken})
			}
		}
	}
	return nil
}

// lockedRow is what is read of a session under its lock.
type lockedRow struct {
	schedule id.ID[scheduling.Schedule]
	version  int64
	stopped  bool
	released time.Time
}

func (v *sale) locked(r lockedRow) {
	t := &till{stopped: r.stopped, released: r.released}
	for _, b := range v.bids {
		if b.h.Session.ID == r.schedule && b.h.Session.Version == r.version {
			t.session = b.h.Session
			break
		}
	}
	v.tills[r.schedule] = t
}

// asked are the sessions of a sale in the order of their locks, with how many requests
// each has, the slots that were named, and the persons.
func (v *sale) asked() (schedules []id.ID[scheduling.Schedule], counts map[id.ID[scheduling.Schedule]]int, any map[id.ID[scheduling.Schedule]]bool, named []id.ID[scheduling.Slot], people []scheduling.PatientID) {
	counts, any = map[id.ID[scheduling.Schedule]]int{}, map[id.ID[scheduling.Schedule]]bool{}
	seen, met := map[id.ID[scheduling.Slot]]bool{}, map[scheduling.PatientID]bool{}
	for _, b := range v.bids {
		r, schedule := b.h.Request, b.h.Session.ID
		if counts[schedule]++; counts[schedule] == 1 {
			schedules = append(schedules, schedule)
		}
		if r.Any {
			any[schedule] = true
		} else if !seen[r.Slot] {
			seen[r.Slot] = true
			named = append(named, r.Slot)
		}
		if !met[r.Patient] {
			met[r.Patient] = true
			people = append(people, r.Patient)
		}
	}
	slices.SortFunc(schedules, func(a, b id.ID[scheduling.Schedule]) int { return slices.Compare(a[:], b[:]) })
	slices.SortFunc(people, func(a, b scheduling.PatientID) int { return slices.Compare(a[:], b[:]) })
	return schedules, counts, any, named, people
}

// capDays are the days whose visits the caps count for the requests of a sale.
func (v *sale) capDays() (days []clock.Date) {
	for _, b := range v.bids {
		reach := 0
		for _, c := range b.h.Rules.Caps {
			reach = max(reach, c.Days)
		}
		for n := 1 - reach; n < reach; n++ {
			days = append(days, b.h.Session.Date.Add(n))
		}
	}
	slices.Sort(days)
	return slices.Compact(days)
}

// incident adds a row of a person's past.
func (v *sale) incident(r db.Rows) error {
	var who scheduling.PatientID
	var one incidents
	if err := one.scan(r, &who); err != nil {
		return err
	}
	past := v.past[who]
	past.missed = append(past.missed, one.missed...)
	past.returned = append(past.returned, one.returned...)
	past.returnedSameDay = append(past.returnedSameDay, one.returnedSameDay...)
	v.past[who] = past
	return nil
}

// asksPast reports whether the rules ask for the person's missed and returned visits.
func (v *sale) asksPast() bool {
	r := v.bids[0].h.Rules
	return r.NoShow.Count > 0 || len(r.Returns) > 0
}

// pastDays is how far back incidents count: the longest rule has 24 months and 24 of block.
const pastDays = 1500

func writeGiven(ctx context.Context, tx db.Tx, given []*bid) error {
	if len(given) == 0 {
		return nil
	}
	insert := insertGivenSQLite
	if tx.Engine() == db.Postgres {
		insert = insertGivenPG
	}
	made, err := insert(ctx, tx, given)
	if err != nil {
		return err
	}
	for _, b := range given {
		if made[b.h.Request.ID] {
			b.state = bidSold
		}
	}
	return nil
}

// explain finds out why bids were not written or refused, the key first: the same request
// had its effect, another one under the key, or the person's day is taken. What is left of
// those that had a seat met a rival that is gone. It gives back their seats and says in
// which sessions.
func explain(ctx context.Context, tx db.Tx, v *sale) (back map[id.ID[scheduling.Schedule]]bool, err error) {
	var open []*bid
	v.each(bidGiven, func(b *bid) { open = append(open, b) })
	v.each(bidRefused, func(b *bid) { open = append(open, b) })
	if len(open) == 0 {
		return nil, nil
	}
	look := rivalsSQLite
	if tx.Engine() == db.Postgres {
		look = rivalsPG
	}
	known, busy, err := look(ctx, tx, open)
	if err != nil {
		return nil, err
	}
	back = map[id.ID[scheduling.Schedule]]bool{}
	for _, b := range open {
		dropped := b.state == bidGiven
		row, again := known[b.h.Request.ID]
		switch {
		case again && b.h.same(row):
			b.state, b.err = bidKnown, nil
		case again:
			b.state, b.err = bidRefused, scheduling.ErrKeyReused.New()
		case busy[b]:
			b.state, b.err = bidRefused, scheduling.ErrLimitReached.New()
		case dropped:
			b.state, b.err = bidRefused, batch.ErrAgain
		}
		if dropped {
			v.takeBack(b)
			back[b.h.Session.ID] = true
		}
		if again {
			b.row = row
		}
	}
	return back, nil
}

// closeSale writes what follows from the appointments that were made.
func (s store) closeSale(ctx context.Context, tx db.Tx, v *sale) error {
	var acts []trail.Part
	var told, booked []event.Event
	expiries := map[time.Time][]id.ID[scheduling.Appointment]{}
	v.each(bidSold, func(b *bid) {
		h, r := b.h, b.row
		acts = append(acts, trail.Part{ID: id.As[trail.Act](r.ID), Actor: h.Actor, Object: r.ID.String(), Policy: h.Policy, Origin: h.Origin, Trace: h.Trace, Number: r.RegNo})
		if r.State == scheduling.Booked {
			booked = append(booked, scheduling.AppointmentBooked{Visit: r.visit(), Number: r.Number})
			return
		}
		told = append(told, scheduling.AppointmentHeld{Visit: r.visit(), RegNo: r.RegNo, ExpiresAt: r.HoldExpiresAt})
		expiries[r.HoldExpiresAt] = append(expiries[r.HoldExpiresAt], r.ID)
	})
	if len(acts) == 0 {
		return nil
	}
	if len(acts) == 1 { // alone it has its own trace and number on the way
		ctx = obs.WithNumber(obs.WithTrace(ctx, acts[0].Trace), acts[0].Number)
	}
	if tx.Engine() == db.Postgres {
		saveTraysPG(tx, v)
	} else {
		saveTraysSQLite(tx, v)
	}
	for schedule, t := range v.tills {
		if slices.ContainsFunc(t.trays, func(y *tray) bool { return y.bits != 0 }) {
			s.changed(ctx, tx, schedule)
		}
	}
	for at, ids := range expiries {
		err := job.Enqueue(ctx, tx, job.Spec{Kind: jobExpire, Key: ids[0].String(), RunAt: at, Payload: expiring{ids}, Max: workMax})
		if err != nil {
			return err
		}
	}
	if err := outbox.Add(ctx, tx, told...); err != nil {
		return err
	}
	if err := outbox.Add(ctx, tx, booked...); err != nil {
		return err
	}
	return trail.RecordAll(ctx, tx, trail.Entry{Action: "scheduling.hold", Noun: "Appointment", Changed: []string{"state"}}, acts)
}

// results answer the requests in their order; twins get what the first of their key got.
func (v *sale) results() []batch.Result[sold] {
	out := make([]batch.Result[sold], len(v.bids))
	for i, b := range v.bids {
		d := b
		if b.twin != nil {
			d = b.twin
		}
		switch {
		case d.state == bidRefused:
			out[i].Err = d.err
		case d != b && !b.h.same(d.row):
			out[i].Err = scheduling.ErrKeyReused.New()
		default:
			out[i].Out = sold{row: d.row, hit: d.state == bidKnown || d != b}
		}
	}
	return out
}
