package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/tenant"
)

// store is one installation's scheduling database, seen from the bench: it opens
// sessions before a segment and checks them after it. It is not in use while a server
// is visited.
type store struct {
	srv    *db.Server
	db     *db.DB
	tenant tenant.ID
	day    clock.Date // the last one that sessions were opened for
}

func openStore(ctx context.Context, o db.Options, t tenant.ID) (*store, error) {
	o.MaxConns, o.Readers, o.Timeout, o.Clock = 4, 1, time.Hour, clock.System{}
	srv, err := db.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	d, err := srv.Context(ctx, "scheduling")
	if err != nil {
		return nil, err
	}
	return &store{srv: srv, db: d, tenant: t, day: clock.DateOf(clock.System{}.Now()).Add(1)}, nil
}

// seat is a place that a request may name.
type seat struct {
	session id.ID[scheduling.Schedule]
	slot    id.ID[scheduling.Slot]
}

// board is a day of fresh sessions.
type board struct {
	day      clock.Date
	sessions int
	capacity int    // of each
	seats    []seat // all
}

// shape of a board: sessions of so many slots of so many seats.
type shape struct{ sessions, slots, seats int }

var (
	warmShape = shape{practitioners, 4, 10} // 500 x 40
	hotShape  = shape{1, 10, 10}            // 1 x 100
)

// open makes the sessions of the next day, released an hour ago.
func (s *store) open(ctx context.Context, w *world, sh shape, fee int64) (*board, error) {
	s.day = s.day.Add(1)
	b := &board{day: s.day, sessions: sh.sessions, capacity: sh.slots * sh.seats}
	now := clock.System{}.Now()
	from := s.day.At(8 * 60)
	length := 4 * time.Hour / time.Duration(sh.slots)
	var schedules, slots [][]any
	for i := range sh.sessions {
		n := id.New[scheduling.Schedule](now)
		schedules = append(schedules, []any{
			s.tenant, n, s.day, string(scheduling.Morning), w.campus, w.house(i), w.doctors[i], string(scheduling.Ordinary), fee,
			from.UnixMicro(), from.Add(4 * time.Hour).UnixMicro(), "", now.Add(-time.Hour).UnixMicro(), false, b.capacity, 0, 1, now.UnixMicro(), now.UnixMicro(),
		})
		for k := range sh.slots {
			v := id.New[scheduling.Slot](now)
			at := from.Add(time.Duration(k) * length)
			slots = append(slots, []any{s.tenant, v, n, at.UnixMicro(), at.Add(length).UnixMicro(), k*sh.seats + 1, sh.seats, 0, 0, 0, int64(1)<<sh.seats - 1, 0})
			for range sh.seats {
				b.seats = append(b.seats, seat{n, v})
			}
		}
	}
	return b, s.db.Write(ctx, s.tenant, func(ctx context.Context, tx db.Tx) error {
		if err := insert(ctx, tx, `INSERT INTO schedule (tenant_id, id, day, session, campus_id, department_id, practitioner_id, class, fee_fen,
			starts_at, ends_at, location, released_at, stopped, capacity, taken, version, created_at, updated_at) VALUES `, schedules); err != nil {
			return err
		}
		return insert(ctx, tx, `INSERT INTO slot (tenant_id, id, schedule_id, starts_at, ends_at, first, capacity, held, booked, taken, full_mask, last_bit) VALUES `, slots)
	})
}

// draw picks n different seats in no order. With more requests than seats every
// request is for the board's first session.
func (b *board) draw(n int) []seat {
	if n > len(b.seats) {
		out := make([]seat, n)
		for i := range out {
			out[i] = b.seats[rand.IntN(len(b.seats))]
		}
		return out
	}
	rand.Shuffle(len(b.seats), func(i, j int) { b.seats[i], b.seats[j] = b.seats[j], b.seats[i] })
	return b.seats[:n]
}

// ---- checks ----

// sale is what a segment sold, by its own account: the keys that were acknowledged.
type sale struct {
	day    clock.Date
	acked  []id.ID[scheduling.Appointment]
	before time.Time // the segment's begin
}

// check compares what was acknowledged with what stands in the tables. Every
// sentence is a deviation.
func (s *store) check(ctx context.Context, v sale) (faults []string, err error) {
	err = s.db.Read(ctx, s.tenant, func(ctx context.Context, tx db.Tx) error {
		faults = nil
		say := func(format string, a ...any) { faults = append(faults, fmt.Sprintf(format, a...)) }
		for _, c := range violations {
			var n int64
			if err := tx.QueryRow(ctx, c.sql, s.tenant, v.day).Scan(&n); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if n > 0 {
				say("%s: %d", c.name, n)
			}
		}
		stored, err := appointments(ctx, tx, v.day)
		if err != nil {
			return err
		}
		told, err := events(ctx, tx, v.before)
		if err != nil {
			return err
		}
		missing, untold := 0, 0
		for _, a := range v.acked {
			if !stored[a] {
				missing++
			}
		}
		for a := range stored {
			if told[a] != 1 {
				untold++
			}
		}
		if missing > 0 {
			say("acknowledged and not stored: %d of %d", missing, len(v.acked))
		}
		if len(stored) != len(v.acked) {
			say("stored %d, acknowledged %d", len(stored), len(v.acked))
		}
		if untold > 0 {
			say("appointments that are not exactly once in the outbox: %d of %d", untold, len(stored))
		}
		return nil
	})
	return faults, err
}

// violations count what must not be, over one day.
var violations = []struct{ name, sql string }{
	{"sessions sold beyond their seats", `SELECT COUNT(*) FROM (SELECT c.id FROM schedule c JOIN appointment a ON a.tenant_id = c.tenant_id AND a.schedule_id = c.id
		WHERE c.tenant_id = $1 AND c.day = $2 AND a.state <> 'cancelled' GROUP BY c.id, c.capacity HAVING COUNT(*) > c.capacity) x`},
	{"sessions whose count differs from their appointments", `SELECT COUNT(*) FROM (SELECT c.id FROM schedule c LEFT JOIN appointment a
		ON a.tenant_id = c.tenant_id AND a.schedule_id = c.id AND a.state <> 'cancelled'
		WHERE c.tenant_id = $1 AND c.day = $2 GROUP BY c.id, c.taken HAVING COUNT(a.id) <> c.taken) x`},
	{"slots whose counts differ from their appointments", `SELECT COUNT(*) FROM (SELECT s.id FROM slot s JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id
		LEFT JOIN appointment a ON a.tenant_id = s.tenant_id AND a.slot_id = s.id AND a.state <> 'cancelled'
		WHERE s.tenant_id = $1 AND c.day = $2 GROUP BY s.id, s.held, s.booked, s.capacity
		HAVING COUNT(a.id) <> s.held + s.booked OR COUNT(a.id) > s.capacity) x`},
	{"numbers given twice", `SELECT COUNT(*) FROM (SELECT schedule_id FROM appointment WHERE tenant_id = $1 AND day = $2 AND state <> 'cancelled' AND number > 0
		GROUP BY schedule_id, number HAVING COUNT(*) > 1) x`},
	{"persons booked twice in a department", `SELECT COUNT(*) FROM (SELECT patient_id FROM appointment WHERE tenant_id = $1 AND day = $2 AND state <> 'cancelled'
		GROUP BY patient_id, department_id HAVING COUNT(*) > 1) x`},
	{"appointments without their history", `SELECT COUNT(*) FROM appointment a LEFT JOIN appointment_history h ON h.tenant_id = a.tenant_id AND h.appointment_id = a.id
		WHERE a.tenant_id = $1 AND a.day = $2 AND h.act_id IS NULL`},
}

func appointments(ctx context.Context, tx db.Tx, day clock.Date) (map[id.ID[scheduling.Appointment]]bool, error) {
	rows, err := tx.Query(ctx, `SELECT id FROM appointment WHERE tenant_id = $1 AND day = $2 AND state <> 'cancelled' LIMIT 100000`, tx.Tenant(), day)
	found, err := db.Collect(rows, err, func(r db.Rows, v *id.ID[scheduling.Appointment]) error { return r.Scan(v) })
	out := make(map[id.ID[scheduling.Appointment]]bool, len(found))
	for _, a := range found {
		out[a] = true
	}
	return out, err
}

// events counts how often each appointment is told of in the outbox since an instant.
func events(ctx context.Context, tx db.Tx, since time.Time) (map[id.ID[scheduling.Appointment]]int, error) {
	rows, err := tx.Query(ctx, `SELECT payload FROM outbox WHERE tenant_id = $1 AND created_at >= $2 AND name IN ($3, $4) LIMIT 100000`,
		tx.Tenant(), since.UnixMicro(), scheduling.AppointmentBooked{}.EventName(), scheduling.AppointmentHeld{}.EventName())
	found, err := db.Collect(rows, err, func(r db.Rows, v *[]byte) error { return r.Scan(v) })
	out := map[id.ID[scheduling.Appointment]]int{}
	for _, p := range found {
		var es []struct {
			Appointment id.ID[scheduling.Appointment] `json:"appointment"`
		}
		if err := json.Unmarshal(p, &es); err != nil {
			return nil, err
		}
		for _, e := range es {
			out[e.Appointment]++
		}
	}
	return out, err
}

// wal is PostgreSQL's position in its log, in bytes; 0 on SQLite.
func (s *store) wal(ctx context.Context) (at int64, err error) {
	if s.db.Engine() != db.Postgres {
		return 0, nil
	}
	err = s.db.Read(ctx, s.tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint -- global: the cluster's log`).Scan(&at)
	})
	return at, err
}
