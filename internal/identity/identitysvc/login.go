package identitysvc

import (
	"context"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
)

// Rules of staff logins (R58: two factors and a lock-out).
const (
	loginTries = 5
	lockTime   = 15 * time.Minute
)

// method is what opened a session.
type method string

const (
	byCode     method = "code"
	byPassword method = "password" // with the one-time code
	byPasskey  method = "passkey"  // whose device has recognised its person
	byProvider method = "idp"      // by what an identity provider says; the door knows how many factors
)

// factors is how many factors it proves.
func (m method) factors() int {
	if m == byCode {
		return 1
	}
	return 2
}

// proves is how many factors somebody proves who comes in by the door.
func (d door) proves() int {
	if d.method == byProvider {
		return d.factors
	}
	return d.method.factors()
}

// door is how somebody comes in.
type door struct {
	action string // what the trail calls it: the operation's id
	method method
	device string
	api    bool // tokens instead of a cookie

	idp     identity.IDPID // of byProvider
	factors int            // of byProvider
	stale   bool           // nothing was proved here, so that a step-up is asked for
}

// loginPatient consumes the code and opens a session of the phone's account, which is
// made when there is none.
func (s *Service) loginPatient(ctx context.Context, t identity.TenantID, c identity.ChallengeID, code string, in door) (opened, error) {
	cl, err := s.readClaim(ctx, t, c, identity.Login, code)
	if err != nil {
		return opened{}, err
	}
	fresh, err := s.newPatient(ctx, t, cl.phone)
	if err != nil {
		return opened{}, err
	}
	return s.store.loginPatient(ctx, t, cl, fresh, in, func(a account) (opened, []token) { return s.begin(a, in) })
}

// loginStaff checks password and one-time code. Whatever is wrong, and whether the
// user name exists or not, it takes the same work and says the same; after five tries
// the name is locked for fifteen minutes, known or not.
func (s *Service) loginStaff(ctx context.Context, t identity.TenantID, username string, password secret.Text, code string, in door) (opened, error) {
	username = strings.ToLower(strings.TrimSpace(username))
	subject, err := s.crypt.Digest(ctx, t, indexUser, username)
	if err != nil {
		return opened{}, err
	}
	network, err := s.network(ctx, t)
	if err != nil {
		return opened{}, err
	}
	// The try is counted before it is made: guesses in parallel get no more than five.
	try := budget{kind: "login", subject: subject, max: loginTries, window: lockTime, sliding: true, refusal: identity.ErrLocked}
	a, step, err := s.prove(ctx, t, try, failedPasswords(network), username, password, code)
	if err != nil {
		return opened{}, err
	}
	if step == 0 {
		if err := s.store.refused(ctx, t, a.id, in, failedPasswords(network)); err != nil {
			return opened{}, err
		}
		return opened{}, identity.ErrLoginWrong.New()
	}
	o, ts := s.begin(a, in)
	if err := s.store.loginStaff(ctx, t, a, step, try, o, ts, in); err != nil {
		return opened{}, err
	}
	return o, nil
}

// prove spends one try, of a network that has not had its failures, and checks both factors; step is 0 when something is
// wrong. A slot for the hash is taken first, so that a busy house costs nobody a try.
func (s *Service) prove(ctx context.Context, t identity.TenantID, try, failed budget, username string, password secret.Text, code string) (a account, step int64, err error) {
	free, err := s.hashes.take(ctx)
	if err != nil {
		return a, 0, err
	}
	defer free()
	if err := s.store.spendWithin(ctx, t, failed, try); err != nil {
		return a, 0, err
	}
	if a, err = s.store.staffByName(ctx, t, username); err != nil {
		return a, 0, err
	}
	ok, err := s.hashes.matches(a.password, password)
	if err != nil {
		return a, 0, err
	}
	if step, err = s.stepOf(ctx, t, a, code); err != nil {
		return a, 0, err
	}
	if !ok || a.state != active {
		step = 0
	}
	return a, step, nil
}

// stepOf is the step of the account's one-time code, 0 when it is wrong. An account
// that does not exist has a key of zeros, whose codes help nobody.
func (s *Service) stepOf(ctx context.Context, t identity.TenantID, a account, code string) (int64, error) {
	key := make([]byte, totpSize)
	if len(a.totp) > 0 {
		text, err := s.crypt.OpenText(ctx, totpField(t, a.id), a.totp)
		if err != nil {
			return 0, err
		}
		key = readTOTP(text)
	}
	return totpMatch(key, code, s.now()), nil
}

// me is what an account sees of itself.
type me struct {
	account account
	name    secret.Text
	phone   secret.Text
}

// readMe reads the account of a session.
func (s *Service) readMe(ctx context.Context, t identity.TenantID, a identity.AccountID) (me, error) {
	acc, err := s.store.account(ctx, t, a)
	if err != nil {
		return me{}, err
	}
	m := me{account: acc}
	if m.phone, err = s.crypt.OpenText(ctx, phoneField(t, a), acc.phone); err != nil {
		return me{}, err
	}
	m.name, err = s.crypt.OpenText(ctx, nameField(t, a), acc.name)
	return m, err
}

// whoAmI is readMe for the principal of ctx.
func (s *Service) whoAmI(ctx context.Context) (me, auth.Principal, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return me{}, who, err
	}
	if _, err := s.may(ctx, "identity.read_me", "Account", who.Account.String(), who.Account); err != nil {
		return me{}, who, err
	}
	m, err := s.readMe(ctx, who.Tenant, who.Account)
	return m, who, err
}
