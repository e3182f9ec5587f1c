package notifysvc

import (
	"context"
	"net/http"

	"xinglin/internal/platform/httpx"
)

type mailIn struct {
	Body struct {
		Mail string `json:"mail" maxLength:"254" example:"lin@example.com"`
	}
}

type codeSentOut struct {
	Body struct {
		ResendAfterS int `json:"resend_after_s" doc:"Seconds until another code may be asked for"`
		ExpiresInS   int `json:"expires_in_s" doc:"Seconds that the code is valid"`
	}
}

type mailCodeIn struct {
	Body struct {
		Code string `json:"code" pattern:"^[0-9]{6}$"`
	}
}

func (s *Service) mailRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "notify.prove_mail", Method: http.MethodPost, Path: "/notice-preferences/mail", Status: 202, MaxBody: 1 << 10, Summary: "Send a code to a mail address that I want messages at"}, s.httpProveMail)
	httpx.Register(a, httpx.Op{ID: "notify.confirm_mail", Method: http.MethodPost, Path: "/notice-preferences/mail/confirm", Status: 200, MaxBody: 1 << 10, Summary: "Confirm the address with the code"},
		func(ctx context.Context, in *mailCodeIn) (*preferencesOut, error) {
			return shown(s.confirmMail(ctx, in.Body.Code))
		})
	httpx.Register(a, httpx.Op{ID: "notify.remove_mail", Method: http.MethodDelete, Path: "/notice-preferences/mail", Status: 204, Summary: "Forget my mail address"},
		func(ctx context.Context, _ *struct{}) (*struct{}, error) { return nil, s.removeMail(ctx) })
}

func (s *Service) httpProveMail(ctx context.Context, in *mailIn) (*codeSentOut, error) {
	after, err := s.proveMail(ctx, in.Body.Mail)
	if err != nil {
		return nil, err
	}
	out := &codeSentOut{}
	out.Body.ResendAfterS, out.Body.ExpiresInS = int(after.Seconds()), int(codeTime.Seconds())
	return out, nil
}
