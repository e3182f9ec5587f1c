package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/obs"
	"xinglin/internal/testkit/apitest"
)

// Every kind has its status, its FHIR issue and its problem, from typed and plain handlers.
func TestEveryKind(t *testing.T) {
	var refusal error
	var c calls
	j := &journal{}
	h := apitest.With(t, httpx.Options{Log: j.log()}, routes(&c, func() error { return refusal }))
	for kind, status := range everyKind {
		code := fault.Register(kind, "words.kind_"+string(kind), "中文", "English")
		for _, path := range []string{"/refuse", "/plain-refuse"} {
			e := code.With(fault.Detail{Path: "body.word", Code: code.Name, Message: "why"})
			e.Cause = errors.New("the cause stays inside")
			refusal = fmt.Errorf("wrapped: %w", e)
			r := h.Do(apitest.Nobody(apitest.Main), "GET", path, nil).Want(t, status)
			p := problem(t, r)
			if p.Code != code.Name || p.Title != "中文" || p.TitleEN != "English" || len(p.Errors) != 1 || p.Errors[0].Message != "why" {
				t.Errorf("%s: %+v", kind, p)
			}
			if strings.Contains(string(r.Body), "cause stays") {
				t.Errorf("%s shows its cause: %s", kind, r.Body)
			}
			retry := r.Header.Get("Retry-After")
			if want := status == 429 || status == 503; want != (retry == "1") {
				t.Errorf("%s: Retry-After %q", kind, retry)
			}
			if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: headers %v", kind, r.Header)
			}
		}
		if httpx.Status(kind) != status || httpx.FHIRIssue(kind) == "" || (kind != fault.Internal) != (httpx.FHIRIssue(kind) != "exception") {
			t.Errorf("%s: status %d, FHIR %q", kind, httpx.Status(kind), httpx.FHIRIssue(kind))
		}
	}
	refusal = httpx.ErrBusy.After(2500 * time.Millisecond)
	for _, path := range []string{"/refuse", "/plain-refuse"} {
		if r := h.Do(apitest.Nobody(apitest.Main), "GET", path, nil); r.Header.Get("Retry-After") != "3" {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
	}
}

// What is not a refusal is internal: the caller learns nothing of it.
func TestUnknownErrors(t *testing.T) {
	var refusal error
	var c calls
	j := &journal{}
	h := apitest.With(t, httpx.Options{Log: j.log()}, routes(&c, func() error { return refusal }))
	for err, want := range map[error]string{
		errors.New("disk on fire"): "500 http.internal", context.DeadlineExceeded: "503 http.busy", context.Canceled: "503 http.busy",
	} {
		refusal = err
		for _, path := range []string{"/refuse", "/plain-refuse"} {
			r := h.Do(apitest.Nobody(apitest.Main), "GET", path, nil)
			p := problem(t, r)
			if got := fmt.Sprintf("%d %s", r.Status, p.Code); got != want || strings.Contains(string(r.Body), err.Error()) {
				t.Errorf("%v: %s, want %s", err, r.Body, want)
			}
		}
	}
	if !strings.Contains(j.String(), "disk on fire") {
		t.Error("the log does not say why")
	}
}

// The trace id of a problem is the one of the header and of the log.
func TestTraceIDs(t *testing.T) {
	stop := obs.Tracing()
	t.Cleanup(func() { _ = stop(context.Background()) })
	var c calls
	j := &journal{}
	h := apitest.With(t, httpx.Options{Log: j.log()}, routes(&c, func() error { return errors.New("broken") }))
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	const zero = "00000000000000000000000000000000"
	seen := map[string]bool{}
	for name, tc := range map[string]struct {
		header string
		kept   bool
	}{
		"none":        {"", false},
		"continued":   {"00-" + id + "-00f067aa0ba902b7-01", true},
		"upper case":  {"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01", false},
		"no hex":      {"00-4bf92f3577b34da6a3ce929d0e0e47zz-00f067aa0ba902b7-01", false},
		"all zero":    {"00-" + zero + "-00f067aa0ba902b7-01", false},
		"other shape": {strings.Repeat("<script>", 6) + "1234567", false},
		"long":        {"00-" + id + "-00f067aa0ba902b7-01-more", false},
	} {
		r := h.Do(apitest.Nobody(apitest.Main), "GET", "/refuse", nil, apitest.H("Traceparent", tc.header))
		p := problem(t, r)
		got := r.Header.Get("X-Trace-Id")
		if len(got) != 32 || strings.Trim(got, "0123456789abcdef") != "" || got == zero || p.TraceID != got || (got == id) != tc.kept || seen[got] {
			t.Errorf("%s: header %q, problem %q", name, got, p.TraceID)
		}
		if !strings.Contains(j.String(), got) {
			t.Errorf("%s: trace id is not in the log", name)
		}
		seen[got] = true
	}
}
