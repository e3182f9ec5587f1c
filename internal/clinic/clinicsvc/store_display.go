package clinicsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

const displayColumns = `id, name, campus_id, departments, created_at, last_seen_at, expires_at`

func scanDisplay(r db.Row, v *clinic.Display) error {
	return r.Scan(&v.ID, &v.Name, &v.Campus, db.JSONInto(&v.Departments), db.Instant(&v.CreatedAt), db.Instant(&v.LastSeenAt), db.Instant(&v.ExpiresAt))
}

// displays are those that have not ended, at most maxDisplays.
func (s store) displays(ctx context.Context, t clinic.TenantID, now time.Time) (out []clinic.Display, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+displayColumns+` FROM display WHERE tenant_id = $1 AND expires_at > $2 ORDER BY id LIMIT $3`, t, now.UnixMicro(), maxDisplays)
		out, err = db.Collect(rows, err, scanDisplays)
		return err
	})
	return out, err
}

func scanDisplays(r db.Rows, v *clinic.Display) error { return scanDisplay(r, v) }

// addDisplay makes a display, unless there are as many as there may be or one has the
// name; what has ended goes.
func (s store) addDisplay(ctx context.Context, a act, d clinic.Display, hash []byte) error {
	return s.db.Write(ctx, a.who.Tenant, func(ctx context.Context, tx db.Tx) error {
		t := tx.Tenant()
		if _, err := tx.Exec(ctx, `DELETE FROM display WHERE tenant_id = $1 AND expires_at <= $2`, t, tx.Now().UnixMicro()); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM display WHERE tenant_id = $1`, t).Scan(&n); err != nil {
			return err
		}
		if n >= maxDisplays {
			return clinic.ErrTooMany.New()
		}
		_, err := tx.Exec(ctx, `INSERT INTO display (tenant_id, id, name, campus_id, departments, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			t, d.ID, d.Name, d.Campus, db.JSON(d.Departments), hash, d.CreatedAt.UnixMicro(), d.ExpiresAt.UnixMicro())
		if db.IsUnique(err) {
			return clinic.ErrDisplayName.Wrap(err)
		}
		if err != nil {
			return err
		}
		_, err = a.record(ctx, tx, "Display", d.ID.String(), "", nil)
		return err
	})
}

// removeDisplay revokes a display; clinic.not_found when there is none.
func (s store) removeDisplay(ctx context.Context, a act, d clinic.DisplayID) error {
	return s.db.Write(ctx, a.who.Tenant, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM display WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), d)
		if err != nil {
			return err
		}
		if n == 0 {
			return clinic.ErrNotFound.New()
		}
		_, err = a.record(ctx, tx, "Display", d.String(), "", nil)
		return err
	})
}

// display finds a display by the hash of its token: clinic.display_unknown.
func (s store) display(ctx context.Context, t clinic.TenantID, hash []byte, now time.Time) (v clinic.Display, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return scanDisplay(tx.QueryRow(ctx, `SELECT `+displayColumns+` FROM display WHERE tenant_id = $1 AND token_hash = $2 AND expires_at > $3`, t, hash, now.UnixMicro()), &v)
	})
	if errors.Is(err, db.ErrNoRows) {
		err = clinic.ErrDisplay.New()
	}
	return v, err
}

// seen notes that a display is in use, which puts off its end.
func (s store) seen(ctx context.Context, t clinic.TenantID, d clinic.DisplayID, now, until time.Time) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE display SET last_seen_at = $3, expires_at = $4 WHERE tenant_id = $1 AND id = $2 AND (last_seen_at IS NULL OR last_seen_at < $3)`,
			t, d, now.UnixMicro(), until.UnixMicro())
		return err
	})
}

// wallRows is what a board is made of.
type wallRows struct {
	lines []lineRow
	turns map[scheduleID][]turnRow
	calls []turnRow
	rules clinic.Rules
}

// wall reads the day's lines of a display with who is called, waits or is missed.
func (s store) wall(ctx context.Context, t clinic.TenantID, q lineQuery) (w wallRows, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if w.lines, err = linesIn(ctx, tx, q); err != nil {
			return err
		}
		if w.rules, _, err = rulesIn(ctx, tx); err != nil {
			return err
		}
		w.turns = map[scheduleID][]turnRow{}
		if len(w.lines) == 0 {
			return nil
		}
		list, args := db.Few([]any{t, maxWallTurns}, ids(w.lines))
		rows, err := tx.Query(ctx, `SELECT `+turnColumns+` FROM turn WHERE tenant_id = $1 AND line_id IN (`+list+`) AND state IN ('called', 'waiting', 'missed')
			ORDER BY line_id, number LIMIT $2`, args...)
		found, err := db.Collect(rows, err, func(r db.Rows, v *turnRow) error { return scanTurn(r, v) })
		if err != nil {
			return err
		}
		for _, v := range found {
			w.turns[v.Schedule] = append(w.turns[v.Schedule], v)
		}
		w.calls, err = calledIn(ctx, tx, ids(w.lines), wallCalls)
		return err
	})
	return w, err
}

// walls are the displays of a hub's items that have not ended, and how far their lines are.
func (s store) walls(ctx context.Context, t clinic.TenantID, ids []clinic.DisplayID, ask func(clinic.Display) lineQuery, now time.Time) (out []clinic.Display, ahead []int64, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		list, args := db.Few([]any{t, now.UnixMicro()}, ids)
		rows, err := tx.Query(ctx, `SELECT `+displayColumns+` FROM display WHERE tenant_id = $1 AND expires_at > $2 AND id IN (`+list+`)`, args...)
		if out, err = db.Collect(rows, err, scanDisplays); err != nil {
			return err
		}
		ahead = make([]int64, len(out))
		for i, d := range out {
			if ahead[i], err = s.ahead(ctx, tx, ask(d)); err != nil {
				return err
			}
		}
		return nil
	})
	return out, ahead, err
}

// ---- rules ----

func (s store) rules(ctx context.Context, t clinic.TenantID) (r clinic.Rules, version int64, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		r, version, err = rulesIn(ctx, tx)
		return err
	})
	return r, version, err
}

func rulesIn(ctx context.Context, tx db.Tx) (r clinic.Rules, version int64, err error) {
	err = tx.QueryRow(ctx, `SELECT early_minutes, late_minutes, show_names, version FROM clinic_rules WHERE tenant_id = $1`, tx.Tenant()).
		Scan(&r.EarlyMinutes, &r.LateMinutes, &r.ShowNames, &version)
	if errors.Is(err, db.ErrNoRows) {
		return clinic.DefaultRules, 0, nil
	}
	return r, version, err
}

// setRules replaces the rules if nobody was faster.
func (s store) setRules(ctx context.Context, a act, r clinic.Rules, version int64) error {
	return s.db.Write(ctx, a.who.Tenant, func(ctx context.Context, tx db.Tx) error {
		t, now := tx.Tenant(), tx.Now().UnixMicro()
		n, err := tx.Exec(ctx, `UPDATE clinic_rules SET early_minutes = $2, late_minutes = $3, show_names = $4, version = version + 1, updated_at = $5
			WHERE tenant_id = $1 AND version = $6`, t, r.EarlyMinutes, r.LateMinutes, r.ShowNames, now, version)
		if err == nil && n == 0 && version == 0 {
			n, err = tx.Exec(ctx, `INSERT INTO clinic_rules (tenant_id, early_minutes, late_minutes, show_names, version, updated_at) VALUES ($1, $2, $3, $4, 1, $5)
				ON CONFLICT DO NOTHING`, t, r.EarlyMinutes, r.LateMinutes, r.ShowNames, now)
		}
		if err == nil && n == 0 {
			err = clinic.ErrRulesStale.New()
		}
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: a.action, Noun: "ClinicRules", ID: t.String(), Policy: a.policy, Changed: []string{"early_minutes", "late_minutes", "show_names"},
		})
		return err
	})
}
