package clinicsvc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/fanout"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
)

// watchQueue tells the staff that a line changed.
func (s *Service) watchQueue(w http.ResponseWriter, r *http.Request) error {
	line, err := httpx.ID[scheduling.Schedule](r.PathValue("schedule"))
	if err != nil {
		return err
	}
	who, _, _, err := s.mayLine(r.Context(), "clinic.watch_queue", line)
	if err != nil {
		return err
	}
	return watch(w, r, s.queues, who.Tenant, id.As[id.Any](line), 0, nil)
}

// watchTurn tells a person that the own line changed.
func (s *Service) watchTurn(w http.ResponseWriter, r *http.Request) error {
	turn, err := httpx.ID[scheduling.Appointment](r.PathValue("appointment"))
	if err != nil {
		return err
	}
	who, v, _, err := s.mayOwn(r.Context(), "clinic.watch_turn", turn)
	if err != nil {
		return err
	}
	return watch(w, r, s.places, who.Tenant, id.As[id.Any](v.Schedule), 0, nil)
}

// watchBoard streams the whole board to a wall, until its right ends.
func (s *Service) watchBoard(w http.ResponseWriter, r *http.Request) error {
	t, token := httpx.TenantOf(r.Context()), tokenOf(r.Header.Get("Authorization"))
	d, err := s.shownBy(r.Context(), t, token)
	if err != nil {
		return err
	}
	return watch(w, r, s.walls, t, id.As[id.Any](d.ID), s.beat, func(ctx context.Context) error {
		_, err := s.shownBy(ctx, t, token)
		if errors.Is(err, clinic.ErrDisplay) {
			return err
		}
		return nil // a database that is away for a moment ends no stream
	})
}

// watch streams one item of a hub. Without a beat of its own the stream leaves net/http
// where it can, so that a waiting reader costs a socket and no goroutine.
func watch(w http.ResponseWriter, r *http.Request, h *fanout.Hub, t clinic.TenantID, item fanout.Item, beat time.Duration, alive func(context.Context) error) error {
	reader, err := h.Watch(t, []fanout.Item{item}) // before the first look, so that no change falls between
	if errors.Is(err, fanout.ErrBusy) {
		return clinic.ErrLiveBusy.After(5 * time.Second)
	}
	if err != nil {
		return err
	}
	known := fanout.Positions(r.Header.Get("Last-Event-ID"), 1)
	if beat > 0 {
		known = nil // who shows a board to others shows the latest
	}
	any, err := reader.Look(r.Context())
	if err == nil && !any {
		err = clinic.ErrNotFound.New()
	}
	if err != nil {
		reader.Close()
		return err
	}
	if beat == 0 {
		d, ok, err := httpx.Detach(w, r)
		switch {
		case err != nil: // the answer has begun: the reader is gone
			reader.Close()
			return nil
		case ok:
			reader.Begin(d, known)
			return nil
		}
	}
	defer reader.Close()
	line := httpx.NewAttached()
	reader.Begin(line, known)
	line.Serve(r.Context(), w, beat, alive)
	return nil
}
