package notifysvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/kernel/page"
	"xinglin/internal/notify"
	"xinglin/internal/platform/httpx"
)

type noticeBody struct {
	ID        notify.DeliveryID `json:"id"`
	Title     string            `json:"title"`
	TitleEN   string            `json:"title_en"`
	Body      string            `json:"body"`
	BodyEN    string            `json:"body_en"`
	CreatedAt time.Time         `json:"created_at"`
	ReadAt    *time.Time        `json:"read_at,omitempty"`
	Link      string            `json:"link,omitempty" doc:"Path in the patient app"`
}

type listIn struct {
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type listOut struct {
	Body struct {
		Items  []noticeBody `json:"items"`
		Next   string       `json:"next"`
		Unread int          `json:"unread" maximum:"100" doc:"Notices that were not read yet; 100 stands for more, too"`
	}
}

type idIn struct {
	ID string `path:"id" format:"uuid"`
}

type inboxOut struct {
	Body struct {
		Items []Shown `json:"items"`
	}
}

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "notify.list_notices", Method: http.MethodGet, Path: "/notices", Summary: "My notices, newest first"},
		func(ctx context.Context, in *listIn) (*listOut, error) { return s.getNotices(ctx, a, in) })
	httpx.Register(a, httpx.Op{ID: "notify.read_notice", Method: http.MethodPost, Path: "/notices/{id}/read", Status: 204, Summary: "Mark a notice as read"},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			did, err := httpx.ID[notify.Delivery](in.ID)
			if err != nil {
				return nil, err
			}
			return nil, s.markRead(ctx, did)
		})
	httpx.Register(a, httpx.Op{ID: "notify.read_all_notices", Method: http.MethodPost, Path: "/notices/read-all", Status: 204, Summary: "Mark all my notices as read"},
		func(ctx context.Context, _ *struct{}) (*struct{}, error) { return nil, s.markAllRead(ctx) })
	s.preferenceRoutes(a)
	s.mailRoutes(a)
	s.pushRoutes(a)
	s.operatorRoutes(a)
	if s.base.Demo && s.ways.Inbox != nil {
		httpx.Register(a, httpx.Op{ID: "notify.demo_inbox", Method: http.MethodGet, Path: "/demo/inbox", Public: true, Summary: "Demo only: the last messages that the simulators took"},
			func(context.Context, *struct{}) (*inboxOut, error) {
				out := &inboxOut{}
				out.Body.Items = append([]Shown{}, s.ways.Inbox(50)...)
				return out, nil
			})
	}
}

func (s *Service) getNotices(ctx context.Context, a *httpx.API, in *listIn) (*listOut, error) {
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	found, unread, err := s.notices(ctx, page.Request{Cursor: cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &listOut{}
	out.Body.Items, out.Body.Next = []noticeBody{}, a.Seal(ctx, found.Next)
	out.Body.Unread = unread
	for _, n := range found.Items {
		b := noticeBody{ID: n.id, Title: n.titleZH, TitleEN: n.titleEN, Body: n.bodyZH, BodyEN: n.bodyEN, CreatedAt: n.created, Link: n.link}
		if !n.read.IsZero() {
			b.ReadAt = &n.read
		}
		out.Body.Items = append(out.Body.Items, b)
	}
	return out, nil
}
