package identitysvc

import (
	"context"
	"net/http"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
)

var _ httpx.Authenticator = (*Service)(nil)

// Authenticate implements httpx.Authenticator: identity.session_ended. A cookie opens
// with a browser's session, a bearer token with an API client's; each on its own
// tenant's host only.
func (s *Service) Authenticate(ctx context.Context, t id.ID[auth.Tenant], c httpx.Credential) (auth.Principal, error) {
	if c.Cookie != "" {
		return s.authenticate(ctx, t, cookie, c.Cookie)
	}
	return s.authenticate(ctx, t, access, c.Bearer)
}

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "identity.send_code", Method: "POST", Path: "/auth/codes", Summary: "Send a login code to a phone", Status: 202, Public: true}, s.httpSendCode)
	httpx.Register(a, httpx.Op{ID: "identity.login_patient", Method: "POST", Path: "/auth/sessions", Summary: "Log in with a code", Status: 201, Public: true}, s.httpLoginPatient)
	httpx.Register(a, httpx.Op{ID: "identity.login_staff", Method: "POST", Path: "/auth/staff/sessions", Summary: "Log in with user name, password and one-time code", Status: 201, Public: true}, s.httpLoginStaff)
	httpx.Register(a, httpx.Op{ID: "identity.create_token", Method: "POST", Path: "/auth/tokens", Summary: "Tokens for an API client: by code, by password, or by refresh token", Status: 201, Public: true}, s.httpToken)
	httpx.Register(a, httpx.Op{ID: "identity.read_me", Method: "GET", Path: "/auth/me", Summary: "Who is logged in"}, s.httpMe)
	s.sessionRoutes(a)
	s.factorRoutes(a)
	s.staffRoutes(a)
	s.openid.Routes(a)
	s.keys.Routes(a)
	if s.demo {
		httpx.Register(a, httpx.Op{ID: "identity.list_demo_accounts", Method: "GET", Path: "/demo/accounts", Summary: "Accounts of the demo (only with --demo)", Public: true}, s.httpDemo)
	}
}

type sendCodeIn struct {
	Body struct {
		Phone string `json:"phone" maxLength:"20" example:"13800000000" doc:"Mobile number of mainland China"`
	}
}

type sendCodeOut struct {
	Body struct {
		ChallengeID  identity.ChallengeID `json:"challenge_id" format:"uuid" doc:"Send it back with the code"`
		ResendAfterS int                  `json:"resend_after_s" doc:"Seconds until another code may be asked for"`
	}
}

func (s *Service) httpSendCode(ctx context.Context, in *sendCodeIn) (*sendCodeOut, error) {
	c, err := s.SendCode(ctx, httpx.TenantOf(ctx), identity.ChallengeID{}, secret.New(in.Body.Phone), identity.Login)
	if err != nil {
		return nil, err
	}
	out := &sendCodeOut{}
	out.Body.ChallengeID, out.Body.ResendAfterS = c.ID, int(c.ResendAfter.Seconds())
	return out, nil
}

// meBody is what an account sees of itself.
type meBody struct {
	AccountID   identity.AccountID `json:"account_id" format:"uuid"`
	Kind        string             `json:"kind" enum:"patient,staff"`
	PhoneMasked string             `json:"phone_masked" example:"138****0000"`
	Name        string             `json:"name" doc:"Name of staff; empty for patients"`
	Roles       []grantBody        `json:"roles" nullable:"false"`
	// PractitionerID tells the console whose sessions are the account's own.
	PractitionerID string             `json:"practitioner_id,omitempty" format:"uuid"`
	SessionID      identity.SessionID `json:"session_id" format:"uuid"`
	Factors        int                `json:"factors" doc:"How many factors this session proved"`
	Demo           bool               `json:"demo"`
}

func (s *Service) meBody(m me, session identity.SessionID, factors int) meBody {
	return meBody{
		AccountID: m.account.id, Kind: string(m.account.kind), PhoneMasked: dataclass.Phone.Mask(m.phone), Name: m.name.Reveal(),
		Roles: grantBodies(m.account.grants), PractitionerID: practitionerText(m.account.practitioner), SessionID: session, Factors: factors, Demo: s.demo,
	}
}

type meOut struct{ Body meBody }

type loginOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      meBody
}

// loggedIn is the answer to a login of a browser.
func (s *Service) loggedIn(ctx context.Context, o opened) (*loginOut, error) {
	m, err := s.readMe(ctx, httpx.TenantOf(ctx), o.account)
	if err != nil {
		return nil, err
	}
	return &loginOut{
		SetCookie: httpx.SessionCookie(ctx, o.cookie.Reveal(), o.expires.Sub(o.created)),
		Body:      s.meBody(m, o.id, o.factors),
	}, nil
}

type loginPatientIn struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		ChallengeID identity.ChallengeID `json:"challenge_id" format:"uuid"`
		Code        string               `json:"code" pattern:"^[0-9]{6}$" example:"123456"`
	}
}

func (s *Service) httpLoginPatient(ctx context.Context, in *loginPatientIn) (*loginOut, error) {
	o, err := s.loginPatient(ctx, httpx.TenantOf(ctx), in.Body.ChallengeID, in.Body.Code,
		door{action: "identity.login_patient", method: byCode, device: deviceOf(in.UserAgent)})
	if err != nil {
		return nil, err
	}
	return s.loggedIn(ctx, o)
}

type loginStaffIn struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Username string `json:"username" maxLength:"64"`
		Password string `json:"password" maxLength:"128"`
		TOTP     string `json:"totp" maxLength:"10" doc:"Six digits of the authenticator app"`
	}
}

func (s *Service) httpLoginStaff(ctx context.Context, in *loginStaffIn) (*loginOut, error) {
	o, err := s.loginStaff(ctx, httpx.TenantOf(ctx), in.Body.Username, secret.New(in.Body.Password), in.Body.TOTP,
		door{action: "identity.login_staff", method: byPassword, device: deviceOf(in.UserAgent)})
	if err != nil {
		return nil, err
	}
	return s.loggedIn(ctx, o)
}

type tokenIn struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Grant        string               `json:"grant" enum:"code,password,refresh"`
		ChallengeID  identity.ChallengeID `json:"challenge_id,omitempty" format:"uuid"`
		Code         string               `json:"code,omitempty" maxLength:"10"`
		Username     string               `json:"username,omitempty" maxLength:"64"`
		Password     string               `json:"password,omitempty" maxLength:"128"`
		TOTP         string               `json:"totp,omitempty" maxLength:"10"`
		RefreshToken string               `json:"refresh_token,omitempty" maxLength:"64"`
	}
}

type tokenOut struct {
	Body struct {
		AccessToken  string `json:"access_token" doc:"For Authorization: Bearer"`
		ExpiresInS   int    `json:"expires_in_s"`
		RefreshToken string `json:"refresh_token" doc:"Good once; a second use ends the whole family"`
	}
}

func (s *Service) httpToken(ctx context.Context, in *tokenIn) (*tokenOut, error) {
	t := httpx.TenantOf(ctx)
	b := in.Body
	d := door{action: "identity.create_token", device: deviceOf(in.UserAgent), api: true}
	var o opened
	var err error
	switch b.Grant {
	case "code":
		d.method = byCode
		o, err = s.loginPatient(ctx, t, b.ChallengeID, b.Code, d)
	case "password":
		d.method = byPassword
		o, err = s.loginStaff(ctx, t, b.Username, secret.New(b.Password), b.TOTP, d)
	default:
		o, err = s.refresh(ctx, t, b.RefreshToken)
	}
	if err != nil {
		return nil, err
	}
	out := &tokenOut{}
	out.Body.AccessToken, out.Body.RefreshToken = o.access.Reveal(), o.refresh.Reveal()
	out.Body.ExpiresInS = int(accessTime.Seconds())
	return out, nil
}

func (s *Service) httpMe(ctx context.Context, _ *struct{}) (*meOut, error) {
	m, who, err := s.whoAmI(ctx)
	if err != nil {
		return nil, err
	}
	return &meOut{Body: s.meBody(m, who.Session, who.Factors)}, nil
}

type demoBody struct {
	Kind     string `json:"kind" enum:"patient,staff"`
	Label    string `json:"label"`
	LabelEN  string `json:"label_en"`
	Phone    string `json:"phone,omitempty"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	TOTP     string `json:"totp,omitempty" doc:"The code of this moment"`
}

type demoOut struct {
	Body struct {
		Items []demoBody `json:"items" nullable:"false"`
		Next  string     `json:"next"`
	}
}

func (s *Service) httpDemo(ctx context.Context, _ *struct{}) (*demoOut, error) {
	rows, err := s.DemoAccounts(ctx, httpx.TenantOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &demoOut{}
	out.Body.Items = []demoBody{}
	for _, r := range rows {
		out.Body.Items = append(out.Body.Items, demoBody{
			Kind: string(r.Kind), Label: r.Label, LabelEN: r.LabelEN, Phone: r.Phone, Username: r.Username, Password: r.Password.Reveal(), TOTP: r.TOTP.Reveal(),
		})
	}
	return out, nil
}

// deviceOf shortens a User-Agent to what its owner recognises: "WeChat, Android".
// Nothing of the text itself is kept.
func deviceOf(agent string) string {
	first := func(fallback string, pairs ...string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if strings.Contains(agent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return fallback
	}
	browser := first("Program", "MicroMessenger", "WeChat", "Edg", "Edge", "OPR/", "Opera", "Firefox", "Firefox",
		"Chrome", "Chrome", "Safari", "Safari", "Mozilla", "Browser")
	system := first("", "HarmonyOS", "HarmonyOS", "Android", "Android", "iPhone", "iPhone", "iPad", "iPad",
		"Windows", "Windows", "Mac OS", "macOS", "Linux", "Linux")
	if system == "" {
		return browser
	}
	return browser + ", " + system
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
