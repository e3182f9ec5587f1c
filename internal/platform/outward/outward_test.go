package outward

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"142.250.1.1": true, "2607:f8b0::1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fd00::1": false, "ff02::1": false, "::ffff:10.0.0.1": false, "::ffff:127.0.0.1": false,
		"64:ff9b::a00:1": false, "2002:7f00:1::": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for address, want := range map[string][2]bool{ // strict, private
		"https://client.example.com/logout":     {true, true},
		"https://client.example.com:443/logout": {true, true},
		"https://client.example.com:8443/":      {false, true},
		"http://client.example.com/":            {false, true},
		"https://127.0.0.1/":                    {false, true},
		"https://[::1]/":                        {false, true},
		"https://169.254.169.254/latest":        {false, true},
		"https://intranet/":                     {false, true},
		"https://a.localhost/":                  {false, true},
		"https://user@client.example.com/":      {false, false},
		"https://client.example.com/#x":         {false, false},
		"ftp://client.example.com/":             {false, false},
		"":                                      {false, false},
	} {
		for i, private := range []bool{false, true} {
			if err := Check(address, private); (err == nil) != want[i] {
				t.Errorf("%s, private %v: %v", address, private, err)
			}
		}
	}
}

// A name that resolves to this machine is refused when the connection is made, and a redirect is not followed.
func TestClient(t *testing.T) {
	called := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called++
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	defer s.Close()
	ask := func(private bool) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Client(5*time.Second, private).Do(req)
		if err != nil {
			return 0, err
		}
		return r.StatusCode, errors.Join(r.Body.Close())
	}
	if _, err := ask(false); err == nil || called != 0 {
		t.Fatalf("a loopback address was called: %v, %d calls", err, called)
	}
	if status, err := ask(true); err != nil || status != http.StatusFound || called != 1 {
		t.Fatalf("%d %v, %d calls", status, err, called)
	}
}
