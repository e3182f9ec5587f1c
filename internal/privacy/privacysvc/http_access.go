package privacysvc

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
)

// accessBody is what somebody did with the person's record.
type accessBody struct {
	ID     audit.EventID `json:"id"`
	At     time.Time     `json:"at"`
	By     string        `json:"by" enum:"staff,patient,client,cli" doc:"patient: another account that acts for the person; client: another system; cli: the operator of the machine"`
	Name   string        `json:"name" doc:"Of a member of the staff; empty for others"`
	Roles  []string      `json:"roles" nullable:"false" doc:"That the member of the staff has now"`
	Action string        `json:"action"`
	Called saidBody      `json:"called" doc:"The action in words; empty for what has no words"`
	Policy saidBody      `json:"policy" doc:"The rule that permitted it"`
	Why    string        `json:"why" doc:"The reason that was given"`
}

func (s *Service) accessOf(a access) accessBody {
	b := accessBody{
		ID: a.event, At: a.at, By: string(a.kind), Name: a.name, Roles: []string{}, Action: a.action,
		Called: s.calledOf(a.action), Policy: saidBody(a.policy), Why: a.why,
	}
	for _, r := range a.roles {
		b.Roles = append(b.Roles, string(r))
	}
	return b
}

func (s *Service) calledOf(action string) saidBody {
	w := s.called(action)
	return saidBody{w.ZH, cmp.Or(w.EN, s.english()[action])}
}

type accessesIn struct {
	ID     string `path:"id" format:"uuid"`
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

func (s *Service) accessRoutes(a *httpx.API) {
	s.english = sync.OnceValue(func() map[string]string { // when it is asked for, all contexts have their routes
		out := map[string]string{}
		for _, op := range a.Ops() {
			out[op.ID] = op.Summary
		}
		return out
	})
	op := httpx.Op{ID: "privacy.list_accesses", Method: http.MethodGet, Path: "/privacy/patients/{id}/accesses", Summary: "Who saw or changed the person's record, the newest first"}
	httpx.Register(a, op, func(ctx context.Context, in *accessesIn) (*out[list[accessBody]], error) {
		return s.getAccesses(ctx, a, in)
	})
}

func (s *Service) getAccesses(ctx context.Context, a *httpx.API, in *accessesIn) (*out[list[accessBody]], error) {
	p, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	at := page.Request{Limit: in.Limit}
	if at.Cursor, err = a.Unseal(ctx, in.Cursor); err != nil {
		return nil, err
	}
	rows, err := s.accesses(ctx, p, at)
	if err != nil {
		return nil, err
	}
	o := listed(rows.Items, s.accessOf)
	o.Body.Next = a.Seal(ctx, rows.Next)
	return o, nil
}
