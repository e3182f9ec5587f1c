package identitysvc

import (
	"context"
	"net/http"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
)

// newCookie is a token with the door's mark, which is part of what is hashed.
func newCookie() (secret.Text, []byte) {
	t, _ := newToken()
	marked := httpx.CookieMark + t.Reveal()
	return secret.New(marked), tokenHash(marked)
}

func (s *Service) sessionRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "identity.end_session", Method: "DELETE", Path: "/auth/sessions/current", Summary: "Log out", Status: 204}, s.httpLogout)
	httpx.Register(a, httpx.Op{ID: "identity.list_sessions", Method: "GET", Path: "/auth/sessions", Summary: "My live sessions, newest first"},
		func(ctx context.Context, in *pageIn) (*sessionsOut, error) { return s.httpSessions(ctx, a, in) })
	httpx.Register(a, httpx.Op{ID: "identity.revoke_session", Method: "DELETE", Path: "/auth/sessions/{id}", Summary: "End one of my sessions", Status: 204}, s.httpRevoke)
}

// pageIn asks for one page of a list.
type pageIn struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"What the page before returned as next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

func (in pageIn) request(ctx context.Context, a *httpx.API) (page.Request, error) {
	raw, err := a.Unseal(ctx, in.Cursor)
	return page.Request{Cursor: raw, Limit: in.Limit}, err
}

type sessionBody struct {
	ID         identity.SessionID `json:"id" format:"uuid"`
	CreatedAt  string             `json:"created_at" format:"date-time"`
	LastSeenAt string             `json:"last_seen_at" format:"date-time" doc:"To within five minutes"`
	Device     string             `json:"device" example:"WeChat, Android"`
	Method     string             `json:"method" enum:"code,password,passkey,idp" doc:"What opened it"`
	Current    bool               `json:"current"`
}

type sessionsOut struct {
	Body struct {
		Items []sessionBody `json:"items" nullable:"false"`
		Next  string        `json:"next"`
	}
}

func (s *Service) httpSessions(ctx context.Context, a *httpx.API, in *pageIn) (*sessionsOut, error) {
	r, err := in.request(ctx, a)
	if err != nil {
		return nil, err
	}
	p, err := s.sessions(ctx, r)
	if err != nil {
		return nil, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &sessionsOut{}
	out.Body.Items = []sessionBody{}
	for _, x := range p.Items {
		out.Body.Items = append(out.Body.Items, sessionBody{
			ID: x.id, CreatedAt: stamp(x.created), LastSeenAt: stamp(x.lastSeen), Device: x.device, Method: string(x.method), Current: x.id == who.Session,
		})
	}
	out.Body.Next = a.Seal(ctx, p.Next)
	return out, nil
}

type logoutOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (s *Service) httpLogout(ctx context.Context, _ *struct{}) (*logoutOut, error) {
	if err := s.logout(ctx); err != nil {
		return nil, err
	}
	return &logoutOut{SetCookie: httpx.SessionCookie(ctx, "", 0)}, nil
}

type idIn struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) httpRevoke(ctx context.Context, in *idIn) (*struct{}, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	one, err := httpx.ID[auth.Session](in.ID)
	if err != nil {
		return nil, err
	}
	if one.IsZero() { // zero would mean all
		return nil, identity.ErrNotFound.New()
	}
	return nil, s.Revoke(ctx, who.Account, one)
}
