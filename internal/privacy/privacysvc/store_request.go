package privacysvc

import (
	"context"
	"strconv"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

// step is the noun of request_step.
type step struct{}

const requestColumns = `id, patient_id, account_id, capacity, kind, event_id, state, hash, reason, wanted, was, answer, created_at, due_day, reminded_at, decided_by, decided_at,
	ready_at, ended_at, version`

func (r *requestRow) fields() []any {
	return []any{
		&r.id, &r.patient, &r.account, &r.capacity, &r.kind, &r.event, &r.state, &r.hash, &r.reason, &r.wanted, &r.was, &r.answer, db.Instant(&r.created), &r.due,
		db.Instant(&r.reminded), &r.decidedBy, db.Instant(&r.decided), db.Instant(&r.ready), db.Instant(&r.ended), &r.version,
	}
}

func (s store) request(ctx context.Context, t privacy.TenantID, r privacy.RequestID) (out requestRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return one(tx.QueryRow(ctx, `SELECT `+requestColumns+` FROM request WHERE tenant_id = $1 AND id = $2`, t, r).Scan(out.fields()...))
	})
	return out, err
}

// ask writes a request and what follows from it. false: the key came before. privacy.request_open while one of the kind is open.
func (s store) ask(ctx context.Context, t privacy.TenantID, r requestRow, remind time.Time, policy string) (won bool, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var today int
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM request WHERE tenant_id = $1 AND patient_id = $2 AND created_at > $3`,
			t, r.patient, tx.Now().Add(-24*time.Hour).UnixMicro()).Scan(&today)
		if err != nil {
			return err
		}
		if today >= maxRequests {
			return privacy.ErrTooOften.After(24 * time.Hour)
		}
		n, err := tx.Exec(ctx, `INSERT INTO request (tenant_id, id, patient_id, account_id, capacity, kind, event_id, state, hash, reason, wanted, created_at, due_day, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1) ON CONFLICT DO NOTHING`,
			t, r.id, r.patient, r.account, r.capacity, r.kind, r.event, r.state, r.hash, bytesOrNull(r.reason), bytesOrNull(r.wanted), tx.Now().UnixMicro(), r.due)
		if err != nil {
			return err
		}
		if won = n == 1; !won {
			var same int
			if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM request WHERE tenant_id = $1 AND id = $2`, t, r.id).Scan(&same); err != nil || same == 1 {
				return err
			}
			return privacy.ErrOpen.New()
		}
		if err := walked(ctx, tx, trail.Entry{Action: "privacy.ask", Noun: "Request", ID: r.id.String(), Policy: policy, Why: string(r.kind)}, r.id, "", r.state); err != nil {
			return err
		}
		if r.state == privacy.Working {
			return job.Enqueue(ctx, tx, job.Spec{Kind: jobCopy, Key: r.id.String(), Payload: requestJob{r.id}})
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobRemind, Key: r.id.String(), RunAt: remind, Payload: requestJob{r.id}})
	})
	return won, err
}

// walked writes the audit row and the step of a request.
func walked(ctx context.Context, tx db.Tx, e trail.Entry, r privacy.RequestID, from, to privacy.State) error {
	e.Changed = map[string]trail.Change{"state": {From: string(from), To: string(to)}}
	act, err := trail.Record(ctx, tx, e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO request_step (tenant_id, id, request_id, from_state, to_state, act_id, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tx.Tenant(), id.New[step](tx.Now()), r, from, to, act, tx.Now().UnixMicro())
	return err
}

// move is a step of a request that a person takes.
type move struct {
	request        privacy.RequestID
	from, to       privacy.State
	action, policy string
	by             accountID // who decided; zero for the person's own step
	answer         []byte
	version        int64 // that was seen; 0: any
}

// move takes the step if the request still is where it comes from: privacy.request_state. An erasure that begins has its job.
func (s store) move(ctx context.Context, t privacy.TenantID, m move) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		decided, ended := any(nil), any(nil)
		if !m.by.IsZero() {
			decided = tx.Now().UnixMicro()
		}
		if m.to != privacy.Working {
			ended = tx.Now().UnixMicro()
		}
		n, err := tx.Exec(ctx, `UPDATE request SET state = $4, decided_by = $5, decided_at = $6, ended_at = $7, answer = $8, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND state = $3 AND ($9 = 0 OR version = $9)`,
			t, m.request, m.from, m.to, id.Null(m.by), decided, ended, bytesOrNull(m.answer), m.version)
		if err != nil {
			return err
		}
		if n == 0 {
			return privacy.ErrState.New()
		}
		if err := walked(ctx, tx, trail.Entry{Action: m.action, Noun: "Request", ID: m.request.String(), Policy: m.policy}, m.request, m.from, m.to); err != nil {
			return err
		}
		if err := job.Cancel(ctx, tx, jobRemind, m.request.String()); err != nil {
			return err
		}
		if m.to == privacy.Working {
			return job.Enqueue(ctx, tx, job.Spec{Kind: jobErase, Key: m.request.String(), Payload: requestJob{m.request}})
		}
		return nil
	})
}

// before keeps what was before a correction, once.
func (s store) before(ctx context.Context, t privacy.TenantID, r privacy.RequestID, sealed []byte) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE request SET was = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND was IS NULL`, t, r, sealed)
		return err
	})
}

func (s store) ofPerson(ctx context.Context, t privacy.TenantID, p patient.ID) (out []requestRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+requestColumns+` FROM request WHERE tenant_id = $1 AND patient_id = $2 ORDER BY id DESC LIMIT 50`, t, p)
		out, err = db.Collect(rows, err, func(r db.Rows, v *requestRow) error { return r.Scan(v.fields()...) })
		return err
	})
	return out, err
}

// cursor is where a list of the officer goes on.
type cursor struct {
	due clock.Date
	id  privacy.RequestID
}

// due are the requests to be decided or worked on, the most urgent first; or those that ended, the newest first.
func (s store) due(ctx context.Context, t privacy.TenantID, ended bool, after cursor, limit int) (out []requestRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		query := `SELECT ` + requestColumns + ` FROM request WHERE tenant_id = $1 AND state IN ('open', 'working') AND (due_day, id) > ($2, $3) ORDER BY due_day, id LIMIT $4`
		args := []any{t, after.due, after.id, limit}
		if ended {
			query = `SELECT ` + requestColumns + ` FROM request WHERE tenant_id = $1 AND state NOT IN ('open', 'working') AND ($2 = 0 OR id < $3) ORDER BY id DESC LIMIT $4`
		}
		rows, err := tx.Query(ctx, query, args...)
		out, err = db.Collect(rows, err, func(r db.Rows, v *requestRow) error { return r.Scan(v.fields()...) })
		return err
	})
	return out, err
}

// ready puts the parts of a file there and starts the days that it waits.
func (s store) ready(ctx context.Context, t privacy.TenantID, r requestRow, parts []copyPart, until time.Time, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE request SET state = 'ready', ready_at = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'working'`,
			t, r.id, tx.Now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		for i, p := range parts {
			_, err := tx.Exec(ctx, `INSERT INTO copy_part (tenant_id, id, request_id, patient_id, part, sealed) VALUES ($1, $2, $3, $4, $5, $6)`,
				t, p.id, r.id, r.patient, i, p.sealed)
			if err != nil {
				return err
			}
		}
		e := trail.Entry{Action: "privacy.make_copy", Noun: "Request", ID: r.id.String(), Policy: policy, Why: "parts " + strconv.Itoa(len(parts))}
		if err := walked(ctx, tx, e, r.id, privacy.Working, privacy.Ready); err != nil {
			return err
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobExpire, Key: r.id.String(), RunAt: until, Payload: requestJob{r.id}})
	})
}

// take ends the request and gives its parts, which go with it: of many at once one gets them, the others privacy.copy_taken.
func (s store) take(ctx context.Context, t privacy.TenantID, r requestRow, policy string) (parts []copyPart, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE request SET state = 'done', ended_at = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'ready'`,
			t, r.id, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return privacy.ErrTaken.New()
		}
		rows, err := tx.Query(ctx, `SELECT id, sealed FROM copy_part WHERE tenant_id = $1 AND request_id = $2 ORDER BY part`, t, r.id)
		if parts, err = db.Collect(rows, err, func(r db.Rows, v *copyPart) error { return r.Scan(&v.id, &v.sealed) }); err != nil {
			return err
		}
		if err := dropParts(ctx, tx, r.id); err != nil {
			return err
		}
		return walked(ctx, tx, trail.Entry{Action: "privacy.take_copy", Noun: "Request", ID: r.id.String(), Policy: policy}, r.id, privacy.Ready, privacy.Done)
	})
	return parts, err
}

func dropParts(ctx context.Context, tx db.Tx, r privacy.RequestID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM copy_part WHERE tenant_id = $1 AND request_id = $2`, tx.Tenant(), r); err != nil {
		return err
	}
	return job.Cancel(ctx, tx, jobExpire, r.String())
}

// expireIn ends a file that nobody took, within the job's transaction.
func expireIn(ctx context.Context, tx db.Tx, r privacy.RequestID, policy string) error {
	n, err := tx.Exec(ctx, `UPDATE request SET state = 'expired', ended_at = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND state = 'ready'`,
		tx.Tenant(), r, tx.Now().UnixMicro())
	if err != nil || n == 0 {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM copy_part WHERE tenant_id = $1 AND request_id = $2`, tx.Tenant(), r); err != nil {
		return err
	}
	return walked(ctx, tx, trail.Entry{Action: "privacy.expire_copy", Noun: "Request", ID: r.String(), Policy: policy}, r, privacy.Ready, privacy.Expired)
}

// remindIn marks a request that is still open, within the job's transaction; false when it is not.
func remindIn(ctx context.Context, tx db.Tx, r privacy.RequestID, policy string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE request SET reminded_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'open' AND reminded_at IS NULL`,
		tx.Tenant(), r, tx.Now().UnixMicro())
	if err != nil || n == 0 {
		return false, err
	}
	var kind privacy.Kind
	if err := tx.QueryRow(ctx, `SELECT kind FROM request WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), r).Scan(&kind); err != nil {
		return false, err
	}
	if _, err := trail.Record(ctx, tx, trail.Entry{Action: "privacy.remind", Noun: "Request", ID: r.String(), Policy: policy}); err != nil {
		return false, err
	}
	return true, outbox.Add(ctx, tx, privacy.RequestDue{Request: r, Kind: kind})
}

func bytesOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
