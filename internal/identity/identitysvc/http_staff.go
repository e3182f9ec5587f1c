package identitysvc

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
)

func (s *Service) staffRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "identity.create_staff", Method: "POST", Path: "/staff/accounts", Summary: "Make an account of staff, without rights yet", Status: 201}, s.httpCreateStaff)
	httpx.Register(a, httpx.Op{ID: "identity.list_staff", Method: "GET", Path: "/staff/accounts", Summary: "Accounts of staff"},
		func(ctx context.Context, in *staffListIn) (*staffListOut, error) { return s.httpListStaff(ctx, a, in) })
	httpx.Register(a, httpx.Op{ID: "identity.read_staff", Method: "GET", Path: "/staff/accounts/{id}", Summary: "One account of staff"}, s.httpReadStaff)
	httpx.Register(a, httpx.Op{ID: "identity.put_grants", Method: "PUT", Path: "/staff/accounts/{id}/grants", Summary: "Replace the rights of another account", Versioned: true}, s.httpPutGrants)
	httpx.Register(a, httpx.Op{ID: "identity.disable_staff", Method: "POST", Path: "/staff/accounts/{id}/disable", Summary: "Disable an account and end its sessions"}, s.httpDisable)
}

type grantBody struct {
	Role           string `json:"role" enum:"doctor,nurse,registrar,operator,privacy_officer,system_admin,security_admin,audit_admin"`
	OrganizationID string `json:"organization_id,omitempty" maxLength:"36" doc:"Hospital, campus or pharmacy; empty for the whole tenant"`
}

func grantBodies(gs []auth.Grant) []grantBody {
	out := []grantBody{}
	for _, g := range gs {
		b := grantBody{Role: string(g.Role)}
		if !g.Organization.IsZero() {
			b.OrganizationID = g.Organization.String()
		}
		out = append(out, b)
	}
	return out
}

type staffBody struct {
	ID       identity.AccountID `json:"id" format:"uuid"`
	Username string             `json:"username"`
	Name     string             `json:"name"`
	State    string             `json:"state" enum:"active,disabled"`
	Grants   []grantBody        `json:"grants" nullable:"false"`
	// PractitionerID binds a doctor or nurse to the directory.
	PractitionerID string `json:"practitioner_id,omitempty" format:"uuid" doc:"The directory's practitioner; empty for others"`
	Version        int64  `json:"version" doc:"For If-Match"`
	CreatedAt      string `json:"created_at" format:"date-time"`
	LastLoginAt    string `json:"last_login_at,omitempty" format:"date-time"`
}

func staffOf(m me) staffBody {
	a := m.account
	b := staffBody{
		ID: a.id, Username: a.username, Name: m.name.Reveal(), State: string(a.state), Grants: grantBodies(a.grants),
		Version: a.version, CreatedAt: stamp(a.created),
	}
	b.PractitionerID = practitionerText(a.practitioner)
	if !a.lastLogin.IsZero() {
		b.LastLoginAt = stamp(a.lastLogin)
	}
	return b
}

// practitionerText is empty for who is none.
func practitionerText(p id.ID[id.Any]) string {
	if p.IsZero() {
		return ""
	}
	return p.String()
}

// practitionerOf reads the directory's id of a practitioner; empty is nobody.
func practitionerOf(text string) (p id.ID[id.Any], err error) {
	if text == "" {
		return p, nil
	}
	if p, err = id.Parse[id.Any](text); err != nil {
		return p, identity.ErrInvalid.At("practitioner_id", "not an id")
	}
	return p, nil
}

type staffOut struct {
	ETag string `header:"ETag"`
	Body staffBody
}

func staffAnswer(m me, err error) (*staffOut, error) {
	if err != nil {
		return nil, err
	}
	return &staffOut{ETag: httpx.ETag(m.account.version), Body: staffOf(m)}, nil
}

type createStaffIn struct {
	Body struct {
		Username        string `json:"username" minLength:"3" maxLength:"32" example:"zhang.san"`
		Name            string `json:"name" minLength:"1" maxLength:"50"`
		InitialPassword string `json:"initial_password,omitempty" maxLength:"128" doc:"At least 12 characters; made when empty"`
		PractitionerID  string `json:"practitioner_id,omitempty" format:"uuid" doc:"The directory's practitioner whose sessions the account works on"`
	}
}

type createStaffOut struct {
	Body struct {
		ID              identity.AccountID `json:"id" format:"uuid"`
		TOTPSecret      string             `json:"totp_secret" doc:"Base32, shown once"`
		TOTPURI         string             `json:"totp_uri" doc:"For a QR code, shown once"`
		InitialPassword string             `json:"initial_password,omitempty" doc:"Only when it was made here; shown once"`
	}
}

func (s *Service) httpCreateStaff(ctx context.Context, in *createStaffIn) (*createStaffOut, error) {
	spec := identity.StaffSpec{Username: in.Body.Username, Name: in.Body.Name, Password: secret.New(in.Body.InitialPassword)}
	var err error
	if spec.Practitioner, err = practitionerOf(in.Body.PractitionerID); err != nil {
		return nil, err
	}
	m, err := s.createStaff(ctx, spec)
	if err != nil {
		return nil, err
	}
	out := &createStaffOut{}
	out.Body.ID, out.Body.TOTPSecret, out.Body.InitialPassword = m.id, m.totp.Reveal(), m.password.Reveal()
	out.Body.TOTPURI = totpURI(in.Body.Username, m.totp)
	return out, nil
}

type staffListIn struct {
	Cursor   string `query:"cursor" maxLength:"1024" doc:"What the page before returned as next"`
	Limit    int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Username string `query:"username" maxLength:"32" doc:"The beginning of the user name; names are sealed and cannot be searched"`
}

type staffListOut struct {
	Body struct {
		Items []staffBody `json:"items" nullable:"false"`
		Next  string      `json:"next"`
	}
}

func (s *Service) httpListStaff(ctx context.Context, a *httpx.API, in *staffListIn) (*staffListOut, error) {
	r, err := pageIn{Cursor: in.Cursor, Limit: in.Limit}.request(ctx, a)
	if err != nil {
		return nil, err
	}
	p, err := s.staff(ctx, in.Username, r)
	if err != nil {
		return nil, err
	}
	out := &staffListOut{}
	out.Body.Items = []staffBody{}
	for _, m := range p.Items {
		out.Body.Items = append(out.Body.Items, staffOf(m))
	}
	out.Body.Next = a.Seal(ctx, p.Next)
	return out, nil
}

func (s *Service) httpReadStaff(ctx context.Context, in *idIn) (*staffOut, error) {
	a, err := httpx.ID[auth.Account](in.ID)
	if err != nil {
		return nil, err
	}
	return staffAnswer(s.readStaff(ctx, a))
}

type putGrantsIn struct {
	ID      string `path:"id" maxLength:"64"`
	IfMatch string `header:"If-Match"`
	Body    struct {
		Grants         []grantBody `json:"grants" maxItems:"20" nullable:"false"`
		PractitionerID *string     `json:"practitioner_id,omitempty" maxLength:"36" doc:"The directory's practitioner whose sessions the account works on; empty: nobody's; left out: as it is"`
	}
}

func (s *Service) httpPutGrants(ctx context.Context, in *putGrantsIn) (*staffOut, error) {
	a, err := httpx.ID[auth.Account](in.ID)
	if err != nil {
		return nil, err
	}
	version, err := httpx.Version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	var gs []auth.Grant
	for _, b := range in.Body.Grants {
		g := auth.Grant{Role: auth.Role(b.Role)}
		if b.OrganizationID != "" {
			if g.Organization, err = id.Parse[auth.Organization](b.OrganizationID); err != nil {
				return nil, identity.ErrInvalid.At("grants.organization_id", "not an id")
			}
		}
		gs = append(gs, g)
	}
	var to bind
	if in.Body.PractitionerID != nil {
		p, err := practitionerOf(*in.Body.PractitionerID)
		if err != nil {
			return nil, err
		}
		to = &p
	}
	return staffAnswer(s.putGrants(ctx, a, gs, to, version))
}

func (s *Service) httpDisable(ctx context.Context, in *idIn) (*staffOut, error) {
	a, err := httpx.ID[auth.Account](in.ID)
	if err != nil {
		return nil, err
	}
	return staffAnswer(s.disableStaff(ctx, a))
}
