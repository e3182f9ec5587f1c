package trail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/packed"
)

const collectBatch = 500

// Row is a trail row on its way to its keeper.
type Row struct {
	Tenant  id.ID[auth.Tenant]
	ID      id.ID[Act]
	At      time.Time
	Actor   string
	Action  string
	Noun    string
	Object  string
	Policy  string
	Why     string
	Changed json.RawMessage // array of field names, or object of Change
	Origin  string
	Trace   string
	Number  string

	acts []byte // packed parts of a combined row
}

// Sink keeps rows for good (the audit context). The same row may come twice: it is
// known by tenant and id. A batch holds rows of several tenants.
type Sink interface {
	Collect(ctx context.Context, owner string, rows []Row) error
}

// Collector moves the trail rows of every context to the sink. Collect runs as a cron
// job of the sink's context, so that one process does it at a time.
type Collector struct {
	DBs  []*db.DB
	Sink Sink
}

// Collect moves everything that is there now. A context that fails does not hold up
// the others.
func (c *Collector) Collect(ctx context.Context) error {
	var errs []error
	for _, d := range c.DBs {
		for {
			n, err := c.batch(ctx, d)
			if err != nil {
				errs = append(errs, err)
			}
			if err != nil || n < collectBatch {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// batch hands up to 500 rows over and deletes them afterwards: a crash in between means
// that they come twice.
func (c *Collector) batch(ctx context.Context, d *db.DB) (int, error) {
	var rows []Row
	err := d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		rows, err = read(ctx, tx)
		return err
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	acts, kept, err := apart(rows)
	if err != nil {
		return 0, err
	}
	more := len(rows) > kept
	rows = rows[:kept]
	for some := range slices.Chunk(acts, collectBatch) {
		if err := c.Sink.Collect(ctx, d.Name(), some); err != nil {
			return 0, err
		}
	}
	n := len(rows)
	if more {
		n = collectBatch // there is more to take
	}
	return n, d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		for _, r := range rows {
			if _, err := tx.Exec(ctx, "DELETE FROM trail WHERE tenant_id = $1 AND id = $2", r.Tenant, r.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// What one round hands over.
const (
	maxActs  = 4096
	maxBytes = 4 << 20 // of JSON in one row
)

// apart takes combined rows apart, and says how many of the rows it took.
func apart(rows []Row) (acts []Row, taken int, err error) {
	for _, r := range rows {
		if len(acts) >= maxActs {
			break
		}
		taken++
		if r.Actor != Combined || len(r.acts) == 0 {
			acts = append(acts, r)
			continue
		}
		text, err := packed.Unpack(r.acts, maxBytes)
		if err != nil {
			return nil, 0, err
		}
		var parts []Part
		if err := json.Unmarshal(text, &parts); err != nil {
			return nil, 0, fmt.Errorf("trail: a combined row is no list of acts") // the decoder's words quote it
		}
		for _, p := range parts {
			p.restore()
			act := r
			act.ID, act.Actor, act.Object, act.Policy, act.Origin, act.Trace, act.Number, act.acts = p.ID, p.Actor, p.Object, p.Policy, p.Origin, p.Trace, p.Number, nil
			acts = append(acts, act)
		}
	}
	return acts, taken, nil
}

func read(ctx context.Context, tx db.Tx) ([]Row, error) {
	rows, err := tx.Query(ctx, `-- global: the collector
		SELECT tenant_id, id, at, actor, action, noun, object, policy, why, changed, origin, trace, number, acts FROM trail
		ORDER BY at, id LIMIT $1`, collectBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		var r Row
		var changed []byte
		err := rows.Scan(&r.Tenant, &r.ID, db.Instant(&r.At), &r.Actor, &r.Action, &r.Noun, &r.Object, &r.Policy, &r.Why, &changed,
			&r.Origin, &r.Trace, &r.Number, &r.acts)
		if err != nil {
			return nil, err
		}
		r.Changed = changed
		out = append(out, r)
	}
	return out, rows.Err()
}
