package realnamesim

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/realname"
	"xinglin/internal/platform/sms/signed"
	"xinglin/internal/smssim/simserver"
)

var (
	start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	key   = secret.New("the key of the service, 32 bytes")
)

type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func pair(t *testing.T) (*Server, *realname.Client, *logs) {
	t.Helper()
	out, now := &logs{}, clock.NewManual(start)
	s, err := New(Options{Listen: "127.0.0.1:0", KeyID: "rn", Key: key, Clock: now, Log: slog.New(slog.NewTextHandler(out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c, err := realname.New(realname.Options{URL: s.URL(), KeyID: "rn", Key: key, Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, c, out
}

func person(name, kind, number, phone string) realname.Person {
	return realname.Person{
		Name: secret.New(name), DocumentType: kind, DocumentNumber: secret.New(number), Phone: secret.New(phone),
	}
}

func TestOutcomes(t *testing.T) {
	_, c, out := pair(t)
	refs := map[string]bool{}
	for _, v := range []struct {
		name, kind, number, phone string
		want                      realname.Outcome
	}{
		{"张三", "resident_id", "11010519491231002X", "13800138000", realname.Match}, // the standard's own example
		{"张三", "resident_id", "11010519491231002x", "", realname.Match},
		{"张三", "resident_id", "440524188001010014", "", realname.Match}, // and its other one
		{"张三", "resident_id", "110105194912310021", "", realname.Unknown},
		{"张三", "resident_id", "1101051949123100", "", realname.Unknown},
		{"张三", "resident_id", "11010519491231X02X", "", realname.Unknown},
		{"张三", "hmt_residence", "810000199408230021", "", realname.Match},
		{"张三", "hmt_residence", "810000199408230022", "", realname.Unknown},
		{"张三", "passport", "E12345678", "13800138001", realname.Match},
		{"张三", "passport", "E1", "", realname.Unknown},
		{"王不符", "passport", "E12345678", "", realname.Mismatch},
		{"王不符", "resident_id", "110105194912310021", "", realname.Unknown},
		{"王查无不符", "passport", "E12345678", "", realname.Unknown},
		{"张三", "passport", "E12345678", "13800000000", realname.Mismatch},
	} {
		p := person(v.name, v.kind, v.number, v.phone)
		got, err := c.Verify(t.Context(), p)
		if err != nil || got.Outcome != v.want || !got.At.Equal(start) {
			t.Errorf("%v: %+v %v", v, got, err)
		}
		again, err := c.Verify(t.Context(), p)
		if err != nil || again != got || refs[got.Reference] {
			t.Errorf("%v: reference %s, then %s: %v", v, got.Reference, again.Reference, err)
		}
		refs[got.Reference] = true
	}
	for _, private := range []string{"张三", "王", "11010519", "E12345678", "138001"} {
		if strings.Contains(out.buf.String(), private) {
			t.Errorf("the log holds %s", private)
		}
	}
}

func TestTrouble(t *testing.T) {
	s, c, _ := pair(t)
	p := person("张三", "passport", "E12345678", "")
	for kind, want := range map[simserver.FaultKind]*fault.Code{
		simserver.Down: realname.ErrUnreachable, simserver.Drop: realname.ErrUnreachable, simserver.Lost: realname.ErrUnreachable,
		simserver.Garbage: realname.ErrUnreachable, simserver.Unsigned: realname.ErrUnreachable, simserver.Refuse: realname.ErrRefused,
	} {
		s.Fault(simserver.Fault{Kind: kind, Code: "quota"})
		if _, err := c.Verify(t.Context(), p); !errors.Is(err, want) {
			t.Errorf("%s: %v", kind, err)
		} else if want == realname.ErrRefused && fault.Of(err).Details[0].Code != "quota" {
			t.Errorf("details %+v", fault.Of(err).Details)
		}
		if _, err := c.Verify(t.Context(), p); err != nil {
			t.Errorf("after %s: %v", kind, err)
		}
	}
	for _, p := range []realname.Person{person("", "passport", "E12345678", ""), person("张", "", "E1", ""), person("张", "passport", "", "")} {
		if _, err := c.Verify(t.Context(), p); !errors.Is(err, realname.ErrInvalid) {
			t.Errorf("incomplete: %v", err)
		}
	}
	wrong, err := realname.New(realname.Options{URL: s.URL(), KeyID: "rn", Key: secret.New("another key of thirty-two bytes!"), Clock: clock.NewManual(start)})
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, err := wrong.Verify(t.Context(), p); !errors.Is(err, realname.ErrRefused) || fault.Of(err).Details[0].Code != signed.CodeForged {
		t.Errorf("another key: %v", err)
	}
}

// A signed answer that is no result is no result.
func TestStrangeResults(t *testing.T) {
	v, err := signed.NewVerifier(signed.Key{ID: "rn", Secret: key}, clock.NewManual(start))
	if err != nil {
		t.Fatal(err)
	}
	good := realname.Result{Outcome: realname.Match, Reference: "r", At: start}
	for name, change := range map[string]func(*realname.Result){
		"outcome":        func(r *realname.Result) { r.Outcome = "perhaps" },
		"no reference":   func(r *realname.Result) { r.Reference = "" },
		"long reference": func(r *realname.Result) { r.Reference = strings.Repeat("x", 200) },
		"no time":        func(r *realname.Result) { r.At = time.Time{} },
	} {
		bad := good
		change(&bad)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v.Answer(w, r, bad) }))
		c, err := realname.New(realname.Options{URL: srv.URL, KeyID: "rn", Key: key, Clock: clock.NewManual(start)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(t.Context(), person("张", "passport", "E12345678", "")); !errors.Is(err, realname.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
		srv.Close()
	}
}
