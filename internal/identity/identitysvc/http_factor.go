package identitysvc

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/passkey"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/httpx"
)

// factorRoutes are those by which people prove that they are there, beside the first login; passkey has those on the own keys.
func (s *Service) factorRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "identity.login_passkey", Method: "POST", Path: "/auth/passkeys/sessions", Summary: "Log in with a passkey", Status: 201, Public: true}, s.httpLoginPasskey)
	httpx.Register(a, httpx.Op{ID: "identity.begin_step_up", Method: "POST", Path: "/auth/step-up/options", Summary: "How I can prove once more that I am here"}, s.httpBeginStepUp)
	httpx.Register(a, httpx.Op{ID: "identity.send_step_up_code", Method: "POST", Path: "/auth/step-up/codes", Summary: "Send a code to my phone, to prove it with", Status: 202}, s.httpSendStepUpCode)
	httpx.Register(a, httpx.Op{ID: "identity.step_up", Method: "POST", Path: "/auth/step-up", Summary: "Prove once more that I am here; it counts for five minutes"}, s.httpStepUp)
	httpx.Register(a, httpx.Op{ID: "identity.list_logins", Method: "GET", Path: "/auth/logins", Summary: "My logins of the last thirty days and those that were refused, newest first"},
		func(ctx context.Context, in *pageIn) (*loginsOut, error) { return s.httpLogins(ctx, a, in) })
	httpx.Register(a, httpx.Op{ID: "identity.offer_totp", Method: "POST", Path: "/auth/totp/options", Summary: "A secret for another authenticator app (needs a fresh proof)", Status: 201}, s.httpOfferTOTP)
	httpx.Register(a, httpx.Op{ID: "identity.replace_totp", Method: "POST", Path: "/auth/totp", Summary: "Put the new authenticator app in force by its first code (needs a fresh proof)", Status: 204}, s.httpReplaceTOTP)
}

type loginPasskeyIn struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Kind       string                 `json:"kind" enum:"patient,staff" doc:"Whose entrance this is"`
		Handle     string                 `json:"handle" maxLength:"64"`
		Credential passkey.CredentialBody `json:"credential" doc:"What navigator.credentials.get gave (toJSON)"`
	}
}

func (s *Service) httpLoginPasskey(ctx context.Context, in *loginPasskeyIn) (*loginOut, error) {
	o, err := s.loginPasskey(ctx, httpx.TenantOf(ctx), passkey.SiteOf(ctx), auth.Kind(in.Body.Kind), in.Body.Credential.Answer(in.Body.Handle),
		door{action: "identity.login_passkey", method: byPasskey, device: deviceOf(in.UserAgent)})
	if err != nil {
		return nil, err
	}
	return s.loggedIn(ctx, o)
}

type stepUpOptionsOut struct {
	Body struct {
		Methods     []string           `json:"methods" nullable:"false" enum:"totp,code,passkey" doc:"Any one of them is enough"`
		PhoneMasked string             `json:"phone_masked,omitempty" doc:"Where a code would go"`
		Passkey     *passkey.AskedBody `json:"passkey,omitempty"`
	}
}

func (s *Service) httpBeginStepUp(ctx context.Context, _ *struct{}) (*stepUpOptionsOut, error) {
	w, err := s.beginStepUp(ctx, passkey.SiteOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &stepUpOptionsOut{}
	out.Body.Methods = []string{}
	if w.key {
		out.Body.Methods = append(out.Body.Methods, "passkey")
		b := passkey.BodyOf(w.asked)
		out.Body.Passkey = &b
	}
	if w.totp {
		out.Body.Methods = append(out.Body.Methods, "totp")
	}
	if w.code {
		out.Body.Methods = append(out.Body.Methods, "code")
		out.Body.PhoneMasked = dataclass.Phone.Mask(w.phone)
	}
	return out, nil
}

func (s *Service) httpSendStepUpCode(ctx context.Context, _ *struct{}) (*sendCodeOut, error) {
	c, err := s.sendStepUpCode(ctx)
	if err != nil {
		return nil, err
	}
	out := &sendCodeOut{}
	out.Body.ChallengeID, out.Body.ResendAfterS = c.ID, int(c.ResendAfter.Seconds())
	return out, nil
}

type stepUpIn struct {
	Body struct {
		TOTP        string                  `json:"totp,omitempty" maxLength:"10" doc:"Staff: six digits of the authenticator app"`
		ChallengeID identity.ChallengeID    `json:"challenge_id,omitempty" format:"uuid" doc:"Patients: of the code that was sent"`
		Code        string                  `json:"code,omitempty" maxLength:"10"`
		Handle      string                  `json:"handle,omitempty" maxLength:"64" doc:"With credential: what the options gave"`
		Credential  *passkey.CredentialBody `json:"credential,omitempty" doc:"What navigator.credentials.get gave (toJSON)"`
	}
}

type stepUpOut struct {
	Body struct {
		FreshUntil string `json:"fresh_until" format:"date-time"`
	}
}

func (s *Service) httpStepUp(ctx context.Context, in *stepUpIn) (*stepUpOut, error) {
	g := proofGiven{totp: in.Body.TOTP, challenge: in.Body.ChallengeID, code: in.Body.Code}
	if in.Body.Credential != nil {
		answer := in.Body.Credential.Answer(in.Body.Handle)
		g.answer = &answer
	}
	until, err := s.stepUp(ctx, passkey.SiteOf(ctx), g)
	if err != nil {
		return nil, err
	}
	out := &stepUpOut{}
	out.Body.FreshUntil = stamp(until)
	return out, nil
}

type loginBody struct {
	At      string `json:"at" format:"date-time"`
	Method  string `json:"method" enum:"code,password,passkey,idp"`
	Device  string `json:"device" example:"Chrome, Windows"`
	Result  string `json:"result" enum:"in,refused"`
	EndedAt string `json:"ended_at,omitempty" format:"date-time" doc:"When its session was ended; absent when it lives or ran out"`
	Current bool   `json:"current"`
}

type loginsOut struct {
	Body struct {
		Items []loginBody `json:"items" nullable:"false"`
		Next  string      `json:"next"`
	}
}

func (s *Service) httpLogins(ctx context.Context, a *httpx.API, in *pageIn) (*loginsOut, error) {
	r, err := in.request(ctx, a)
	if err != nil {
		return nil, err
	}
	p, err := s.logins(ctx, r)
	if err != nil {
		return nil, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &loginsOut{}
	out.Body.Items = []loginBody{}
	for _, x := range p.Items {
		b := loginBody{At: stamp(x.at), Method: string(x.method), Device: x.device, Result: "refused"}
		if x.ok {
			b.Result, b.Current = "in", x.session == who.Session
		}
		if !x.ended.IsZero() {
			b.EndedAt = stamp(x.ended)
		}
		out.Body.Items = append(out.Body.Items, b)
	}
	out.Body.Next = a.Seal(ctx, p.Next)
	return out, nil
}

type offerTOTPOut struct {
	Body struct {
		Handle     string `json:"handle" doc:"Send it back with the first code; good for fifteen minutes"`
		TOTPSecret string `json:"totp_secret" doc:"Base32, shown once"`
		TOTPURI    string `json:"totp_uri" doc:"For a QR code, shown once"`
	}
}

func (s *Service) httpOfferTOTP(ctx context.Context, _ *struct{}) (*offerTOTPOut, error) {
	k, err := s.offerTOTP(ctx)
	if err != nil {
		return nil, err
	}
	out := &offerTOTPOut{}
	out.Body.Handle, out.Body.TOTPSecret, out.Body.TOTPURI = k.handle.Reveal(), k.secret.Reveal(), totpURI(k.username, k.secret)
	return out, nil
}

type replaceTOTPIn struct {
	Body struct {
		Handle string `json:"handle" maxLength:"64"`
		TOTP   string `json:"totp" maxLength:"10" doc:"Six digits of the new app"`
	}
}

func (s *Service) httpReplaceTOTP(ctx context.Context, in *replaceTOTPIn) (*struct{}, error) {
	return nil, s.replaceTOTP(ctx, in.Body.Handle, in.Body.TOTP)
}
