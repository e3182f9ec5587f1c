package identitysvc

import (
	"context"
	"encoding/json"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
)

// session is a row of the table.
type session struct {
	id      identity.SessionID
	account identity.AccountID
	kind    auth.Kind
	grants  []auth.Grant
	// practitioner is the account's, for use cases of doctors.
	practitioner id.ID[id.Any]
	factors      int
	method       method
	idp          identity.IDPID // of byProvider
	proved       time.Time      // when its person last proved to be there
	device       string
	created      time.Time
	lastSeen     time.Time
	idleAt       time.Time
	expires      time.Time
}

// token is a row of the table.
type token struct {
	hash    []byte
	kind    tokenKind
	expires time.Time
}

// opened is a session that has just begun, with what the caller shows from now on.
type opened struct {
	session
	cookie, access, refresh secret.Text
}

// begin makes a session that is not saved yet: with a cookie for a browser, with a
// token pair for an API client.
func (s *Service) begin(a account, in door) (opened, []token) {
	now := s.now()
	absolute, idle := lasts(a.kind)
	o := opened{session: session{
		id: id.New[auth.Session](now), account: a.id, kind: a.kind, factors: in.proves(), method: in.method, device: in.device, idp: in.idp,
		created: now, proved: now, lastSeen: now, idleAt: now.Add(idle), expires: now.Add(absolute),
	}}
	if in.stale {
		o.proved = unproved
	}
	if !in.api {
		t := token{kind: cookie, expires: o.expires}
		o.cookie, t.hash = newCookie()
		return o, []token{t}
	}
	var ts []token
	o.access, o.refresh, ts = pair(o.session, now)
	return o, ts
}

// pair is a new access token and its refresh token, neither outliving the session.
func pair(s session, now time.Time) (acc, ref secret.Text, ts []token) {
	_, idle := lasts(s.kind)
	a := token{kind: access, expires: earlier(now.Add(accessTime), s.expires)}
	r := token{kind: refresh, expires: earlier(now.Add(idle), s.expires)}
	acc, a.hash = newToken()
	ref, r.hash = newToken()
	return acc, ref, []token{a, r}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// authenticate finds who shows the token: identity.session_ended. What it says is at
// most half a second old.
func (s *Service) authenticate(ctx context.Context, t identity.TenantID, kind tokenKind, shown string) (auth.Principal, error) {
	if shown == "" || len(shown) > maxToken || t.IsZero() {
		return auth.Principal{}, identity.ErrSession.New()
	}
	k := cacheKey{tenant: t, kind: kind, hash: [32]byte(tokenHash(shown))}
	now := s.now()
	if c, ok := s.cache.get(k); ok {
		if !now.Before(c.until) {
			return auth.Principal{}, identity.ErrSession.New()
		}
		return c.at(now), nil
	}
	read := s.cache.mono()
	live, err := s.asked.Do(ctx, t, uint64(k.hash[0]), tokenAsk{kind, k.hash})
	if err != nil {
		return auth.Principal{}, err
	}
	found, until := live.session, live.until
	if now.Sub(found.lastSeen) >= seenEvery {
		_, idle := lasts(found.kind)
		if err := s.store.seen(ctx, t, found.id, now, earlier(now.Add(idle), found.expires), now.Add(-seenEvery)); err != nil {
			return auth.Principal{}, err
		}
	}
	p := auth.Principal{
		Kind: found.kind, Tenant: t, Account: found.account, Session: found.id, Grants: found.grants, Factors: found.factors,
		Practitioner: found.practitioner,
	}
	c := cached{principal: p, proved: found.proved, until: until, read: read}
	s.cache.put(k, c)
	return c.at(now), nil
}

// sessions lists the account's own live sessions, the newest first.
func (s *Service) sessions(ctx context.Context, r page.Request) (page.Page[session], error) {
	who, err := auth.From(ctx)
	if err != nil {
		return page.Page[session]{}, err
	}
	if _, err := s.may(ctx, "identity.list_sessions", "Account", who.Account.String(), who.Account); err != nil {
		return page.Page[session]{}, err
	}
	before, err := cursorID[auth.Session](r.Cursor)
	if err != nil {
		return page.Page[session]{}, err
	}
	rows, err := s.store.sessions(ctx, who.Tenant, who.Account, s.now(), before, r.Size()+1)
	if err != nil {
		return page.Page[session]{}, err
	}
	return cut(rows, r.Size(), func(x session) string { return x.id.String() }), nil
}

// cursorID reads the keyset of a list: the id of the last item.
func cursorID[T any](cursor string) (id.ID[T], error) {
	if cursor == "" {
		return id.ID[T]{}, nil
	}
	v, err := id.Parse[T](cursor)
	if err != nil {
		return v, identity.ErrInvalid.At("cursor", "not a cursor of this list")
	}
	return v, nil
}

// cut makes a page of rows, of which one more than fits were read.
func cut[T any](rows []T, size int, key func(T) string) page.Page[T] {
	p := page.Page[T]{Items: rows}
	if len(rows) > size {
		p.Items = rows[:size]
		p.Next = key(rows[size-1])
	}
	return p
}

// Revoke implements identity.Service.
func (s *Service) Revoke(ctx context.Context, a identity.AccountID, one identity.SessionID) error {
	return s.end(ctx, "identity.revoke_session", a, one)
}

// end ends one session of the account, or all; identity.not_found when there is
// nothing to end or the account is another person's.
func (s *Service) end(ctx context.Context, action string, a identity.AccountID, one identity.SessionID) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	policy, err := s.may(ctx, action, "Session", one.String(), a)
	if err != nil {
		if who.Kind == auth.Patient {
			return identity.ErrNotFound.Wrap(err)
		}
		return err
	}
	if err := s.store.endSessions(ctx, who.Tenant, a, one, action, policy); err != nil {
		return err
	}
	s.tell(ctx, who.Tenant, a, one)
	return nil
}

const revokedTopic = "identity.revoked"

type revoked struct {
	Tenant  identity.TenantID  `json:"tenant_id"`
	Account identity.AccountID `json:"account_id"`
	Session identity.SessionID `json:"session_id"`
}

// tell drops a session, or all of the account's, from the caches of all processes. A
// lost signal costs half a second.
func (s *Service) tell(ctx context.Context, t identity.TenantID, a identity.AccountID, one identity.SessionID) {
	s.cache.drop(t, a, one)
	if s.signals == nil {
		return
	}
	b, err := json.Marshal(revoked{t, a, one})
	if err != nil {
		return
	}
	if err := s.signals.Signal(ctx, revokedTopic, b); err != nil {
		s.log.Warn("identity: revocation not signalled", "error", err.Error())
	}
}

// listen hears revocations of other processes.
func (s *Service) listen() (stop func(), err error) {
	if s.signals == nil {
		return func() {}, nil
	}
	return s.signals.OnSignal(revokedTopic, func(data []byte) {
		var r revoked
		if json.Unmarshal(data, &r) == nil {
			s.cache.drop(r.Tenant, r.Account, r.Session)
		}
	})
}

// refresh exchanges a refresh token for a new pair: identity.refresh_reused and the
// end of the whole family when it was used before.
func (s *Service) refresh(ctx context.Context, t identity.TenantID, shown string) (opened, error) {
	if shown == "" || len(shown) > maxToken {
		return opened{}, identity.ErrSession.New()
	}
	now := s.now()
	var o opened
	family, err := s.store.rotate(ctx, t, tokenHash(shown), now, func(of session) []token {
		var ts []token
		o = opened{session: of}
		o.access, o.refresh, ts = pair(of, now)
		return ts
	})
	if err != nil {
		if !family.id.IsZero() { // a reuse ended it
			s.tell(ctx, t, family.account, family.id)
		}
		return opened{}, err
	}
	return o, nil
}
