// Package job is durable work and timers: a row in the context's own database, written
// in the use case's transaction, run by one of the processes when its time has come,
// repeated with growing pauses until it succeeds or has failed too often, and then
// shown to a person as a dead letter. A job may wait for months; a killed process's
// jobs are taken over when its lease ends.
package job

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
)

// Job is the noun of job rows.
type Job struct{}

// ErrMissing is the refusal for a job that cannot be retried.
var ErrMissing = fault.Register(fault.NotFound, "job.missing", "没有这个可重试的任务", "There is no such dead job, or its key is in use again")

// Spec is one piece of work to be done.
type Spec struct {
	Kind    string    // handler: scheduling.expire_hold
	Key     string    // what it is about; (Kind, Key) is unique while open
	RunAt   time.Time // not before; the zero time is at once
	Payload any       // JSON of ids, never personal data
	Max     int       // attempts; 0 means 10
	Number  string    // business number; empty: that of the context
}

const (
	defaultMax = 10
	topic      = "job"
)

// Enqueue writes jobs, no two of the same kind and key, in the use case's transaction
// and wakes the runner after the commit. While an open job has the same kind and key, no
// second one comes to be:
//   - one that waits keeps its payload and runs at the earlier of the two times;
//   - one that runs at this moment may have read old facts, so it runs once more
//     afterwards, at RunAt and with the new payload.
//
// In an InTx handler the running job counts as done, so it may enqueue its successor.
func Enqueue(ctx context.Context, tx db.Tx, specs ...Spec) error {
	if len(specs) == 0 {
		return nil
	}
	rows := slices.Clone(specs)
	for i := range rows {
		s := &rows[i]
		if s.Kind == "" || s.Max < 0 {
			return fmt.Errorf("job: malformed spec %q", s.Kind)
		}
		if s.Max == 0 {
			s.Max = defaultMax
		}
		if s.RunAt.IsZero() {
			s.RunAt = tx.Now()
		}
		if s.Number == "" {
			s.Number = obs.Number(ctx)
		}
	}
	enqueue := enqueueSQLite
	if tx.Engine() == db.Postgres {
		enqueue = enqueuePG
	}
	if err := enqueue(ctx, tx, rows); err != nil {
		return fmt.Errorf("job: %s: %w", rows[0].Kind, err)
	}
	tx.Wake(topic)
	return nil
}

// onOpen is what a new job does about an open one of its kind and key.
const onOpen = ` ON CONFLICT (tenant_id, kind, key) WHERE state IN ('ready', 'running') DO UPDATE SET
	payload = CASE WHEN job.state = 'running' THEN excluded.payload ELSE job.payload END,
	again = CASE WHEN job.state = 'running' THEN 1 ELSE 0 END,
	run_at = CASE WHEN job.state = 'running' AND job.again = 0 OR excluded.run_at < job.run_at
		THEN excluded.run_at ELSE job.run_at END`

// Cancel ends the open job of this kind and key, if there is one. A job that runs at
// this moment finishes, but is not repeated.
func Cancel(ctx context.Context, tx db.Tx, kind, key string) error {
	_, err := tx.Exec(ctx, `UPDATE job SET state = 'cancelled', owner = '', lease_until = 0, done_at = $4
		WHERE tenant_id = $1 AND kind = $2 AND key = $3 AND state IN ('ready', 'running')`,
		tx.Tenant(), kind, key, tx.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("job: cancel %s: %w", kind, err)
	}
	return nil
}

// Handler does one kind of work. Make it with InTx, Call or Every.
type Handler struct {
	Kind string
	inTx func(ctx context.Context, tx db.Tx, payload []byte) error
	call func(ctx context.Context, payload []byte) error
	cron *Cron
}

// InTx makes a handler whose effect and the job's end are one transaction of the job's
// tenant: it happens once. Nothing remote inside.
func InTx[P any](kind string, f func(ctx context.Context, tx db.Tx, p P) error) Handler {
	return Handler{Kind: kind, inTx: func(ctx context.Context, tx db.Tx, payload []byte) error {
		p, err := read[P](kind, payload)
		if err != nil {
			return err
		}
		return f(ctx, tx, p)
	}}
}

// Call makes a handler that runs outside a transaction, for remote work and for use
// cases of several transactions. It happens at least once: f is idempotent.
func Call[P any](kind string, f func(ctx context.Context, p P) error) Handler {
	return Handler{Kind: kind, call: func(ctx context.Context, payload []byte) error {
		p, err := read[P](kind, payload)
		if err != nil {
			return err
		}
		return f(ctx, p)
	}}
}

// Every makes a handler that runs by the calendar, once per period over all processes.
// A period that passed while no process ran is made up for once. A failure is retried
// a few times, then it is a dead letter and the next period comes as ever. The
// principal has no tenant.
func Every(kind string, c Cron, f func(ctx context.Context) error) Handler {
	return Handler{Kind: kind, cron: &c, call: func(ctx context.Context, _ []byte) error { return f(ctx) }}
}

func read[P any](kind string, payload []byte) (p P, err error) {
	if err := json.Unmarshal(payload, &p); err != nil {
		return p, fmt.Errorf("job: %s: the payload is no %T", kind, p) // the decoder's words quote the payload
	}
	return p, nil
}
