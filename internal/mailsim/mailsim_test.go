package mailsim_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/mailsim"
	"xinglin/internal/platform/mail"
	"xinglin/internal/testkit"
)

func start(t *testing.T) *mailsim.Server {
	t.Helper()
	s, err := mailsim.New(mailsim.Options{
		Listen: "127.0.0.1:0", Password: secret.New("a password"), Clock: testkit.Clock(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	return s
}

func client(t *testing.T, s *mailsim.Server, change ...func(*mail.Options)) *mail.Client {
	t.Helper()
	o := mail.Options{
		URL: s.URL(), Password: secret.New("a password"), From: "杏林医院 <no-reply@hospital.example>", Clock: testkit.Clock(), TLS: s.TLS(), Timeout: 5 * time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := mail.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var one = mail.Message{
	ID: "01900000-0000-7000-8000-000000000001", To: secret.New("lin@example.com"), Subject: "预约成功",
	Text: "3月9日 08:30，东院区心血管内科。\n.一行以点开头\n" + strings.Repeat("很长的一行", 80) + "\n",
}

// A mail crosses the socket as it was written.
func TestRoundTrip(t *testing.T) {
	s := start(t)
	if err := client(t, s).Send(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	got := s.Mails(0)
	if len(got) != 1 || got[0].ID != one.ID+"@hospital.example" || got[0].To != "lin@example.com" || got[0].From != "no-reply@hospital.example" ||
		got[0].Subject != one.Subject || strings.TrimSpace(got[0].Text) != strings.TrimSpace(one.Text) || !got[0].At.Equal(testkit.Start) {
		t.Errorf("%+v", got)
	}
}

// What the server does, and what the client makes of it; no error names the person.
func TestFaults(t *testing.T) {
	s := start(t)
	for kind, tt := range map[mailsim.Kind]struct {
		want  error
		taken int
	}{
		mailsim.Down:       {mail.ErrUnreachable, 0},
		mailsim.Greylisted: {mail.ErrUnreachable, 0},
		mailsim.Refused:    {mail.ErrRefused, 0},
		mailsim.Dropped:    {mail.ErrUnreachable, 0},
		mailsim.Lost:       {mail.ErrUnreachable, 1},
	} {
		before := len(s.Mails(0))
		s.Fault(kind, 1)
		err := client(t, s).Send(t.Context(), one)
		if !errors.Is(err, tt.want) || len(s.Mails(0))-before != tt.taken {
			t.Errorf("%s: %v, %d taken", kind, err, len(s.Mails(0))-before)
		}
		if err != nil && strings.Contains(err.Error(), "lin") {
			t.Errorf("%s: the error names the person: %v", kind, err)
		}
		if err := client(t, s).Send(t.Context(), one); err != nil {
			t.Errorf("after %s: %v", kind, err)
		}
	}
}

// Nothing is sent without the right authority and password.
func TestRefusesInsecure(t *testing.T) {
	s := start(t)
	for name, change := range map[string]func(*mail.Options){
		"another authority": func(o *mail.Options) { o.TLS = nil },
		"another password":  func(o *mail.Options) { o.Password = secret.New("no") },
		"nobody":            func(o *mail.Options) { o.URL = strings.Replace(o.URL, "demo@", "", 1) },
		"TLS from the start": func(o *mail.Options) {
			o.URL = strings.Replace(o.URL, "smtp://", "smtps://", 1)
		},
	} {
		if err := client(t, s, change).Send(t.Context(), one); !errors.Is(err, mail.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.Mails(0); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestSendChecks(t *testing.T) {
	s := start(t)
	for name, change := range map[string]func(*mail.Message){
		"no id":              func(m *mail.Message) { m.ID = "" },
		"an id with a break": func(m *mail.Message) { m.ID = "a\r\nBcc: x@y.cn" },
		"no subject":         func(m *mail.Message) { m.Subject = "" },
		"a broken subject":   func(m *mail.Message) { m.Subject = "a\r\nBcc: x@y.cn" },
		"no text":            func(m *mail.Message) { m.Text = "" },
		"no address":         func(m *mail.Message) { m.To = secret.Text{} },
		"two addresses":      func(m *mail.Message) { m.To = secret.New("a@b.cn, c@d.cn") },
	} {
		m := one
		change(&m)
		if err := client(t, s).Send(t.Context(), m); !errors.Is(err, mail.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
