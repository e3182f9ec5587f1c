package outbox

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
)

type row struct {
	tenant  id.ID[auth.Tenant]
	id      id.ID[event.Row]
	name    string
	payload []byte
	trace   string
	number  string
	at      int64
}

// claimTime is how long a row belongs to the process that publishes it. A publish that
// takes longer may happen twice, which inboxes drop.
const claimTime = 15 * time.Second

// claim takes up to limit open rows, oldest first.
func claim(ctx context.Context, d *db.DB, limit int) ([]row, error) {
	if d.Engine() == db.Postgres {
		return claimPG(ctx, d, limit)
	}
	return claimSQLite(ctx, d, limit)
}

func scanRows(rows db.Rows) ([]row, error) {
	defer rows.Close()
	var out []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.tenant, &r.id, &r.name, &r.payload, &r.trace, &r.number, &r.at); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// mark keeps where the broker holds the rows.
func mark(ctx context.Context, d *db.DB, rows []row, acks []bus.Ack) error {
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		for i, a := range acks {
			_, err := tx.Exec(ctx, "UPDATE outbox SET incarnation = $3, seq = $4, claimed = 0 WHERE tenant_id = $1 AND id = $2",
				rows[i].tenant, rows[i].id, a.Incarnation, int64(a.Seq)) //nolint:gosec // stream sequences stay far below 2^63
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// release gives claimed rows back at once.
func release(ctx context.Context, d *db.DB, rows []row) error {
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		for _, r := range rows {
			if _, err := tx.Exec(ctx, "UPDATE outbox SET claimed = 0 WHERE tenant_id = $1 AND id = $2 AND seq = 0", r.tenant, r.id); err != nil {
				return err
			}
		}
		return nil
	})
}

// held is, for each stream that rows are marked with, the highest sequence.
func held(ctx context.Context, d *db.DB) (map[string]uint64, error) {
	var out map[string]uint64
	err := d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		out = map[string]uint64{}
		rows, err := tx.Query(ctx, "-- global: the relay\nSELECT incarnation, MAX(seq) FROM outbox WHERE seq > 0 GROUP BY incarnation")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var inc string
			var top int64
			if err := rows.Scan(&inc, &top); err != nil {
				return err
			}
			out[inc] = uint64(top)
		}
		return rows.Err()
	})
	return out, err
}

// reopen makes rows of one stream between two sequences (above, up to) open again, a batch at a time.
func reopen(ctx context.Context, d *db.DB, incarnation string, above, upTo uint64) (int64, error) {
	var total int64
	for {
		var n int64
		err := d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) (err error) {
			n, err = tx.Exec(ctx, `-- global: the relay
				UPDATE outbox SET incarnation = '', seq = 0, claimed = 0 WHERE (tenant_id, id) IN
				(SELECT tenant_id, id FROM outbox WHERE incarnation = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4)`,
				incarnation, int64(above), int64(upTo), reopenBatch)
			return err
		})
		total += n
		if err != nil || n < reopenBatch {
			return total, err
		}
	}
}

// drop deletes rows made before an instant, in the order of the stream, that heard
// agrees to. It stops at the first batch with a younger row: what comes later is
// younger still, or was published again and waits a little longer.
func drop(ctx context.Context, d *db.DB, incarnation string, before time.Time, heard func(name string, seq uint64) bool) (int64, error) {
	var total, cursor int64
	for {
		var gone, seen int64
		old, last := true, cursor
		err := d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
			gone, seen, old = 0, 0, true
			batch, err := marked(ctx, tx, incarnation, cursor)
			if err != nil {
				return err
			}
			for _, m := range batch {
				seen, last = seen+1, m.seq
				if m.at >= before.UnixMicro() {
					old = false
				} else if heard(m.name, uint64(m.seq)) {
					if _, err := tx.Exec(ctx, "DELETE FROM outbox WHERE tenant_id = $1 AND id = $2", m.tenant, m.id); err != nil {
						return err
					}
					gone++
				}
			}
			return nil
		})
		total += gone
		cursor = last
		if err != nil || !old || seen < dropBatch {
			return total, err
		}
	}
}

type markedRow struct {
	tenant  id.ID[auth.Tenant]
	id      id.ID[event.Row]
	name    string
	seq, at int64
}

func marked(ctx context.Context, tx db.Tx, incarnation string, above int64) ([]markedRow, error) {
	rows, err := tx.Query(ctx, `-- global: the relay
		SELECT tenant_id, id, name, seq, created_at FROM outbox WHERE incarnation = $1 AND seq > $2 ORDER BY seq LIMIT $3`,
		incarnation, above, dropBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []markedRow
	for rows.Next() {
		var m markedRow
		if err := rows.Scan(&m.tenant, &m.id, &m.name, &m.seq, &m.at); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// bury moves a row that can never be published to the dead letters.
func bury(ctx context.Context, d *db.DB, r row, why error) error {
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		err := deadletter.Put(ctx, tx, deadletter.Row{
			Tenant: r.tenant, ID: id.As[deadletter.Letter](r.id), Source: deadletter.Outbox, Kind: r.name,
			Payload: r.payload, Attempts: 1, Error: deadletter.Describe(why), Trace: r.trace, Number: r.number,
		})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM outbox WHERE tenant_id = $1 AND id = $2", r.tenant, r.id)
		return err
	})
}

// Replay puts a buried row back into the outbox, after the broker was given a larger
// limit. Code: deadletter.missing.
func Replay(ctx context.Context, d *db.DB, letter id.ID[deadletter.Letter]) error {
	r, err := deadletter.Get(ctx, d, deadletter.Outbox, letter)
	if err != nil {
		return err
	}
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO outbox (tenant_id, id, name, payload, trace, number, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, id) DO NOTHING`,
			r.Tenant, r.ID, r.Kind, string(r.Payload), r.Trace, r.Number, r.At.UnixMicro())
		if err != nil {
			return err
		}
		tx.Wake(topic)
		return deadletter.Replayed(ctx, tx, r.Tenant, letter)
	})
}

// open counts the rows that wait, and says since when the oldest does.
func open(ctx context.Context, d *db.DB) (n int64, oldest time.Time, err error) {
	err = d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "-- global: a gauge\nSELECT COUNT(*), MIN(created_at) FROM outbox WHERE seq = 0").
			Scan(&n, db.Instant(&oldest))
	})
	return n, oldest, err
}
