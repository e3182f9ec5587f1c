package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/external"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
)

// arrived is what comes of a provider's answer: a session, or the cookie of a login that lacks one thing more.
type arrived struct {
	external.Proved
	session *opened
	cookie  secret.Text
	phone   bool // it lacks the person's phone, else the second factor of staff
}

// arrive takes the answer of an identity provider. Staff whose provider did not say that it asked for two factors, and persons who
// come for the first time, have one thing more to show. The refusals of external.Finish; of staff identity.not_linked.
func (s *Service) arrive(ctx context.Context, t identity.TenantID, b external.Back, device string) (a arrived, err error) {
	if a.Proved, err = s.idps.Finish(ctx, t, b); err != nil || a.Linked {
		return a, err
	}
	staff := a.IDP.Accounts == identity.StaffAccounts
	switch {
	case staff && a.Account.IsZero():
		return a, s.idps.Refused(ctx, t, external.Waiting{IDP: a.IDP}, identity.ErrNotLinked.New())
	case a.Account.IsZero(), staff && !a.Strong:
		a.phone = a.Account.IsZero()
		a.cookie, err = s.idps.Hold(ctx, t, a.Proved)
		return a, err
	}
	in := byIDP(a.IDP, device)
	acc, err := s.store.account(ctx, t, a.Account)
	if err != nil {
		return a, err
	}
	if acc.state != active {
		return a, s.idps.Refused(ctx, t, external.Waiting{IDP: a.IDP, Account: a.Account}, identity.ErrDisabled.New())
	}
	if staff {
		in.factors = 2
	}
	o, ts := s.begin(acc, in)
	if err := s.store.loginIDP(ctx, t, o, ts, in, nil); err != nil {
		return a, s.idps.Refused(ctx, t, external.Waiting{IDP: a.IDP, Account: a.Account}, err)
	}
	a.session = &o
	return a, nil
}

// byIDP is the door of those whom a provider proved and nobody here: who has done nothing at this house has no fresh proof.
func byIDP(p identity.IDP, device string) door {
	return door{action: "identity.login_idp", method: byProvider, device: device, idp: p.ID, factors: 1, stale: true}
}

// shownHere is what somebody shows beside what the provider proved.
type shownHere struct {
	totp      string
	challenge identity.ChallengeID
	code      string
}

// complete opens the session of a login that lacked one thing: staff show their one-time code, a person who comes for the first time
// the code to their phone, and is linked. identity.idp_expired, identity.idp_tries, identity.login_wrong, the refusals of codes,
// identity.link_taken, identity.link_exists.
func (s *Service) complete(ctx context.Context, t identity.TenantID, cookie string, g shownHere, device string) (opened, error) {
	w, err := s.idps.Held(ctx, t, cookie)
	if err != nil {
		return opened{}, err
	}
	in := byIDP(w.IDP, device)
	in.stale = false
	if w.Phone() {
		return s.completePhone(ctx, t, w, g, in)
	}
	in.factors = 2
	try := budget{kind: "idp_proof", subject: w.Account[:], max: loginTries, window: lockTime, sliding: true, refusal: identity.ErrIDPTries}
	if err := s.store.spendOne(ctx, t, try); err != nil {
		return opened{}, err
	}
	a, err := s.store.account(ctx, t, w.Account)
	if err != nil {
		return opened{}, err
	}
	step, err := s.stepOf(ctx, t, a, g.totp)
	if err != nil {
		return opened{}, err
	}
	if step == 0 || a.state != active {
		return opened{}, s.idps.Refused(ctx, t, w, identity.ErrLoginWrong.New())
	}
	o, ts := s.begin(a, in)
	return o, s.store.loginIDP(ctx, t, o, ts, in, s.store.completing(w, step, try))
}

// completePhone consumes the code, finds or makes the phone's account, links it and opens its session.
func (s *Service) completePhone(ctx context.Context, t identity.TenantID, w external.Waiting, g shownHere, in door) (opened, error) {
	cl, err := s.readClaim(ctx, t, g.challenge, identity.Login, g.code)
	if err != nil {
		return opened{}, err
	}
	fresh, err := s.newPatient(ctx, t, cl.phone)
	if err != nil {
		return opened{}, err
	}
	link, err := s.idps.NewLink(ctx, t, w)
	if err != nil {
		return opened{}, err
	}
	o, err := s.store.firstIDP(ctx, t, firstLogin{w, cl, fresh, link}, in, func(a account) (opened, []token) { return s.begin(a, in) })
	switch f := fault.Of(err); {
	case f == nil, f.Code == identity.ErrCodeWrong, f.Code == identity.ErrCodeExpired: // those have a row
		return o, err
	}
	return opened{}, s.idps.Refused(ctx, t, w, err)
}

// EnsureIDP implements identity.Demo.
func (s *Service) EnsureIDP(ctx context.Context, spec identity.IDPSpec) (identity.IDPID, error) {
	if !s.demo {
		return identity.IDPID{}, identity.ErrNotFound.New()
	}
	return s.idps.Ensure(ctx, spec)
}

// EnsureLink implements identity.Demo.
func (s *Service) EnsureLink(ctx context.Context, p identity.IDPID, a identity.AccountID, subject string) error {
	if !s.demo {
		return identity.ErrNotFound.New()
	}
	return s.idps.EnsureLink(ctx, p, a, subject)
}

// endedWithIDP tells all processes of sessions that ended with their provider.
func (s *Service) endedWithIDP(ctx context.Context, t identity.TenantID, all []external.Session) {
	for _, x := range all {
		s.tell(ctx, t, x.Account, x.Session)
	}
}

// unproved is the instant of a proof that was never given.
var unproved = time.UnixMicro(0)
