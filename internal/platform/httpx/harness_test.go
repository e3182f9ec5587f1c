package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit/apitest"
)

// journal is a log that tests read.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) log() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type wordIn struct {
	ID    string `path:"id" format:"uuid"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Body  struct {
		Word  string `json:"word" minLength:"1" maxLength:"10"`
		Count int    `json:"count,omitempty"`
		Kind  string `json:"kind,omitempty" enum:"a,b"`
		Day   string `json:"day,omitempty" format:"date"`
		Owner string `json:"owner,omitempty" format:"uuid"`
		Parts []struct {
			N int `json:"n"`
		} `json:"parts,omitempty" maxItems:"3"`
	}
}

type wordOut struct {
	Body struct {
		Word string `json:"word"`
		Who  string `json:"who"`
	}
}

// calls counts what reached the use case.
type calls struct {
	mu sync.Mutex
	n  int
}

func (c *calls) add() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *calls) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

const (
	wordPath = "/words/01900000-0000-7000-8000-0000000000b1"
	keyText  = "01900000-0000-7000-8000-0000000000c1"
)

// routes are the operations of most tests; refuse is what /refuse answers.
func routes(c *calls, refuse func() error) func(*httpx.API) {
	return func(a *httpx.API) {
		word := func(ctx context.Context, in *wordIn) (*wordOut, error) {
			c.add()
			out := &wordOut{}
			out.Body.Word = in.Body.Word
			if p, err := auth.From(ctx); err == nil {
				out.Body.Who = p.Actor()
			}
			return out, nil
		}
		httpx.Register(a, httpx.Op{ID: "words.put_word", Method: "PUT", Path: "/words/{id}"}, word)
		httpx.Register(a, httpx.Op{ID: "words.add_word", Method: "POST", Path: "/words/{id}", Idempotent: true}, word)
		httpx.Register(a, httpx.Op{ID: "words.change_word", Method: "PATCH", Path: "/words/{id}", Versioned: true}, word)
		httpx.Register(a, httpx.Op{ID: "words.open_word", Method: "POST", Path: "/open/{id}", Public: true}, word)
		httpx.Register(a, httpx.Op{ID: "shut.read", Method: "GET", Path: "/shut", Public: true}, nothing)
		httpx.Register(a, httpx.Op{ID: "words.refuse", Method: "GET", Path: "/refuse", Public: true}, func(context.Context, *struct{}) (*struct{}, error) {
			return nil, refuse()
		})
		httpx.Handle(a, httpx.Op{ID: "words.plain_refuse", Method: "GET", Path: "/plain-refuse", Public: true}, func(http.ResponseWriter, *http.Request) error {
			return refuse()
		})
		httpx.Handle(a, httpx.Op{ID: "words.callback", Method: "POST", Path: "/callback", Machine: true}, func(w http.ResponseWriter, r *http.Request) error {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return httpx.ErrTooLarge.Wrap(err)
			}
			_, err = w.Write(b)
			return err
		})
	}
}

func nothing(context.Context, *struct{}) (*struct{}, error) { return nil, nil }

func problem(t *testing.T, r apitest.Response) (p httpx.Problem) {
	t.Helper()
	if ct := r.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q: %s", ct, r.Body)
	}
	if err := json.Unmarshal(r.Body, &p); err != nil {
		t.Fatalf("%v: %s", err, r.Body)
	}
	if p.Title == "" || p.TitleEN == "" || p.Type != "/errors/"+p.Code || p.Status != r.Status {
		t.Errorf("problem %+v, status %d", p, r.Status)
	}
	return p
}

var everyKind = map[fault.Kind]int{
	fault.Invalid: 422, fault.Malformed: 400, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404, fault.Conflict: 409,
	fault.Stale: 412, fault.Gone: 410, fault.TooLarge: 413, fault.Misdirected: 421, fault.Limited: 429, fault.Unavailable: 503, fault.Internal: 500,
}

func long(n int) string { return strings.Repeat("x", n) }
