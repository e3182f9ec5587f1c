package tenantsvc

import (
	"context"
	"encoding/json"
	"errors"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/settings"
	"xinglin/internal/platform/trail"
	"xinglin/internal/tenant"
)

const bundleJob = "tenant.apply_bundle"

// carried is what the job is told.
type carried struct {
	Bundle id.ID[Bundle] `json:"bundle"`
}

// act is who decided what.
type act struct {
	actor  string
	say    Decision
	policy string
}

func (s store) record(ctx context.Context, t tenant.ID, action, policy, item string, changed []string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return note(ctx, tx, trail.Entry{Action: action, Noun: "Bundle", ID: item, Policy: policy, Changed: changed})
	})
}

func note(ctx context.Context, tx db.Tx, e trail.Entry) error {
	_, err := trail.Record(ctx, tx, e)
	return err
}

const bundleColumns = `SELECT id, state, digest, document, before, undoes, staged_by, staged_at, applied_by, applied_at, alone, why, done, ended_at, halted_at, halted_by FROM bundle`

func scanBundle(r db.Row, b *Bundle) error {
	var document, before string
	var alone int
	err := r.Scan(&b.ID, &b.State, &b.Digest, &document, &before, &b.Undoes, &b.StagedBy, db.Instant(&b.StagedAt), &b.AppliedBy, db.Instant(&b.AppliedAt),
		&alone, &b.Why, &b.Done, db.Instant(&b.EndedAt), &b.HaltedAt, &b.HaltedBy)
	if err != nil {
		return err
	}
	b.Alone = alone == 1
	if before != "" {
		if err := json.Unmarshal([]byte(before), &b.Before); err != nil {
			return err
		}
	}
	return json.Unmarshal([]byte(document), &b.File)
}

func (s store) bundle(ctx context.Context, t tenant.ID, b id.ID[Bundle]) (row Bundle, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		row = Bundle{}
		return scanBundle(tx.QueryRow(ctx, bundleColumns+` WHERE tenant_id = $1 AND id = $2`, t, b), &row)
	})
	if errors.Is(err, db.ErrNoRows) {
		return row, tenant.ErrBundle.New()
	}
	return row, err
}

func (s store) bundles(ctx context.Context, t tenant.ID) (out []Bundle, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, bundleColumns+` WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2`, t, maxBundles)
		out, err = db.Collect(rows, err, func(r db.Rows, b *Bundle) error { return scanBundle(r, b) })
		return err
	})
	return out, err
}

// stage keeps a bundle; the same content that waits already is the answer.
func (s store) stage(ctx context.Context, t tenant.ID, b Bundle, policy string) (kept Bundle, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		kept = Bundle{}
		err := scanBundle(tx.QueryRow(ctx, bundleColumns+` WHERE tenant_id = $1 AND digest = $2 AND state = 'staged'`, t, b.Digest), &kept)
		if !errors.Is(err, db.ErrNoRows) {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM bundle WHERE tenant_id = $1 AND state = 'staged'`, t).Scan(&n); err != nil {
			return err
		}
		if n >= maxStaged {
			return tenant.ErrStagedMost.New()
		}
		kept = b
		if err := insertBundle(ctx, tx, b); err != nil {
			return err
		}
		return note(ctx, tx, trail.Entry{
			Action: "tenant.stage_bundle", Noun: "Bundle", ID: b.ID.String(), Policy: policy, Why: b.Digest, Changed: b.File.Bundle.Sections.Names(),
		})
	})
	if db.IsUnique(err) { // another request staged the same at this moment
		return kept, tenant.ErrBundleBusy.New()
	}
	return kept, err
}

func insertBundle(ctx context.Context, tx db.Tx, b Bundle) error {
	document, err := settings.Encode(b.File)
	if err != nil {
		return err
	}
	before, err := beforeText(b.Before)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO bundle (tenant_id, id, state, digest, document, before, undoes, staged_by, staged_at, applied_by, applied_at,
			alone, why, done, ended_at, halted_at, halted_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, '', '')`,
		tx.Tenant(), b.ID, b.State, b.Digest, string(document), before, id.Null(b.Undoes), b.StagedBy, b.StagedAt.UnixMicro(), b.AppliedBy, micros(b),
		flag(b.Alone), b.Why)
	return err
}

func micros(b Bundle) int64 {
	if b.AppliedAt.IsZero() {
		return 0
	}
	return b.AppliedAt.UnixMicro()
}

func beforeText(s settings.Sections) (string, error) {
	if s == nil {
		return "", nil
	}
	raw, err := settings.Encode(s)
	return string(raw), err
}

func (s store) discard(ctx context.Context, t tenant.ID, b id.ID[Bundle], policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE bundle SET state = 'discarded', ended_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'staged'`, t, b, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return missing(ctx, tx, b)
		}
		return note(ctx, tx, trail.Entry{Action: "tenant.discard_bundle", Noun: "Bundle", ID: b.String(), Policy: policy, Changed: []string{"state"}})
	})
}

// missing says why a bundle was not in the state that a step needs.
func missing(ctx context.Context, tx db.Tx, b id.ID[Bundle]) error {
	var state string
	err := tx.QueryRow(ctx, `SELECT state FROM bundle WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), b).Scan(&state)
	if errors.Is(err, db.ErrNoRows) {
		return tenant.ErrBundle.New()
	}
	if err != nil {
		return err
	}
	return tenant.ErrBundleState.At("state", state)
}

// generation counts the bundles that began.
func (s store) generation(ctx context.Context, t tenant.ID) (g int64, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, `SELECT generation FROM configuration WHERE tenant_id = $1`, t).Scan(&g)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	return g, err
}

// turn is taken by one of those who looked at the same generation.
func turn(ctx context.Context, tx db.Tx, generation int64) error {
	n, err := tx.Exec(ctx, `UPDATE configuration SET generation = generation + 1 WHERE tenant_id = $1 AND generation = $2`, tx.Tenant(), generation)
	if err == nil && n == 0 && generation == 0 {
		n, err = tx.Exec(ctx, `INSERT INTO configuration (tenant_id, generation) VALUES ($1, 1) ON CONFLICT DO NOTHING`, tx.Tenant())
	}
	if err == nil && n == 0 {
		return tenant.ErrBundleBusy.New()
	}
	return err
}

// begin makes a staged bundle the one that is applied, and keeps what lives.
func (s store) begin(ctx context.Context, t tenant.ID, b Bundle, generation int64, a act) (Bundle, error) {
	before, err := beforeText(b.Before)
	if err != nil {
		return b, err
	}
	return s.open(ctx, t, b.ID, func(ctx context.Context, tx db.Tx) error {
		if err := turn(ctx, tx, generation); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE bundle SET state = 'applying', before = $3, applied_by = $4, applied_at = $5, alone = $6, why = $7
			WHERE tenant_id = $1 AND id = $2 AND state = 'staged'`, t, b.ID, before, a.actor, tx.Now().UnixMicro(), flag(b.Alone), a.say.Why)
		if err != nil {
			return err
		}
		if n == 0 {
			return missing(ctx, tx, b.ID)
		}
		return s.begun(ctx, tx, "tenant.apply_bundle", b, a)
	})
}

// resume goes on with a halted one.
func (s store) resume(ctx context.Context, t tenant.ID, b Bundle, a act) (Bundle, error) {
	return s.open(ctx, t, b.ID, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE bundle SET state = 'applying', halted_at = '', halted_by = '' WHERE tenant_id = $1 AND id = $2 AND state = 'halted'`, t, b.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return missing(ctx, tx, b.ID)
		}
		return s.begun(ctx, tx, "tenant.apply_bundle", b, a)
	})
}

// rollBack begins to apply what lived before a bundle. A halted one ends with it, a live one when the other is through.
func (s store) rollBack(ctx context.Context, t tenant.ID, of, back Bundle, generation int64, a act) (Bundle, error) {
	back.AppliedBy, back.Why = a.actor, a.say.Why
	return s.open(ctx, t, back.ID, func(ctx context.Context, tx db.Tx) error {
		if err := turn(ctx, tx, generation); err != nil {
			return err
		}
		if of.State == Halted {
			n, err := tx.Exec(ctx, `UPDATE bundle SET state = 'rolled_back', ended_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'halted'`, t, of.ID, tx.Now().UnixMicro())
			if err != nil {
				return err
			}
			if n == 0 {
				return missing(ctx, tx, of.ID)
			}
		}
		back.AppliedAt = tx.Now()
		if err := insertBundle(ctx, tx, back); err != nil {
			return err
		}
		return s.begun(ctx, tx, "tenant.roll_back_bundle", back, a)
	})
}

// open runs the beginning of an application: one at a time.
func (s store) open(ctx context.Context, t tenant.ID, b id.ID[Bundle], f func(context.Context, db.Tx) error) (row Bundle, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		row = Bundle{}
		return scanBundle(tx.QueryRow(ctx, bundleColumns+` WHERE tenant_id = $1 AND id = $2`, t, b), &row)
	})
	if db.IsUnique(err) {
		return row, tenant.ErrBundleBusy.New()
	}
	return row, err
}

func (s store) begun(ctx context.Context, tx db.Tx, action string, b Bundle, a act) error {
	err := job.Enqueue(ctx, tx, job.Spec{Kind: bundleJob, Key: b.ID.String(), Payload: carried{b.ID}})
	if err != nil {
		return err
	}
	return note(ctx, tx, trail.Entry{Action: action, Noun: "Bundle", ID: b.ID.String(), Policy: a.policy, Why: a.say.Why, Changed: b.File.Bundle.Sections.Names()})
}

// step notes that so many sections are put.
func (s store) step(ctx context.Context, t tenant.ID, b id.ID[Bundle], done int) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE bundle SET done = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'applying' AND done <= $3`, t, b, done)
		if err == nil && n == 0 {
			return missing(ctx, tx, b)
		}
		return err
	})
}

func (s store) halt(ctx context.Context, t tenant.ID, b id.ID[Bundle], section, code string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE bundle SET state = 'halted', halted_at = $3, halted_by = $4 WHERE tenant_id = $1 AND id = $2 AND state = 'applying'`, t, b, section, code)
		if err != nil || n == 0 {
			return err
		}
		return note(ctx, tx, trail.Entry{Action: "tenant.apply_bundle", Noun: "Bundle", ID: b.String(), Policy: "tenant.configuration", Why: code, Changed: []string{"state"}})
	})
}

// finish makes it the live one; the one before is replaced, or rolled back when this one undoes it.
func (s store) finish(ctx context.Context, t tenant.ID, b Bundle) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		now := tx.Now().UnixMicro()
		// The own row first: whoever comes second finds it live and changes nothing.
		var state string
		err := tx.QueryRow(ctx, `UPDATE bundle SET ended_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'applying' RETURNING state`, t, b.ID, now).Scan(&state)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE bundle SET state = CASE WHEN id = $2 THEN 'rolled_back' ELSE 'replaced' END, ended_at = $3
			WHERE tenant_id = $1 AND state = 'live'`, t, b.Undoes, now)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `UPDATE bundle SET state = 'live' WHERE tenant_id = $1 AND id = $2`, t, b.ID); err != nil {
			return err
		}
		return note(ctx, tx, trail.Entry{Action: "tenant.apply_bundle", Noun: "Bundle", ID: b.ID.String(), Policy: "tenant.configuration", Changed: []string{"state"}})
	})
}

func (s store) trustedKeys(ctx context.Context, t tenant.ID) (out []TrustedKey, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT title, public FROM trusted_key WHERE tenant_id = $1 ORDER BY name LIMIT $2`, t, maxBundles)
		out, err = db.Collect(rows, err, func(r db.Rows, k *TrustedKey) error {
			var der []byte
			if err := r.Scan(&k.Title, &der); err != nil {
				return err
			}
			k.Key, err = settings.ParseKey(der)
			return err
		})
		return err
	})
	return out, err
}

func (s store) trust(ctx context.Context, t tenant.ID, k TrustedKey, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO trusted_key (tenant_id, name, title, public, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			t, k.Name, k.Title, k.DER, tx.Now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		return note(ctx, tx, trail.Entry{Action: "tenant.trust_key", Noun: "TrustedKey", ID: k.Name, Policy: policy, Changed: []string{"public"}})
	})
}

func (s store) distrust(ctx context.Context, t tenant.ID, name, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM trusted_key WHERE tenant_id = $1 AND name = $2`, t, name)
		if err != nil || n == 0 {
			return err
		}
		return note(ctx, tx, trail.Entry{Action: "tenant.trust_key", Noun: "TrustedKey", ID: name, Policy: policy, Changed: []string{"public"}})
	})
}
