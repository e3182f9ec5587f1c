package script

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// idp begin PROVIDER SUBJECT: a browser of its own begins a login and lets SUBJECT log in at the provider; idp fault KIND makes the next
// answers of the providers wrong.
func idp(ts *testscript.TestScript, neg bool, args []string) {
	sim := ts.Getenv("IDPSIM")
	if neg || len(args) < 2 || sim == "" {
		ts.Fatalf("usage: idp begin PROVIDER SUBJECT | idp fault KIND, with a demo that serves")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if args[0] == "fault" {
		res := browse(ctx, ts, "POST", sim+"/faults", `{"kind":"`+args[1]+`"}`)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNoContent {
			ts.Fatalf("the simulator knows no %s", args[1])
		}
		return
	}
	s := on(ts)
	base := s.server(ts, "main").URL
	res := browse(ctx, ts, "POST", base+"/api/v1/auth/idp/logins", `{"provider":"`+args[1]+`"}`)
	if res.StatusCode != http.StatusCreated {
		ts.Fatalf("begin: %s", res.Status)
	}
	var cookie string
	for _, c := range res.Cookies() {
		if c.Name == "xinglin_idp" {
			cookie = c.Name + "=" + c.Value
		}
	}
	var out struct{ Address string }
	ts.Check(json.NewDecoder(res.Body).Decode(&out))
	_ = res.Body.Close()
	to, err := url.Parse(out.Address)
	ts.Check(err)
	q := to.Query()
	q.Set("login_hint", args[2])
	to.RawQuery, to.Fragment = q.Encode(), ""
	res = browse(ctx, ts, "GET", to.String(), "")
	_ = res.Body.Close()
	back, err := url.Parse(res.Header.Get("Location"))
	ts.Check(err)
	ts.Setenv("COOKIE", cookie)
	ts.Setenv("STATE", back.Query().Get("state"))
	ts.Setenv("CODE", back.Query().Get("code"))
	ts.Setenv("BACK", strings.TrimPrefix(back.RequestURI(), "/api/v1"))
}

// browse makes one request as a browser that has logged in nowhere and follows nothing.
func browse(ctx context.Context, ts *testscript.TestScript, method, address, body string) *http.Response {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	ts.Check(err)
	return res
}
