package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/passkey"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
)

// stepUpTries is how often an account may try within lockTime, by whatever means: who found a session open guesses no code.
const stepUpTries = 5

func stepUpTry(a identity.AccountID) budget {
	return budget{kind: "step_up", subject: a[:], max: stepUpTries, window: lockTime, sliding: true, refusal: identity.ErrStepUpTries}
}

// ways are how the principal can prove again that they are there.
type ways struct {
	totp, code bool
	phone      secret.Text
	key        bool // asked is a question to one of the account's passkeys
	asked      passkey.Asked
}

// itself is the principal of ctx with the policy that lets it prove itself.
func (s *Service) itself(ctx context.Context, action string) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	policy, err := s.may(ctx, action, "Session", who.Session.String(), who.Account)
	return who, policy, err
}

// beginStepUp tells the ways and asks the account's passkeys, if it has some for the site.
func (s *Service) beginStepUp(ctx context.Context, site passkey.Site) (ways, error) {
	who, _, err := s.itself(ctx, "identity.begin_step_up")
	if err != nil {
		return ways{}, err
	}
	w := ways{totp: who.Kind == auth.Staff, code: who.Kind == auth.Patient}
	if w.code {
		if w.phone, err = s.Phone(ctx, who.Tenant, who.Account); err != nil {
			return ways{}, err
		}
	}
	w.asked, w.key, err = s.keys.AskAgain(ctx, who.Tenant, who.Account, site)
	return w, err
}

// sendStepUpCode sends a code to the own phone, within the phone's limits: identity.step_up_way without one.
func (s *Service) sendStepUpCode(ctx context.Context) (identity.Challenge, error) {
	who, _, err := s.itself(ctx, "identity.send_step_up_code")
	if err != nil {
		return identity.Challenge{}, err
	}
	if who.Kind != auth.Patient {
		return identity.Challenge{}, identity.ErrStepUpWay.New()
	}
	phone, err := s.Phone(ctx, who.Tenant, who.Account)
	if err != nil {
		return identity.Challenge{}, err
	}
	return s.SendCode(ctx, who.Tenant, identity.ChallengeID{}, phone, identity.StepUp)
}

// proofGiven is what somebody shows to step up: exactly one of them.
type proofGiven struct {
	totp      string
	challenge identity.ChallengeID
	code      string
	answer    *passkey.Answer
}

func (g proofGiven) count() (n int) {
	for _, given := range []bool{g.totp != "", g.code != "", g.answer != nil} {
		if given {
			n++
		}
	}
	return n
}

// stepUp proves once more that the session's person is there, and says until when that counts: identity.step_up_way,
// identity.step_up_tries, identity.step_up_wrong, the refusals of codes and of passkeys.
func (s *Service) stepUp(ctx context.Context, site passkey.Site, g proofGiven) (until time.Time, err error) {
	who, policy, err := s.itself(ctx, "identity.step_up")
	if err != nil {
		return until, err
	}
	if g.count() != 1 || g.totp != "" && who.Kind != auth.Staff || g.code != "" && who.Kind != auth.Patient {
		return until, identity.ErrStepUpWay.New()
	}
	try := stepUpTry(who.Account)
	if err := s.store.spendOne(ctx, who.Tenant, try); err != nil {
		return until, err
	}
	var use consuming
	by := step{why: "passkey", factors: 2, try: try, policy: policy}
	switch {
	case g.totp != "":
		by.why = "totp"
		use, err = s.useTOTP(ctx, who, g.totp, policy)
	case g.code != "":
		by.why, by.factors = "code", 1
		use, err = s.useOwnCode(ctx, who, g)
	default:
		var p passkey.Proof
		p, err = s.keys.Check(ctx, passkey.Question{
			Tenant: who.Tenant, Site: site, Kind: passkey.StepUp, Account: who.Account, Door: who.Kind, Action: "identity.step_up", Policy: policy, Who: who,
		}, *g.answer)
		use = s.store.useKey(p)
	}
	if err != nil {
		return until, err
	}
	if err := s.store.proved(ctx, who, by, use); err != nil {
		return until, err
	}
	s.tell(ctx, who.Tenant, who.Account, who.Session) // the session lives; what processes know of it is old
	return s.now().Add(freshTime), nil
}

// useTOTP checks the one-time code; a wrong one is refused where it would be used.
func (s *Service) useTOTP(ctx context.Context, who auth.Principal, code, policy string) (consuming, error) {
	a, err := s.store.account(ctx, who.Tenant, who.Account)
	if err != nil {
		return nil, err
	}
	n, err := s.stepOf(ctx, who.Tenant, a, code)
	return useStep(a.id, n, policy), err
}

// useOwnCode checks that the code was sent to the account's own phone, to step up: identity.code_expired.
func (s *Service) useOwnCode(ctx context.Context, who auth.Principal, g proofGiven) (consuming, error) {
	cl, err := s.readClaim(ctx, who.Tenant, g.challenge, identity.StepUp, g.code)
	if err != nil {
		return nil, err
	}
	phone, err := s.Phone(ctx, who.Tenant, who.Account)
	if err != nil {
		return nil, err
	}
	if phone.Reveal() != cl.phone.Reveal() {
		return nil, identity.ErrCodeExpired.New()
	}
	return useStepUpCode(cl, who), nil
}

// loginPasskey opens a session by a passkey of an account of this kind.
func (s *Service) loginPasskey(ctx context.Context, t identity.TenantID, site passkey.Site, kind auth.Kind, answer passkey.Answer, in door) (opened, error) {
	network, err := s.network(ctx, t)
	if err != nil {
		return opened{}, err
	}
	if err := s.store.room(ctx, t, failedPasskeys(network)); err != nil {
		return opened{}, err
	}
	p, err := s.keys.Check(ctx, passkey.Question{
		Tenant: t, Site: site, Kind: passkey.Login, Door: kind, Action: in.action, Policy: byProof, Device: in.device, Who: visitor(t),
	}, answer)
	if err != nil {
		return opened{}, err
	}
	a, err := s.store.account(ctx, t, p.Account)
	if err != nil {
		return opened{}, err
	}
	o, ts := s.begin(a, in)
	if err := s.store.loginPasskey(ctx, t, p, o, ts, in); err != nil {
		return opened{}, err
	}
	return o, nil
}

// label is what an authenticator calls the account in its list.
func (s *Service) label(ctx context.Context, t identity.TenantID, a identity.AccountID) (string, error) {
	m, err := s.readMe(ctx, t, a)
	if err != nil {
		return "", err
	}
	if m.account.kind == auth.Staff {
		return m.account.username, nil
	}
	return dataclass.Phone.Mask(m.phone), nil
}

// logins lists the own logins of the last thirty days, and those that were refused.
func (s *Service) logins(ctx context.Context, r page.Request) (page.Page[saw], error) {
	who, _, err := s.itself(ctx, "identity.list_logins")
	if err != nil {
		return page.Page[saw]{}, err
	}
	before, err := cursorID[id.Any](r.Cursor)
	if err != nil {
		return page.Page[saw]{}, err
	}
	rows, err := s.store.logins(ctx, who.Tenant, who.Account, before, r.Size()+1)
	if err != nil {
		return page.Page[saw]{}, err
	}
	return cut(rows, r.Size(), func(x saw) string { return x.id.String() }), nil
}

// newKey is a secret for another authenticator app, not in force before a code of it came.
type newKey struct {
	handle   secret.Text
	secret   secret.Text
	username string
}

// offerTOTP makes a secret for another authenticator app: auth.step_up.
func (s *Service) offerTOTP(ctx context.Context) (newKey, error) {
	who, _, err := s.itself(ctx, "identity.offer_totp")
	if err != nil {
		return newKey{}, err
	}
	a, err := s.store.account(ctx, who.Tenant, who.Account)
	if err != nil {
		return newKey{}, err
	}
	k := newKey{username: a.username}
	if k.secret, err = newTOTP(); err != nil {
		return newKey{}, err
	}
	var hash []byte
	k.handle, hash = newToken()
	sealed, err := s.crypt.SealText(ctx, nextTOTPField(who.Tenant, who.Account), k.secret)
	if err != nil {
		return newKey{}, err
	}
	return k, s.store.offerTOTP(ctx, who.Tenant, who.Account, hash, sealed, s.now().Add(nextTOTPTime))
}

// replaceTOTP puts it in force: identity.totp_wrong (the secret can be tried again), identity.passkey_expired.
func (s *Service) replaceTOTP(ctx context.Context, handle, code string) error {
	who, policy, err := s.itself(ctx, "identity.replace_totp")
	if err != nil {
		return err
	}
	if handle == "" || len(handle) > maxToken {
		return identity.ErrPasskeyExpired.New()
	}
	hash := tokenHash(handle)
	sealed, err := s.store.offeredTOTP(ctx, who.Tenant, who.Account, hash, s.now())
	if err != nil {
		return err
	}
	text, err := s.crypt.OpenText(ctx, nextTOTPField(who.Tenant, who.Account), sealed)
	if err != nil {
		return err
	}
	n := totpMatch(readTOTP(text), code, s.now())
	if n == 0 {
		return identity.ErrTOTPWrong.New()
	}
	if sealed, err = s.crypt.SealText(ctx, totpField(who.Tenant, who.Account), text); err != nil {
		return err
	}
	return s.store.replaceTOTP(ctx, who.Tenant, who.Account, hash, sealed, n, policy)
}
