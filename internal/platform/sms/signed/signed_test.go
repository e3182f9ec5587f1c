package signed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

var (
	start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	key   = Key{ID: "k1", Secret: secret.New("0123456789abcdef0123456789abcdef")}
)

// The signature is fixed: other programs compute it. The expected value was made with
// openssl dgst -sha256 -hmac.
func TestSignatureIsFixed(t *testing.T) {
	got := key.sign("request", "POST", "/v1/messages?x=1", "1772413200", strings.Repeat("0a", 16), digest([]byte(`{"a":1}`)))
	if got != golden {
		t.Errorf("signature %s", got)
	}
}

const golden = "f5b2760307ff8a1bacc12f9e71f69c62fc68e0711dba981f06a4d7616bfc8c1b"

func request(k Key, now time.Time, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/x?q=1", strings.NewReader(body))
	k.Sign(r, []byte(body), now)
	return r
}

func verifier(t *testing.T, c clock.Clock) *Verifier {
	t.Helper()
	v, err := NewVerifier(key, c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func code(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return fmt.Sprint(err)
}

func TestVerifier(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     time.Time
		key    Key
		change func(*http.Request)
		want   string
	}{
		{"good", start, key, func(*http.Request) {}, "<nil>"},
		{"space around the key", start, Key{key.ID, secret.New(key.Secret.Reveal() + "\n")}, func(*http.Request) {}, "<nil>"},
		{"at the window's edge", start.Add(-Window), key, func(*http.Request) {}, "<nil>"},
		{"late", start.Add(-Window - time.Second), key, func(*http.Request) {}, CodeLate},
		{"early", start.Add(Window + time.Second), key, func(*http.Request) {}, CodeLate},
		{"another key", start, Key{key.ID, secret.New("another key of 32 bytes.........")}, func(*http.Request) {}, CodeForged},
		{"another key id", start, Key{"k2", key.Secret}, func(*http.Request) {}, CodeUnknown},
		{"body", start, key, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{ }")) }, CodeForged},
		{"method", start, key, func(r *http.Request) { r.Method = http.MethodPut }, CodeForged},
		{"path", start, key, func(r *http.Request) { r.URL.Path = "/v1/y" }, CodeForged},
		{"query", start, key, func(r *http.Request) { r.URL.RawQuery = "q=2" }, CodeForged},
		{"time", start, key, func(r *http.Request) { r.Header.Set(HeaderTimestamp, strconv.FormatInt(start.Unix()+1, 10)) }, CodeForged},
		{"nonce", start, key, func(r *http.Request) { r.Header.Set(HeaderNonce, newNonce()) }, CodeForged},
		{"short nonce", start, key, func(r *http.Request) { r.Header.Set(HeaderNonce, "1") }, CodeUnsigned},
		{"no signature", start, key, func(r *http.Request) { r.Header.Del(HeaderSignature) }, CodeUnsigned},
		{"no key", start, key, func(r *http.Request) { r.Header.Del(HeaderKeyID) }, CodeUnsigned},
		{"huge", start, key, func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(make([]byte, MaxBody+1))) }, CodeTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.key, c.at, "{}")
			c.change(r)
			_, err := verifier(t, clock.NewManual(start)).Read(r)
			if got := code(err); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestReplay(t *testing.T) {
	c := clock.NewManual(start)
	v := verifier(t, c)
	again := func(r *http.Request) error {
		r.Body = io.NopCloser(strings.NewReader("{}"))
		_, err := v.Read(r)
		return err
	}
	r := request(key, start, "{}")
	if err := again(r); err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{0, time.Minute, Window - time.Minute} { // to the last instant of the window
		c.Add(d)
		if err := again(request(key, c.Now(), "{}")); err != nil {
			t.Fatal(err)
		}
		if got := code(again(r)); got != CodeReplayed {
			t.Errorf("after %v: %s", d, got)
		}
	}
	c.Add(time.Second)
	if got := code(again(r)); got != CodeLate {
		t.Errorf("after the window: %s", got)
	}
	c.Add(time.Hour)
	if err := again(request(key, c.Now(), "{}")); err != nil || len(v.used) != 1 {
		t.Errorf("%d nonces kept: %v", len(v.used), err)
	}
	for i := range maxNonces {
		v.used[strconv.Itoa(i)] = c.Now().Add(time.Minute)
	}
	if got := code(again(request(key, c.Now(), "{}"))); got != CodeBusy {
		t.Errorf("memory without an end: %s", got)
	}
}

func TestClientAgainstHostileServers(t *testing.T) {
	v := verifier(t, clock.NewManual(start))
	var nonce string
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		refused string // the code of a *Refusal; empty: another error
	}{
		{"wrong signature", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"id":"1"}`) }, ""},
		{"an answer to another request", func(w http.ResponseWriter, r *http.Request) {
			nonce, nonce = r.Header.Get(HeaderNonce), newNonce()
			r.Header.Set(HeaderNonce, nonce)
			v.Answer(w, r, map[string]string{"id": "1"})
		}, ""},
		{"signed, but no object", func(w http.ResponseWriter, r *http.Request) { v.Answer(w, r, []int{1}) }, ""},
		{"huge", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 2*MaxBody)) }, ""},
		{"cut off", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, ""},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, ""},
		{"server error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, ""},
		{"busy", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(429) }, ""},
		{"twice", func(w http.ResponseWriter, r *http.Request) { Refuse(w, &Refusal{401, CodeReplayed}) }, ""},
		{"no, without a code", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(400) }, "none"},
		{"no, with a code", func(w http.ResponseWriter, r *http.Request) { Refuse(w, &Refusal{422, "phone_invalid"}) }, "phone_invalid"},
		{"no, with a strange code", func(w http.ResponseWriter, r *http.Request) {
			Refuse(w, &Refusal{422, "<b>1 380\n0013 8000</b>" + strings.Repeat("x", 200)})
		}, "b138000138000b" + strings.Repeat("x", 42)},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			cl, err := NewClient(Options{URL: srv.URL, Key: key, Clock: clock.NewManual(start)})
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			var out struct{ ID string }
			err = cl.Do(t.Context(), http.MethodPost, "/x", map[string]string{"phone": "13800138000"}, &out)
			var no *Refusal
			switch {
			case err == nil:
				t.Fatal("accepted")
			case errors.As(err, &no) != (c.refused != ""):
				t.Errorf("error %v", err)
			case no != nil && no.Code != c.refused:
				t.Errorf("code %q", no.Code)
			}
			if strings.Contains(err.Error(), "13800138000") || strings.Contains(err.Error(), srv.URL) {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
}

func TestClientTimeout(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	cl, err := NewClient(Options{URL: srv.URL, Key: key, Timeout: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Do(context.Background(), http.MethodGet, "/", nil, nil); err == nil {
		t.Fatal("no timeout")
	}
}

func TestClientOptions(t *testing.T) {
	for u, ok := range map[string]bool{
		"https://sms.example.com":        true,
		"https://sms.example.com/prefix": true,
		"http://127.0.0.1:8083":          true,
		"http://[::1]:8083":              true,
		"http://localhost:8083":          true,
		"http://sms.example.com":         false,
		"http://10.0.0.1":                false,
		"https://a:b@sms.example.com":    false,
		"https://sms.example.com?x=1":    false,
		"ftp://127.0.0.1":                false,
		"":                               false,
		"sms.example.com":                false,
	} {
		if _, err := NewClient(Options{URL: u, Key: key}); (err == nil) != ok {
			t.Errorf("%q: %v", u, err)
		}
	}
	for name, k := range map[string]Key{
		"no id": {"", key.Secret}, "short": {"k", secret.New("0123456789")}, "spaces": {"k", secret.New(strings.Repeat(" ", 40))},
		"id of two lines": {"k\nX", key.Secret},
	} {
		if _, err := NewClient(Options{URL: "https://a", Key: k}); err == nil {
			t.Errorf("client: key with %s accepted", name)
		}
		if _, err := NewVerifier(k, nil); err == nil {
			t.Errorf("verifier: key with %s accepted", name)
		}
	}
}

func TestDecode(t *testing.T) {
	var v struct {
		A int `json:"a"`
	}
	for in, ok := range map[string]bool{`{"a":1}`: true, `{"a":1} `: true, `{"a":"1"}`: false, `{"b":1}`: false, `{"a":1}{}`: false, ``: false} {
		if err := Decode([]byte(in), &v); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}
