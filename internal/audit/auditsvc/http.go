package auditsvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/audit"
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

func (s *Service) routes(a *httpx.API) {
	op := httpx.Op{ID: "audit.list_events", Method: http.MethodGet, Path: "/audit/events", Summary: "The audit trail, newest first"}
	httpx.Register(a, op, func(ctx context.Context, in *listIn) (*listOut, error) {
		q := audit.Query{Actor: in.Actor, Noun: in.Noun, Object: in.ID, Page: page.Request{Limit: in.Limit}}
		var err error
		if q.Page.Cursor, err = a.Unseal(ctx, in.Cursor); err != nil {
			return nil, err
		}
		found, err := s.List(ctx, q)
		if err != nil {
			return nil, err
		}
		out := &listOut{}
		out.Body.Items, out.Body.Next = []eventBody{}, a.Seal(ctx, found.Next)
		for _, e := range found.Items {
			out.Body.Items = append(out.Body.Items, eventBody(e))
		}
		return out, nil
	})
	s.logRoutes(a)
}
