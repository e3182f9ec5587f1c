package webpush

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"xinglin/internal/kernel/secret"
)

func good(t *testing.T, endpoint string) Subscription {
	t.Helper()
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return Subscription{Endpoint: secret.New(endpoint), P256dh: secret.New(k.Public), Auth: secret.New("AAAAAAAAAAAAAAAAAAAAAA")}
}

func TestCheck(t *testing.T) {
	strict, private := New(Options{}), New(Options{Private: true})
	for endpoint, want := range map[string][2]bool{
		"https://push.example.com/x":         {true, true},
		"https://push.example.com:443/x":     {true, true},
		"https://142.250.1.1/x":              {true, true},
		"https://push.example.com:8443/x":    {false, true},
		"http://push.example.com/x":          {false, true},
		"https://localhost/x":                {false, true},
		"https://localhost./x":               {false, true},
		"https://intranet/x":                 {false, true},
		"https://127.0.0.1/x":                {false, true},
		"https://[::1]/x":                    {false, true},
		"https://169.254.169.254/latest":     {false, true},
		"https://user:pass@push.example.com": {false, false},
		"https://push.example.com/x#y":       {false, false},
		"ftp://push.example.com/x":           {false, false},
		"push":                               {false, false},
		"":                                   {false, false},
		"https://push.example.com/" + strings.Repeat("x", maxEndpoint): {false, false},
	} {
		s := good(t, endpoint)
		for i, c := range []*Client{strict, private} {
			if err := c.Check(s); (err == nil) != want[i] || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("%.40s, private %v: %v", endpoint, i == 1, err)
			}
		}
	}
	for name, change := range map[string]func(*Subscription){
		"no key":         func(s *Subscription) { s.P256dh = secret.Text{} },
		"no point":       func(s *Subscription) { s.P256dh = secret.New(strings.Repeat("A", 87)) },
		"no base64":      func(s *Subscription) { s.P256dh = secret.New("***") },
		"no secret":      func(s *Subscription) { s.Auth = secret.Text{} },
		"a short secret": func(s *Subscription) { s.Auth = secret.New("AAAA") },
	} {
		s := good(t, "https://push.example.com/x")
		change(&s)
		if err := strict.Check(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A public name that resolves into the network is not connected to.
func TestNamesThatPointInside(t *testing.T) {
	hit := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = true }))
	defer srv.Close()
	c := New(Options{Subject: "https://hospital.example"})
	defer c.Close()
	transport := c.http.Transport.(*http.Transport)
	inner := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return inner(ctx, network, srv.Listener.Addr().String()) // what DNS said
	}
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), k, good(t, "https://push.example.com/x"), Message{Payload: []byte("x")}); !errors.Is(err, ErrUnreachable) || hit {
		t.Errorf("%v, reached: %v", err, hit)
	}
}
