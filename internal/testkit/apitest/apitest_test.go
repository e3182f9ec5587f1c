package apitest

import (
	"context"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/httpx"
)

type echoIn struct {
	Body struct {
		Word string `json:"word" maxLength:"10"`
	}
}
type echoOut struct {
	Body struct {
		Word  string `json:"word"`
		Actor string `json:"actor"`
	}
}

func routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "test.echo", Method: "POST", Path: "/echo"}, func(ctx context.Context, in *echoIn) (*echoOut, error) {
		p, err := auth.From(ctx)
		if err != nil {
			return nil, err
		}
		var out echoOut
		out.Body.Word, out.Body.Actor = in.Body.Word, p.Actor()
		return &out, nil
	})
}

func TestDo(t *testing.T) {
	h := New(t, routes)
	p := Patient(Main)
	got := h.Do(p, "POST", "/echo", map[string]string{"word": "hi"}).Want(t, 200).Map(t)
	if got["word"] != "hi" || got["actor"] != p.Actor() {
		t.Fatalf("got %v", got)
	}
	h.Do(Nobody(Main), "POST", "/echo", map[string]string{"word": "hi"}).Refused(t, 401, "auth.required")
	h.Do(p, "POST", "/echo", map[string]string{"word": "hi", "more": "x"}).Refused(t, 422, "http.invalid")
	h.Do(p, "POST", "/echo", `{"word"`).Refused(t, 400, "http.malformed")
	h.Do(p, "POST", "/echo", map[string]string{"word": "hi"}, H("Host", Host(Other))).Refused(t, 401, "auth.required")
	h.Do(p, "POST", "/echo", map[string]string{"word": "hi"}, H("Host", "evil.example")).Refused(t, 404, "http.unknown_host")
}
