package provider

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/job"
)

// hintClaims are what a hint tells.
type hintClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Issued   int64  `json:"iat"`
	Session  string `json:"sid"`
}

// readHint reads an ID token that a client shows to say whom it means. It may have ended: it is no credential. It must be ours,
// of this issuer, and not from the future.
func (s *Service) readHint(ctx context.Context, t identity.TenantID, issuer, text string) (h hintClaims, err error) {
	find, err := s.verifier(ctx, t)
	if err != nil {
		return h, err
	}
	switch {
	case openJWS(text, find, &h) != nil, h.Issuer != issuer, h.Subject == "":
		return h, refuse(invalidRequest, "id_token_hint is no token of this provider")
	case time.Unix(h.Issued, 0).After(s.now().Add(skew)), time.Unix(h.Issued, 0).Before(s.now().Add(-hintTime)):
		return h, refuse(invalidRequest, "id_token_hint is of another time")
	}
	return h, nil
}

// hinted is the subject of an authorization request's hint, "" without one.
func (s *Service) hinted(ctx context.Context, t identity.TenantID, issuer, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	h, err := s.readHint(ctx, t, issuer, text)
	return h.Subject, err
}

// leaving is a logout that a client asked for.
type leaving struct {
	client  identity.Client // zero: unknown
	back    string          // where the browser goes afterwards; empty: nowhere
	certain bool            // the hint proves that the client means this session: nobody needs to be asked
}

// leave is the decision about a logout request. An address that is not registered is no way back: the request is refused as a
// whole and the person stays here.
func (s *Service) leave(ctx context.Context, t identity.TenantID, issuer string, q url.Values) (l leaving, err error) {
	l, err = s.leaveOf(ctx, t, issuer, q)
	return l, s.refused(ctx, t, "identity.logout_by_client", l.client.ID, err)
}

func (s *Service) leaveOf(ctx context.Context, t identity.TenantID, issuer string, q url.Values) (l leaving, err error) {
	text := map[string]string{}
	for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"} {
		if text[name], err = once(q, name); err != nil {
			return l, err
		}
	}
	if len(text["state"]) > maxText {
		return l, refuse(invalidRequest, "state is too long")
	}
	name := text["client_id"]
	var h hintClaims
	if text["id_token_hint"] != "" {
		if h, err = s.readHint(ctx, t, issuer, text["id_token_hint"]); err != nil {
			return l, err
		}
		if name != "" && name != h.Audience {
			return l, refuse(invalidRequest, "client_id differs from that of the hint")
		}
		name = h.Audience
	}
	if name != "" {
		cid, err := id.Parse[identity.Client](name)
		if err != nil {
			return l, refuse(invalidRequest, "there is no such client")
		}
		if l.client, err = s.Store.client(ctx, t, cid); errors.Is(err, identity.ErrClientNotFound) {
			return l, refuse(invalidRequest, "there is no such client")
		} else if err != nil {
			return l, err
		}
	}
	if to := text["post_logout_redirect_uri"]; to != "" {
		if l.client.ID.IsZero() || l.client.Disabled || !slices.Contains(l.client.LogoutURIs, to) {
			return l, refuse(invalidRequest, "post_logout_redirect_uri is not registered for this client")
		}
		l.back = withState(to, text["state"])
	}
	if who, err := auth.From(ctx); err == nil && h.Session != "" {
		l.certain = h.Session == sid(l.client.ID, who.Session)
	}
	return l, nil
}

func withState(to, state string) string {
	u, err := url.Parse(to)
	if err != nil || state == "" {
		return to
	}
	q := u.Query()
	q.Set("state", state)
	u.RawQuery = q.Encode()
	return u.String()
}

// LogoutKind is the job that tells a client about the end of a session.
const LogoutKind = "identity.tell_logout"

// LogoutJob is its payload: it names the grant whose session ended. Ids only.
type LogoutJob struct {
	Tenant identity.TenantID `json:"tenant_id"`
	Grant  id.ID[grant]      `json:"grant_id"`
}

// Jobs are the provider's.
func (s *Service) Jobs() []job.Handler {
	return []job.Handler{job.Call(LogoutKind, s.TellLogout)}
}

// logoutClaims are OpenID Connect Back-Channel Logout's.
type logoutClaims struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience string         `json:"aud"`
	Issued   int64          `json:"iat"`
	Expires  int64          `json:"exp"`
	ID       string         `json:"jti"`
	Session  string         `json:"sid"`
	Events   map[string]any `json:"events"`
}

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	logoutTime  = 2 * time.Minute
)

// errRefusedLogout: the client answered that it does not take the token; a person has to look.
var errRefusedLogout = errors.New("provider: the client refused the logout token")

// TellLogout brings the signed logout token to the client, one attempt; the job repeats it.
func (s *Service) TellLogout(ctx context.Context, j LogoutJob) error {
	g, c, err := s.Store.endedGrant(ctx, j.Tenant, j.Grant)
	if errors.Is(err, identity.ErrClientNotFound) || err == nil && (c.Disabled || c.BackChannelURI == "") {
		return nil // nobody to tell any more
	}
	if err != nil {
		return err
	}
	k, err := s.signer(ctx, j.Tenant)
	if err != nil {
		return err
	}
	now := s.now()
	text, err := signJWS(k, "logout+jwt", logoutClaims{
		Issuer: g.issuer, Subject: g.subject, Audience: c.ID.String(), Issued: now.Unix(), Expires: now.Add(logoutTime).Unix(),
		ID: g.id.String(), Session: sid(c.ID, g.session), Events: map[string]any{logoutEvent: struct{}{}},
	})
	if err != nil {
		return err
	}
	return s.out.logout(ctx, c.BackChannelURI, text)
}
