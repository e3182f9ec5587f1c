// Package deadletter keeps what failed for good: messages that a context cannot take in
// and jobs that failed too often. A person lists them; inbox.Consumer.Replay and
// job.Retry do one again. Only platform code and the operator's commands use it.
package deadletter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// Letter is the noun.
type Letter struct{}

// Sources of letters.
const (
	Outbox = "outbox" // Kind is the event name, ID the outbox row's
	Inbox  = "inbox"  // Kind is the event name, ID the message's, so also the outbox row's of another context
	Job    = "job"    // Kind is the job's, ID the job's
)

const (
	maxError = 500 // bytes of an error that are kept
	maxList  = 100
)

// Row is one dead letter.
type Row struct {
	Tenant   id.ID[auth.Tenant]
	ID       id.ID[Letter]
	Source   string
	Kind     string
	Payload  json.RawMessage
	Attempts int
	Error    string // a fault's code or an internal error's text; no personal data
	Trace    string
	Number   string
	At       time.Time
	Replayed time.Time // zero while open
}

// Describe is an error as a letter and a log keep it.
func Describe(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if f := fault.Of(err); f != nil && f.Cause == nil {
		s = f.Code.Name
	}
	return s[:min(len(s), maxError)]
}

// Put keeps a letter; the same id again opens it anew with the newer error.
func Put(ctx context.Context, tx db.Tx, r Row) error {
	if !json.Valid(r.Payload) { // a poison message: kept as a JSON text
		r.Payload, _ = json.Marshal(string(r.Payload)) // a string always has a JSON form
	}
	r.Payload = bytes.ReplaceAll(r.Payload, []byte(`\u0000`), []byte(`\ufffd`)) // PostgreSQL keeps no NUL
	_, err := tx.Exec(ctx, `INSERT INTO dead_letter (tenant_id, id, source, kind, payload, attempts, error, trace, number, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (tenant_id, id) DO UPDATE SET attempts = excluded.attempts, error = excluded.error,
			created_at = excluded.created_at, replayed_at = NULL`,
		r.Tenant, r.ID, r.Source, r.Kind, string(r.Payload), r.Attempts, r.Error, r.Trace, r.Number, tx.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("deadletter: %w", err)
	}
	return nil
}

// Replayed marks a letter as done again.
func Replayed(ctx context.Context, tx db.Tx, tenant id.ID[auth.Tenant], letter id.ID[Letter]) error {
	_, err := tx.Exec(ctx, "UPDATE dead_letter SET replayed_at = $3 WHERE tenant_id = $1 AND id = $2",
		tenant, letter, tx.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("deadletter: %w", err)
	}
	return nil
}

const columns = "tenant_id, id, source, kind, payload, attempts, error, trace, number, created_at, replayed_at"

func scan(row db.Row) (r Row, err error) {
	var payload []byte
	err = row.Scan(&r.Tenant, &r.ID, &r.Source, &r.Kind, &payload, &r.Attempts, &r.Error, &r.Trace, &r.Number,
		db.Instant(&r.At), db.Instant(&r.Replayed))
	r.Payload = payload
	return r, err
}

// Open lists the letters of all tenants that nobody has replayed, oldest first, at most 100.
func Open(ctx context.Context, d *db.DB) ([]Row, error) {
	var out []Row
	err := d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, "-- global: for the operator\nSELECT "+columns+
			" FROM dead_letter WHERE replayed_at IS NULL ORDER BY created_at, id LIMIT $1", maxList)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scan(rows)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}

// ErrMissing is the refusal for a letter that is not there, or not open any more.
var ErrMissing = fault.Register(fault.NotFound, "deadletter.missing", "没有这条死信，或已重放", "There is no such open dead letter")

// Get finds an open letter. Code: deadletter.missing.
func Get(ctx context.Context, d *db.DB, source string, letter id.ID[Letter]) (r Row, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		r, err = scan(tx.QueryRow(ctx, "-- global: an operator's id\nSELECT "+columns+
			" FROM dead_letter WHERE id = $1 AND source = $2 AND replayed_at IS NULL", letter, source))
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return r, ErrMissing.New()
	}
	return r, err
}
