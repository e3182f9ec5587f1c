package simulate

import (
	"context"
	"fmt"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// snapshot is what the databases say at a quiet moment.
type snapshot struct {
	at       int64 // nanoseconds since the doors opened, after the reading
	visits   map[string]*row
	waiting  map[string]int // seats that wait for their return, by slot
	payments map[string]paymentRow
	unequal  []string // ledger transactions whose postings do not add up to zero
	balance  int64    // of all postings
}

// row is an appointment as stored, with its history. Its payment has the same id.
type row struct {
	id, patient, department, schedule, slot string
	state, reason, settlement               string
	number                                  int
	fee                                     int64
	expires, made                           int64
	steps                                   []step // the first is the hold
}

func (v *row) active() bool { return v.state != "cancelled" }

// step is one transition.
type step struct {
	from, to, by string
	at           int64 // microseconds by the clock of the process that made it
}

type paymentRow struct {
	amount, refunded, pending int64
	state, effect             string
}

type anyID = id.ID[id.Any]

// take reads the databases, beside whatever runs.
func (r *run) take(ctx context.Context) (*snapshot, error) {
	s := &snapshot{visits: map[string]*row{}, waiting: map[string]int{}, payments: map[string]paymentRow{}}
	tenant, err := r.tenant(ctx)
	if err != nil {
		return nil, err
	}
	for owner, read := range map[string]func(context.Context, db.Tx) error{"scheduling": s.appointments, "payment": s.money, "ledger": s.ledger} {
		if err := r.site.read(ctx, owner, tenant, read); err != nil {
			return nil, fmt.Errorf("%s: %w", owner, err)
		}
	}
	s.at = r.now()
	return s, nil
}

func (s *snapshot) appointments(ctx context.Context, tx db.Tx) error {
	clear(s.visits)
	clear(s.waiting)
	rows, err := tx.Query(ctx, `SELECT a.id, a.patient_id, s.department_id, s.id, a.slot_id, a.state, a.cancel_reason, a.settlement, a.number, a.fee_fen,
			CASE WHEN a.state = 'pending' THEN a.state_at ELSE 0 END, a.created_at
		FROM appointment a JOIN slot l ON l.tenant_id = a.tenant_id AND l.id = a.slot_id JOIN schedule s ON s.tenant_id = l.tenant_id AND s.id = l.schedule_id WHERE a.tenant_id = $1`, tx.Tenant())
	found, err := db.Collect(rows, err, func(r db.Rows, v *row) error {
		var a, p, d, sch, sl anyID
		err := r.Scan(&a, &p, &d, &sch, &sl, &v.state, &v.reason, &v.settlement, &v.number, &v.fee, &v.expires, &v.made)
		v.id, v.patient, v.department, v.schedule, v.slot = a.String(), p.String(), d.String(), sch.String(), sl.String()
		return err
	})
	if err != nil {
		return err
	}
	for i := range found {
		s.visits[found[i].id] = &found[i]
		found[i].steps = []step{{to: "pending", by: "hold", at: found[i].made}}
	}
	rows, err = tx.Query(ctx, `SELECT appointment_id, from_state, to_state, by_what, at FROM appointment_history WHERE tenant_id = $1 ORDER BY appointment_id, seq`, tx.Tenant())
	_, err = db.Collect(rows, err, func(r db.Rows, st *step) error {
		var a anyID
		if err := r.Scan(&a, &st.from, &st.to, &st.by, &st.at); err != nil {
			return err
		}
		if v := s.visits[a.String()]; v != nil && st.from != "" { // the hold is the appointment itself
			v.steps = append(v.steps, *st)
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = tx.Query(ctx, `SELECT slot_id FROM seat_return WHERE tenant_id = $1`, tx.Tenant())
	_, err = db.Collect(rows, err, func(r db.Rows, sl *anyID) error {
		if err := r.Scan(sl); err != nil {
			return err
		}
		s.waiting[sl.String()]++
		return nil
	})
	return err
}

func (s *snapshot) money(ctx context.Context, tx db.Tx) error {
	clear(s.payments)
	rows, err := tx.Query(ctx, `SELECT id, amount_fen, refunded_fen, pending_fen, state, effect FROM payment WHERE tenant_id = $1`, tx.Tenant())
	_, err = db.Collect(rows, err, func(r db.Rows, p *paymentRow) error {
		var a anyID
		if err := r.Scan(&a, &p.amount, &p.refunded, &p.pending, &p.state, &p.effect); err != nil {
			return err
		}
		s.payments[a.String()] = *p
		return nil
	})
	return err
}

func (s *snapshot) ledger(ctx context.Context, tx db.Tx) error {
	s.unequal = nil
	rows, err := tx.Query(ctx, `SELECT transaction_id FROM posting WHERE tenant_id = $1 GROUP BY transaction_id HAVING SUM(amount_fen) <> 0 LIMIT 20`, tx.Tenant())
	_, err = db.Collect(rows, err, func(r db.Rows, a *anyID) error {
		if err := r.Scan(a); err != nil {
			return err
		}
		s.unequal = append(s.unequal, a.String())
		return nil
	})
	if err != nil {
		return err
	}
	return tx.QueryRow(ctx, `SELECT CAST(COALESCE(SUM(amount_fen), 0) AS BIGINT) FROM posting WHERE tenant_id = $1`, tx.Tenant()).Scan(&s.balance)
}

// quiet waits until no hold is over and still kept, and every payment that the channel
// took has its one effect. What is not settled in a minute is for the judgement.
func (r *run) quiet(ctx context.Context) (*snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*quietTime)
	defer cancel()
	until := r.now() + int64(quietTime)
	for {
		s, err := r.take(ctx)
		if err != nil {
			return nil, err
		}
		if r.now() > until || r.settled(s) {
			return s, nil
		}
		if err := wait(ctx, 2*pollEach); err != nil {
			return nil, err
		}
	}
}

// settled reports that nothing is on its way.
func (r *run) settled(s *snapshot) bool {
	slowest := time.Duration(1 << 62)
	for _, p := range r.site.procs {
		slowest = min(slowest, time.Duration(p.clock.Load()))
	}
	now := clock.System{}.Now().Add(slowest).UnixMicro()
	for _, v := range s.visits {
		if v.state == "pending" && v.expires <= now {
			return false
		}
	}
	r.record.mu.Lock()
	defer r.record.mu.Unlock()
	for payment := range r.record.paid {
		p, ok := s.payments[payment]
		if !ok || p.pending > 0 || p.state == "open" || p.state == "closed" || p.state == "refunding" {
			return false
		}
		if v := s.visits[payment]; v != nil && v.settlement == "" { // a payment has its appointment's id
			return false
		}
		if v := s.visits[payment]; v != nil && !v.active() && p.refunded < p.amount {
			return false
		}
	}
	return true
}
