package admission

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/hex"
	"net/http"
	"strings"

	"xinglin/internal/platform/httpx"
)

//go:embed page/queue.html
var queuePage []byte

// Page is the queue page: one file with its style and script inside, the same bytes for
// everybody, so that any cache may keep it and serving it costs no look at anything.
// ?department=ID&schedule=ID&back=/m/... say what the person waits for.
func Page() http.Handler {
	sum := sha256.Sum256(queuePage)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // the level is a valid one
	_, _ = z.Write(queuePage)                                  // memory takes everything
	_ = z.Close()
	sources := "connect-src 'self'; script-src " + httpx.Inline(string(queuePage), "script") + "; style-src " + httpx.Inline(string(queuePage), "style") + "; form-action 'self'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=300, stale-if-error=86400")
		h.Set("ETag", tag)
		h.Set("Vary", "Accept-Encoding")
		httpx.AsPage(w, sources)
		if strings.Contains(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
			return
		}
		_, _ = w.Write(queuePage)
	})
}
