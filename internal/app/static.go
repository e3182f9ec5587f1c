package app

import (
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"xinglin/internal/platform/admission"
	"xinglin/internal/platform/httpx"
	"xinglin/web"
)

// apps are the built applications, each below the path of its name.
var apps = []string{
	"m",       // patients
	"console", // staff
	"wall",    // a corridor's screen
}

// pages serves the built web apps. Assets carry their hash and are cached for ever,
// pages are asked for each time; an unknown path below an app is the app's own route,
// an unknown asset is 404.
func pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/m/", http.StatusFound)
	})
	mux.Handle("GET /m/queue", admission.Page()) // touches nothing, and is there when the apps are not built
	for _, dir := range apps {
		mux.Handle("GET /"+dir+"/", app{dir: dir, fs: web.FS()})
	}
}

type app struct {
	dir string
	fs  fs.FS
}

// loads is what the built apps load: files of their own and pictures that they draw (data:).
const loads = "script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'"

// ServeHTTP implements http.Handler.
func (a app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	httpx.AsPage(w, loads)
	name := path.Clean(strings.TrimPrefix(r.URL.Path, "/"))
	asset := strings.Contains(name+"/", "/assets/")
	if name != a.dir && !strings.HasPrefix(name, a.dir+"/") {
		http.NotFound(w, r)
		return
	}
	if name == a.dir || !a.has(name) {
		if asset {
			http.NotFound(w, r)
			return
		}
		name = a.dir + "/index.html"
	}
	if !a.has(name) {
		http.Error(w, "web not built: make web", http.StatusServiceUnavailable)
		return
	}
	if asset {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("Content-Type", contentType(path.Ext(name)))
	h.Set("Vary", "Accept-Encoding")
	b, encoding := a.best(name, r.Header.Get("Accept-Encoding"))
	if b == nil {
		http.NotFound(w, r)
		return
	}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	_, _ = w.Write(b)
}

// contentType does not depend on the machine's tables for what the apps are made of.
func contentType(ext string) string {
	switch ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

func (a app) has(name string) bool {
	st, err := fs.Stat(a.fs, name)
	return err == nil && !st.IsDir()
}

// best picks the smallest form that the browser takes; they were compressed at build time.
func (a app) best(name, accept string) ([]byte, string) {
	for _, e := range []struct{ encoding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if accepts(accept, e.encoding) {
			if b, err := fs.ReadFile(a.fs, name+e.suffix); err == nil {
				return b, e.encoding
			}
		}
	}
	b, _ := fs.ReadFile(a.fs, name)
	return b, ""
}

// accepts reads Accept-Encoding: the encoding is named and its weight is not zero.
func accepts(header, encoding string) bool {
	for _, one := range strings.Split(header, ",") {
		name, weight, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(name), encoding) {
			q := strings.TrimLeft(strings.TrimPrefix(strings.TrimSpace(weight), "q="), "0.")
			return weight == "" || q != ""
		}
	}
	return false
}
