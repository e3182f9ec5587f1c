package schedulingsvc

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
)

// beat keeps idle streams open through proxies.
const beat = 15 * time.Second

type countBody struct {
	ScheduleID id.ID[scheduling.Schedule]     `json:"schedule_id"`
	Remaining  int                            `json:"remaining"`
	Slots      map[id.ID[scheduling.Slot]]int `json:"slots"`
	At         time.Time                      `json:"at"`
}

// getLive streams the remaining seats of some sessions: first all of them, then what
// changes. After a reconnect (Last-Event-ID) it begins with all of them again, so that
// nothing is missed. Ids that are not the tenant's are left out.
func (s *Service) getLive(w http.ResponseWriter, r *http.Request) error {
	ids, err := liveIDs(r.URL.Query().Get("ids"))
	if err != nil {
		return err
	}
	ctx, t := r.Context(), httpx.TenantOf(r.Context())
	known := map[id.ID[scheduling.Schedule]]int64{}
	for _, v := range ids {
		known[v] = 0
	}
	reader, err := s.live.watch(t, ids) // before the first look, so that no change falls between
	if err != nil {
		return err
	}
	defer reader.close()
	first, err := s.counts(ctx, t, known)
	if err != nil {
		return err
	}
	if len(first) == 0 {
		return scheduling.ErrNotFound.New()
	}
	sse, err := httpx.NewSSE(w)
	if err != nil {
		return nil // the answer has begun: the reader is gone
	}
	send := func(c seatCount) error {
		if c.Version <= known[c.Schedule] {
			return nil
		}
		known[c.Schedule] = c.Version
		return sse.Send(strconv.FormatInt(c.At.UnixMicro(), 10), "count", countBody{c.Schedule, c.Remaining, c.Slots, c.At})
	}
	for _, c := range first {
		if send(c) != nil {
			return nil
		}
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.live.ended:
			return nil
		case <-tick.C:
			if sse.Beat() != nil {
				return nil
			}
		case <-reader.news:
			for _, c := range reader.take() {
				if send(c) != nil { // a slow reader is dropped by the write's deadline
					return nil
				}
			}
		}
	}
}

// liveIDs reads the list of sessions.
func liveIDs(text string) ([]id.ID[scheduling.Schedule], error) {
	parts := strings.Split(text, ",")
	if text == "" || len(parts) > maxWatched {
		return nil, scheduling.ErrInput.At("ids", "1 to 50 ids")
	}
	var out []id.ID[scheduling.Schedule]
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
