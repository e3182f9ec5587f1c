package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/httpx"
)

// endless is a body that never ends; it counts what was taken of it.
type endless struct{ taken int64 }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '['
	}
	e.taken += int64(len(b))
	return len(b), nil
}

func (e *endless) Close() error { return nil }

// anybody lets every credential in, so that a body is refused for its size and not for its sender.
type anybody struct{}

func (anybody) Authenticate(_ context.Context, t id.ID[auth.Tenant], _ httpx.Credential) (auth.Principal, error) {
	return auth.Principal{Kind: auth.Staff, Tenant: t, Account: id.Random[auth.Account](), Session: id.Random[auth.Session](), Factors: 2, Fresh: true}, nil
}

// TestDoorLimits sends every operation too much, announced and unannounced: a coded refusal, and no more is read than the
// operation takes. All of it together keeps no memory.
func TestDoorLimits(t *testing.T) {
	p := wired(t, nil)
	api, err := httpx.New(httpx.Options{Tenants: p.house.Hosts, Auth: anybody{}, Clock: p.clk, Log: p.log, PerAddress: 1e6, PerAccount: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range p.house.Modules {
		if m.Routes != nil {
			m.Routes(api)
		}
	}
	(&operator{house: p.house}).routes(api)
	p.desk.Routes(api)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	doors := 0
	for _, op := range api.Ops() {
		if op.Method == http.MethodGet || op.Upload {
			continue // a file is written to disk under its bound: TestImportRoutes of interopsvc
		}
		doors++
		for name, length := range map[string]int64{"announced": 1 << 40, "without end": -1} {
			body := &endless{}
			r := httptest.NewRequest(op.Method, wildcard.ReplaceAllString(op.Path, "01900000-0000-7000-8000-000000000001"), nil)
			r.Body, r.ContentLength = body, length
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer x")
			r.Header.Set("Idempotency-Key", "01900000-0000-7000-8000-000000000001")
			r.Header.Set("If-Match", `"1"`)
			rec := httptest.NewRecorder()
			api.ServeHTTP(rec, r)
			var problem httpx.Problem
			_ = json.Unmarshal(rec.Body.Bytes(), &problem)
			if rec.Code != http.StatusRequestEntityTooLarge || problem.Code != "http.too_large" {
				t.Errorf("%s, %s: %d %s", op.ID, name, rec.Code, rec.Body)
			}
			if body.taken > 2*op.MaxBody+2<<10 || op.MaxBody > 1<<20 {
				t.Errorf("%s, %s: %d bytes were read, it takes %d", op.ID, name, body.taken, op.MaxBody)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 || doors < 80 {
		t.Errorf("%d operations kept %d bytes", doors, grown)
	}
}

// open serves both doors on free ports of this machine.
func open(t *testing.T) *Process {
	t.Helper()
	p := wired(t, func(c *config.Serve) {
		for _, at := range []*string{&c.Listen, &c.Private} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			*at = l.Addr().String()
			_ = l.Close()
		}
		c.Connections, c.PerAddress = 100, 100
	})
	if _, _, err := p.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// raw sends bytes as they are and reads the first line of each answer until the server closes.
func raw(t *testing.T, address, text string) (lines []string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(clock.Mono().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return nil // refused before it was all sent
	}
	in := bufio.NewReader(c)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return lines
		}
		_, _ = io.Copy(io.Discard, res.Body)
		lines = append(lines, fmt.Sprint(res.StatusCode))
		if res.Close {
			return lines
		}
	}
}

// TestRequestShapes: what two servers in a row could read in two ways is refused, or read in one way only, with the connection closed
// behind it; floods of headers are cut off.
func TestRequestShapes(t *testing.T) {
	p := open(t)
	const hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /api/v1/auth/codes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + headers + "\r\n" + body
	}
	for name, tc := range map[string]struct {
		text string
		want string // statuses of the answers, in order
	}{
		"two lengths":                 {post("Content-Length: 2\r\nContent-Length: 40\r\n", "{}"+hidden), "400"},
		"two lengths in one":          {post("Content-Length: 2, 40\r\n", "{}"+hidden), "400"},
		"length with a sign":          {post("Content-Length: +2\r\n", "{}"+hidden), "400"},
		"negative length":             {post("Content-Length: -1\r\n", hidden), "400"},
		"chunked and a length":        {post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"+hidden), "400"},
		"encoding of another name":    {post("Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n", "{}"+hidden), "501"},
		"encoding twice":              {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+hidden), "501"},
		"broken chunk":                {post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"+hidden), "400"},
		"space before the colon":      {post("Content-Length : 2\r\n", "{}"+hidden), "400"},
		"folded header":               {post("X-A: b\r\n c: d\r\nContent-Length: 2\r\nConnection: close\r\n", "{}"), "422"},
		"no host":                     {"GET /healthz HTTP/1.1\r\n\r\n", "400"},
		"two hosts":                   {"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		"host with a path":            {"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
		"zero byte in a header":       {"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: a\x00b\r\n\r\n", "400"},
		"line feed in a header name":  {"GET /healthz HTTP/1.1\r\nHost: a\r\nX\x0bA: b\r\n\r\n", "400"},
		"unknown version":             {"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n", "505"},
		"forty thousand header bytes": {"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", "431"},
		"ten thousand headers":        {"GET /healthz HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 10000) + "\r\n", "431"},
		"an honest one":               {hidden, "200"},
	} {
		for _, at := range []string{p.cfg.Listen, p.cfg.Private} {
			if at == p.cfg.Private && tc.want != "431" {
				continue
			}
			if got := strings.Join(raw(t, at, tc.text), " "); got != tc.want {
				t.Errorf("%s at %s: %q, want %q", name, at, got, tc.want)
			}
		}
	}
}
