package admission

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// The page is below 15 KB in all, cacheable, needs nothing else than itself, and reads
// as script of the time before modules. Who must log in comes back by the word that the login page reads.
func TestQueuePage(t *testing.T) {
	get := func(headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/m/queue?department=x", nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		rec := httptest.NewRecorder()
		Page().ServeHTTP(rec, r)
		return rec
	}
	plain := get()
	if n := plain.Body.Len(); plain.Code != 200 || n >= 15_000 {
		t.Errorf("%d, %d bytes", plain.Code, n)
	}
	tag := plain.Header().Get("ETag")
	if tag == "" || !strings.HasPrefix(plain.Header().Get("Cache-Control"), "public, max-age=") {
		t.Errorf("%v", plain.Header())
	}
	if again := get("If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("again: %d, %d bytes", again.Code, again.Body.Len())
	}
	small := get("Accept-Encoding", "gzip, br")
	z, err := gzip.NewReader(small.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != plain.Body.String() {
		t.Errorf("gzip: %v", err)
	}
	html := plain.Body.String()
	for what, re := range map[string]string{
		"anything from elsewhere": `(src|href)="(https?:)?//`, "a file of its own": `<(link|img|script src)`, "script of today": `=>|\b(let|const|async|await)\b |` + "`",
		"small type": `font-size:0?\.[0-9]|font-size:1[0-7]px`,
	} {
		if found := regexp.MustCompile(re).FindString(html); found != "" {
			t.Errorf("%s: %q", what, found)
		}
	}
	for _, want := range []string{`<noscript><meta http-equiv="refresh"`, `min-height:64px`, `html{font-size:18px`, `lang="zh-CN"`, `"/m/login?next="+encodeURIComponent("/queue"+location.search)`} {
		if !strings.Contains(html, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if !strings.Contains(plain.Header().Get("Content-Security-Policy"), "script-src 'sha256-") {
		t.Error("the policy does not name the script")
	}
	if i, j := strings.Count(html, "zh:{"), strings.Count(html, "en:{"); i != 1 || j != 1 {
		t.Error("two languages")
	}
}
