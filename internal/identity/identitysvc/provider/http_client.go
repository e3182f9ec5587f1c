package provider

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/httpx"
)

func (s *Service) clientRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "identity.create_client", Method: "POST", Path: "/clients", Summary: "Make an OpenID Connect client; its secret is shown once", Status: 201}, s.httpCreateClient)
	httpx.Register(a, httpx.Op{ID: "identity.list_clients", Method: "GET", Path: "/clients", Summary: "OpenID Connect clients"},
		func(ctx context.Context, in *listIn) (*clientListOut, error) { return s.httpListClients(ctx, a, in) })
	httpx.Register(a, httpx.Op{ID: "identity.read_client", Method: "GET", Path: "/clients/{id}", Summary: "One client"}, s.httpReadClient)
	httpx.Register(a, httpx.Op{ID: "identity.update_client", Method: "PUT", Path: "/clients/{id}", Summary: "Replace what a client may", Versioned: true}, s.httpUpdateClient)
	httpx.Register(a, httpx.Op{ID: "identity.rotate_client_secret", Method: "POST", Path: "/clients/{id}/secret", Summary: "Make a new secret; it is shown once", Status: 201}, s.httpRotateSecret)
	httpx.Register(a, httpx.Op{ID: "identity.disable_client", Method: "POST", Path: "/clients/{id}/disable", Summary: "Disable a client and end all that it was granted"}, s.httpDisableClient)
	httpx.Register(a, httpx.Op{ID: "identity.list_signing_keys", Method: "GET", Path: "/signing-keys", Summary: "Keys that sign ID tokens"}, s.httpKeys)
	httpx.Register(a, httpx.Op{ID: "identity.rotate_signing_key", Method: "POST", Path: "/signing-keys", Summary: "Publish the next key now; it signs in ten minutes", Status: 201}, s.httpRotateKey)
	httpx.Register(a, httpx.Op{ID: "identity.list_consents", Method: "GET", Path: "/auth/consents", Summary: "What I allowed to other systems"}, s.httpConsents)
	httpx.Register(a, httpx.Op{ID: "identity.withdraw_consent", Method: "DELETE", Path: "/auth/consents/{id}", Summary: "Take a consent back; {id} is the client's", Status: 204}, s.httpWithdraw)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// SpecBody is a client as its administrator describes it.
type SpecBody struct {
	Name           string   `json:"name" minLength:"1" maxLength:"60" doc:"As the consent page calls it"`
	NameEN         string   `json:"name_en,omitempty" maxLength:"60"`
	Public         bool     `json:"public,omitempty" doc:"It cannot keep a secret: PKCE alone; cannot be changed later"`
	FirstParty     bool     `json:"first_party,omitempty" doc:"A system of the hospital itself: no consent page"`
	Accounts       string   `json:"accounts" enum:"patient,staff,any" doc:"Whose logins"`
	Grants         []string `json:"grants" minItems:"1" maxItems:"4" enum:"authorization_code,refresh_token,client_credentials,urn:ietf:params:oauth:grant-type:device_code"`
	Scopes         []string `json:"scopes,omitempty" maxItems:"40" doc:"What it may ask for: profile, phone, roles, offline_access, and names of the hospital's own"`
	RedirectURIs   []string `json:"redirect_uris,omitempty" maxItems:"20" doc:"Compared character by character"`
	LogoutURIs     []string `json:"logout_uris,omitempty" maxItems:"20" doc:"post_logout_redirect_uris"`
	BackChannelURI string   `json:"back_channel_uri,omitempty" maxLength:"500" doc:"backchannel_logout_uri"`
	Sector         string   `json:"sector,omitempty" maxLength:"63" doc:"Clients of one sector see the same subject for a person; empty: the client alone"`
}

func (b SpecBody) spec() identity.ClientSpec {
	s := identity.ClientSpec{
		Name: b.Name, NameEN: b.NameEN, Public: b.Public, FirstParty: b.FirstParty, Accounts: identity.Accounts(b.Accounts), Scopes: b.Scopes,
		RedirectURIs: b.RedirectURIs, LogoutURIs: b.LogoutURIs, BackChannelURI: b.BackChannelURI, Sector: b.Sector,
	}
	for _, g := range b.Grants {
		s.Grants = append(s.Grants, identity.GrantType(g))
	}
	return s
}

// ClientBody is a client as its administrator sees it.
type ClientBody struct {
	ID identity.ClientID `json:"id" format:"uuid" doc:"The client_id"`
	SpecBody
	State     string `json:"state" enum:"active,disabled"`
	Version   int64  `json:"version" doc:"For If-Match"`
	CreatedAt string `json:"created_at" format:"date-time"`
}

func bodyOf(c identity.Client) ClientBody {
	b := ClientBody{ID: c.ID, State: "active", Version: c.Version, CreatedAt: stamp(c.CreatedAt), SpecBody: SpecBody{
		Name: c.Name, NameEN: c.NameEN, Public: c.Public, FirstParty: c.FirstParty, Accounts: string(c.Accounts), Grants: texts(c.Grants), Scopes: c.Scopes,
		RedirectURIs: c.RedirectURIs, LogoutURIs: c.LogoutURIs, BackChannelURI: c.BackChannelURI, Sector: c.Sector,
	}}
	if c.Disabled {
		b.State = "disabled"
	}
	return b
}

type clientOut struct {
	ETag string `header:"ETag"`
	Body ClientBody
}

func clientAnswer(c identity.Client, err error) (*clientOut, error) {
	if err != nil {
		return nil, err
	}
	return &clientOut{ETag: httpx.ETag(c.Version), Body: bodyOf(c)}, nil
}

type createClientIn struct{ Body SpecBody }

type madeClientBody struct {
	ClientBody
	Secret string `json:"secret,omitempty" doc:"client_secret, shown once; none of public clients"`
}

type madeClientOut struct {
	ETag string `header:"ETag"`
	Body madeClientBody
}

func madeAnswer(m identity.MadeClient, err error) (*madeClientOut, error) {
	if err != nil {
		return nil, err
	}
	return &madeClientOut{ETag: httpx.ETag(m.Version), Body: madeClientBody{ClientBody: bodyOf(m.Client), Secret: m.Secret.Reveal()}}, nil
}

func (s *Service) httpCreateClient(ctx context.Context, in *createClientIn) (*madeClientOut, error) {
	return madeAnswer(s.AddClient(ctx, in.Body.spec()))
}

type listIn struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"What the page before returned as next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type clientListOut struct {
	Body struct {
		Items []ClientBody `json:"items" nullable:"false"`
		Next  string       `json:"next"`
	}
}

func (s *Service) httpListClients(ctx context.Context, a *httpx.API, in *listIn) (*clientListOut, error) {
	raw, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	p, err := s.clients(ctx, page.Request{Cursor: raw, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &clientListOut{}
	out.Body.Items = []ClientBody{}
	for _, c := range p.Items {
		out.Body.Items = append(out.Body.Items, bodyOf(c))
	}
	out.Body.Next = a.Seal(ctx, p.Next)
	return out, nil
}

type oneIn struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) httpReadClient(ctx context.Context, in *oneIn) (*clientOut, error) {
	c, err := httpx.ID[identity.Client](in.ID)
	if err != nil {
		return nil, err
	}
	return clientAnswer(s.readClient(ctx, c))
}

type updateClientIn struct {
	ID      string `path:"id" maxLength:"64"`
	IfMatch string `header:"If-Match"`
	Body    SpecBody
}

func (s *Service) httpUpdateClient(ctx context.Context, in *updateClientIn) (*clientOut, error) {
	c, err := httpx.ID[identity.Client](in.ID)
	if err != nil {
		return nil, err
	}
	version, err := httpx.Version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return clientAnswer(s.updateClient(ctx, c, in.Body.spec(), version))
}

type rotateSecretIn struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		OverlapHours int `json:"overlap_hours" minimum:"0" maximum:"168" doc:"How long the secret before stays good; 0: it ends now"`
	}
}

func (s *Service) httpRotateSecret(ctx context.Context, in *rotateSecretIn) (*madeClientOut, error) {
	c, err := httpx.ID[identity.Client](in.ID)
	if err != nil {
		return nil, err
	}
	return madeAnswer(s.rotateSecret(ctx, c, time.Duration(in.Body.OverlapHours)*time.Hour))
}

func (s *Service) httpDisableClient(ctx context.Context, in *oneIn) (*clientOut, error) {
	c, err := httpx.ID[identity.Client](in.ID)
	if err != nil {
		return nil, err
	}
	return clientAnswer(s.disableClient(ctx, c))
}

type keyBody struct {
	ID        string `json:"id" doc:"kid"`
	State     string `json:"state" enum:"published,signing,retired"`
	CreatedAt string `json:"created_at" format:"date-time"`
	SignsAt   string `json:"signs_at" format:"date-time" doc:"From when it signs"`
}

type keysOut struct {
	Body struct {
		Items []keyBody `json:"items" nullable:"false"`
	}
}

func (s *Service) keysAnswer(rows []storedKey, err error) (*keysOut, error) {
	if err != nil {
		return nil, err
	}
	out := &keysOut{}
	out.Body.Items = []keyBody{}
	_, at := current(rows, s.now())
	for i, k := range rows {
		state := "retired"
		switch {
		case i == at:
			state = "signing"
		case i > at:
			state = "published"
		}
		out.Body.Items = append(out.Body.Items, keyBody{ID: k.kid, State: state, CreatedAt: stamp(k.created), SignsAt: stamp(k.signs)})
	}
	return out, nil
}

func (s *Service) httpKeys(ctx context.Context, _ *struct{}) (*keysOut, error) {
	return s.keysAnswer(s.listKeys(ctx))
}

func (s *Service) httpRotateKey(ctx context.Context, _ *struct{}) (*keysOut, error) {
	return s.keysAnswer(s.rotateKey(ctx))
}

type consentBody struct {
	ClientID identity.ClientID `json:"client_id" format:"uuid"`
	Name     string            `json:"name"`
	NameEN   string            `json:"name_en"`
	Scopes   []string          `json:"scopes" nullable:"false"`
	GivenAt  string            `json:"given_at" format:"date-time"`
}

type consentsOut struct {
	Body struct {
		Items []consentBody `json:"items" nullable:"false"`
	}
}

func (s *Service) httpConsents(ctx context.Context, _ *struct{}) (*consentsOut, error) {
	rows, err := s.ownConsents(ctx)
	if err != nil {
		return nil, err
	}
	out := &consentsOut{}
	out.Body.Items = []consentBody{}
	for _, c := range rows {
		out.Body.Items = append(out.Body.Items, consentBody{ClientID: c.client.ID, Name: c.client.Name, NameEN: c.client.NameEN, Scopes: list(c.scopes), GivenAt: stamp(c.given)})
	}
	return out, nil
}

func (s *Service) httpWithdraw(ctx context.Context, in *oneIn) (*struct{}, error) {
	c, err := httpx.ID[identity.Client](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.withdraw(ctx, c)
}
