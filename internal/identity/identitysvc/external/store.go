package external

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// Store is the package's SQL, in identity's database.
type Store struct {
	DB    *db.DB
	Blind blind.Index
	// Record writes an act whose principal may not be in ctx.
	Record func(ctx context.Context, tx db.Tx, who auth.Principal, e trail.Entry) error
	// Visitor is who acts before anybody has proved who they are.
	Visitor func(identity.TenantID) auth.Principal
	// Room refuses when the network had its failures, Spend takes one login of it: identity.idp_too_often. Failed counts a refused
	// answer; false when the network has had its share, and gets no row any more.
	Room, Spend func(ctx context.Context, tx db.Tx, network []byte) error
	Failed      func(ctx context.Context, tx db.Tx, network []byte) (bool, error)
	// Note lets the account's owner see a login that was refused.
	Note func(ctx context.Context, tx db.Tx, a identity.AccountID) error
	// End ends a session and what came of it.
	End func(ctx context.Context, tx db.Tx, s Session, reason string) error
}

func missing(err error) bool { return errors.Is(err, db.ErrNoRows) }

// room refuses a network that had its failures.
func (s Store) room(ctx context.Context, t identity.TenantID, network []byte) error {
	return s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error { return s.Room(ctx, tx, network) })
}

// begin saves a login that asks a provider, when the budgets allow it.
func (s Store) begin(ctx context.Context, t identity.TenantID, w waiting, network []byte) error {
	return s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := s.Spend(ctx, tx, network); err != nil {
			return err
		}
		return w.add(ctx, tx)
	})
}

// hold saves a login that lacks one thing more.
func (s Store) hold(ctx context.Context, t identity.TenantID, w waiting) error {
	return s.DB.Write(ctx, t, w.add)
}

func (w waiting) add(ctx context.Context, tx db.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO idp_login (tenant_id, hash, stage, browser, idp_id, account_id, session_id, sealed, next, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, tx.Tenant(), w.hash, string(w.stage), w.browser, w.idp, id.Null(w.account),
		id.Null(w.session), w.sealed, w.next, tx.Now().UnixMicro(), w.expires.UnixMicro())
	return err
}

const waitingColumns = `hash, stage, idp_id, account_id, session_id, sealed, next`

func scanWaiting(r db.Row) (w waiting, err error) {
	err = r.Scan(&w.hash, (*string)(&w.stage), &w.idp, &w.account, &w.session, &w.sealed, &w.next)
	return w, err
}

// take deletes a login and returns it: identity.idp_expired when there is none that is still good in this browser. Of several at
// the same moment one gets it; another browser takes nothing away.
func (s Store) take(ctx context.Context, t identity.TenantID, hash, browser []byte, at stage, now time.Time) (w waiting, err error) {
	err = s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		w, err = scanWaiting(tx.QueryRow(ctx, `DELETE FROM idp_login WHERE tenant_id = $1 AND hash = $2 AND browser = $3 AND stage = $4 AND expires_at > $5
			RETURNING `+waitingColumns, t, hash, browser, string(at), now.UnixMicro()))
		return err
	})
	return w, expired(err)
}

func expired(err error) error {
	if missing(err) {
		return identity.ErrIDPExpired.New()
	}
	return err
}

// held reads a login that lacks one thing: identity.idp_expired.
func (s Store) held(ctx context.Context, t identity.TenantID, hash []byte, now time.Time) (w waiting, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) (err error) {
		w, err = scanWaiting(tx.QueryRow(ctx, `SELECT `+waitingColumns+` FROM idp_login WHERE tenant_id = $1 AND hash = $2 AND stage <> 'asked' AND expires_at > $3`,
			t, hash, now.UnixMicro()))
		return err
	})
	return w, expired(err)
}

// Spent uses a held login up: identity.idp_expired when another request was first.
func (s Store) Spent(ctx context.Context, tx db.Tx, w Waiting) error {
	n, err := tx.Exec(ctx, `DELETE FROM idp_login WHERE tenant_id = $1 AND hash = $2 AND stage <> 'asked' AND expires_at > $3`, tx.Tenant(), w.hash, tx.Now().UnixMicro())
	if err == nil && n == 0 {
		err = identity.ErrIDPExpired.New()
	}
	return err
}

// Used marks the account's link as used, which holds it and its provider until the transaction ends: identity.not_linked when it was
// taken away meanwhile, identity.idp_disabled when the provider was disabled.
func (s Store) Used(ctx context.Context, tx db.Tx, p identity.IDPID, a identity.AccountID) error {
	if err := s.Live(ctx, tx, p); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE idp_link SET used_at = $4 WHERE tenant_id = $1 AND idp_id = $2 AND account_id = $3`, tx.Tenant(), p, a, tx.Now().UnixMicro())
	if err == nil && n == 0 {
		err = identity.ErrNotLinked.New()
	}
	return err
}

// Live refuses a provider that was disabled, and keeps it from being disabled until the transaction ends.
func (s Store) Live(ctx context.Context, tx db.Tx, p identity.IDPID) error {
	text := liveSQLite
	if tx.Engine() == db.Postgres {
		text = livePG
	}
	err := tx.QueryRow(ctx, text, tx.Tenant(), p).Scan(&p)
	if missing(err) {
		err = identity.ErrIDPDisabled.New()
	}
	return err
}

// linked is the account of a subject, zero for nobody's.
func (s Store) linked(ctx context.Context, t identity.TenantID, v blind.Value) (a identity.AccountID, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return s.Blind.Read(ctx, tx, []blind.Value{v}, func(ix []blind.Pair) error {
			where, args := ix[0].Match("subject_index", "subject_index_even", []any{t})
			err := tx.QueryRow(ctx, `SELECT account_id FROM idp_link WHERE tenant_id = $1 AND `+where, args...).Scan(&a)
			if missing(err) {
				a, err = identity.AccountID{}, nil
			}
			return err
		})
	})
	return a, err
}

// Add saves a link in a transaction; one that stands already is none the worse. identity.link_taken when the subject is another
// account's, identity.link_exists when the account has another subject of the provider.
func (s Store) Add(ctx context.Context, tx db.Tx, n NewLink) (made bool, err error) {
	ix, err := s.Blind.Write(ctx, tx, n.value)
	if err != nil {
		return false, err
	}
	odd, even := ix[0].Columns()
	k, err := tx.Exec(ctx, `INSERT INTO idp_link (tenant_id, id, idp_id, account_id, subject_index, subject_index_even, subject_sealed, created_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING`,
		tx.Tenant(), n.id, n.IDP, n.Account, odd, even, n.sealed, tx.Now().UnixMicro())
	if err != nil || k == 1 {
		return k == 1, err
	}
	where, args := ix[0].Match("subject_index", "subject_index_even", []any{tx.Tenant()})
	var a identity.AccountID
	err = tx.QueryRow(ctx, `SELECT account_id FROM idp_link WHERE tenant_id = $1 AND `+where, args...).Scan(&a)
	switch {
	case missing(err):
		return false, identity.ErrLinkExists.New()
	case err == nil && a != n.Account:
		return false, identity.ErrLinkTaken.New()
	}
	return false, err
}

// link saves the link of a session's own account.
func (s Store) link(ctx context.Context, who auth.Principal, n NewLink, policy string) error {
	return s.DB.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		if err := s.Live(ctx, tx, n.IDP); err != nil {
			return err
		}
		made, err := s.Add(ctx, tx, n)
		if err != nil || !made {
			return err
		}
		return s.Record(ctx, tx, who, linkEntry("identity.link_idp", n, policy))
	})
}

func linkEntry(action string, n NewLink, policy string) trail.Entry {
	return trail.Entry{Action: action, Noun: "IDPLink", ID: n.id.String(), Policy: policy, Changed: map[string]trail.Change{"idp": {To: n.IDP.String()}}}
}

// Linked tells that a login made a link.
func (s Store) Linked(ctx context.Context, tx db.Tx, who auth.Principal, n NewLink) error {
	return s.Record(ctx, tx, who, linkEntry("identity.link_idp", n, byProof))
}

// stored is a link of the own account's with its provider.
type stored struct {
	id             LinkID
	idp            identity.IDPID
	name, nameEN   string
	disabled       bool
	created, since time.Time
}

// maxLinks is how many an account ever has: one of each provider.
const maxLinks = 100

func (s Store) links(ctx context.Context, t identity.TenantID, a identity.AccountID) (out []stored, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT l.id, l.idp_id, p.name, p.name_en, p.disabled_at IS NOT NULL, l.created_at, l.used_at FROM idp_link l
			JOIN idp p ON p.tenant_id = l.tenant_id AND p.id = l.idp_id
			WHERE l.tenant_id = $1 AND l.account_id = $2 ORDER BY l.id LIMIT $3`, t, a, maxLinks)
		out, err = db.Collect(rows, err, func(r db.Rows, v *stored) error {
			return r.Scan(&v.id, &v.idp, &v.name, &v.nameEN, &v.disabled, db.Instant(&v.created), db.Instant(&v.since))
		})
		return err
	})
	return out, err
}

// unlink deletes an own link and ends the sessions that came by it.
func (s Store) unlink(ctx context.Context, who auth.Principal, l LinkID, policy string) (ended []Session, err error) {
	err = s.DB.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		var p identity.IDPID
		err := tx.QueryRow(ctx, `DELETE FROM idp_link WHERE tenant_id = $1 AND id = $2 AND account_id = $3 RETURNING idp_id`, who.Tenant, l, who.Account).Scan(&p)
		if missing(err) {
			return identity.ErrLinkNotFound.New()
		}
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT account_id, id FROM session WHERE tenant_id = $1 AND idp_id = $2 AND account_id = $3 AND ended_at IS NULL AND id <> $4 LIMIT $5`,
			who.Tenant, p, who.Account, who.Session, maxEnded)
		if ended, err = scanSessions(rows, err); err != nil {
			return err
		}
		if err := s.end(ctx, tx, ended, "identity.unlink_idp"); err != nil {
			return err
		}
		return s.Record(ctx, tx, who, linkEntry("identity.unlink_idp", NewLink{id: l, IDP: p}, policy))
	})
	return ended, err
}

// maxEnded is how many sessions one transaction ends.
const maxEnded = 200

func scanSessions(rows db.Rows, err error) ([]Session, error) {
	return db.Collect(rows, err, func(r db.Rows, v *Session) error { return r.Scan(&v.Account, &v.Session) })
}

func (s Store) end(ctx context.Context, tx db.Tx, all []Session, reason string) error {
	for _, one := range all {
		if err := s.End(ctx, tx, one, reason); err != nil {
			return err
		}
	}
	return nil
}

// refused keeps a refusal in the trail, and lets the account's owner see it.
func (s Store) refused(ctx context.Context, r refusal, why string, network []byte) error {
	return s.DB.Write(ctx, r.tenant, func(ctx context.Context, tx db.Tx) error {
		more, err := s.Failed(ctx, tx, network)
		if err != nil || !more {
			return err
		}
		e := trail.Entry{Action: r.action, Noun: "IDP", Policy: byProof, Why: why}
		if !r.idp.IsZero() {
			e.ID = r.idp.String()
		}
		if !r.account.IsZero() {
			if err := s.Note(ctx, tx, r.account); err != nil {
				return err
			}
		}
		return s.Record(ctx, tx, s.Visitor(r.tenant), e)
	})
}

// Sweep deletes logins that waited too long.
const Sweep = `DELETE FROM idp_login WHERE tenant_id = $1 AND hash IN (
	SELECT hash FROM idp_login WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)`
