package identitysvc

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/blind"
)

// account is a row of the table, sealed values as they stand.
type account struct {
	id           identity.AccountID
	kind         auth.Kind
	state        accountState
	phoneKey     blind.Value // only for writing
	phone        []byte
	username     string
	name         []byte
	password     string // argon2id, PHC form
	totp         []byte
	practitioner id.ID[id.Any]
	grants       []auth.Grant
	version      int64
	created      time.Time
	lastLogin    time.Time
}

const (
	maxGrants = 20
	maxName   = 50
)

var usernameRE = regexp.MustCompile(`^[a-z][a-z0-9._-]{2,31}$`)

// checkGrants is the decision table of rights: known roles, each once an organization,
// administrators in the whole tenant, of the three at most one, and with no other work (R58).
func checkGrants(gs []auth.Grant) ([]auth.Grant, error) {
	if len(gs) > maxGrants {
		return nil, identity.ErrInvalid.At("grants", "at most 20")
	}
	out := slices.Clone(gs)
	slices.SortFunc(out, func(a, b auth.Grant) int {
		return strings.Compare(string(a.Role)+a.Organization.String(), string(b.Role)+b.Organization.String())
	})
	out = slices.Compact(out)
	admins := 0
	for _, g := range out {
		if !slices.Contains(authz.Roles, g.Role) {
			return nil, identity.ErrInvalid.At("grants", "unknown role")
		}
		if !authz.Administers(g.Role) {
			continue
		}
		admins++
		if !g.Organization.IsZero() {
			return nil, identity.ErrInvalid.At("grants", "an administrator has no organization")
		}
	}
	switch {
	case admins > 1:
		return nil, identity.ErrExclusive.New()
	case admins == 1 && len(out) > 1:
		return nil, identity.ErrAdminAlone.New()
	}
	return out, nil
}

// madeStaff is a new account with what is shown once.
type madeStaff struct {
	id       identity.AccountID
	totp     secret.Text
	password secret.Text // only when it was made here
}

// createStaff makes an account without rights.
func (s *Service) createStaff(ctx context.Context, spec identity.StaffSpec) (madeStaff, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return madeStaff{}, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "identity.create_staff", Noun: "Account"})
	if err != nil {
		return madeStaff{}, err
	}
	m := madeStaff{}
	if spec.Password.Empty() {
		m.password = newPassword()
		spec.Password = m.password
	}
	a, totp, err := s.newStaff(ctx, who.Tenant, spec)
	if err != nil {
		return madeStaff{}, err
	}
	if _, err := s.store.addStaff(ctx, who.Tenant, a, "identity.create_staff", d.Policy, false); err != nil {
		return madeStaff{}, err
	}
	m.id, m.totp = a.id, totp
	return m, nil
}

// EnsureStaff implements identity.Service.
func (s *Service) EnsureStaff(ctx context.Context, spec identity.StaffSpec) (identity.StaffAccount, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return identity.StaffAccount{}, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "identity.ensure_staff", Noun: "Account"})
	if err != nil {
		return identity.StaffAccount{}, err
	}
	stands, err := s.store.staffByName(ctx, who.Tenant, strings.ToLower(strings.TrimSpace(spec.Username)))
	if err != nil {
		return identity.StaffAccount{}, err
	}
	if !stands.id.IsZero() { // before the costly hash
		return identity.StaffAccount{ID: stands.id}, nil
	}
	a, totp, err := s.newStaff(ctx, who.Tenant, spec)
	if err != nil {
		return identity.StaffAccount{}, err
	}
	made, err := s.store.addStaff(ctx, who.Tenant, a, "identity.ensure_staff", d.Policy, true)
	if err != nil {
		return identity.StaffAccount{}, err
	}
	if made != a.id { // another process was first
		return identity.StaffAccount{ID: made}, nil
	}
	return identity.StaffAccount{ID: made, TOTP: totp}, nil
}

// newStaff checks the description and makes the account, sealed and ready to be saved.
func (s *Service) newStaff(ctx context.Context, t identity.TenantID, spec identity.StaffSpec) (a account, totp secret.Text, err error) {
	a = account{
		id: id.New[auth.Account](s.now()), kind: auth.Staff, state: active,
		username: strings.ToLower(strings.TrimSpace(spec.Username)), practitioner: spec.Practitioner,
	}
	name := strings.TrimSpace(spec.Name)
	switch n := utf8.RuneCountInString(name); {
	case !usernameRE.MatchString(a.username):
		return a, totp, identity.ErrInvalid.At("username", "want 3 to 32 of a-z, 0-9, . _ -, beginning with a letter")
	case n == 0 || n > maxName:
		return a, totp, identity.ErrInvalid.At("name", "want 1 to 50 characters")
	}
	if err = checkPassword(a.username, spec.Password); err != nil {
		return a, totp, err
	}
	if a.grants, err = checkGrants(spec.Grants); err != nil {
		return a, totp, err
	}
	if totp = spec.TOTP; totp.Empty() {
		if totp, err = newTOTP(); err != nil {
			return a, totp, err
		}
	} else if readTOTP(totp) == nil {
		return a, totp, identity.ErrInvalid.At("totp", "want a base32 secret of at least 128 bits")
	}
	if a.name, err = s.crypt.SealText(ctx, nameField(t, a.id), secret.New(name)); err != nil {
		return a, totp, err
	}
	if a.totp, err = s.crypt.SealText(ctx, totpField(t, a.id), totp); err != nil {
		return a, totp, err
	}
	a.password, err = s.hashes.hash(ctx, spec.Password)
	return a, totp, err
}

// putGrants replaces the rights of another account, and whose sessions it works on; effective everywhere within a second.
func (s *Service) putGrants(ctx context.Context, a identity.AccountID, grants []auth.Grant, to bind, version int64) (me, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return me{}, err
	}
	policy, err := s.may(ctx, "identity.put_grants", "Account", a.String(), a)
	if err != nil {
		if who.Account == a && who.Has(auth.SecurityAdmin) {
			return me{}, identity.ErrOwnGrants.New()
		}
		return me{}, err
	}
	if grants, err = checkGrants(grants); err != nil {
		return me{}, err
	}
	if err := s.store.putGrants(ctx, who.Tenant, a, grants, to, version, policy); err != nil {
		return me{}, err
	}
	s.tell(ctx, who.Tenant, a, identity.SessionID{}) // the sessions stay; their rights are read again
	return s.readMe(ctx, who.Tenant, a)
}

// staff lists the accounts of staff by id, those whose user name begins so.
func (s *Service) staff(ctx context.Context, begins string, r page.Request) (page.Page[me], error) {
	who, err := auth.From(ctx)
	if err != nil {
		return page.Page[me]{}, err
	}
	if _, err := s.authz.Check(ctx, authz.Request{Action: "identity.list_staff", Noun: "Account"}); err != nil {
		return page.Page[me]{}, err
	}
	after, err := cursorID[auth.Account](r.Cursor)
	if err != nil {
		return page.Page[me]{}, err
	}
	rows, err := s.store.staff(ctx, who.Tenant, strings.ToLower(strings.TrimSpace(begins)), after, r.Size()+1)
	if err != nil {
		return page.Page[me]{}, err
	}
	accs := cut(rows, r.Size(), func(a account) string { return a.id.String() })
	out := page.Page[me]{Next: accs.Next}
	for _, a := range accs.Items {
		name, err := s.crypt.OpenText(ctx, nameField(who.Tenant, a.id), a.name)
		if err != nil {
			return page.Page[me]{}, err
		}
		out.Items = append(out.Items, me{account: a, name: name})
	}
	return out, nil
}

// readStaff reads one account of staff.
func (s *Service) readStaff(ctx context.Context, a identity.AccountID) (me, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return me{}, err
	}
	if _, err := s.may(ctx, "identity.read_staff", "Account", a.String(), a); err != nil {
		return me{}, err
	}
	m, err := s.readMe(ctx, who.Tenant, a)
	if err == nil && m.account.kind != auth.Staff {
		return me{}, identity.ErrNotFound.New()
	}
	return m, err
}

// disableStaff ends an account and all its sessions. Nobody ends their own: the tenant
// would lose its last security administrator.
func (s *Service) disableStaff(ctx context.Context, a identity.AccountID) (me, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return me{}, err
	}
	policy, err := s.may(ctx, "identity.disable_staff", "Account", a.String(), a)
	if err != nil {
		return me{}, err
	}
	if who.Account == a {
		return me{}, identity.ErrOwnGrants.New()
	}
	if err := s.store.disable(ctx, who.Tenant, a, policy); err != nil {
		return me{}, err
	}
	s.tell(ctx, who.Tenant, a, identity.SessionID{})
	return s.readMe(ctx, who.Tenant, a)
}

// StaffNames implements identity.Service.
func (s *Service) StaffNames(ctx context.Context, t identity.TenantID, as []identity.AccountID) (map[identity.AccountID]identity.StaffName, error) {
	if len(as) > page.MaxLimit {
		return nil, fmt.Errorf("identity: names of %d accounts asked for", len(as))
	}
	rows, err := s.store.staffAmong(ctx, t, as)
	if err != nil {
		return nil, err
	}
	out := make(map[identity.AccountID]identity.StaffName, len(rows))
	for _, a := range rows {
		n := identity.StaffName{}
		if n.Name, err = s.crypt.OpenText(ctx, nameField(t, a.id), a.name); err != nil {
			return nil, err
		}
		for _, g := range a.grants {
			if !slices.Contains(n.Roles, g.Role) {
				n.Roles = append(n.Roles, g.Role)
			}
		}
		out[a.id] = n
	}
	return out, nil
}
