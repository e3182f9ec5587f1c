package external

import (
	"context"
	"errors"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/relying"
)

// own asks the policies about the principal's own link.
func (s *Service) own(ctx context.Context, who auth.Principal, action string, l LinkID) (policy string, err error) {
	item := ""
	if !l.IsZero() {
		item = l.String()
	}
	d, err := s.Authz.Check(ctx, authz.Request{Action: action, Noun: "IDPLink", ID: item, Attrs: map[string]any{"account": who.Account.String()}})
	return d.Policy, err
}

// NewLink is a link that is not saved yet.
type NewLink struct {
	id      LinkID
	IDP     identity.IDPID
	Account identity.AccountID
	value   blind.Value
	sealed  []byte
}

// prepare seals a link, before the transaction that saves it.
func (s *Service) prepare(ctx context.Context, t identity.TenantID, p identity.IDPID, a identity.AccountID, subject string) (n NewLink, err error) {
	n = NewLink{id: id.New[Link](s.now()), IDP: p, Account: a, value: value(p, subject)}
	n.sealed, err = s.Crypt.SealText(ctx, subjectField(t, n.id), secret.New(subject))
	return n, err
}

// link saves the link that a session began, when the answer came back to that very session.
func (s *Service) link(ctx context.Context, r refusal, w waiting, got Proved) error {
	who, err := auth.From(ctx)
	if err != nil || who.Account != w.account || who.Session != w.session || !of(got.IDP, who.Kind) {
		return s.refused(ctx, r.because(identity.ErrIDPAnswer.New(), "session"))
	}
	policy, err := s.own(ctx, who, "identity.link_idp", LinkID{})
	if err != nil {
		return err
	}
	n, err := s.prepare(ctx, who.Tenant, got.IDP.ID, who.Account, got.subject)
	if err != nil {
		return err
	}
	err = s.Store.link(ctx, who, n, policy)
	if f := fault.Of(err); f != nil && (f.Code == identity.ErrLinkTaken || f.Code == identity.ErrLinkExists) {
		return s.refused(ctx, r.because(err, ""))
	}
	return err
}

// links are the own account's and the enabled providers that it may link.
func (s *Service) links(ctx context.Context) (mine []stored, others []identity.IDP, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.own(ctx, who, "identity.list_links", LinkID{}); err != nil {
		return nil, nil, err
	}
	if mine, err = s.Store.links(ctx, who.Tenant, who.Account); err != nil {
		return nil, nil, err
	}
	all, err := s.Store.enabled(ctx, who.Tenant, identity.Accounts(who.Kind))
	if err != nil {
		return nil, nil, err
	}
	for _, p := range all {
		have := false
		for _, l := range mine {
			have = have || l.idp == p.ID
		}
		if !have {
			others = append(others, p)
		}
	}
	return mine, others, nil
}

// unlink takes an own link away and ends the sessions that came by it: auth.step_up, identity.link_not_found. The way in that every
// account has by its schema (a phone; a password with a one-time code) stays.
func (s *Service) unlink(ctx context.Context, l LinkID) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	policy, err := s.own(ctx, who, "identity.unlink_idp", l)
	if err != nil {
		return err
	}
	ended, err := s.Store.unlink(ctx, who, l, policy)
	if err != nil {
		return err
	}
	s.Ended(ctx, who.Tenant, ended)
	return nil
}

// Waiting is a login that the provider has proved and that lacks one thing more.
type Waiting struct {
	IDP     identity.IDP
	Account identity.AccountID // of staff
	Next    string
	hash    []byte
	subject string
}

// Phone tells that the person's phone is what it lacks.
func (w Waiting) Phone() bool { return w.Account.IsZero() }

// Hold keeps a proved login until its second factor or phone comes, and gives the browser's next cookie.
func (s *Service) Hold(ctx context.Context, t identity.TenantID, p Proved) (secret.Text, error) {
	cookie := relying.Random()
	h := hashOf(cookie.Reveal())
	w := waiting{hash: h, browser: h, stage: needsTOTP, idp: p.IDP.ID, account: p.Account, next: p.Next, expires: s.now().Add(loginTime)}
	if p.Account.IsZero() {
		var err error
		w.stage = needsPhone
		if w.sealed, err = s.seal(ctx, t, h, inside{Subject: p.subject}); err != nil {
			return secret.Text{}, err
		}
	}
	return cookie, s.Store.hold(ctx, t, w)
}

// Held finds what a browser's cookie holds: identity.idp_expired, identity.idp_disabled.
func (s *Service) Held(ctx context.Context, t identity.TenantID, cookie string) (Waiting, error) {
	if cookie == "" || len(cookie) > maxHandle {
		return Waiting{}, identity.ErrIDPExpired.New()
	}
	w, err := s.Store.held(ctx, t, hashOf(cookie), s.now())
	if err != nil {
		return Waiting{}, err
	}
	out := Waiting{Account: w.account, Next: w.next, hash: w.hash}
	if out.IDP, err = s.read(ctx, t, w.idp); err != nil {
		return Waiting{}, err
	}
	if !out.IDP.Enabled {
		return Waiting{}, identity.ErrIDPDisabled.New()
	}
	if w.stage == needsPhone {
		in, err := s.open(ctx, t, w)
		if err != nil {
			return Waiting{}, err
		}
		out.subject = in.Subject
	}
	return out, nil
}

// NewLink prepares the link of a person who came for the first time; the account is known in the transaction only.
func (s *Service) NewLink(ctx context.Context, t identity.TenantID, w Waiting) (NewLink, error) {
	return s.prepare(ctx, t, w.IDP.ID, identity.AccountID{}, w.subject)
}

// Refused keeps a refusal of a login that is held in the trail, and returns it; other errors stay what they are.
func (s *Service) Refused(ctx context.Context, t identity.TenantID, w Waiting, err error) error {
	return s.refused(ctx, refusal{tenant: t, action: "identity.login_idp", idp: w.IDP.ID, account: w.Account, err: err})
}

// refused keeps a refusal in the trail and counts it for its network.
func (s *Service) refused(ctx context.Context, r refusal) error {
	why, code := coded(r.err)
	if r.why != "" {
		why = r.why
	}
	f := fault.Of(code)
	if f == nil {
		return r.err
	}
	network, err := s.Network(ctx, r.tenant)
	if err != nil {
		return errors.Join(code, err)
	}
	name := f.Code.Name
	if why != "" {
		name += " " + why
	}
	if err := s.Store.refused(ctx, r, name, network); err != nil {
		return err
	}
	return code
}
