package keysource

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/kmssim"
)

// The example of the service's documentation, "request syntax and signature method V3".
func TestSignatureExample(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(headerAction, "RunInstances")
	r.Header.Set(headerVer, "2014-05-26")
	accessKey{"YourAccessKeyId", secret.New("YourAccessKeySecret")}.sign(r, nil, time.Date(2023, 10, 26, 10, 22, 32, 0, time.UTC), "3156853299f313e23d1673dc12e1703d")
	want := "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("%s", got)
	}
}

type world struct {
	sim   *kmssim.Server
	kms   *kms
	clock *clock.Manual
	dir   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), clock: clock.NewManual(clock.System{}.Now())}
	var err error
	if w.sim, err = kmssim.New(kmssim.Options{Dir: w.dir, Listen: "127.0.0.1:0", Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.sim.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	w.kms = w.open(t)
	return w
}

func (w *world) open(t *testing.T) *kms {
	t.Helper()
	s, err := Open(filepath.Join(w.dir, "source.json"))
	if err != nil {
		t.Fatal(err)
	}
	k := s.(*kms)
	k.pause = time.Millisecond
	return k
}

var (
	about = About{Installation: "north", Fingerprint: "0123"}
	key   = []byte(strings.Repeat("k", KeySize))
)

func TestKMSWrapsAndOpens(t *testing.T) {
	w := newWorld(t)
	wrapped, err := w.kms.Wrap(t.Context(), key, about)
	if err != nil {
		t.Fatal(err)
	}
	back, err := w.kms.Unwrap(t.Context(), wrapped, about)
	if err != nil || string(back) != string(key) {
		t.Fatalf("%v", err)
	}
	if n := w.kms.Name(); n != (Name{"kms", kmssim.KeyID}) {
		t.Errorf("%+v", n)
	}
	for name, other := range map[string]About{"installation": {"south", "0123"}, "fingerprint": {"north", "4567"}} {
		if _, err := w.kms.Unwrap(t.Context(), wrapped, other); !errors.Is(err, ErrRefused) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := w.kms.Unwrap(t.Context(), wrapped[:len(wrapped)-4], about); !errors.Is(err, ErrRefused) {
		t.Errorf("cut: %v", err)
	}
}

// What passes by itself is asked again, a bounded number of times; a no is a no at once.
func TestKMSRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(w *world)
		want  error
		asked int
	}{
		"wrong secret":      {func(w *world) { w.kms.who.secret = secret.New("another") }, ErrRefused, 1},
		"unknown id":        {func(w *world) { w.kms.who.id = "nobody" }, ErrRefused, 1},
		"unknown key":       {func(w *world) { w.kms.key = "key-none" }, ErrMissing, 1},
		"disabled":          {func(w *world) { w.sim.Disable(kmssim.KeyID, true) }, ErrRefused, 1},
		"no permission":     {func(w *world) { w.sim.Fail(kmssim.Fault{Status: 403, Code: "Forbidden.NoPermission"}) }, ErrRefused, 1},
		"clock behind":      {func(w *world) { w.clock.Add(20 * time.Minute) }, ErrRefused, 1},
		"throttled once":    {func(w *world) { w.sim.Fail(kmssim.Fault{Status: 400, Code: "Throttling.User"}) }, nil, 2},
		"throttled":         {func(w *world) { w.sim.Fail(kmssim.Fault{Status: 429, Code: "Rejected.Throttling", Times: 9}) }, ErrUnavailable, kmsTries},
		"down":              {func(w *world) { w.sim.Fail(kmssim.Fault{Status: 503, Code: "ServiceUnavailable", Times: 9}) }, ErrUnavailable, kmsTries},
		"connection cut":    {func(w *world) { w.sim.Fail(kmssim.Fault{Times: 2}) }, nil, 3},
		"answer with error": {func(w *world) { w.sim.Fail(kmssim.Fault{Status: 200, Code: "X", Times: 9}) }, ErrUnavailable, kmsTries},
		"slow": {func(w *world) {
			w.kms.http.Timeout = 50 * time.Millisecond
			w.sim.Fail(kmssim.Fault{Delay: 10 * time.Second, Times: 9})
		}, ErrUnavailable, kmsTries},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.set(w)
			_, err := w.kms.Wrap(t.Context(), key, about)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%v", err)
			}
			if n := w.sim.Asked(); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
			if err != nil && strings.Contains(err.Error(), "another") {
				t.Error("the secret stands in the error")
			}
		})
	}
}

// A request that somebody recorded is refused the second time.
func TestKMSReplayIsRefused(t *testing.T) {
	w := newWorld(t)
	body := percent(map[string][]string{"KeyId": {kmssim.KeyID}, "Plaintext": {"a2tr"}})
	send := func(nonce string) int {
		r := httptest.NewRequest(http.MethodPost, w.kms.base, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(headerAction, "Encrypt")
		r.Header.Set(headerVer, KMSVersion)
		r.Host = r.URL.Host
		w.kms.who.sign(r, []byte(body), w.clock.Now(), nonce)
		rec := httptest.NewRecorder()
		w.sim.Handler().ServeHTTP(rec, r)
		return rec.Code
	}
	if a, b, c := send("one"), send("one"), send("two"); a != 200 || b != 400 || c != 200 {
		t.Errorf("%d %d %d", a, b, c)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	good := `{"kind":"kms","endpoint":"https://kms.example.com","key":"k","access_key_id":"a","access_key_secret":"env:XINGLIN_TEST_SECRET"}`
	t.Setenv("XINGLIN_TEST_SECRET", "s")
	t.Setenv("XINGLIN_TEST_EMPTY", "")
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want error
	}{
		"good":            {good, 0o600, nil},
		"open to all":     {good, 0o602, ErrFile},
		"cut":             {good[:40], 0o600, ErrFile},
		"unknown field":   {strings.Replace(good, `"key"`, `"keyy"`, 1), 0o600, ErrFile},
		"plain http":      {strings.Replace(good, "https", "http", 1), 0o600, ErrFile},
		"with a password": {strings.Replace(good, "https://", "https://u:p@", 1), 0o600, ErrFile},
		"unknown kind":    {strings.Replace(good, "kms\"", "vault\"", 1), 0o600, ErrFile},
		"no secret":       {strings.Replace(good, "TEST_SECRET", "TEST_NONE", 1), 0o600, ErrMissing},
		"empty secret":    {strings.Replace(good, "TEST_SECRET", "TEST_EMPTY", 1), 0o600, ErrMissing},
		"no token":        {`{"kind":"pkcs11","module":"m.so","key":"k","pin":"env:X"}`, 0o600, ErrFile},
		"no module":       {`{"kind":"sdf","index":1}`, 0o600, ErrFile},
		"no index":        {`{"kind":"sdf","module":"m.so"}`, 0o600, ErrFile},
	} {
		path := filepath.Join(dir, "source.json")
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(c.text), 0o600), os.Chmod(path, c.mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "none.json")); !errors.Is(err, ErrMissing) {
		t.Errorf("no file: %v", err)
	}
}

// script makes a helper that answers what the test wants.
func script(t *testing.T, text string) Source {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(os.WriteFile(filepath.Join(dir, "helper"), []byte("#!/bin/sh\n"+text+"\n"), 0o700),
		os.WriteFile(filepath.Join(dir, "source.json"), []byte(`{"kind":"sdf","module":"m.so","index":1,"helper":"helper"}`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, "source.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.(*hsm).within = 5 * time.Second
	return s
}

func TestHelperAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"missing":     {`echo '{"error":"missing"}'`, ErrMissing},
		"pin":         {`echo '{"error":"pin","why":"0xa0"}'`, ErrPIN},
		"refused":     {`echo '{"error":"refused"}'`, ErrRefused},
		"another":     {`echo '{"error":"what"}'`, ErrRefused},
		"unavailable": {`echo '{"error":"unavailable"}'`, ErrUnavailable},
		"crashed":     {`kill -SEGV $$`, ErrUnavailable},
		"garbage":     {`echo hello`, ErrUnavailable},
		"endless":     {`yes`, ErrUnavailable},
		"short key":   {`echo '{"data":"a2tr"}'`, ErrRefused},
	} {
		s := script(t, c.script)
		if name == "endless" {
			s.(*hsm).within = 200 * time.Millisecond
		}
		if _, err := s.Unwrap(t.Context(), []byte("x"), about); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := script(t, "exit 0")
	if err := os.Remove(s.(*hsm).helper); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wrap(t.Context(), key, about); !errors.Is(err, ErrMissing) {
		t.Errorf("no helper: %v", err)
	}
}
