package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
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
	capacity int                          // of each session
	sessions []id.ID[scheduling.Schedule] // by doctor
	seats    []seat                       // all
}

// shape of a board: sessions of so many slots of so many seats.
type shape struct{ sessions, slots, seats int }

var (
	warmShape = shape{practitioners, 4, 10} // 500 x 40
	hotShape  = shape{1, 10, 10}            // 1 x 100
	wideShape = shape{practitioners, 4, 60} // for a crowd that comes on and on
)

// open makes the sessions of the next day, released an hour ago.
func (s *store) open(ctx context.Context, w *world, sh shape, fee int64) (*board, error) {
	s.day = s.day.Add(1)
	b := &board{day: s.day, capacity: sh.slots * sh.seats}
	schedules, slots := w.plan(s.tenant, s.day, sh, fee)
	for _, r := range schedules {
		b.sessions = append(b.sessions, r[1].(id.ID[scheduling.Schedule]))
	}
	for _, r := range slots {
		for range sh.seats {
			b.seats = append(b.seats, seat{r[2].(id.ID[scheduling.Schedule]), r[1].(id.ID[scheduling.Slot])})
		}
	}
	return b, s.db.Write(ctx, s.tenant, func(ctx context.Context, tx db.Tx) error {
		if err := insert(ctx, tx, scheduleHead, schedules); err != nil {
			return err
		}
		return insert(ctx, tx, slotHead, slots)
	})
}

const (
	scheduleHead = `INSERT INTO schedule (tenant_id, id, day, session, campus_id, department_id, practitioner_id, class, fee_fen,
		starts_at, ends_at, location, released_at, stopped, capacity, version, created_at, updated_at) VALUES `
	slotHead = `INSERT INTO slot (tenant_id, id, schedule_id, starts_at, ends_at, first, capacity, held, booked, taken, full_mask, version, holders) VALUES `
)

// plan are the rows of a day's sessions and their slots, a session for each of the first doctors.
func (w *world) plan(t tenant.ID, day clock.Date, sh shape, fee int64) (schedules, slots [][]any) {
	now := clock.System{}.Now()
	from := day.At(8 * 60)
	length := 4 * time.Hour / time.Duration(sh.slots)
	for i := range sh.sessions {
		n := id.New[scheduling.Schedule](now)
		schedules = append(schedules, []any{
			t, n, day, string(scheduling.Morning), w.campus, w.house(i), w.doctors[i], string(scheduling.Ordinary), fee,
			from.UnixMicro(), from.Add(4 * time.Hour).UnixMicro(), "", now.Add(-time.Hour).UnixMicro(), false, sh.slots * sh.seats, 1, now.UnixMicro(), now.UnixMicro(),
		})
		for k := range sh.slots {
			at := from.Add(time.Duration(k) * length)
			slots = append(slots, []any{
				t, id.New[scheduling.Slot](now), n, at.UnixMicro(), at.Add(length).UnixMicro(), k*sh.seats + 1, sh.seats, 0, 0, 0, int64(1)<<sh.seats - 1, 1, make([]byte, 2*sh.seats),
			})
		}
	}
	return schedules, slots
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
		wrong, err := slots(ctx, tx, v.day)
		if err != nil {
			return err
		}
		if wrong > 0 {
			say("slots whose seats or counts differ from their appointments: %d", wrong)
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
	{"sessions sold beyond their seats", `SELECT COUNT(*) FROM (SELECT c.id FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
		JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id WHERE a.tenant_id = $1 AND a.day = $2 AND a.state <> 'cancelled' GROUP BY c.id, c.capacity HAVING COUNT(*) > c.capacity) x`},
	{"appointments on another day than their session", `SELECT COUNT(*) FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
		JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id WHERE a.tenant_id = $1 AND a.day = $2 AND a.state <> 'cancelled' AND c.day <> a.day`},
	{"numbers given twice", `SELECT COUNT(*) FROM (SELECT s.schedule_id FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
		WHERE a.tenant_id = $1 AND a.day = $2 AND a.state <> 'cancelled' GROUP BY s.schedule_id, a.number HAVING COUNT(*) > 1) x`},
	{"persons booked twice in a department", `SELECT COUNT(*) FROM (SELECT a.patient_id FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
		JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id WHERE a.tenant_id = $1 AND a.day = $2 AND a.state <> 'cancelled' GROUP BY a.patient_id, c.department_id HAVING COUNT(*) > 1) x`},
}

// slots compares the counts and seats of a day's slots with their appointments.
func slots(ctx context.Context, tx db.Tx, day clock.Date) (wrong int, err error) {
	type row struct{ taken, held, booked, capacity, sold int64 }
	// Counted first: SQLite would look at all of the day's appointments for each slot.
	rows, err := tx.Query(ctx, `WITH sold AS (SELECT slot_id, COUNT(*) AS n FROM appointment WHERE tenant_id = $1 AND day = $2 AND state <> 'cancelled' GROUP BY slot_id)
		SELECT s.taken, s.held, s.booked, s.capacity, COALESCE(a.n, 0) FROM slot s JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id
		LEFT JOIN sold a ON a.slot_id = s.id WHERE s.tenant_id = $1 AND c.day = $2 LIMIT 100000`, tx.Tenant(), day)
	found, err := db.Collect(rows, err, func(r db.Rows, v *row) error { return r.Scan(&v.taken, &v.held, &v.booked, &v.capacity, &v.sold) })
	for _, v := range found {
		if v.sold != v.held+v.booked || v.sold > v.capacity || int64(bits.OnesCount64(uint64(v.taken))) != v.sold {
			wrong++
		}
	}
	return wrong, err
}

func appointments(ctx context.Context, tx db.Tx, day clock.Date) (map[id.ID[scheduling.Appointment]]bool, error) {
	rows, err := tx.Query(ctx, `SELECT id FROM appointment WHERE tenant_id = $1 AND day = $2 AND state <> 'cancelled' LIMIT 200000`, tx.Tenant(), day)
	found, err := db.Collect(rows, err, func(r db.Rows, v *id.ID[scheduling.Appointment]) error { return r.Scan(v) })
	out := make(map[id.ID[scheduling.Appointment]]bool, len(found))
	for _, a := range found {
		out[a] = true
	}
	return out, err
}

// events counts how often each appointment is told of in the outbox since an instant.
func events(ctx context.Context, tx db.Tx, since time.Time) (map[id.ID[scheduling.Appointment]]int, error) {
	rows, err := tx.Query(ctx, `SELECT payload FROM outbox WHERE tenant_id = $1 AND created_at >= $2 AND name IN ($3, $4) LIMIT 200000`,
		tx.Tenant(), since.UnixMicro(), scheduling.AppointmentBooked{}.EventName(), scheduling.AppointmentHeld{}.EventName())
	found, err := db.Collect(rows, err, func(r db.Rows, v *[]byte) error { return r.Scan(v) })
	out := map[id.ID[scheduling.Appointment]]int{}
	for _, p := range found {
		var es []struct {
			Appointment id.ID[scheduling.Appointment] `json:"appointment"`
		}
		text, err := outbox.Unpack(p)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &es); err != nil {
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

// pastDay loads n bookings of a day that has gone by, with people in no order.
func (s *store) pastDay(ctx context.Context, w *world, day clock.Date, n int) error {
	schedules, slots := w.plan(s.tenant, day, shape{practitioners, 1, 62}, 0)
	key := `(lpad(to_hex($3::bigint + n.g), 12, '0') || '7' || left(md5(random()::text), 3) || '8' || left(md5(random()::text || n.g), 15))::uuid`
	person, scope := `gen_random_uuid()`, `(random() * 2e9)::int`
	if s.db.Engine() == db.SQLite {
		key, person, scope = `unhex(printf('%012x7', $3 + n.g) || substr(hex(randomblob(2)), 2) || '8' || substr(hex(randomblob(8)), 2))`, `randomblob(16)`, `random() % 2000000000`
	}
	return s.db.Write(ctx, s.tenant, func(ctx context.Context, tx db.Tx) error {
		if err := insert(ctx, tx, scheduleHead, schedules); err != nil {
			return err
		}
		if err := insert(ctx, tx, slotHead, slots); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `WITH RECURSIVE n(g) AS (SELECT 0 UNION ALL SELECT g + 1 FROM n WHERE g + 1 < $4),
			p AS (SELECT s.id AS slot, ROW_NUMBER() OVER (ORDER BY c.id) - 1 AS nth FROM schedule c
				JOIN slot s ON s.tenant_id = c.tenant_id AND s.schedule_id = c.id WHERE c.tenant_id = $1 AND c.day = $2)
			INSERT INTO appointment (tenant_id, id, account_id, patient_id, slot_id, scope, fee_fen, cancel_before, version, created_at, state_at,
				day, number, any_slot, per_account, state, cancel_reason, settlement)
			SELECT $1, `+key+`, `+person+`, `+person+`, p.slot, `+scope+`, 0, $3 * 1000, 1, $3 * 1000, $3 * 1000, $2, n.g / $5 + 1, TRUE, FALSE, 'fulfilled', '', ''
			FROM n JOIN p ON p.nth = n.g % $5`, s.tenant, day, day.At(0).UnixMilli(), n, practitioners)
		return err
	})
}
