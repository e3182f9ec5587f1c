package auditsvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/httpx"
)

type eventBody struct {
	ID      audit.EventID  `json:"id"`
	At      time.Time      `json:"at"`
	Context string         `json:"context"`
	Actor   string         `json:"actor" doc:"Kind and id, never a name"`
	Action  string         `json:"action"`
	Noun    string         `json:"noun"`
	Object  string         `json:"object"`
	Policy  string         `json:"policy" doc:"The policy that permitted it"`
	Why     string         `json:"why"`
	Changed map[string]any `json:"changed"`
	Origin  string         `json:"origin"`
	Trace   string         `json:"trace"`
	Number  string         `json:"number"`

	Position uint64      `json:"position" doc:"In the tenant's log, from 0"`
	Class    audit.Class `json:"class" enum:"operation,transaction,record,permanent" doc:"How long the text is kept"`
}

type listIn struct {
	Actor  string `query:"actor" maxLength:"80"`
	Noun   string `query:"noun" maxLength:"60"`
	ID     string `query:"id" maxLength:"60"`
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type listOut struct {
	Body struct {
		Items []eventBody `json:"items"`
		Next  string      `json:"next"`
	}
}

type searchIn struct {
	Body struct {
		Person string    `json:"person,omitempty" format:"uuid" doc:"An account's or a patient's id: what they did, and what was done to their record"`
		Actor  string    `json:"actor,omitempty" maxLength:"80" doc:"Kind and id: staff:…"`
		Action string    `json:"action,omitempty" maxLength:"80"`
		Noun   string    `json:"noun,omitempty" maxLength:"60"`
		Object string    `json:"object,omitempty" maxLength:"60" doc:"The item's id"`
		From   time.Time `json:"from,omitempty"`
		To     time.Time `json:"to,omitempty" doc:"Not this instant any more"`
		Cursor string    `json:"cursor,omitempty" maxLength:"1024"`
		Limit  int       `json:"limit,omitempty" minimum:"1" maximum:"100" default:"20"`
	}
}

func (s *Service) postSearch(ctx context.Context, a *httpx.API, in *searchIn) (*listOut, error) {
	b := in.Body
	q := audit.Query{Actor: b.Actor, Action: b.Action, Noun: b.Noun, Object: b.Object, From: b.From, To: b.To, Page: page.Request{Limit: b.Limit}}
	var err error
	if b.Person != "" {
		if q.Person, err = httpx.ID[id.Any](b.Person); err != nil {
			return nil, err
		}
	}
	if q.Page.Cursor, err = a.Unseal(ctx, b.Cursor); err != nil {
		return nil, err
	}
	return eventsOut(ctx, a)(s.Search(ctx, q))
}

// eventsOut is the answer to either way of asking.
func eventsOut(ctx context.Context, a *httpx.API) func(page.Page[audit.AuditEvent], error) (*listOut, error) {
	return func(found page.Page[audit.AuditEvent], err error) (*listOut, error) {
		if err != nil {
			return nil, err
		}
		out := &listOut{}
		out.Body.Items, out.Body.Next = []eventBody{}, a.Seal(ctx, found.Next)
		for _, e := range found.Items {
			out.Body.Items = append(out.Body.Items, eventBody(e))
		}
		return out, nil
	}
}

func (s *Service) routes(a *httpx.API) {
	op := httpx.Op{ID: "audit.list_events", Method: http.MethodGet, Path: "/audit/events", Summary: "The audit trail, newest first"}
	httpx.Register(a, op, func(ctx context.Context, in *listIn) (*listOut, error) {
		q := audit.Query{Actor: in.Actor, Noun: in.Noun, Object: in.ID, Page: page.Request{Limit: in.Limit}}
		var err error
		if q.Page.Cursor, err = a.Unseal(ctx, in.Cursor); err != nil {
			return nil, err
		}
		return eventsOut(ctx, a)(s.List(ctx, q))
	})
	op = httpx.Op{ID: "audit.search_events", Method: http.MethodPost, Path: "/audit/search", Summary: "The trail by person, actor, action, item and time, newest first; nothing of it in a URL"}
	httpx.Register(a, op, func(ctx context.Context, in *searchIn) (*listOut, error) { return s.postSearch(ctx, a, in) })
	s.logRoutes(a)
}
