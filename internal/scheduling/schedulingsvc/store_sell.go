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
	"xinglin/internal/scheduling/bookingrules"
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

// saleRounds bounds how often a batch is decided anew because another process was faster.
const saleRounds = 4

// sell is the work of the combiner: one transaction for the requests of one tenant. It
// locks the sessions and reads their seats and what stands in the way of the requests,
// decides, and leaves appointments, counts, events, audit and timers to the round trip of
// the commit. A person's day that another process took meanwhile, in another session,
// breaks a constraint then: the next round sees it.
func (s store) sell(ctx context.Context, t scheduling.TenantID, hs []*holding) (out []batch.Result[sold], err error) {
	for range saleRounds {
		err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
			v := newSale(hs)
			if err := s.sellIn(ctx, tx, v); err != nil {
				return err
			}
			out = v.results()
			return nil
		})
		if !db.IsUnique(err) {
			break
		}
	}
	return out, err
}

func (s store) sellIn(ctx context.Context, tx db.Tx, v *sale) error {
	v.now = tx.Now()
	if err := s.openSale(ctx, tx, v); err != nil {
		return err
	}
	var err error
	if tx.Engine() == db.Postgres {
		v.decide()
		insertSoldPG(tx, v)
	} else {
		v.each(bidOpen, func(b *bid) {
			if err == nil {
				err = decideSQLite(ctx, tx, v, b)
			}
		})
	}
	if err != nil {
		return err
	}
	return s.closeSale(ctx, tx, v)
}

// openSale locks and reads. The plan of a session that changed since it was kept is read anew.
func (s store) openSale(ctx context.Context, tx db.Tx, v *sale) error {
	seats := seatsRead{}
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
				if err := seats.scan(tx.QueryRow(ctx, `SELECT id, taken, holders FROM slot WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), t.slots[i].ID)); err != nil {
					return err
				}
			}
		}
		for i := range t.slots {
			if y, ok := seats[t.slots[i].ID]; ok {
				t.trays = append(t.trays, &tray{slot: &t.slots[i], taken: y.taken, holders: y.holders})
			}
		}
	}
	return nil
}

// seatsRead are the seats of slots as they were read under the lock.
type seatsRead map[id.ID[scheduling.Slot]]tray

// scan reads id, taken and holders.
func (m seatsRead) scan(r db.Row) error {
	var slot id.ID[scheduling.Slot]
	var y tray
	err := r.Scan(&slot, &y.taken, (*[]byte)(&y.holders))
	m[slot] = y
	return err
}

func (m seatsRead) each(r db.Rows) error {
	return db.Each(func(r db.Rows) error { return m.scan(r) })(r)
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
	return scanIncident(r, func(who scheduling.PatientID) *bookingrules.Incidents {
		if v.past[who] == nil {
			v.past[who] = &bookingrules.Incidents{}
		}
		return v.past[who]
	})
}

// asksPast reports whether the rules ask for the person's missed and returned visits.
func (v *sale) asksPast() bool {
	return slices.ContainsFunc(v.bids, func(b *bid) bool { return b.h.Rules.NoShow.Count > 0 || len(b.h.Rules.Returns) > 0 })
}

// pastDays is how far back incidents count: the longest rule has 24 months and 24 of block.
const pastDays = 1500

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
		told = append(told, scheduling.AppointmentHeld{
			Appointment: r.ID, Account: r.Account, Patient: r.Patient, Slot: r.Slot, Date: r.Date, Fee: r.Fee, RegNo: r.RegNo, ExpiresAt: r.HoldExpiresAt,
		})
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
