package httpx_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit/apitest"
)

func send(t *testing.T, h *apitest.Harness, r *http.Request) apitest.Response {
	t.Helper()
	rec := httptest.NewRecorder()
	h.API.ServeHTTP(rec, r)
	out := apitest.Response{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
	if rec.Header().Get("Content-Type") == "application/problem+json" {
		out.Code = problem(t, out).Code
	}
	return out
}

// cookies knows one session and one bearer of the main tenant.
type cookies struct{}

func (cookies) Authenticate(_ context.Context, tenant id.ID[auth.Tenant], c httpx.Credential) (auth.Principal, error) {
	if tenant == apitest.Main && (c == httpx.Credential{Cookie: "good"} || c == httpx.Credential{Bearer: "good"}) {
		return auth.Principal{Kind: auth.Staff, Tenant: tenant, Name: "x"}, nil
	}
	return auth.Principal{}, auth.ErrNone.New()
}

func TestOrigin(t *testing.T) {
	host := apitest.Host(apitest.Main)
	none := "-"
	for _, tc := range []struct {
		name, public, host, origin string
		cookie, bearer, tls        bool
		want                       int
	}{
		{name: "same", origin: "http://" + host, cookie: true, want: 200},
		{name: "cookie without Origin", origin: none, cookie: true, want: 403},
		{name: "cookie with an empty one", origin: "", cookie: true, want: 403},
		{name: "other host", origin: "http://evil.example", cookie: true, want: 403},
		{name: "our name as a prefix", origin: "http://" + host + ".evil.example", cookie: true, want: 403},
		{name: "our name as a suffix", origin: "http://evil" + host, cookie: true, want: 403},
		{name: "other port", origin: "http://" + host + ":8081", cookie: true, want: 403},
		{name: "same port", host: host + ":8080", origin: "http://" + host + ":8080", cookie: true, want: 200},
		{name: "other scheme", origin: "https://" + host, cookie: true, want: 403},
		{name: "null", origin: "null", cookie: true, want: 403},
		{name: "user in it", origin: "http://" + host + "@evil.example", cookie: true, want: 403},
		{name: "https by the public URL", public: "https://x", origin: "https://" + host, cookie: true, want: 200},
		{name: "http below https", public: "https://x", origin: "http://" + host, cookie: true, want: 403},
		{name: "https by the socket", tls: true, origin: "https://" + host, cookie: true, want: 200},
		{name: "program without cookie", origin: none, bearer: true, want: 200},
		{name: "foreign page with a bearer", origin: "http://evil.example", bearer: true, want: 403},
		{name: "login from a foreign page", origin: "http://evil.example", want: 403},
		{name: "nobody", origin: none, want: 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c calls
			h := apitest.With(t, httpx.Options{Auth: cookies{}, PublicURL: tc.public}, routes(&c, nil))
			r := h.Request(apitest.Nobody(apitest.Main), "PUT", wordPath, `{"word":"hi"}`)
			if tc.host != "" {
				r.Host = tc.host
			}
			if tc.origin != none {
				r.Header.Set("Origin", tc.origin)
			}
			if tc.cookie {
				r.AddCookie(&http.Cookie{Name: httpx.CookieName, Value: "good"})
			}
			if tc.bearer {
				r.Header.Set("Authorization", "bearer good")
			}
			if tc.tls {
				r.TLS = &tls.ConnectionState{}
			}
			got := send(t, h, r)
			if got.Status != tc.want || tc.want == 403 && got.Code != "http.origin" || (c.get() == 1) != (tc.want == 200) {
				t.Errorf("%d %s, %d calls", got.Status, got.Body, c.get())
			}
		})
	}
	var c calls
	h := apitest.With(t, httpx.Options{Auth: cookies{}}, routes(&c, func() error { return nil }))
	r := h.Request(apitest.Nobody(apitest.Main), "GET", "/refuse", nil, apitest.H("Origin", "http://evil.example"))
	r.AddCookie(&http.Cookie{Name: httpx.CookieName, Value: "good"})
	if got := send(t, h, r); got.Status != 204 && got.Status != 200 {
		t.Errorf("a read from elsewhere: %d %s", got.Status, got.Body)
	}
	// a signed callback has neither Origin nor session
	h.Do(apitest.Nobody(apitest.Main), "POST", "/callback", "x", apitest.H("Origin", "http://evil.example")).Want(t, 200)
}

// A session is good on its own tenant's host only; an unknown host is nothing at all.
func TestTenantByHost(t *testing.T) {
	var c calls
	h := apitest.With(t, httpx.Options{Auth: cookies{}}, routes(&c, nil))
	main, other := apitest.Host(apitest.Main), apitest.Host(apitest.Other)
	for host, want := range map[string]string{
		main: "200 ", strings.ToUpper(main): "200 ", main + ":8080": "200 ", main + ".": "200 ",
		other: "401 auth.required", "evil.example": "404 http.unknown_host", "": "404 http.unknown_host", "[::1]:80": "404 http.unknown_host",
	} {
		r := h.Request(apitest.Nobody(apitest.Main), "PUT", wordPath, `{"word":"hi"}`, apitest.H("Authorization", "Bearer good"), apitest.H("X-Forwarded-Host", main))
		r.Host = host
		got := send(t, h, r)
		if s := fmt.Sprintf("%d %s", got.Status, got.Code); s != want {
			t.Errorf("%q: %s, want %s", host, s, want)
		}
	}
	h.Do(apitest.Nobody(apitest.Main), "GET", "/nowhere", nil, apitest.H("Host", "evil.example")).Refused(t, 404, "http.unknown_host")
}

func TestPublicRoutesKnowWhoCalls(t *testing.T) {
	var c calls
	h := apitest.New(t, routes(&c, nil))
	who := apitest.Patient(apitest.Main)
	path := strings.Replace(wordPath, "/words", "/open", 1)
	for _, tc := range []struct {
		p    auth.Principal
		want string
	}{{who, who.Actor()}, {apitest.Nobody(apitest.Main), ""}} {
		if got := h.Do(tc.p, "POST", path, `{"word":"hi"}`).Want(t, 200).Map(t)["who"]; got != tc.want {
			t.Errorf("%v, want %q", got, tc.want)
		}
	}
	h.Do(apitest.Nobody(apitest.Main), "POST", path, `{"word":"hi"}`, apitest.H("Authorization", "Bearer forged")).Want(t, 200)
}

func TestSessionCookie(t *testing.T) {
	for url, secure := range map[string]bool{"": false, "http://x": false, "https://x": true} {
		h := apitest.With(t, httpx.Options{PublicURL: url}, func(a *httpx.API) {
			httpx.Handle(a, httpx.Op{ID: "words.login", Method: "POST", Path: "/login", Public: true}, func(w http.ResponseWriter, r *http.Request) error {
				c := httpx.SessionCookie(r.Context(), r.URL.Query().Get("t"), 90*time.Second)
				http.SetCookie(w, &c)
				return nil
			})
		})
		for token, age := range map[string]int{"tok": 90, "": -1} {
			r := h.Do(apitest.Nobody(apitest.Main), "POST", "/login?t="+token, nil).Want(t, 200)
			c := (&http.Response{Header: r.Header}).Cookies()[0]
			if c.Name != map[bool]string{false: "xinglin_session", true: "__Host-xinglin_session"}[secure] || c.Value != token || !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != age || c.Domain != "" {
				t.Errorf("%q: %s", url, c.String())
			}
		}
	}
}

// moving knows a session of before there was HostCookie, and one of after.
type moving struct{}

func (moving) Authenticate(_ context.Context, tenant id.ID[auth.Tenant], c httpx.Credential) (auth.Principal, error) {
	if c.Cookie == "before" || c.Cookie == httpx.CookieMark+"after" {
		return auth.Principal{Kind: auth.Staff, Tenant: tenant, Name: c.Cookie}, nil
	}
	return auth.Principal{}, auth.ErrNone.New()
}

// Over https a session opens under the new name; one of before goes on under the old name and gets the new one. A session of
// after under the old name was planted by somebody who can set cookies for the hospital's name, and opens nothing.
func TestOldCookie(t *testing.T) {
	const old, host, after = httpx.CookieName, httpx.HostCookie, httpx.CookieMark + "after"
	for _, tc := range []struct {
		name, public string
		cookies      []string
		want         int
		moved        string
	}{
		{"http, of before", "", []string{old + "=before"}, 200, ""},
		{"http, of after", "", []string{old + "=" + after}, 200, ""},
		{"http takes no cookie of https", "", []string{host + "=" + after}, 401, ""},
		{"https", "https://x", []string{host + "=" + after}, 200, ""},
		{"of before goes on", "https://x", []string{old + "=before"}, 200, "before"},
		{"has moved", "https://x", []string{old + "=before", host + "=before"}, 200, ""},
		{"planted", "https://x", []string{old + "=" + after}, 401, ""},
		{"planted beside the own", "https://x", []string{old + "=before", host + "=" + after}, 200, ""},
		{"ended, of before", "https://x", []string{old + "=gone"}, 401, ""},
		{"the new one counts, also when it is over", "https://x", []string{old + "=before", host + "=gone"}, 401, ""},
	} {
		var c calls
		h := apitest.With(t, httpx.Options{Auth: moving{}, PublicURL: tc.public}, routes(&c, nil))
		r := h.Request(apitest.Nobody(apitest.Main), "PUT", wordPath, `{"word":"hi"}`)
		r.Header.Set("Origin", map[bool]string{false: "http://", true: "https://"}[tc.public != ""]+r.Host)
		r.Header.Set("Cookie", strings.Join(tc.cookies, "; "))
		got := send(t, h, r)
		set := got.Header.Get("Set-Cookie")
		if got.Status != tc.want || (set != "") != (tc.moved != "") {
			t.Errorf("%s: %d %q", tc.name, got.Status, set)
		}
		if tc.moved == "" {
			continue
		}
		k, err := http.ParseSetCookie(set)
		if err != nil || k.Name != host || k.Value != tc.moved || !k.Secure || !k.HttpOnly || k.Path != "/" || k.Domain != "" || k.MaxAge <= 0 || len(got.Header["Set-Cookie"]) != 1 {
			t.Errorf("%s: %s, %v", tc.name, set, err)
		}
	}
	// what is public may be kept by a cache, so no cookie travels with it
	var c calls
	h := apitest.With(t, httpx.Options{Auth: moving{}, PublicURL: "https://x"}, routes(&c, nil))
	r := h.Request(apitest.Nobody(apitest.Main), "POST", strings.Replace(wordPath, "/words", "/open", 1), `{"word":"hi"}`)
	r.Header.Set("Origin", "https://"+r.Host)
	r.Header.Set("Cookie", old+"=before")
	if got := send(t, h, r); got.Status != 200 || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
}

func TestClosedDoor(t *testing.T) {
	var c calls
	h := apitest.With(t, httpx.Options{Open: func(m string) bool { return m == "words" }}, routes(&c, func() error { return nil }))
	p := problem(t, h.Do(apitest.Nobody(apitest.Main), "GET", "/shut", nil).Refused(t, 421, "http.closed_door"))
	if len(p.Errors) != 1 || p.Errors[0].Path != "module" || p.Errors[0].Message != "shut" {
		t.Errorf("%+v", p)
	}
	h.Do(apitest.Nobody(apitest.Main), "POST", "/callback", "x").Want(t, 200)
	h.Do(apitest.Nobody(apitest.Main), "GET", "/openapi.json", nil).Want(t, 200)
}

// A panic is one failed request; its value stays out of the log and of the answer.
func TestPanic(t *testing.T) {
	j := &journal{}
	reg := prometheus.NewRegistry()
	h := apitest.With(t, httpx.Options{Log: j.log(), Metrics: reg, Inside: 1}, func(a *httpx.API) {
		httpx.Handle(a, httpx.Op{ID: "words.boom", Method: "GET", Path: "/boom", Public: true}, func(w http.ResponseWriter, r *http.Request) error {
			if r.URL.Query().Has("half") {
				_, _ = w.Write([]byte("half"))
			}
			panic(secretWord)
		})
	})
	for range 3 { // the only place inside is free again
		h.Do(apitest.Nobody(apitest.Main), "GET", "/boom", nil).Refused(t, 500, "http.internal")
	}
	srv := h.Serve()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/api/v1/boom?half", nil)
	req.Host = apitest.Host(apitest.Main)
	res, err := srv.Client().Do(req)
	if err == nil {
		_ = res.Body.Close()
		if res.ContentLength >= 0 {
			t.Error("half an answer looks whole")
		}
	}
	h.Do(apitest.Nobody(apitest.Main), "GET", "/boom", nil).Refused(t, 500, "http.internal")
	if l := j.String(); strings.Contains(l, secretWord) || strings.Count(l, `"panic"`) != 5 || !strings.Contains(l, "door_test.go") {
		t.Errorf("log: %s", l)
	}
	if n := counted(t, reg, "words.boom", "500"); n != 4 {
		t.Errorf("%d requests counted as 500", n)
	}
}

func counted(t *testing.T, reg *prometheus.Registry, op, status string) int {
	t.Helper()
	n := 0
	for labels, v := range counters(t, reg) {
		if labels == op+" "+status {
			n += v
		}
	}
	return n
}

func counters(t *testing.T, reg *prometheus.Registry) map[string]int {
	t.Helper()
	fs, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, f := range fs {
		if f.GetName() != "xinglin_http_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			key := ""
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			out[strings.TrimSpace(key)] = int(m.GetCounter().GetValue())
		}
	}
	return out
}

// Labels come from the route table, never from what callers write.
func TestMetricsAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	var c calls
	h := apitest.With(t, httpx.Options{Metrics: reg}, routes(&c, func() error { return nil }))
	for i := range 50 {
		h.Do(apitest.Nobody(apitest.Main), "GET", fmt.Sprintf("/nowhere/%d", i), nil)
		h.Do(apitest.Nobody(apitest.Main), "PUT", "/words/"+id.Random[id.Any]().String(), nil)
		h.Do(apitest.Nobody(apitest.Main), fmt.Sprintf("VERB%d", i), "/refuse", nil)
	}
	got := counters(t, reg)
	if len(got) != 3 || got["http.unknown 404"] != 50 || got["http.unknown 405"] != 50 || got["words.put_word 401"] != 50 {
		t.Errorf("%v", got)
	}
}

// The log has the operation and the status, nothing that the caller wrote.
func TestLogIsSilent(t *testing.T) {
	var c calls
	j := &journal{}
	h := apitest.With(t, httpx.Options{Log: j.log(), Auth: cookies{}}, routes(&c, func() error { return httpx.ErrBusy.New() }))
	ask := func(method, path, body string) {
		r := h.Request(apitest.Nobody(apitest.Main), method, path+"?q="+secretWord, body)
		r.Header.Set("Authorization", "Bearer "+secretWord)
		r.Header.Set("Origin", "http://"+r.Host)
		r.Header.Set("User-Agent", secretWord)
		r.AddCookie(&http.Cookie{Name: httpx.CookieName, Value: secretWord})
		send(t, h, r)
	}
	ask("PUT", wordPath, `{"word":"`+secretWord+`"}`)
	ask("POST", strings.Replace(wordPath, "/words", "/open", 1), `{"word":"`+secretWord+`"`)
	ask("GET", "/refuse", "")
	ask("GET", "/"+secretWord, "")
	l := j.String()
	if strings.Contains(l, secretWord) || !strings.Contains(l, `"op":"words.put_word","status":401`) || !strings.Contains(l, `"op":"http.unknown","status":404`) {
		t.Error(l)
	}
}

func TestGate(t *testing.T) {
	enter, leave := make(chan struct{}), make(chan struct{})
	h := apitest.With(t, httpx.Options{Inside: 2, Wait: time.Millisecond}, func(a *httpx.API) {
		httpx.Handle(a, httpx.Op{ID: "words.wait", Method: "GET", Path: "/wait", Public: true}, func(http.ResponseWriter, *http.Request) error {
			enter <- struct{}{}
			<-leave
			return nil
		})
	})
	done := make(chan int, 2)
	for range 2 {
		go func() { done <- h.Do(apitest.Nobody(apitest.Main), "GET", "/wait", nil).Status }()
		<-enter
	}
	r := h.Do(apitest.Nobody(apitest.Main), "GET", "/wait", nil).Refused(t, 503, "http.busy")
	if r.Header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	rec := httptest.NewRecorder()
	h.API.ServeHTTP(rec, h.Request(apitest.Nobody(apitest.Main), "GET", "/wait", nil).WithContext(gone))
	if rec.Code != 503 {
		t.Errorf("a caller who went: %d", rec.Code)
	}
	close(leave)
	for range 2 {
		if s := <-done; s != 200 {
			t.Errorf("inside: %d", s)
		}
	}
	go func() { done <- h.Do(apitest.Nobody(apitest.Main), "GET", "/wait", nil).Status }()
	<-enter
	if s := <-done; s != 200 {
		t.Errorf("afterwards: %d", s)
	}
}

func TestRatePerAddress(t *testing.T) {
	for _, tc := range []struct {
		name         string
		trusted      bool
		remote       string
		forwarded    []string
		another      string
		forwarded2   []string
		sharesBucket bool
	}{
		{name: "addresses", remote: "192.0.2.1:5", another: "192.0.2.2:5"},
		{name: "ports", remote: "192.0.2.1:5", another: "192.0.2.1:6", sharesBucket: true},
		{name: "a claim without a proxy", remote: "192.0.2.1:5", forwarded: []string{"1.1.1.1"}, another: "192.0.2.1:5", forwarded2: []string{"2.2.2.2"}, sharesBucket: true},
		{name: "proxy", trusted: true, remote: "10.0.0.1:5", forwarded: []string{"1.1.1.1"}, another: "10.0.0.1:5", forwarded2: []string{"2.2.2.2"}},
		{name: "a claim before the proxy's entry", trusted: true, remote: "10.0.0.1:5", forwarded: []string{"7.7.7.7, 1.1.1.1"}, another: "10.0.0.1:5", forwarded2: []string{"8.8.8.8", "1.1.1.1"}, sharesBucket: true},
		{name: "a proxy's nonsense", trusted: true, remote: "10.0.0.1:5", forwarded: []string{"x"}, another: "10.0.0.1:5", forwarded2: []string{"y"}, sharesBucket: true},
		{name: "one IPv6 network", remote: "[2001:db8::1]:5", another: "[2001:db8::2]:5", sharesBucket: true},
		{name: "two IPv6 networks", remote: "[2001:db8::1]:5", another: "[2001:db8:0:1::1]:5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c calls
			h := apitest.With(t, httpx.Options{PerAddress: 0.0001, Trusted: tc.trusted}, routes(&c, func() error { return nil }))
			ask := func(remote string, forwarded []string) apitest.Response {
				r := h.Request(apitest.Nobody(apitest.Main), "GET", "/refuse", nil)
				r.RemoteAddr = remote
				r.Header["X-Forwarded-For"] = forwarded
				return send(t, h, r)
			}
			if r := ask(tc.remote, tc.forwarded); r.Status >= 400 {
				t.Fatalf("first: %d %s", r.Status, r.Body)
			}
			if r := ask(tc.remote, tc.forwarded); r.Code != "http.rate" || r.Status != 429 || r.Header.Get("Retry-After") != "60" {
				t.Errorf("second: %d %s", r.Status, r.Body)
			}
			if r := ask(tc.another, tc.forwarded2); (r.Status == 429) != tc.sharesBucket {
				t.Errorf("another: %d %s", r.Status, r.Body)
			}
		})
	}
}

// A script of an account that asks a hundred times more often gets the excess back
// before the use case; other accounts and other operations do not pay for it.
func TestRatePerAccount(t *testing.T) {
	var c calls
	guarded := 0
	var refuse error
	h := apitest.With(t, httpx.Options{PerAccount: 0.0001, Guard: func(_ *http.Request, who auth.Principal) error {
		guarded++
		if who.Account.IsZero() {
			t.Error("nobody's hold")
		}
		return refuse
	}}, routes(&c, nil), func(a *httpx.API) {
		httpx.Handle(a, httpx.Op{ID: "words.hold", Method: "POST", Path: "/hold", Class: httpx.ClassHold, Pass: true}, func(_ http.ResponseWriter, r *http.Request) error {
			c.add()
			if httpx.PassOf(r.Context()) != "a pass" {
				t.Error("the pass is gone")
			}
			return nil
		})
	})
	script, person := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
	hold := func(p auth.Principal) apitest.Response {
		return h.Do(p, "POST", "/hold", nil, apitest.H(httpx.PassHeader, "a pass"))
	}
	for i := range 3000 {
		script.Session = id.Random[auth.Session]() // from many logins
		if r := hold(script); i < 30 && r.Status != 200 || i >= 30 && (r.Code != "http.account_rate" || r.Header.Get("Retry-After") != "60") {
			t.Fatalf("%d: %d %s", i, r.Status, r.Body)
		}
	}
	if c.get() != 30 || guarded != 30 {
		t.Errorf("%d reached the use case, %d the rules of risk", c.get(), guarded)
	}
	hold(person).Want(t, 200)
	h.Do(script, "PUT", wordPath, `{"word":"hi"}`).Want(t, 200)
	refuse = httpx.ErrBusy.New()
	hold(person).Refused(t, 503, "http.busy")
}

// Who sends a body slowly holds no place inside: the others go in meanwhile.
func TestSlowBodiesHoldNoPlace(t *testing.T) {
	var c calls
	h := apitest.With(t, httpx.Options{Inside: 1, Wait: time.Minute}, routes(&c, nil))
	srv := h.Serve()
	who := apitest.Patient(apitest.Main)
	var bodies []*io.PipeWriter
	answers := make(chan int, 8)
	for range 8 { // as many as may wait in line
		r, w := io.Pipe()
		bodies = append(bodies, w)
		req, err := http.NewRequestWithContext(t.Context(), "PUT", srv.URL+httpx.Prefix+wordPath, r)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = apitest.Host(apitest.Main)
		req.Header.Set("Authorization", "Bearer "+h.Token(who))
		req.Header.Set("Content-Type", "application/json")
		go func() {
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				answers <- 0
				return
			}
			_ = res.Body.Close()
			answers <- res.StatusCode
		}()
		if _, err := io.WriteString(w, `{"word":`); err != nil {
			t.Fatal(err)
		}
	}
	h.Do(who, "PUT", wordPath, `{"word":"hi"}`).Want(t, 200)
	for _, w := range bodies {
		_, _ = io.WriteString(w, `"slow"}`)
		_ = w.Close()
	}
	for range bodies {
		if s := <-answers; s != 200 {
			t.Errorf("slow: %d", s)
		}
	}
}

// All bodies together have a bound, and a body's part of it comes back.
func TestBodiesAreBounded(t *testing.T) {
	var c calls
	h := apitest.With(t, httpx.Options{}, routes(&c, nil))
	big := `{"word":"hi","parts":[` + strings.Repeat(" ", 60<<10) + `]}`
	for range 1200 { // 72 MB one after the other
		h.Do(apitest.Patient(apitest.Main), "PUT", wordPath, big).Want(t, 200)
	}
}

// The site is what the browser's address line says, without a port for who names hosts.
func TestSite(t *testing.T) {
	for _, tc := range []struct{ public, host, origin, name string }{
		{"", "A.test:8080", "http://a.test:8080", "a.test"},
		{"https://a.test", "a.test", "https://a.test", "a.test"},
		{"", "127.0.0.1:80", "http://127.0.0.1:80", "127.0.0.1"},
	} {
		var origin, name string
		h := apitest.With(t, httpx.Options{PublicURL: tc.public, Tenants: anyHost{}}, func(a *httpx.API) {
			httpx.Register(a, httpx.Op{ID: "door.site", Method: "GET", Path: "/site", Public: true}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
				origin, name = httpx.Site(ctx)
				return nil, nil
			})
		})
		h.Do(apitest.Nobody(apitest.Main), "GET", "/site", nil, apitest.H("Host", tc.host))
		if origin != tc.origin || name != tc.name {
			t.Errorf("%s: %s %s", tc.host, origin, name)
		}
	}
	if origin, name := httpx.Site(t.Context()); origin != "" || name != "" {
		t.Errorf("outside of a request: %s %s", origin, name)
	}
}

// anyHost is the tenants of one house.
type anyHost struct{}

func (anyHost) ByHost(context.Context, string) (id.ID[auth.Tenant], error) { return apitest.Main, nil }
