package pushsim_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/webpush"
	"xinglin/internal/pushsim"
	"xinglin/internal/testkit"
)

func start(t *testing.T) (*pushsim.Server, *webpush.Client) {
	t.Helper()
	s, err := pushsim.New(pushsim.Options{Listen: "127.0.0.1:0", Clock: testkit.Clock(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c := webpush.New(webpush.Options{Subject: "https://hospital.example", Private: true, Timeout: 5 * time.Second})
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, c
}

func subscribe(t *testing.T, s *pushsim.Server, k webpush.Keys) webpush.Subscription {
	t.Helper()
	d, err := s.Subscribe(k.Public)
	if err != nil {
		t.Fatal(err)
	}
	return webpush.Subscription{Endpoint: secret.New(d.Endpoint), P256dh: secret.New(d.P256dh), Auth: secret.New(d.Auth)}
}

func keys(t *testing.T) webpush.Keys {
	t.Helper()
	k, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var one = webpush.Message{Payload: []byte(`{"title":"预约成功"}`), TTL: time.Hour, Topic: "abc", Urgent: true}

// A browser reads what was sent, and only the one that it was sent to.
func TestRoundTrip(t *testing.T) {
	s, c := start(t)
	k := keys(t)
	mine, other := subscribe(t, s, k), subscribe(t, s, k)
	if err := c.Send(t.Context(), k, mine, one); err != nil {
		t.Fatal(err)
	}
	got := s.Messages(0)
	if len(got) != 1 || string(got[0].Payload) != string(one.Payload) || got[0].Endpoint != mine.Endpoint.Reveal() || got[0].Topic != "abc" || got[0].TTL != "3600" || got[0].Urgency != "high" || !got[0].At.Equal(testkit.Start) {
		t.Errorf("%+v", got)
	}
	mixed := mine // encrypted for another browser
	mixed.P256dh = other.P256dh
	if err := c.Send(t.Context(), k, mixed, one); !errors.Is(err, webpush.ErrRefused) {
		t.Errorf("for another browser: %v", err)
	}
	if err := c.Send(t.Context(), keys(t), mine, one); !errors.Is(err, webpush.ErrRefused) {
		t.Errorf("signed by somebody else: %v", err)
	}
	if n := len(s.Messages(0)); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// What the service does, and what the client makes of it; no error has the endpoint.
func TestFaults(t *testing.T) {
	s, c := start(t)
	k := keys(t)
	sub := subscribe(t, s, k)
	for kind, tt := range map[pushsim.Kind]struct {
		want  error
		taken int
	}{
		pushsim.Gone:     {webpush.ErrGone, 0},
		pushsim.NotFound: {webpush.ErrGone, 0},
		pushsim.Limited:  {webpush.ErrUnreachable, 0},
		pushsim.Down:     {webpush.ErrUnreachable, 0},
		pushsim.Rejected: {webpush.ErrRefused, 0},
		pushsim.Moved:    {webpush.ErrRefused, 0},
		pushsim.Dropped:  {webpush.ErrUnreachable, 0},
		pushsim.Lost:     {webpush.ErrUnreachable, 1},
	} {
		before := len(s.Messages(0))
		s.Fault(kind, 1)
		err := c.Send(t.Context(), k, sub, one)
		if !errors.Is(err, tt.want) || len(s.Messages(0))-before != tt.taken {
			t.Errorf("%s: %v, %d taken", kind, err, len(s.Messages(0))-before)
		}
		if err != nil && strings.Contains(err.Error(), "/push/") {
			t.Errorf("%s: the error has the endpoint: %v", kind, err)
		}
	}
}

// A browser that nobody made is not there, and a made one can be had over HTTP.
func TestDevices(t *testing.T) {
	s, c := start(t)
	k := keys(t)
	sub := subscribe(t, s, k)
	sub.Endpoint = secret.New(s.URL() + "/push/nobody")
	if err := c.Send(t.Context(), k, sub, one); !errors.Is(err, webpush.ErrGone) {
		t.Errorf("%v", err)
	}
	for body, want := range map[string]int{`{"key":"` + k.Public + `"}`: 200, `{}`: 400, `x`: 400} {
		r, err := http.Post(s.URL()+"/devices", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d", body, r.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
