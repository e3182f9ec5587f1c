package interopsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/trail"
)

type store struct{}

const runColumns = `id, kind, name, state, dry_run, stop_visits, actor, hash, bytes, read_bytes, started_at, ended_at`

func scanRun(r interface{ Scan(...any) error }, v *importRun, more ...any) error {
	var state string
	var ended *int64
	into := []any{&v.ID, &v.Kind, &v.Name, &state, &v.DryRun, &v.StopVisits, &v.Actor, &v.Hash, &v.Bytes, &v.ReadBytes, db.Instant(&v.StartedAt), &ended}
	if err := r.Scan(append(into, more...)...); err != nil {
		return err
	}
	v.State = runState(state)
	if ended != nil {
		v.EndedAt = db.Time(*ended)
	}
	return nil
}

// find reads one import with its report.
func (store) find(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], run id.ID[interop.Import]) (v importRun, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		v, err = one(ctx, tx, run)
		return err
	})
	return v, err
}

func one(ctx context.Context, tx db.Tx, run id.ID[interop.Import]) (v importRun, err error) {
	var report string
	err = scanRun(tx.QueryRow(ctx, `SELECT `+runColumns+`, CAST(report AS TEXT) FROM import_run WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), run), &v, &report)
	if errors.Is(err, db.ErrNoRows) {
		return importRun{}, interop.ErrNoImport.New()
	}
	if err == nil {
		err = json.Unmarshal([]byte(report), &v.Report)
	}
	return v, err
}

// list is by the time of the start, the latest first.
func (store) list(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], p page.Request) (out page.Page[importRun], err error) {
	before, from := int64(1)<<62, id.ID[interop.Import]{}
	if p.Cursor != "" {
		at, last, _ := strings.Cut(p.Cursor, " ")
		if before, err = strconv.ParseInt(at, 10, 64); err == nil {
			from, err = id.Parse[interop.Import](last)
		}
		if err != nil {
			return out, err // it was sealed: ours alone
		}
	}
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+runColumns+` FROM import_run WHERE tenant_id = $1 AND (started_at, id) < ($2, $3)
			ORDER BY started_at DESC, id DESC LIMIT $4`, tx.Tenant(), before, from, p.Size()+1)
		out.Items, err = db.Collect(rows, err, func(r db.Rows, v *importRun) error { return scanRun(r, v) })
		return err
	})
	if n := p.Size(); err == nil && len(out.Items) > n {
		end := out.Items[n-1]
		out.Items, out.Next = out.Items[:n], fmt.Sprintf("%d %s", end.StartedAt.UnixMicro(), end.ID)
	}
	return out, err
}

// free refuses while an import of the kind runs.
func (store) free(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], kind string) error {
	return d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		var n int
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM import_run WHERE tenant_id = $1 AND kind = $2 AND state = 'running' AND lease_until >= $3`,
			tx.Tenant(), kind, tx.Now().UnixMicro()).Scan(&n)
		if err == nil && n > 0 {
			err = interop.ErrBusy.New()
		}
		return err
	})
}

// begin makes the row, unless it is there already (hit) or another import of the kind
// runs: that is the unique index's to say. One whose process is dead does not count.
func (store) begin(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], v importRun, policy string) (out importRun, hit bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		now := tx.Now().UnixMicro()
		if _, err := tx.Exec(ctx, `UPDATE import_run SET state = 'interrupted', ended_at = $3 WHERE tenant_id = $1 AND kind = $2 AND state = 'running' AND lease_until < $3`,
			tx.Tenant(), v.Kind, now); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO import_run (tenant_id, id, kind, name, state, dry_run, stop_visits, actor, hash, bytes, read_bytes, lease_until, started_at, ended_at, report)
			VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8, $9, 0, $10, $11, NULL, '{}') ON CONFLICT DO NOTHING`,
			tx.Tenant(), v.ID, v.Kind, v.Name, v.DryRun, v.StopVisits, v.Actor, v.Hash, v.Bytes, now+leaseTime.Microseconds(), now)
		if err != nil {
			return err
		}
		if out, err = one(ctx, tx, v.ID); errors.Is(err, interop.ErrNoImport) {
			return interop.ErrBusy.New()
		}
		if hit = n == 0; hit || err != nil {
			return err
		}
		if _, err := trail.Record(ctx, tx, started(v, policy, "", stateRunning)); err != nil {
			return err
		}
		return job.Enqueue(ctx, tx, watchSpec(v.ID, tx.Now().Add(watchEach)))
	})
	return out, hit, err
}

func started(v importRun, policy string, from, to runState) trail.Entry {
	why := v.Kind
	if v.StopVisits {
		why += ", visits may be stopped"
	}
	return trail.Entry{
		Action: "interop.start_import", Noun: "Import", ID: v.ID.String(), Policy: policy, Why: why,
		Changed: map[string]trail.Change{"state": {From: string(from), To: string(to)}},
	}
}

// progress renews the lease; false when the import has ended for others.
func (store) progress(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], run id.ID[interop.Import], read int64) (ok bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE import_run SET read_bytes = $3, lease_until = $4 WHERE tenant_id = $1 AND id = $2 AND state = 'running'`,
			tx.Tenant(), run, read, tx.Now().Add(leaseTime).UnixMicro())
		ok = n == 1
		return err
	})
	return ok, err
}

// finish ends a running import with its report.
func (store) finish(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], v importRun, policy string) error {
	report, err := json.Marshal(v.Report)
	if err != nil {
		return err
	}
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE import_run SET state = $3, ended_at = $4, read_bytes = $5, report = $6 WHERE tenant_id = $1 AND id = $2 AND state = 'running'`,
			tx.Tenant(), v.ID, string(v.State), tx.Now().UnixMicro(), min(v.ReadBytes, v.Bytes), string(report))
		if err != nil || n == 0 {
			return err
		}
		if err := job.Cancel(ctx, tx, watchJob, v.ID.String()); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, started(v, policy, stateRunning, v.State))
		return err
	})
}

// watch ends an import whose process is gone; false while it runs.
func (store) watch(ctx context.Context, tx db.Tx, run id.ID[interop.Import]) (ended bool, err error) {
	if _, err := tx.Exec(ctx, `UPDATE import_run SET state = 'interrupted', ended_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND lease_until < $3`,
		tx.Tenant(), run, tx.Now().UnixMicro()); err != nil {
		return false, err
	}
	var n int
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM import_run WHERE tenant_id = $1 AND id = $2 AND state = 'running'`, tx.Tenant(), run).Scan(&n)
	return n == 0, err
}

func watchSpec(run id.ID[interop.Import], at time.Time) job.Spec {
	return job.Spec{Kind: watchJob, Key: run.String(), RunAt: at, Payload: watchedImport{run}}
}
