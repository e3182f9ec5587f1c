package outbox

import (
	"context"
	"fmt"
	"strings"
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

// place is where a row stands in the order in which rows are published.
type place struct {
	at int64
	id id.ID[event.Row]
}

// beginning is before every row.
var beginning = place{at: -1}

func (r row) place() place { return place{r.at, r.id} }

// claimTime is how long a row belongs to the process that publishes it. A publish that
// takes longer may happen twice, which inboxes drop.
const claimTime = 15 * time.Second

// claim takes open rows, oldest first: claimRows at most, and about claimBytes of
// payload (one row at least). after is behind the rows that this relay is marking: on
// PostgreSQL their claim says so already.
func claim(ctx context.Context, d *db.DB, after place) ([]row, error) {
	if d.Engine() == db.Postgres {
		return claimPG(ctx, d)
	}
	return claimSQLite(ctx, d, after)
}

// scanRows reads rows until their payloads come to so many bytes.
func scanRows(rows db.Rows, bytes int) ([]row, error) {
	defer rows.Close()
	var out []row
	for bytes > 0 && rows.Next() {
		var r row
		if err := rows.Scan(&r.tenant, &r.id, &r.name, &r.payload, &r.trace, &r.number, &r.at); err != nil {
			return nil, err
		}
		out = append(out, r)
		bytes -= len(r.payload)
	}
	return out, rows.Err()
}

// mark keeps where the broker holds the rows; a row that another process has marked
// meanwhile stays as it is.
func mark(ctx context.Context, d *db.DB, rows []row, acks []bus.Ack) error {
	if len(acks) == 0 {
		return nil
	}
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		if tx.Engine() == db.Postgres {
			return markPG(ctx, tx, rows, acks)
		}
		return markSQLite(ctx, tx, rows, acks)
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

// floor is up to where in the stream the hearers of one event have heard.
type floor struct {
	name string
	seq  uint64
}

// drop deletes rows made before an instant that their hearers have acknowledged past,
// in the order of the stream: one statement a page, each in a transaction of its own. An
// event that nobody hears goes up to end. It stops at the first page with a younger row:
// what comes later is younger still, or was published again and waits a little longer.
func drop(ctx context.Context, d *db.DB, incarnation string, before time.Time, floors []floor, end uint64) (int64, error) {
	text, args := dropText(floors, end)
	var total, cursor int64
	for {
		var gone, rows, last, youngest int64
		err := d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
			err := tx.QueryRow(ctx, `-- global: the relay
				SELECT COUNT(*), COALESCE(MAX(seq), 0), COALESCE(MAX(created_at), 0) FROM
				(SELECT seq, created_at FROM outbox WHERE incarnation = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS page`,
				incarnation, cursor, dropRows).Scan(&rows, &last, &youngest)
			if err != nil || rows == 0 {
				return err
			}
			gone, err = tx.Exec(ctx, text, append([]any{incarnation, cursor, last, before.UnixMicro()}, args...)...)
			return err
		})
		total += gone
		cursor = last
		if err != nil || rows < dropRows || youngest >= before.UnixMicro() {
			return total, err
		}
		if err := ctx.Err(); err != nil {
			return total, err
		}
	}
}

// dropText deletes what lies between two sequences and may go. The text depends on how
// many events are heard, which the code fixes.
func dropText(floors []floor, end uint64) (text string, args []any) {
	var when strings.Builder
	for i, f := range floors {
		fmt.Fprintf(&when, " WHEN $%d THEN CAST($%d AS bigint)", 6+2*i, 7+2*i)
		args = append(args, f.name, int64(f.seq))
	}
	limit := "CAST($5 AS bigint)"
	if len(floors) > 0 {
		limit = "CASE name" + when.String() + " ELSE " + limit + " END"
	}
	return `-- global: the relay
		DELETE FROM outbox WHERE incarnation = $1 AND seq > $2 AND seq <= $3 AND created_at < $4 AND seq <= ` + limit,
		append([]any{int64(end)}, args...)
}

// bury moves a row that can never be published to the dead letters.
func bury(ctx context.Context, d *db.DB, r row, why error) error {
	text, err := Unpack(r.payload) // a person reads it
	if err != nil {
		text = r.payload
	}
	return d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) error {
		err := deadletter.Put(ctx, tx, deadletter.Row{
			Tenant: r.tenant, ID: id.As[deadletter.Letter](r.id), Source: deadletter.Outbox, Kind: r.name,
			Payload: text, Attempts: 1, Error: deadletter.Describe(why), Trace: r.trace, Number: r.number,
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
			r.Tenant, r.ID, r.Kind, pack(r.Payload), r.Trace, r.Number, r.At.UnixMicro())
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
