package external

import (
	"context"
	"net/http"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
)

// Routes adds the operations on providers and links; those that open a session are identity's.
func (s *Service) Routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "identity.list_login_idps", Method: "GET", Path: "/auth/idp", Summary: "Other ways to log in that the hospital offers", Public: true}, s.httpOffered)
	httpx.Register(a, httpx.Op{ID: "identity.begin_idp_login", Method: "POST", Path: "/auth/idp/logins", Summary: "Begin a login at an identity provider: where the browser goes", Status: 201, Public: true}, s.httpBegin)
	httpx.Register(a, httpx.Op{ID: "identity.begin_link", Method: "POST", Path: "/auth/idp/links", Summary: "Begin to link my account to a provider (needs a fresh proof)", Status: 201}, s.httpBeginLink)
	httpx.Register(a, httpx.Op{ID: "identity.list_links", Method: "GET", Path: "/auth/idp/links", Summary: "Providers that my account is linked to, and those it may be"}, s.httpLinks)
	httpx.Register(a, httpx.Op{ID: "identity.unlink_idp", Method: "DELETE", Path: "/auth/idp/links/{id}", Summary: "Take a link away and end the sessions that came by it (needs a fresh proof)", Status: 204}, s.httpUnlink)

	httpx.Register(a, httpx.Op{ID: "identity.create_idp", Method: "POST", Path: "/identity-providers", Summary: "Let people log in by another's identity provider (needs a fresh proof)", Status: 201}, s.httpCreate)
	httpx.Register(a, httpx.Op{ID: "identity.list_idps", Method: "GET", Path: "/identity-providers", Summary: "Identity providers"},
		func(ctx context.Context, in *idpListIn) (*idpListOut, error) { return s.httpList(ctx, a, in) })
	httpx.Register(a, httpx.Op{ID: "identity.read_idp", Method: "GET", Path: "/identity-providers/{id}", Summary: "One identity provider"}, s.httpRead)
	httpx.Register(a, httpx.Op{ID: "identity.update_idp", Method: "PUT", Path: "/identity-providers/{id}", Summary: "Change an identity provider (needs a fresh proof)", Versioned: true}, s.httpUpdate)
	httpx.Register(a, httpx.Op{ID: "identity.disable_idp", Method: "POST", Path: "/identity-providers/{id}/disable", Summary: "Disable a provider and end the sessions that came by it"}, s.httpDisable)
	httpx.Register(a, httpx.Op{ID: "identity.test_idp", Method: "POST", Path: "/identity-providers/{id}/test", Summary: "Read the provider's description and say what is wrong with it"}, s.httpTest)
}

// SiteOf is the site of the request.
func SiteOf(ctx context.Context) Site {
	origin, _ := httpx.Site(ctx)
	return Site{Origin: origin, Prefix: httpx.Prefix}
}

// The cookie that binds a login to its browser; with TLS under a name that no other host and no plain page can set.
const (
	plainCookie  = "xinglin_idp"
	secureCookie = "__Host-xinglin_idp"
)

// Cookie keeps a login's secret in the browser; an empty one deletes it. Lax: it has to come along when the provider leads back.
func Cookie(ctx context.Context, value secret.Text) http.Cookie {
	secure := strings.HasPrefix(SiteOf(ctx).Origin, "https://")
	c := http.Cookie{
		Name: plainCookie, Value: value.Reveal(), Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: int(loginTime.Seconds()),
	}
	if secure {
		c.Name = secureCookie
	}
	if value.Empty() {
		c.MaxAge = -1
	}
	return c
}

// CookieIn is the cookie as an operation's input.
type CookieIn struct {
	Plain  string `cookie:"xinglin_idp" maxLength:"64"`
	Secure string `cookie:"__Host-xinglin_idp" maxLength:"64"`
}

// Of is the one that counts at this site.
func (c CookieIn) Of(ctx context.Context) string {
	if strings.HasPrefix(SiteOf(ctx).Origin, "https://") {
		return c.Secure
	}
	return c.Plain
}

// CookieOf is the same of a plain request.
func CookieOf(r *http.Request) string {
	c, err := r.Cookie(Cookie(r.Context(), secret.Text{}).Name)
	if err != nil {
		return ""
	}
	return c.Value
}

// IDPOfferBody is a provider as login pages show it.
type IDPOfferBody struct {
	Key    string `json:"key"`
	Kind   string `json:"kind" enum:"oidc,wechat"`
	Name   string `json:"name"`
	NameEN string `json:"name_en"`
}

func offered(all []identity.IDP) []IDPOfferBody {
	out := []IDPOfferBody{}
	for _, p := range all {
		out = append(out, IDPOfferBody{Key: p.Key, Kind: string(p.Kind), Name: p.Name, NameEN: p.NameEN})
	}
	return out
}

type idpOfferIn struct {
	Accounts string `query:"accounts" enum:"patient,staff" required:"true" doc:"Whose entrance this is"`
}

type idpOfferOut struct {
	Body struct {
		Items []IDPOfferBody `json:"items" nullable:"false"`
	}
}

func (s *Service) httpOffered(ctx context.Context, in *idpOfferIn) (*idpOfferOut, error) {
	all, err := s.Store.enabled(ctx, httpx.TenantOf(ctx), identity.Accounts(in.Accounts))
	if err != nil {
		return nil, err
	}
	out := &idpOfferOut{}
	out.Body.Items = offered(all)
	return out, nil
}

type idpBeginIn struct {
	Body struct {
		Provider string `json:"provider" maxLength:"30" doc:"Its key"`
		Next     string `json:"next,omitempty" maxLength:"2048" doc:"Page of ours to go to afterwards; others are ignored"`
	}
}

type idpBeginOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      struct {
		Address string `json:"address" doc:"Where the browser goes"`
	}
}

func begun(ctx context.Context, b Begun, err error) (*idpBeginOut, error) {
	if err != nil {
		return nil, err
	}
	out := &idpBeginOut{SetCookie: Cookie(ctx, b.Cookie)}
	out.Body.Address = b.Address
	return out, nil
}

func (s *Service) httpBegin(ctx context.Context, in *idpBeginIn) (*idpBeginOut, error) {
	b, err := s.Begin(ctx, httpx.TenantOf(ctx), SiteOf(ctx), in.Body.Provider, in.Body.Next)
	return begun(ctx, b, err)
}

func (s *Service) httpBeginLink(ctx context.Context, in *idpBeginIn) (*idpBeginOut, error) {
	b, err := s.BeginLink(ctx, SiteOf(ctx), in.Body.Provider, in.Body.Next)
	return begun(ctx, b, err)
}

// IDPLinkBody is a link as its owner sees it.
type IDPLinkBody struct {
	ID        LinkID `json:"id" format:"uuid"`
	Name      string `json:"name"`
	NameEN    string `json:"name_en"`
	Disabled  bool   `json:"disabled" doc:"The hospital does not offer it at the moment"`
	CreatedAt string `json:"created_at" format:"date-time"`
	UsedAt    string `json:"used_at,omitempty" format:"date-time"`
}

type idpLinksOut struct {
	Body struct {
		Items []IDPLinkBody  `json:"items" nullable:"false"`
		More  []IDPOfferBody `json:"more" nullable:"false" doc:"Providers that the account may be linked to"`
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (s *Service) httpLinks(ctx context.Context, _ *struct{}) (*idpLinksOut, error) {
	mine, more, err := s.links(ctx)
	if err != nil {
		return nil, err
	}
	out := &idpLinksOut{}
	out.Body.Items, out.Body.More = []IDPLinkBody{}, offered(more)
	for _, l := range mine {
		b := IDPLinkBody{ID: l.id, Name: l.name, NameEN: l.nameEN, Disabled: l.disabled, CreatedAt: stamp(l.created)}
		if !l.since.IsZero() {
			b.UsedAt = stamp(l.since)
		}
		out.Body.Items = append(out.Body.Items, b)
	}
	return out, nil
}

type idpOneIn struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) httpUnlink(ctx context.Context, in *idpOneIn) (*struct{}, error) {
	l, err := httpx.ID[Link](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.unlink(ctx, l)
}

// ---- providers, for their administrator ----

// IDPSpecBody is a provider as its administrator describes it.
type IDPSpecBody struct {
	Key        string   `json:"key" maxLength:"30" doc:"In the address that is registered at the provider; cannot be changed, nor can kind, accounts, issuer, pages and client_id"`
	Kind       string   `json:"kind" enum:"oidc,wechat"`
	Accounts   string   `json:"accounts" enum:"patient,staff" doc:"Whose logins"`
	Name       string   `json:"name" minLength:"1" maxLength:"30" doc:"As the login page calls it"`
	NameEN     string   `json:"name_en,omitempty" maxLength:"30"`
	Issuer     string   `json:"issuer,omitempty" maxLength:"300" doc:"OIDC: the issuer, to the letter. WeChat: where its API is; empty for WeChat itself"`
	Pages      string   `json:"pages,omitempty" maxLength:"300" doc:"WeChat: where its pages are; empty for WeChat itself"`
	ClientID   string   `json:"client_id" maxLength:"200" doc:"What the provider calls us; WeChat's appid"`
	SecretPost bool     `json:"secret_post,omitempty" doc:"client_secret_post instead of client_secret_basic"`
	Scopes     string   `json:"scopes,omitempty" maxLength:"300" doc:"OIDC: beside openid. WeChat: snsapi_login, snsapi_userinfo or snsapi_base"`
	Strong     []string `json:"strong,omitempty" maxItems:"10" doc:"Values of acr or amr that mean two factors; without one of them staff prove their own second factor here"`
	Enabled    bool     `json:"enabled" doc:"It stands on the login page; switched off, it lets nobody in and its sessions end"`
}

// IDPWrittenBody is IDPSpecBody with the secret, which no answer shows.
type IDPWrittenBody struct {
	IDPSpecBody
	Secret string `json:"secret,omitempty" maxLength:"500" doc:"client_secret; empty keeps the one that is there"`
}

func (b IDPWrittenBody) spec() identity.IDPSpec {
	return identity.IDPSpec{
		Key: b.Key, Kind: identity.IDPKind(b.Kind), Accounts: identity.Accounts(b.Accounts), Name: b.Name, NameEN: b.NameEN, Issuer: b.Issuer, Pages: b.Pages,
		ClientID: b.ClientID, Secret: secret.New(b.Secret), SecretPost: b.SecretPost, Scopes: b.Scopes, Strong: b.Strong, Enabled: b.Enabled,
	}
}

// IDPBody is a provider as its administrator sees it.
type IDPBody struct {
	ID identity.IDPID `json:"id" format:"uuid"`
	IDPSpecBody
	RedirectURI string `json:"redirect_uri" doc:"What has to be registered at the provider"`
	Version     int64  `json:"version" doc:"For If-Match"`
	CreatedAt   string `json:"created_at" format:"date-time"`
}

func bodyOf(ctx context.Context, p identity.IDP) IDPBody {
	return IDPBody{ID: p.ID, RedirectURI: SiteOf(ctx).redirect(p.Key), Version: p.Version, CreatedAt: stamp(p.CreatedAt), IDPSpecBody: IDPSpecBody{
		Key: p.Key, Kind: string(p.Kind), Accounts: string(p.Accounts), Name: p.Name, NameEN: p.NameEN, Issuer: p.Issuer, Pages: p.Pages, ClientID: p.ClientID,
		SecretPost: p.SecretPost, Scopes: p.Scopes, Strong: p.Strong, Enabled: p.Enabled,
	}}
}

type idpOut struct {
	ETag string `header:"ETag"`
	Body IDPBody
}

func answer(ctx context.Context, p identity.IDP, err error) (*idpOut, error) {
	if err != nil {
		return nil, err
	}
	return &idpOut{ETag: httpx.ETag(p.Version), Body: bodyOf(ctx, p)}, nil
}

type idpCreateIn struct{ Body IDPWrittenBody }

func (s *Service) httpCreate(ctx context.Context, in *idpCreateIn) (*idpOut, error) {
	p, err := s.create(ctx, in.Body.spec())
	return answer(ctx, p, err)
}

type idpListIn struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"What the page before returned as next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type idpListOut struct {
	Body struct {
		Items []IDPBody `json:"items" nullable:"false"`
		Next  string    `json:"next"`
	}
}

func (s *Service) httpList(ctx context.Context, a *httpx.API, in *idpListIn) (*idpListOut, error) {
	raw, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	p, err := s.list(ctx, page.Request{Cursor: raw, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &idpListOut{}
	out.Body.Items = []IDPBody{}
	for _, x := range p.Items {
		out.Body.Items = append(out.Body.Items, bodyOf(ctx, x))
	}
	out.Body.Next = a.Seal(ctx, p.Next)
	return out, nil
}

func (s *Service) httpRead(ctx context.Context, in *idpOneIn) (*idpOut, error) {
	one, err := httpx.ID[identity.IDP](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.readOne(ctx, one)
	return answer(ctx, p, err)
}

type idpUpdateIn struct {
	ID      string `path:"id" maxLength:"64"`
	IfMatch string `header:"If-Match"`
	Body    IDPWrittenBody
}

func (s *Service) httpUpdate(ctx context.Context, in *idpUpdateIn) (*idpOut, error) {
	one, err := httpx.ID[identity.IDP](in.ID)
	if err != nil {
		return nil, err
	}
	version, err := httpx.Version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	p, err := s.update(ctx, one, in.Body.spec(), version)
	return answer(ctx, p, err)
}

func (s *Service) httpDisable(ctx context.Context, in *idpOneIn) (*idpOut, error) {
	one, err := httpx.ID[identity.IDP](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.disable(ctx, one)
	return answer(ctx, p, err)
}

type idpTestOut struct {
	Body struct {
		OK          bool     `json:"ok"`
		Problem     string   `json:"problem,omitempty" enum:"unreachable,issuer,address,no_code_flow,no_pkce,algorithm,answer_too_large" doc:"What is wrong"`
		RedirectURI string   `json:"redirect_uri" doc:"What has to be registered at the provider"`
		Algorithms  []string `json:"algorithms,omitempty" doc:"What it signs with, as it says"`
		IssuerBack  bool     `json:"issuer_back,omitempty" doc:"It names itself in its answers (RFC 9207)"`
	}
}

func (s *Service) httpTest(ctx context.Context, in *idpOneIn) (*idpTestOut, error) {
	one, err := httpx.ID[identity.IDP](in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.test(ctx, SiteOf(ctx), one)
	if err != nil {
		return nil, err
	}
	out := &idpTestOut{}
	b := &out.Body
	b.OK, b.Problem, b.RedirectURI, b.Algorithms, b.IssuerBack = r.ok, r.problem, r.redirect, r.about.Algorithms, r.about.IssuerInBack
	return out, nil
}
