package identitysvc

import (
	"context"
	"net/http"
	"net/url"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/external"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
)

// idpRoutes are those by which an identity provider's answer becomes a session; external has those on providers and links.
func (s *Service) idpRoutes(a *httpx.API) {
	httpx.Handle(a, httpx.Op{ID: "identity.finish_idp_login", Method: "GET", Path: "/auth/idp/{key}/callback", Summary: "Page: an identity provider leads back here", Public: true, Status: http.StatusSeeOther}, s.httpArrive)
	httpx.Register(a, httpx.Op{ID: "identity.login_idp", Method: "POST", Path: "/auth/idp/sessions", Summary: "Show what a login by a provider lacks: staff their one-time code, a new person the code to their phone", Status: 201, Public: true}, s.httpComplete)
}

// httpArrive takes a provider's answer and leads to the page that goes on: nothing of the answer stays in an address. What goes wrong is
// told by the login page, which gets the code's name; a link's page likewise.
func (s *Service) httpArrive(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(q[name]) > 1 { // RFC 6749, 3.1: once
			q.Del("state")
		}
	}
	got, err := s.arrive(ctx, httpx.TenantOf(ctx), external.Back{
		Key: r.PathValue("key"), State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error"), Cookie: external.CookieOf(r),
	}, deviceOf(r.UserAgent()))
	home := got.IDP.Accounts
	if home == "" { // an answer that nobody waits for
		home = identity.PatientAccounts
	}
	to, mine := got.Next, external.Cookie(ctx, got.cookie)
	switch f := fault.Of(err); {
	case err != nil && f == nil:
		return err
	case err != nil && got.Linking():
		to = withValue(got.Next, "refused", f.Code.Name)
	case err != nil:
		to = entrance(home, got.Next, "refused", f.Code.Name)
	case got.session != nil:
		c := httpx.SessionCookie(ctx, got.session.cookie.Reveal(), got.session.expires.Sub(got.session.created))
		http.SetCookie(w, &c)
	case got.phone:
		to = entrance(home, got.Next, "more", "phone")
	case !got.Linked:
		to = entrance(home, got.Next, "more", "totp")
	}
	http.SetCookie(w, &mine)
	w.Header().Set("Location", to)
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds a code
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// entrance is the login page of the accounts with the way on and one word about this login.
func entrance(k identity.Accounts, next, name, value string) string {
	q := url.Values{name: {value}}
	if next != "" && next != external.Home(k) {
		q.Set("next", next)
	}
	return external.Home(k) + "login?" + q.Encode()
}

// withValue adds one to an address of ours.
func withValue(address, name, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

type idpSessionIn struct {
	external.CookieIn
	UserAgent string `header:"User-Agent"`
	Body      struct {
		TOTP        string               `json:"totp,omitempty" maxLength:"10" doc:"Staff: six digits of the authenticator app"`
		ChallengeID identity.ChallengeID `json:"challenge_id,omitempty" format:"uuid" doc:"Patients: of the code that was sent"`
		Code        string               `json:"code,omitempty" maxLength:"10"`
	}
}

type idpSessionOut struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      meBody
}

func (s *Service) httpComplete(ctx context.Context, in *idpSessionIn) (*idpSessionOut, error) {
	o, err := s.complete(ctx, httpx.TenantOf(ctx), in.Of(ctx), shownHere{totp: in.Body.TOTP, challenge: in.Body.ChallengeID, code: in.Body.Code}, deviceOf(in.UserAgent))
	if err != nil {
		return nil, err
	}
	l, err := s.loggedIn(ctx, o)
	if err != nil {
		return nil, err
	}
	return &idpSessionOut{SetCookie: []http.Cookie{l.SetCookie, external.Cookie(ctx, secret.Text{})}, Body: l.Body}, nil
}
