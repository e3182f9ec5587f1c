package schedulingsvc

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/fanout"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
)

// getLive streams the remaining seats of some sessions: first all of them, then what
// changes, at most 4 times a second. After a cut (Last-Event-ID) it begins with what
// changed meanwhile. Ids that are not the tenant's are left out.
//
// Over plain HTTP/1.1 the connection leaves net/http, so that a waiting reader costs a
// socket and no goroutine; over TLS and HTTP/2 this handler stays and writes.
func (s *Service) getLive(w http.ResponseWriter, r *http.Request) error {
	ids, err := liveIDs(r.URL.Query().Get("ids"))
	if err != nil {
		return err
	}
	reader, err := s.live.Watch(httpx.TenantOf(r.Context()), recast[id.Any](ids)) // before the first look, so that no change falls between
	if errors.Is(err, fanout.ErrBusy) {
		return scheduling.ErrLiveBusy.After(5 * time.Second)
	}
	if err != nil {
		return err
	}
	known := fanout.Positions(r.Header.Get("Last-Event-ID"), len(ids))
	any, err := reader.Look(r.Context())
	if err == nil && !any {
		err = scheduling.ErrNotFound.New()
	}
	if err != nil {
		reader.Close()
		return err
	}
	d, ok, err := httpx.Detach(w, r)
	switch {
	case err != nil: // the answer has begun: the reader is gone
		reader.Close()
		return nil
	case ok:
		reader.Begin(d, known)
		return nil
	}
	defer reader.Close()
	line := httpx.NewAttached()
	reader.Begin(line, known)
	line.Serve(r.Context(), w, 0, nil)
	return nil
}

// liveIDs reads the list of sessions.
func liveIDs(text string) ([]scheduleID, error) {
	parts := strings.Split(text, ",")
	if text == "" || len(parts) > maxWatched {
		return nil, scheduling.ErrInput.At("ids", "1 to 50 ids")
	}
	var out []scheduleID
	for _, p := range parts {
		v, err := id.Parse[scheduling.Schedule](p)
		if err != nil {
			return nil, scheduling.ErrInput.At("ids", "not an id")
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out, nil
}
