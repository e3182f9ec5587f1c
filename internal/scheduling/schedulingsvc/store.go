package schedulingsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// store is the SQL of the context.
type store struct {
	db    *db.DB
	rotas rotas.Store
	// live tells all processes that the seats of a schedule changed; called after the commit.
	live func(ctx context.Context, t scheduling.TenantID, schedule id.ID[scheduling.Schedule])
	// free tells all processes that a seat came back; called after the commit, before live.
	free func(ctx context.Context, t scheduling.TenantID, schedule id.ID[scheduling.Schedule])
	// forget drops what this process keeps of plans and rules; called after the commit.
	forget func()
}

// freed announces a session that may have seats again after the commit.
func (s store) freed(ctx context.Context, tx db.Tx, schedule id.ID[scheduling.Schedule]) {
	t := tx.Tenant()
	tx.OnCommit(func() { s.free(ctx, t, schedule) })
	s.changed(ctx, tx, schedule)
}

// changed announces a schedule after the commit.
func (s store) changed(ctx context.Context, tx db.Tx, schedule id.ID[scheduling.Schedule]) {
	t := tx.Tenant()
	tx.OnCommit(func() { s.live(ctx, t, schedule) })
}

// one makes a missing row the caller's not found.
func one(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return scheduling.ErrNotFound.New()
	}
	return err
}

// ---- rules ----

func (s store) rules(ctx context.Context, t scheduling.TenantID) (r scheduling.BookingRules, version int64, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		r, version, err = rulesIn(ctx, tx)
		return err
	})
	return r, version, err
}

// rulesIn reads the tenant's rules within a transaction.
func rulesIn(ctx context.Context, tx db.Tx) (r scheduling.BookingRules, version int64, err error) {
	err = tx.QueryRow(ctx, `SELECT rules, version FROM booking_rules WHERE tenant_id = $1`, tx.Tenant()).Scan(db.JSONInto(&r), &version)
	if errors.Is(err, db.ErrNoRows) {
		return bookingrules.Default(), 0, nil
	}
	return r, version, err
}

func (s store) setRules(ctx context.Context, t scheduling.TenantID, r scheduling.BookingRules, version int64, policy string) (int64, error) {
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := s.takeRotaTurn(ctx, tx); err != nil {
			return err
		}
		now := tx.Now()
		n, err := tx.Exec(ctx, `UPDATE booking_rules SET rules = $2, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND version = $4`,
			t, db.JSON(r), now.UnixMicro(), version)
		if err != nil {
			return err
		}
		if n == 0 && version == 0 {
			n, err = tx.Exec(ctx, `INSERT INTO booking_rules (tenant_id, rules, version, updated_at) VALUES ($1, $2, 1, $3) ON CONFLICT DO NOTHING`,
				t, db.JSON(r), now.UnixMicro())
			if err != nil {
				return err
			}
		}
		if n == 0 {
			return scheduling.ErrStale.New()
		}
		if err := s.releaseAnew(ctx, tx, r, now); err != nil {
			return err
		}
		if err := enqueueExtend(ctx, tx); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: "scheduling.update_booking_rules", Noun: "BookingRules", ID: t.String(), Policy: policy, Changed: []string{"rules"},
		})
		return err
	})
	return version + 1, err
}

// releaseAnew gives the days that are not released yet their instant under new rules. An
// announced lottery keeps its window.
func (s store) releaseAnew(ctx context.Context, tx db.Tx, r scheduling.BookingRules, now time.Time) error {
	rows, err := tx.Query(ctx, `SELECT DISTINCT day FROM schedule WHERE tenant_id = $1 AND released_at > $2 AND day >= $3 ORDER BY day LIMIT 500`,
		tx.Tenant(), now.UnixMicro(), clock.DateOf(now))
	days, err := db.Collect(rows, err, func(r db.Rows, d *clock.Date) error { return r.Scan(d) })
	if err != nil {
		return err
	}
	if len(days) > 0 {
		s.changed(ctx, tx, everySession)
	}
	for _, d := range days {
		_, err := tx.Exec(ctx, `UPDATE schedule SET released_at = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND day = $2 AND released_at > $4 AND lottery_s = 0`,
			tx.Tenant(), d, bookingrules.ReleasedAt(r, d).UnixMicro(), now.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// takeRotaTurn makes the writers of a tenant's rota and rules go one after the other.
func (s store) takeRotaTurn(ctx context.Context, tx db.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO rota_turn (tenant_id, turns) VALUES ($1, 1) ON CONFLICT (tenant_id) DO UPDATE SET turns = rota_turn.turns + 1`, tx.Tenant())
	if err != nil {
		return fmt.Errorf("rota turn: %w", err)
	}
	tx.OnCommit(s.forget)
	return nil
}
