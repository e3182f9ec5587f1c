package auditsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/merkle"
)

// everything is one statement's view of all entries of the log; both tables have the same columns in it.
const everything = `(SELECT tenant_id, position, class, collected_at FROM audit_event UNION ALL SELECT tenant_id, position, class, collected_at FROM log_leaf) e`

// seal closes the next segment: what was collected before midnight, at most 65,536
// entries. The log itself says so. more: there is another one to close.
func (s store) seal(ctx context.Context, d *db.DB, tenant audit.TenantID, midnight time.Time) (more bool, err error) {
	err = d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		more = false
		size, err := s.lockLog(ctx, tx)
		if err != nil {
			return err
		}
		st, err := s.state(ctx, tx)
		if err != nil {
			return err
		}
		var to int64
		err = tx.QueryRow(ctx, `SELECT COALESCE(MIN(position), $4) FROM `+everything+` WHERE tenant_id = $1 AND position >= $2 AND collected_at >= $3`,
			tenant, int64(st.sealed), midnight.UnixMicro(), int64(size)).Scan(&to)
		if err != nil {
			return err
		}
		t := segmentText{Segment: st.segments + 1, From: st.sealed, To: uint64(to), SealedAt: tx.Now().UnixMicro(), Classes: map[audit.Class]int64{}}
		if t.To > t.From+segmentEntries {
			t.To, more = t.From+segmentEntries, true
		}
		if t.To <= t.From {
			return nil
		}
		if err := s.count(ctx, tx, &t); err != nil {
			return err
		}
		return s.close(ctx, tx, size, t)
	})
	return more, err
}

// count fills in what stands in the segment. Entries that are not there are not closed.
func (store) count(ctx context.Context, tx db.Tx, t *segmentText) error {
	rows, err := tx.Query(ctx, `SELECT class, COUNT(*), MIN(collected_at), MAX(collected_at) FROM `+everything+`
		WHERE tenant_id = $1 AND position >= $2 AND position < $3 GROUP BY class ORDER BY class`, tx.Tenant(), int64(t.From), int64(t.To))
	if err != nil {
		return err
	}
	defer rows.Close()
	var all int64
	for rows.Next() {
		var class string
		var n, first, last int64
		if err := rows.Scan(&class, &n, &first, &last); err != nil {
			return err
		}
		if t.FirstAt == 0 || first < t.FirstAt {
			t.FirstAt = first
		}
		t.LastAt = max(t.LastAt, last)
		t.Classes[audit.Class(class)] = n
		all += n
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if all != int64(t.To-t.From) {
		return audit.ErrBroken.Because("%d of the entries %d to %d are there", all, t.From, t.To-1)
	}
	return nil
}

// close writes the segment, when what is in it may go, and the log's own word about it.
func (s store) close(ctx context.Context, tx db.Tx, size uint64, t segmentText) error {
	_, err := tx.Exec(ctx, `INSERT INTO log_segment (tenant_id, number, first, behind, sealed_at) VALUES ($1, $2, $3, $4, $5)`,
		tx.Tenant(), t.Segment, int64(t.From), int64(t.To), t.SealedAt)
	if err != nil {
		return err
	}
	for _, c := range audit.Classes {
		due, ends := c.DueAt(db.Time(t.LastAt))
		if t.Classes[c] == 0 || !ends {
			continue
		}
		_, err := tx.Exec(ctx, `INSERT INTO log_disposal (tenant_id, segment, class, entries, due_at) VALUES ($1, $2, $3, $4, $5)`,
			tx.Tenant(), t.Segment, string(c), t.Classes[c], due.UnixMicro())
		if err != nil {
			return err
		}
	}
	n, err := tx.Exec(ctx, `UPDATE log_state SET segments = $2, sealed = $3 WHERE tenant_id = $1 AND segments = $2 - 1`, tx.Tenant(), t.Segment, int64(t.To))
	if err != nil {
		return err
	}
	if n != 1 {
		return audit.ErrBroken.Because("segment %d is not the next one", t.Segment)
	}
	text, err := encode(t)
	if err != nil {
		return err
	}
	return s.say(ctx, tx, size, audit.KindSegment, refOf(audit.KindSegment, t.Segment), text)
}

// say puts the log's word about itself into the log, once.
func (s store) say(ctx context.Context, tx db.Tx, size uint64, kind string, ref id.ID[id.Any], text string) error {
	e := entry{size, kind, ref, audit.Permanent, text, tx.Now()}
	_, fresh, err := s.put(ctx, tx, e)
	if err != nil || !fresh {
		return err
	}
	return s.grow(ctx, tx, size, []merkle.Node{e.leaf().Hash()})
}

// disposal is what may go: a class of a segment.
type disposal struct {
	segment       int64
	class         audit.Class
	entries       int64
	due           time.Time
	first, behind uint64
}

// due is the disposal that is due longest; nil when none is.
func (store) due(ctx context.Context, d *db.DB, tenant audit.TenantID, now time.Time) (out *disposal, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		out = nil
		var v disposal
		var class string
		var first, behind int64
		err := tx.QueryRow(ctx, `SELECT x.segment, x.class, x.entries, x.due_at, s.first, s.behind FROM log_disposal x
			JOIN log_segment s ON s.tenant_id = x.tenant_id AND s.number = x.segment
			WHERE x.tenant_id = $1 AND x.done_at IS NULL AND x.due_at <= $2 ORDER BY x.due_at, x.segment, x.class LIMIT 1`, tenant, now.UnixMicro()).
			Scan(&v.segment, &class, &v.entries, db.Instant(&v.due), &first, &behind)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		v.class, v.first, v.behind = audit.Class(class), uint64(first), uint64(behind)
		out = &v
		return err
	})
	return out, err
}

// announce says in the log that the texts go, before they do.
func (s store) announce(ctx context.Context, d *db.DB, tenant audit.TenantID, v disposal) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		size, err := s.lockLog(ctx, tx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE log_disposal SET logged_at = $4 WHERE tenant_id = $1 AND segment = $2 AND class = $3 AND logged_at IS NULL`,
			tenant, v.segment, string(v.class), tx.Now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		text, err := encode(disposalText{v.segment, v.class, v.entries, v.due.UnixMicro(), tx.Now().UnixMicro()})
		if err != nil {
			return err
		}
		return s.say(ctx, tx, size, audit.KindDisposal, refOf(audit.KindDisposal, v.segment, " ", v.class), text)
	})
}

// clear deletes texts of a class at [from, to).
func (store) clear(ctx context.Context, d *db.DB, tenant audit.TenantID, class audit.Class, from, to uint64) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		for _, text := range []string{
			`DELETE FROM audit_event WHERE tenant_id = $1 AND class = $2 AND position >= $3 AND position < $4`,
			`DELETE FROM log_leaf WHERE tenant_id = $1 AND class = $2 AND position >= $3 AND position < $4`,
		} {
			if _, err := tx.Exec(ctx, text, tenant, string(class), int64(from), int64(to)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (store) disposed(ctx context.Context, d *db.DB, tenant audit.TenantID, v disposal) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE log_disposal SET done_at = $4 WHERE tenant_id = $1 AND segment = $2 AND class = $3`,
			tenant, v.segment, string(v.class), tx.Now().UnixMicro())
		return err
	})
}

// keepAgain sees to it that the job comes again as long as something will have to go or
// be closed: at once when it did not get through.
func (s store) keepAgain(ctx context.Context, d *db.DB, tenant audit.TenantID, now bool) error {
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		at := nextKeep(tx.Now())
		if now {
			at = tx.Now()
		} else {
			var open int64
			err := tx.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM log_disposal WHERE tenant_id = $1 AND done_at IS NULL) + (SELECT COUNT(*) FROM log_state WHERE tenant_id = $1 AND sealed < size)`,
				tenant).Scan(&open)
			if err != nil || open == 0 {
				return err
			}
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobKeep, Key: "log", RunAt: at, Payload: struct{}{}})
	})
}
