package notifysvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/kernel/page"
	"xinglin/internal/notify"
	"xinglin/internal/platform/httpx"
)

type deliveryBody struct {
	ID        notify.DeliveryID `json:"id" format:"uuid"`
	Channel   notify.Channel    `json:"channel" enum:"in_app,sms,mail,push"`
	Template  string            `json:"template" example:"scheduling.booked"`
	State     notify.State      `json:"state" enum:"queued,sent,failed,read"`
	Why       string            `json:"why" doc:"Of one that failed: expired, refused, gave_up, no_gateway, no_device, removed"`
	Attempts  int               `json:"attempts" doc:"That failed"`
	CreatedAt time.Time         `json:"created_at"`
	DueAt     *time.Time        `json:"due_at,omitempty" doc:"Put off until the end of quiet hours"`
	SentAt    *time.Time        `json:"sent_at,omitempty" doc:"When the gateway took it"`
}

type deliveriesIn struct {
	State   string `query:"state" enum:"queued,sent,failed,read," default:"" doc:"Of queued and failed all are found, of the others those of the last seven days"`
	Channel string `query:"channel" enum:"in_app,sms,mail,push," default:""`
	Cursor  string `query:"cursor" maxLength:"1024"`
	Limit   int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type deliveriesOut struct {
	Body struct {
		Items []deliveryBody `json:"items"`
		Next  string         `json:"next"`
	}
}

func (s *Service) operatorRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "notify.list_deliveries", Method: http.MethodGet, Path: "/ops/deliveries", Summary: "What became of messages, the newest first: never what they say or to whom they go"},
		func(ctx context.Context, in *deliveriesIn) (*deliveriesOut, error) {
			return s.httpDeliveries(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "notify.retry_delivery", Method: http.MethodPost, Path: "/ops/deliveries/{id}/retry", Status: 204, Summary: "Send a delivery that failed again"},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			did, err := httpx.ID[notify.Delivery](in.ID)
			if err != nil {
				return nil, err
			}
			return nil, s.retryDelivery(ctx, did)
		})
}

func (s *Service) httpDeliveries(ctx context.Context, a *httpx.API, in *deliveriesIn) (*deliveriesOut, error) {
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := s.deliveries(ctx, look{notify.State(in.State), notify.Channel(in.Channel)}, page.Request{Cursor: cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &deliveriesOut{}
	out.Body.Items, out.Body.Next = []deliveryBody{}, a.Seal(ctx, found.Next)
	for _, d := range found.Items {
		out.Body.Items = append(out.Body.Items, deliveryBody{
			ID: d.id, Channel: d.channel, Template: d.template, State: d.state, Why: d.why, Attempts: d.attempts,
			CreatedAt: d.created, DueAt: optional(d.due), SentAt: optional(d.sent),
		})
	}
	return out, nil
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
