package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"xinglin/web"
)

func TestPages(t *testing.T) {
	files := fstest.MapFS{
		"m/index.html": {Data: []byte("<html>")}, "m/index.html.br": {Data: []byte("BR")}, "m/index.html.gz": {Data: []byte("GZ")},
		"m/assets/a-1.js": {Data: []byte("js")}, "m/assets/a-1.js.gz": {Data: []byte("JSGZ")}, "m/icon.svg": {Data: []byte("<svg/>")},
		"other/secret.html": {Data: []byte("no")},
	}
	for _, tc := range []struct {
		path, accept, want, encoding, cache, kind string
		status                                    int
	}{
		{"/m/", "", "<html>", "", "no-cache", "text/html", 200},
		{"/m/index.html", "", "<html>", "", "no-cache", "text/html", 200},
		{"/m/visits/01900000", "", "<html>", "", "no-cache", "text/html", 200},
		{"/m/", "gzip, deflate, br", "BR", "br", "no-cache", "text/html", 200},
		{"/m/", "gzip", "GZ", "gzip", "no-cache", "text/html", 200},
		{"/m/", "br;q=0, gzip", "GZ", "gzip", "no-cache", "text/html", 200},
		{"/m/", "identity, x-brotli", "<html>", "", "no-cache", "text/html", 200},
		{"/m/assets/a-1.js", "", "js", "", "public, max-age=31536000, immutable", "text/javascript", 200},
		{"/m/assets/a-1.js", "br, gzip", "JSGZ", "gzip", "public, max-age=31536000, immutable", "text/javascript", 200},
		{"/m/assets/gone-2.js", "", "", "", "", "", 404},
		{"/m/assets/", "", "", "", "", "", 404},
		{"/m/icon.svg", "", "<svg/>", "", "no-cache", "image/svg", 200},
		{"/m/../other/secret.html", "", "", "", "", "", 404},
		{"/m/%2e%2e/other/secret.html", "", "", "", "", "", 404},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = strings.ReplaceAll(tc.path, "%2e", ".")
		r.Header.Set("Accept-Encoding", tc.accept)
		rec := httptest.NewRecorder()
		app{dir: "m", fs: files}.ServeHTTP(rec, r)
		h := rec.Header()
		if rec.Code != tc.status || tc.status == 200 && (rec.Body.String() != tc.want || h.Get("Content-Encoding") != tc.encoding ||
			h.Get("Cache-Control") != tc.cache || !strings.HasPrefix(h.Get("Content-Type"), tc.kind) || h.Get("Vary") != "Accept-Encoding") {
			t.Errorf("%s: %d %q %v", tc.path, rec.Code, rec.Body, h)
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), loads) || h.Get("Permissions-Policy") == "" {
			t.Errorf("%s: headers %v", tc.path, h)
		}
		if tc.status == 404 && strings.Contains(h.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: a miss is kept for ever", tc.path)
		}
	}
}

func TestPagesNotBuilt(t *testing.T) {
	for path, want := range map[string]int{"/m/": 503, "/m/visits/1": 503, "/m/assets/a.js": 404} {
		rec := httptest.NewRecorder()
		app{dir: "m", fs: fstest.MapFS{}}.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if rec.Code != want || want == 503 && !strings.Contains(rec.Body.String(), "web not built: make web") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

// The queue page is served by the mux of the pages alone: no database, no built app.
func TestQueuePageNeedsNothing(t *testing.T) {
	mux := http.NewServeMux()
	pages(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/m/queue?department=x", nil))
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), "/queue/places") || rec.Header().Get("ETag") == "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

func TestRootLeadsToTheApp(t *testing.T) {
	mux := http.NewServeMux()
	pages(mux)
	for path, want := range map[string]int{"/": 302, "/else": 404, "/console": 307} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if rec.Code != want || want == 302 && rec.Header().Get("Location") != "/m/" || want == 307 && rec.Header().Get("Location") != "/console/" {
			t.Errorf("%s: %d %v", path, rec.Code, rec.Header())
		}
	}
}

func TestEveryAppIsServed(t *testing.T) {
	mux := http.NewServeMux()
	pages(mux)
	for _, dir := range []string{"m", "wall"} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest("GET", "/"+dir+"/any/page", nil))
		if built := (app{dir: dir, fs: web.FS()}).has(dir + "/index.html"); rec.Code != map[bool]int{true: 200, false: 503}[built] {
			t.Errorf("/%s/: %d", dir, rec.Code)
		}
	}
}
