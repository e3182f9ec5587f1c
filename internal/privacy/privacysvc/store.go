package privacysvc

import (
	"context"
	"errors"
	"strconv"

	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

// store is the SQL of the privacy context.
type store struct{ db *db.DB }

func one(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return privacy.ErrNotFound.New()
	}
	return err
}

// note writes an audit row for an act that changes nothing.
func (s store) note(ctx context.Context, t privacy.TenantID, e trail.Entry) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := trail.Record(ctx, tx, e)
		return err
	})
}

const textColumns = `x.purpose, x.version, x.title_zh, x.body_zh, x.necessity_zh, x.effect_zh, x.title_en, x.body_en, x.necessity_en, x.effect_en, x.published_at`

func textFields(v *privacy.Text) []any {
	return []any{
		&v.Purpose, &v.Version, &v.ZH.Title, &v.ZH.Body, &v.ZH.Necessity, &v.ZH.Effect, &v.EN.Title, &v.EN.Body, &v.EN.Necessity, &v.EN.Effect,
		db.Instant(&v.PublishedAt),
	}
}

// latest of its purpose.
const latest = ` AND x.version = (SELECT MAX(y.version) FROM purpose_text y WHERE y.tenant_id = $1 AND y.purpose = x.purpose)`

// texts are those in force.
func (s store) texts(ctx context.Context, t privacy.TenantID) (map[privacy.Purpose]privacy.Text, error) {
	out := map[privacy.Purpose]privacy.Text{}
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+textColumns+` FROM purpose_text x WHERE x.tenant_id = $1`+latest, t)
		list, err := db.Collect(rows, err, func(r db.Rows, v *privacy.Text) error { return r.Scan(textFields(v)...) })
		for _, v := range list {
			out[v.Purpose] = v
		}
		return err
	})
	return out, err
}

// publish writes the next version; the primary key holds against another publisher.
func (s store) publish(ctx context.Context, t privacy.TenantID, in privacy.TextSpec, policy string) (out privacy.Text, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		var current int
		if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(version), 0) FROM purpose_text WHERE tenant_id = $1 AND purpose = $2`, t, in.Purpose).Scan(&current); err != nil {
			return err
		}
		if current != in.After {
			return privacy.ErrStale.New()
		}
		out = privacy.Text{Purpose: in.Purpose, Version: current + 1, ZH: in.ZH, EN: in.EN, PublishedAt: tx.Now()}
		act, err := trail.Record(ctx, tx, trail.Entry{
			Action: "privacy.publish_text", Noun: "Purpose", ID: string(in.Purpose), Policy: policy,
			Changed: map[string]trail.Change{"version": {From: strconv.Itoa(current), To: strconv.Itoa(out.Version)}},
		})
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO purpose_text (tenant_id, purpose, version, title_zh, body_zh, necessity_zh, effect_zh, title_en, body_en,
				necessity_en, effect_en, published_at, act_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`,
			t, in.Purpose, out.Version, in.ZH.Title, in.ZH.Body, in.ZH.Necessity, in.ZH.Effect, in.EN.Title, in.EN.Body, in.EN.Necessity, in.EN.Effect,
			tx.Now().UnixMicro(), act)
		if err != nil {
			return err
		}
		if n == 0 {
			return privacy.ErrStale.New()
		}
		return outbox.Add(ctx, tx, privacy.TextPublished{Purpose: in.Purpose, Version: out.Version})
	})
	return out, err
}

const consentColumns = `purpose, state, version, account_id, capacity, at`

func (r *consentRow) fields() []any {
	return []any{&r.purpose, &r.state, &r.version, &r.account, &r.capacity, db.Instant(&r.at)}
}

// decided are the last decisions of a person.
func (s store) decided(ctx context.Context, t privacy.TenantID, p patient.ID) (map[privacy.Purpose]consentRow, error) {
	out := map[privacy.Purpose]consentRow{}
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+consentColumns+` FROM consent WHERE tenant_id = $1 AND patient_id = $2`, t, p)
		list, err := db.Collect(rows, err, func(r db.Rows, v *consentRow) error { return r.Scan(v.fields()...) })
		for _, v := range list {
			out[v.purpose] = v
		}
		return err
	})
	return out, err
}

// inForce are those of the persons who consented to the text in force, and in which capacity.
func (s store) inForce(ctx context.Context, t privacy.TenantID, ps []patient.ID, purpose privacy.Purpose) (map[patient.ID]privacy.Capacity, error) {
	out := map[patient.ID]privacy.Capacity{}
	if len(ps) == 0 {
		return out, nil
	}
	list, args := db.Few([]any{t, purpose}, ps)
	err := s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT c.patient_id, c.capacity FROM consent c JOIN purpose_text x ON x.tenant_id = c.tenant_id AND x.purpose = c.purpose
				AND x.version = c.version
			WHERE c.tenant_id = $1 AND c.purpose = $2 AND c.state = 'given' AND c.patient_id IN (`+list+`)`+latest, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p patient.ID
			var c privacy.Capacity
			if err := rows.Scan(&p, &c); err != nil {
				return err
			}
			out[p] = c
		}
		return rows.Err()
	})
	return out, err
}

// decide writes a decision about the text in force. One that says what is there already changes nothing.
func (s store) decide(ctx context.Context, t privacy.TenantID, p patient.ID, in consentRow, policy string) (text privacy.Text, out consentRow, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		err := one(tx.QueryRow(ctx, `SELECT `+textColumns+` FROM purpose_text x WHERE x.tenant_id = $1 AND x.purpose = $2`+latest, t, in.purpose).Scan(textFields(&text)...))
		if err != nil {
			return err
		}
		out = in
		if in.state == privacy.Given && in.version != text.Version {
			return privacy.ErrTextOutdated.New()
		}
		out.version, out.at = text.Version, tx.Now()
		var was consentRow
		err = tx.QueryRow(ctx, `SELECT `+consentColumns+` FROM consent WHERE tenant_id = $1 AND patient_id = $2 AND purpose = $3`, t, p, in.purpose).Scan(was.fields()...)
		switch {
		case errors.Is(err, db.ErrNoRows) && in.state == privacy.Withdrawn:
			return privacy.ErrNotFound.New() // there is nothing to withdraw
		case errors.Is(err, db.ErrNoRows):
		case err != nil:
			return err
		case was.state == in.state && (in.state == privacy.Withdrawn || was.version == out.version && was.capacity == in.capacity):
			out = was
			return nil
		}
		return s.save(ctx, tx, p, was, out, policy)
	})
	return text, out, err
}

// save writes the decision, its step, the audit row and the event. steps is the lock: two at once get different numbers.
func (s store) save(ctx context.Context, tx db.Tx, p patient.ID, was, r consentRow, policy string) error {
	var step int
	err := tx.QueryRow(ctx, `INSERT INTO consent (tenant_id, patient_id, purpose, state, version, account_id, capacity, steps, at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
		ON CONFLICT (tenant_id, patient_id, purpose) DO UPDATE SET state = excluded.state, version = excluded.version, account_id = excluded.account_id,
			capacity = excluded.capacity, steps = consent.steps + 1, at = excluded.at RETURNING steps`,
		tx.Tenant(), p, r.purpose, r.state, r.version, r.account, r.capacity, r.at.UnixMicro()).Scan(&step)
	if err != nil {
		return err
	}
	act, err := trail.Record(ctx, tx, trail.Entry{
		Action: "privacy.decide_consent", Noun: "Consent", ID: p.String(), Policy: policy, Why: string(r.purpose),
		Changed: map[string]trail.Change{"state": {From: string(was.state), To: string(r.state)}, "version": {From: strconv.Itoa(was.version), To: strconv.Itoa(r.version)}},
	})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO consent_step (tenant_id, patient_id, purpose, step, state, version, account_id, capacity, act_id, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, tx.Tenant(), p, r.purpose, step, r.state, r.version, r.account, r.capacity, act, r.at.UnixMicro())
	if err != nil {
		return err
	}
	return outbox.Add(ctx, tx, privacy.ConsentChanged{Patient: p, Purpose: r.purpose, Given: r.state == privacy.Given, Version: r.version})
}

// steps are the decisions of a person, the newest first.
func (s store) steps(ctx context.Context, t privacy.TenantID, p patient.ID) (out []consentRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+consentColumns+` FROM consent_step WHERE tenant_id = $1 AND patient_id = $2 ORDER BY at DESC, purpose, step DESC LIMIT 100`, t, p)
		out, err = db.Collect(rows, err, func(r db.Rows, v *consentRow) error { return r.Scan(v.fields()...) })
		return err
	})
	return out, err
}
