package schedulingsvc

import (
	"context"
	"hash/fnv"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// Locks of PostgreSQL. A SQLite file has one writer, which is us, so there is nothing to lock.
//
// A session's lock is an advisory one: a row lock would write the row's page at each
// booking. Whoever takes several takes them in one statement, in the order of their
// numbers, so that two never wait for each other. Two sessions of one number share their
// lock, which costs time and nothing else. The lock table of PostgreSQL has room for
// max_locks_per_transaction × max_connections of them (6,400 by default); a batch takes
// at most one for each request in it.

// lockSessions adds to a pipeline the locks of sessions; what is read after it in the
// pipeline is as the last holder left it. Plans stand still while anybody has one.
func lockSessions(tx db.Tx, p *db.Pipeline, of ...scheduleID) {
	if tx.Engine() != db.Postgres {
		return
	}
	p.Exec(`-- global: locks, no rows
		SELECT pg_advisory_xact_lock_shared($1), (SELECT COUNT(pg_advisory_xact_lock(k)) FROM (SELECT k FROM unnest($2::bigint[]) AS k ORDER BY k) AS turns)`,
		turn(tx.Tenant(), everySession), turns(tx.Tenant(), of))
}

// lockPlans waits until nobody has a session's lock, and keeps all of them.
func lockPlans(ctx context.Context, tx db.Tx) error {
	if tx.Engine() != db.Postgres {
		return nil
	}
	_, err := tx.Exec(ctx, `-- global: locks, no rows
		SELECT pg_advisory_xact_lock($1)`, turn(tx.Tenant(), everySession))
	return err
}

// lockPeople adds the turns of persons under a cap, so that two processes cannot both find
// room for them.
func lockPeople(tx db.Tx, p *db.Pipeline, people []scheduling.PatientID) {
	p.Exec(`-- global: locks, no rows
		SELECT COUNT(pg_advisory_xact_lock(k)) FROM (SELECT k FROM unnest($1::bigint[]) AS k ORDER BY k) AS turns`, turns(tx.Tenant(), people))
}

// turn is the number of an item's lock.
func turn[N any](t scheduling.TenantID, of id.ID[N]) int64 {
	h := fnv.New64a()
	h.Write(t[:])
	h.Write(of[:])
	return int64(h.Sum64()) //nolint:gosec // all bits count
}

func turns[N any](t scheduling.TenantID, of []id.ID[N]) (out []int64) {
	for _, v := range of {
		out = append(out, turn(t, v))
	}
	return out
}

// lockSchedule locks the session and reads what the lock protects.
func lockSchedule(ctx context.Context, tx db.Tx, schedule scheduleID) (v scheduleRow, err error) {
	p, found := &db.Pipeline{}, false
	lockSessions(tx, p, schedule)
	p.Query(db.Each(func(r db.Rows) error {
		found = true
		return scanSchedule(r, &v)
	}), `SELECT `+scheduleColumns+` FROM schedule WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), schedule)
	if err := tx.Send(ctx, p); err != nil {
		return v, err
	}
	if !found {
		return v, scheduling.ErrNotFound.New()
	}
	return v, nil
}
