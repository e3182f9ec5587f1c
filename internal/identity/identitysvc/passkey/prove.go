package passkey

import (
	"bytes"
	"context"
	"errors"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
)

// Ask begins a login, which any discoverable key of the host may answer: identity.passkey_site, identity.passkey_too_often.
func (s *Service) Ask(ctx context.Context, t identity.TenantID, site Site) (Asked, error) {
	asked, c, err := s.begin(Login, identity.AccountID{}, site)
	if err != nil {
		return Asked{}, err
	}
	network, err := s.Network(ctx, t)
	if err != nil {
		return Asked{}, err
	}
	return asked, s.Store.ask(ctx, t, c, network)
}

// AskAgain begins a step-up by one of the account's own keys; false when it has none for this host.
func (s *Service) AskAgain(ctx context.Context, t identity.TenantID, a identity.AccountID, site Site) (Asked, bool, error) {
	keys, err := s.Store.keys(ctx, t, a)
	if err != nil {
		return Asked{}, false, err
	}
	own := known(keys, site.Host)
	if len(own) == 0 {
		return Asked{}, false, nil
	}
	asked, c, err := s.begin(StepUp, a, site)
	if err != nil {
		return Asked{}, false, err
	}
	network, err := s.Network(ctx, t)
	if err != nil {
		return Asked{}, false, err
	}
	asked.Keys = own
	return asked, true, s.Store.ask(ctx, t, c, network)
}

// Question says what an answer has to be an answer to.
type Question struct {
	Tenant identity.TenantID
	Site   Site
	Kind   Kind // Login or StepUp
	// Account has to be the key's; zero lets any account of Door in.
	Account identity.AccountID
	Door    auth.Kind // whose accounts come in here
	Action  string    // what the trail calls it
	Policy  string
	Device  string
	Who     auth.Principal // who the trail says was refused
}

// Answer is what an authenticator gave.
type Answer struct {
	Handle string
	Credential
}

// Proof is an answer that holds.
type Proof struct {
	Account identity.AccountID
	key     stored
	count   int64
}

// Check consumes the challenge and verifies the answer. identity.passkey_expired, identity.passkey_wrong,
// identity.passkey_blocked, identity.passkey_door; each is in the trail. What follows from the proof is saved by
// Store.Use in one transaction with the key's new counter.
func (s *Service) Check(ctx context.Context, q Question, a Answer) (Proof, error) {
	refuse := func(account identity.AccountID, key ID, code error, why string) (Proof, error) {
		return Proof{}, s.refused(ctx, refusal{
			who: q.Who, tenant: q.Tenant, action: q.Action, policy: q.Policy, device: q.Device, account: account, key: key, code: code, why: why,
		})
	}
	c, err := s.taken(ctx, q.Tenant, a.Handle, q.Kind, q.Site, q.Account)
	if err != nil {
		return refuse(q.Account, ID{}, err, "")
	}
	parsed, err := a.parse()
	if err != nil {
		return refuse(q.Account, ID{}, identity.ErrPasskeyWrong.New(), "form")
	}
	k, err := s.Store.byCredential(ctx, q.Tenant, parsed.RawID)
	if err != nil {
		return Proof{}, err
	}
	wrong := identity.ErrPasskeyWrong.New()
	switch {
	case k.id.IsZero():
		return refuse(q.Account, ID{}, wrong, "unknown")
	case !q.Account.IsZero() && k.account != q.Account:
		return refuse(q.Account, k.id, wrong, "account")
	case q.Kind == Login && !bytes.Equal(parsed.Response.UserHandle, k.handle):
		return refuse(k.account, k.id, wrong, "user")
	case k.host != q.Site.Host:
		return refuse(k.account, k.id, wrong, "host")
	}
	count, why := k.verify(q.Site, c.challenge, parsed)
	switch {
	case why != "":
		return refuse(k.account, k.id, wrong, why)
	case !k.live: // after the signature: nobody learns of an account without its key
		return refuse(k.account, k.id, wrong, "disabled")
	case !k.blocked.IsZero():
		return refuse(k.account, k.id, identity.ErrPasskeyBlocked.New(), "")
	case k.kind != q.Door:
		return refuse(k.account, k.id, identity.ErrPasskeyDoor.New(), "")
	case count <= k.count && (count != 0 || k.count != 0):
		if err := s.Store.block(ctx, q.Tenant, k.id); err != nil {
			return Proof{}, err
		}
		return refuse(k.account, k.id, identity.ErrPasskeyBlocked.New(), "counter")
	}
	return Proof{Account: k.account, key: k, count: count}, nil
}

// taken consumes the ceremony of a handle: identity.passkey_expired when there is none (any more), it was for something or
// somebody else, or began on another site. It is gone in each case.
func (s *Service) taken(ctx context.Context, t identity.TenantID, handle string, k Kind, site Site, a identity.AccountID) (ceremony, error) {
	if handle == "" || len(handle) > maxHandle {
		return ceremony{}, identity.ErrPasskeyExpired.New()
	}
	c, err := s.Store.take(ctx, t, hashOf(handle), s.now())
	if err != nil {
		return ceremony{}, err
	}
	if c.hash == nil || c.kind != k || c.account != a || c.origin != site.Origin {
		return ceremony{}, identity.ErrPasskeyExpired.New()
	}
	return c, nil
}

// refusal is an answer that does not hold.
type refusal struct {
	who     auth.Principal
	tenant  identity.TenantID
	action  string
	policy  string
	device  string
	account identity.AccountID // zero: unknown
	key     ID                 // zero: unknown
	code    error
	why     string // beyond the code: one word
}

// refused keeps a refusal in the trail and returns it; other errors stay what they are.
func (s *Service) refused(ctx context.Context, r refusal) error {
	f := fault.Of(r.code)
	if f == nil {
		return r.code
	}
	network, err := s.Network(ctx, r.tenant)
	if err != nil {
		return errors.Join(r.code, err)
	}
	if err := s.Store.refused(ctx, r, f.Code.Name, network); err != nil {
		return err
	}
	return r.code
}
