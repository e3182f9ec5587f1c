package clinicsvc

import (
	"context"
	"errors"
	"strings"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
)

// store is the SQL of the context.
type store struct {
	db *db.DB
	// moved tells all processes that a line changed; called after the commit.
	moved func(t clinic.TenantID, line scheduleID)
}

// one makes a missing row the caller's not found.
func one(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return clinic.ErrNotFound.New()
	}
	return err
}

// insertMany sends rows in few statements, whose sizes are powers of two, so that few
// texts are prepared. A row whose key is there stays as it is.
func insertMany(ctx context.Context, tx db.Tx, head string, columns int, rows [][]any) error {
	for len(rows) > 0 {
		n := 64
		for n > len(rows) {
			n /= 2
		}
		var b strings.Builder
		b.WriteString(head)
		args := make([]any, 0, n*columns)
		for i, r := range rows[:n] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(" + db.In(len(args)+1, columns) + ")")
			args = append(args, r...)
		}
		b.WriteString(" ON CONFLICT DO NOTHING")
		if _, err := tx.Exec(ctx, b.String(), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// once does the effect of an act unless its key has had it.
func (s store) once(ctx context.Context, a act, resource string, effect func(ctx context.Context, tx db.Tx) error) (hit bool, err error) {
	err = s.db.Write(ctx, a.who.Tenant, func(ctx context.Context, tx db.Tx) error {
		if _, hit, err = idem.Claim(ctx, tx, a.key, a.now); err != nil || hit {
			return err
		}
		if err := effect(ctx, tx); err != nil {
			return err
		}
		return idem.Done(ctx, tx, a.key, 200, resource)
	})
	return hit, err
}

// record writes the audit row of an act on an item.
func (a act) record(ctx context.Context, tx db.Tx, noun, item, why string, changed map[string]trail.Change) (id.ID[trail.Act], error) {
	e := trail.Entry{Action: a.action, Noun: noun, ID: item, Policy: a.policy, Why: why}
	if changed != nil {
		e.Changed = changed
	}
	return trail.Record(ctx, tx, e)
}

// note writes the history row of a step of a turn.
func note(ctx context.Context, tx db.Tx, turn appointmentID, from, to clinic.State, act id.ID[trail.Act]) error {
	_, err := tx.Exec(ctx, `INSERT INTO turn_history (tenant_id, turn_id, seq, from_state, to_state, at, act_id)
		SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4, $5, $6 FROM turn_history WHERE tenant_id = $1 AND turn_id = $2`,
		tx.Tenant(), turn, string(from), string(to), tx.Now().UnixMicro(), act)
	return err
}

// step moves a turn that has this state: writes the history and the audit row of the act,
// and tells of it by event.
func (s store) step(ctx context.Context, tx db.Tx, a act, v turnRow, to clinic.State) error {
	act, err := a.record(ctx, tx, "Appointment", v.ID.String(), "", map[string]trail.Change{"state": {From: string(v.State), To: string(to)}})
	if err != nil {
		return err
	}
	if err := note(ctx, tx, v.ID, v.State, to, act); err != nil {
		return err
	}
	at := clinic.Step{Appointment: v.ID, Account: v.Account, Patient: v.Patient, Schedule: v.Schedule, Number: v.Number, At: tx.Now()}
	switch {
	case to == clinic.Waiting && v.State == clinic.Expected:
		return outbox.Add(ctx, tx, clinic.TurnCheckedIn{Step: at})
	case to == clinic.Called:
		return outbox.Add(ctx, tx, clinic.TurnCalled{Step: at, Calls: v.Calls + 1})
	case to == clinic.Missed:
		return outbox.Add(ctx, tx, clinic.TurnMissed{Step: at})
	case to == clinic.Done:
		return outbox.Add(ctx, tx, clinic.TurnFinished{Step: at})
	}
	return nil
}
