package identitysvc

import (
	"context"
	"strings"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

const accountColumns = `SELECT id, kind, state, phone_sealed, username, name_sealed, password_hash, totp_sealed, practitioner_id,
	version, created_at, last_login_at FROM account`

func scanAccount(r db.Row) (a account, err error) {
	var username, password *string
	err = r.Scan(&a.id, &a.kind, &a.state, &a.phone, &username, &a.name, &password, &a.totp, &a.practitioner,
		&a.version, db.Instant(&a.created), db.Instant(&a.lastLogin))
	if username != nil && password != nil {
		a.username, a.password = *username, *password
	}
	return a, err
}

// account reads one with its rights: identity.not_found.
func (s store) account(ctx context.Context, t identity.TenantID, a identity.AccountID) (out account, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		if out, err = scanAccount(tx.QueryRow(ctx, accountColumns+` WHERE tenant_id = $1 AND id = $2`, t, a)); err != nil {
			return err
		}
		out.grants, err = grantsOf(ctx, tx, a)
		return err
	})
	if missing(err) {
		return account{}, identity.ErrNotFound.New()
	}
	return out, err
}

// staffAmong reads those of the accounts that are staff's, with their rights.
func (s store) staffAmong(ctx context.Context, t identity.TenantID, as []identity.AccountID) (out []account, err error) {
	if len(as) == 0 {
		return nil, nil
	}
	args := []any{t}
	for _, a := range as {
		args = append(args, a)
	}
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, accountColumns+` WHERE tenant_id = $1 AND kind = 'staff' AND id IN (`+db.In(2, len(as))+`)`, args...)
		out, err = db.Collect(rows, err, func(r db.Rows, v *account) (err error) {
			*v, err = scanAccount(r)
			return err
		})
		if err != nil {
			return err
		}
		all, err := grants(ctx, tx, as)
		for i := range out {
			out[i].grants = all[out[i].id]
		}
		return err
	})
	return out, err
}

// staffByName reads one for a login; the zero account when there is none.
func (s store) staffByName(ctx context.Context, t identity.TenantID, username string) (out account, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		out, err = scanAccount(tx.QueryRow(ctx, accountColumns+` WHERE tenant_id = $1 AND username = $2`, t, username))
		return err
	})
	if missing(err) {
		return account{}, nil
	}
	return out, err
}

// grantsOf reads the rights of one account.
func grantsOf(ctx context.Context, tx db.Tx, a identity.AccountID) ([]auth.Grant, error) {
	all, err := grants(ctx, tx, []identity.AccountID{a})
	return all[a], err
}

// grants reads the rights of at most a page of accounts.
func grants(ctx context.Context, tx db.Tx, of []identity.AccountID) (map[identity.AccountID][]auth.Grant, error) {
	out := map[identity.AccountID][]auth.Grant{}
	if len(of) == 0 {
		return out, nil
	}
	args := []any{tx.Tenant()}
	for _, a := range of {
		args = append(args, a)
	}
	rows, err := tx.Query(ctx, `SELECT account_id, role, organization_id FROM role_grant
		WHERE tenant_id = $1 AND account_id IN (`+db.In(2, len(of))+`) ORDER BY account_id, role, organization_id`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a identity.AccountID
		var g auth.Grant
		if err := rows.Scan(&a, &g.Role, &g.Organization); err != nil {
			return nil, err
		}
		out[a] = append(out[a], g)
	}
	return out, rows.Err()
}

// addStaff saves a new account: identity.username_taken, or with ensure the id that stands.
func (s store) addStaff(ctx context.Context, t identity.TenantID, a account, action, policy string, ensure bool) (identity.AccountID, error) {
	made := a.id
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		made = a.id
		n, err := tx.Exec(ctx, `INSERT INTO account (tenant_id, id, kind, state, username, name_sealed, password_hash, totp_sealed, practitioner_id, version, created_at)
			VALUES ($1, $2, 'staff', 'active', $3, $4, $5, $6, $7, 1, $8)
			ON CONFLICT (tenant_id, username) WHERE username IS NOT NULL DO NOTHING`,
			t, a.id, a.username, a.name, a.password, a.totp, id.Null(a.practitioner), tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			if !ensure {
				return identity.ErrUsernameTaken.New()
			}
			return tx.QueryRow(ctx, `SELECT id FROM account WHERE tenant_id = $1 AND username = $2`, t, a.username).Scan(&made)
		}
		if err := addGrants(ctx, tx, a.id, a.grants); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: action, Noun: "Account", ID: a.id.String(), Policy: policy,
			Changed: map[string]trail.Change{"roles": {To: words(a.grants)}},
		})
		return err
	})
	return made, err
}

func addGrants(ctx context.Context, tx db.Tx, a identity.AccountID, gs []auth.Grant) error {
	for _, g := range gs {
		_, err := tx.Exec(ctx, `INSERT INTO role_grant (tenant_id, account_id, role, organization_id, created_at) VALUES ($1, $2, $3, $4, $5)`,
			tx.Tenant(), a, string(g.Role), g.Organization, tx.Now().UnixMicro())
		if db.IsUnique(err) {
			return identity.ErrExclusive.Wrap(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// words are rights as the trail keeps them: role, or role@organization.
func words(gs []auth.Grant) string {
	var out []string
	for _, g := range gs {
		w := string(g.Role)
		if !g.Organization.IsZero() {
			w += "@" + g.Organization.String()
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

// bind says which practitioner of the directory an account is of, the zero id for nobody;
// nil leaves it.
type bind *id.ID[id.Any]

// putGrants replaces the rights when the version is the caller's: identity.stale.
func (s store) putGrants(ctx context.Context, t identity.TenantID, a identity.AccountID, gs []auth.Grant, to bind, version int64, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE account SET version = version + 1 WHERE tenant_id = $1 AND id = $2 AND kind = 'staff' AND version = $3`,
			t, a, version)
		if err != nil {
			return err
		}
		if n == 0 {
			if _, err := staffState(ctx, tx, a); err != nil {
				return err
			}
			return identity.ErrStale.New()
		}
		before, err := grantsOf(ctx, tx, a)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM role_grant WHERE tenant_id = $1 AND account_id = $2`, t, a); err != nil {
			return err
		}
		if err := addGrants(ctx, tx, a, gs); err != nil {
			return err
		}
		changed := map[string]trail.Change{"roles": {From: words(before), To: words(gs)}}
		if to != nil {
			var was id.ID[id.Any]
			if err := tx.QueryRow(ctx, `SELECT practitioner_id FROM account WHERE tenant_id = $1 AND id = $2`, t, a).Scan(&was); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `UPDATE account SET practitioner_id = $3 WHERE tenant_id = $1 AND id = $2`, t, a, id.Null(*to)); err != nil {
				return err
			}
			changed["practitioner"] = trail.Change{From: practitionerText(was), To: practitionerText(*to)}
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "identity.put_grants", Noun: "Account", ID: a.String(), Policy: policy, Changed: changed})
		return err
	})
}

// staffState is the state of an account of staff: identity.not_found.
func staffState(ctx context.Context, tx db.Tx, a identity.AccountID) (st accountState, err error) {
	err = tx.QueryRow(ctx, `SELECT state FROM account WHERE tenant_id = $1 AND id = $2 AND kind = 'staff'`, tx.Tenant(), a).Scan(&st)
	if missing(err) {
		return st, identity.ErrNotFound.New()
	}
	return st, err
}

// disable ends the account and its sessions. An account that is disabled stays so.
func (s store) disable(ctx context.Context, t identity.TenantID, a identity.AccountID, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE account SET state = 'disabled', version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND kind = 'staff' AND state = 'active'`, t, a)
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := staffState(ctx, tx, a)
			return err
		}
		if _, err := endAll(ctx, tx, a, "identity.disable_staff"); err != nil {
			return err
		}
		if err := revocation(ctx, tx, a, identity.SessionID{}); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{
			Action: "identity.disable_staff", Noun: "Account", ID: a.String(), Policy: policy,
			Changed: map[string]trail.Change{"state": {From: string(active), To: string(disabled)}},
		})
		return err
	})
}

// staff lists accounts of staff after one, by id, with their rights; those whose user name begins so.
func (s store) staff(ctx context.Context, t identity.TenantID, begins string, after identity.AccountID, limit int) (out []account, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if out, err = staffAfter(ctx, tx, begins, after, limit); err != nil {
			return err
		}
		var ids []identity.AccountID
		for _, a := range out {
			ids = append(ids, a.id)
		}
		gs, err := grants(ctx, tx, ids)
		for i := range out {
			out[i].grants = gs[out[i].id]
		}
		return err
	})
	return out, err
}

func staffAfter(ctx context.Context, tx db.Tx, begins string, after identity.AccountID, limit int) (out []account, err error) {
	rows, err := tx.Query(ctx, accountColumns+` WHERE tenant_id = $1 AND kind = 'staff' AND id > $2
		AND SUBSTR(username, 1, LENGTH(CAST($4 AS TEXT))) = CAST($4 AS TEXT) ORDER BY id LIMIT $3`, tx.Tenant(), after, limit, begins)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// loginStaff takes the one-time code's step (a used one is refused), gives the tries
// back and begins the session.
func (s store) loginStaff(ctx context.Context, t identity.TenantID, a account, step int64, try budget, o opened, ts []token, in door) error {
	var refused error
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		refused = nil
		n, err := tx.Exec(ctx, `UPDATE account SET totp_step = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'active' AND totp_step < $3`, t, a.id, step)
		if err != nil {
			return err
		}
		if n == 0 {
			refused = identity.ErrLoginWrong.New()
			return refuse(ctx, tx, a.id, in)
		}
		if err := try.forget(ctx, tx); err != nil {
			return err
		}
		return addSession(ctx, tx, o.session, ts, in.action)
	})
	if err != nil {
		return err
	}
	return refused
}

// refused keeps a failed login in the trail and counts it for its network; the account is zero for an unknown name.
func (s store) refused(ctx context.Context, t identity.TenantID, a identity.AccountID, in door, failed budget) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if _, err := failed.note(ctx, tx); err != nil {
			return err
		}
		return refuse(ctx, tx, a, in)
	})
}

func refuse(ctx context.Context, tx db.Tx, a identity.AccountID, in door) error {
	object := ""
	if !a.IsZero() {
		object = a.String()
		if err := noteRefused(ctx, tx, a, in.method, in.device); err != nil {
			return err
		}
	}
	return record(ctx, tx, visitor(tx.Tenant()), trail.Entry{Action: in.action, Noun: "Account", ID: object, Policy: byProof, Why: identity.ErrLoginWrong.Name})
}
