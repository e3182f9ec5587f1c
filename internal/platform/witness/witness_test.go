package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/process"
)

var start = time.Date(2026, 3, 4, 0, 1, 0, 0, time.UTC)

// run starts a witness in a folder; stop ends it and waits for the end.
func run(t *testing.T, dir string, clk clock.Clock, rate int) (s *Server, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, Options{Listen: "127.0.0.1:0", Key: filepath.Join(dir, "key"), Clock: clk, Log: slog.New(slog.DiscardHandler), Rate: rate})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return s, stop
}

func client(t *testing.T, s *Server) *Client {
	t.Helper()
	c, err := NewClient(s.URL(), s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func owner(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

// TestOnce: a subject is signed once, at one instant; a repeat gets the same, another
// digest is refused, and a restart forgets nothing.
func TestOnce(t *testing.T) {
	t.Parallel()
	ctx, dir, clk := context.Background(), t.TempDir(), clock.NewManual(start)
	s, stop := run(t, dir, clk, 0)
	c := client(t, s)
	first, signature, err := c.Sign(ctx, owner(1), attest.Digest{1})
	if err != nil || first.At != start.UnixMicro() || !attest.Verify(c.Key(), first, signature) {
		t.Fatal(first, err)
	}
	clk.Add(time.Hour)
	for range 2 {
		again, same, err := c.Sign(ctx, owner(1), attest.Digest{1})
		if err != nil || again != first || !bytes.Equal(same, signature) {
			t.Fatal(again, err)
		}
		if _, _, err := c.Sign(ctx, owner(1), attest.Digest{2}); !errors.Is(err, ErrOther) {
			t.Fatal(err)
		}
		key := s.PublicKey()
		stop()
		if s, stop = run(t, dir, clk, 0); s.PublicKey() != key {
			t.Fatal("another key after the restart")
		}
		c = client(t, s)
	}
	if _, err := New(ctx, Options{Listen: "127.0.0.1:0", Key: filepath.Join(dir, "key"), Clock: clk, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, process.ErrDirTaken) {
		t.Errorf("a second witness with the same key: %v", err)
	}
	if i, err := os.Stat(filepath.Join(dir, "key")); err != nil || i.Mode().Perm() != 0o600 {
		t.Error(i.Mode(), err)
	}
}

// TestRace: of many digests for one subject at once exactly one is signed.
func TestRace(t *testing.T) {
	t.Parallel()
	s, _ := run(t, t.TempDir(), clock.System{}, 1000)
	var mu sync.Mutex
	var work sync.WaitGroup
	won := 0
	for i := range 50 {
		work.Go(func() {
			_, _, err := client(t, s).Sign(context.Background(), owner(1), attest.Digest{byte(i)})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, ErrOther) {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if won != 1 || len(s.book.signed) != 1 {
		t.Errorf("%d signed", won)
	}
}

// post sends a raw request.
func post(t *testing.T, s *Server, body string) (int, string) {
	t.Helper()
	res, err := http.Post(s.URL()+PathStatements, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

func read(t *testing.T, res *http.Response) (int, string) {
	t.Helper()
	defer res.Body.Close()
	var v struct{ Code string }
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode, v.Code
}

// TestRefusals: what is no request of the subject's owner changes nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s, _ := run(t, t.TempDir(), clock.NewManual(start), 1)
	subject := attest.SubjectOf(owner(1))
	ask := func(d attest.Digest, signature []byte) string {
		b, err := json.Marshal(request{hex.EncodeToString(subject[:]), hex.EncodeToString(d[:]), hex.EncodeToString(signature)})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, x := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"empty":          {"", 400, "witness.malformed"},
		"no JSON":        {"{", 400, "witness.malformed"},
		"unknown field":  {`{"subject":"","digest":"","ask":"","x":1}`, 400, "witness.malformed"},
		"no hexadecimal": {`{"subject":"` + strings.Repeat("x", 64) + `"}`, 400, "witness.malformed"},
		"huge":           {`{"subject":"` + strings.Repeat("0", 1<<20), 400, "witness.malformed"},
		"a stranger":     {ask(attest.Digest{1}, attest.Ask(owner(2), attest.Digest{1})), 403, "witness.ask_refused"},
		"another digest": {ask(attest.Digest{2}, attest.Ask(owner(1), attest.Digest{1})), 403, "witness.ask_refused"},
	} {
		if status, code := post(t, s, x.body); status != x.status || code != x.code {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	for path, want := range map[string]string{
		PathStatements + "/" + hex.EncodeToString(subject[:]): "404 witness.unknown",
		PathStatements + "/x": "400 witness.malformed",
	} {
		res, err := http.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		if status, code := read(t, res); fmt.Sprint(status, " ", code) != want {
			t.Errorf("%s: %d %s", path, status, code)
		}
	}
	if len(s.book.signed) != 0 {
		t.Error("something was signed")
	}
}

// TestLimits: new subjects beyond the rate and beyond the file's bound are refused; known
// ones are answered all the same.
func TestLimits(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, _ := run(t, t.TempDir(), clock.NewManual(start), 1)
	c := client(t, s)
	busy := 0
	for i := range 30 { // 4 at once, then one a second
		if status, code := post(t, s, askOf(t, owner(byte(i)))); status == 429 && code == "witness.busy" {
			busy++
		} else if status != 200 {
			t.Errorf("%d %s", status, code)
		}
	}
	if busy < 10 {
		t.Errorf("%d refused", busy)
	}
	s.book.mu.Lock()
	s.book.max = len(s.book.signed)
	s.book.mu.Unlock()
	if _, err := s.book.sign(attest.SubjectOf(owner(99)), attest.Digest{9}); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if _, _, err := c.Sign(ctx, owner(0), attest.Digest{1}); err != nil {
		t.Error(err)
	}
}

func askOf(t *testing.T, k ed25519.PrivateKey) string {
	t.Helper()
	subject, d := attest.SubjectOf(k), attest.Digest{1}
	b, err := json.Marshal(request{hex.EncodeToString(subject[:]), hex.EncodeToString(d[:]), hex.EncodeToString(attest.Ask(k, d))})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestBook: a torn last line is cut off, since nobody was answered; any other damage, a
// foreign key and a malformed key file refuse the start.
func TestBook(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	name := filepath.Join(dir, "key.book")
	s, stop := run(t, dir, clock.NewManual(start), 100)
	for i := range 3 {
		if _, _, err := client(t, s).Sign(ctx, owner(byte(i)), attest.Digest{1}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	put := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(name, whole[:len(whole)-20])
	s, stop = run(t, dir, clock.NewManual(start), 100)
	if n := len(s.book.signed); n != 2 {
		t.Errorf("%d statements after a torn line", n)
	}
	if _, _, err := client(t, s).Sign(ctx, owner(2), attest.Digest{7}); err != nil {
		t.Errorf("the torn one was never answered: %v", err)
	}
	stop()
	if b, err := os.ReadFile(name); err != nil || bytes.Count(b, []byte("\n")) != 3 || !bytes.HasPrefix(b, append(bytes.Clone(lines[0]), lines[1]...)) {
		t.Errorf("%s %v", b, err)
	}
	open := func() error {
		s, err := New(ctx, Options{Listen: "127.0.0.1:0", Key: filepath.Join(dir, "key"), Clock: clock.NewManual(start), Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			_ = s.listen.Close()
		}
		return err
	}
	for what, b := range map[string][]byte{
		"changed":   bytes.Replace(whole, []byte(`"digest":"01`), []byte(`"digest":"02`), 1),
		"twice":     append(bytes.Clone(whole), lines[0]...),
		"junk":      append([]byte("x\n"), whole...),
		"very long": append(bytes.Repeat([]byte("x"), maxBody+1), whole...),
	} {
		put(name, b)
		if err := open(); !errors.Is(err, ErrBook) {
			t.Errorf("%s: %v", what, err)
		}
	}
	put(name, whole)
	put(filepath.Join(dir, "key"), []byte(strings.Repeat("00", 32)))
	if err := open(); !errors.Is(err, ErrBook) {
		t.Errorf("another key: %v", err)
	}
	put(filepath.Join(dir, "key"), []byte("secret"))
	if err := open(); !errors.Is(err, ErrKey) {
		t.Errorf("malformed key: %v", err)
	}
}

// TestDisk: when the disk fails nothing is answered, and nothing new is signed after it.
func TestDisk(t *testing.T) {
	t.Parallel()
	s, _ := run(t, t.TempDir(), clock.NewManual(start), 100)
	s.book.close()
	for i := range 2 {
		if _, err := s.book.sign(attest.SubjectOf(owner(byte(i))), attest.Digest{1}); !errors.Is(err, ErrBook) {
			t.Error(err)
		}
	}
}

// TestLiars: a client believes a signature under the configured key and nothing else.
func TestLiars(t *testing.T) {
	t.Parallel()
	good := owner(50)
	said := attest.Statement{Subject: attest.SubjectOf(owner(1)), Digest: attest.Digest{1}, At: 5}
	true1 := statementOf(good.Public().(ed25519.PublicKey), said, attest.Sign(good, said))
	other := said
	other.Digest = attest.Digest{2}
	for name, x := range map[string]struct {
		status int
		body   any
		want   error
	}{
		"true":           {200, true1, nil},
		"other digest":   {200, statementOf(good.Public().(ed25519.PublicKey), other, attest.Sign(good, other)), ErrUntrue},
		"other key":      {200, statementOf(owner(51).Public().(ed25519.PublicKey), said, attest.Sign(owner(51), said)), ErrUntrue},
		"other instant":  {200, func() Statement { v := true1; v.At++; return v }(), ErrUntrue},
		"nothing":        {200, map[string]string{}, ErrUntrue},
		"no JSON":        {200, nil, ErrUnreachable},
		"failure":        {500, true1, ErrUnreachable},
		"redirect":       {302, true1, ErrUnreachable},
		"signed another": {409, map[string]string{"code": "witness.signed_other"}, ErrOther},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(x.status)
			if x.body == nil {
				_, _ = w.Write(bytes.Repeat([]byte("["), 1<<20))
				return
			}
			_ = json.NewEncoder(w).Encode(x.body)
		}))
		c, err := NewClient(srv.URL, true1.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Sign(context.Background(), owner(1), attest.Digest{1}); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
		srv.Close()
		if _, _, err := c.Sign(context.Background(), owner(1), attest.Digest{1}); !errors.Is(err, ErrUnreachable) {
			t.Errorf("gone: %v", err)
		}
	}
	for _, bad := range [][2]string{{"x", true1.Key}, {"ftp://h", true1.Key}, {"http://h", "x"}, {"http://h", true1.Key[1:]}} {
		if _, err := NewClient(bad[0], bad[1]); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
