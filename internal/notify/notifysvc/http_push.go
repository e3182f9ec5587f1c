package notifysvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
)

type pushKeyOut struct {
	Body struct {
		Key string `json:"key" doc:"applicationServerKey of PushManager.subscribe, base64url"`
	}
}

type deviceIn struct {
	Body struct {
		Endpoint string `json:"endpoint" minLength:"1" maxLength:"1024" doc:"PushSubscription.endpoint"`
		P256dh   string `json:"p256dh" minLength:"1" maxLength:"200" doc:"keys.p256dh of PushSubscription.toJSON()"`
		Auth     string `json:"auth" minLength:"1" maxLength:"100" doc:"keys.auth"`
		Label    string `json:"label" maxLength:"60" example:"华为手机" doc:"By which the person knows the browser again"`
	}
}

type deviceBody struct {
	ID        id.ID[device] `json:"id" format:"uuid"`
	Label     string        `json:"label"`
	CreatedAt time.Time     `json:"created_at"`
}

type deviceOut struct{ Body deviceBody }

type devicesOut struct {
	Body struct {
		Items []deviceBody `json:"items" maxItems:"10"`
	}
}

func (s *Service) pushRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "notify.read_push_key", Method: http.MethodGet, Path: "/push/key", Summary: "The key that a browser subscribes to push messages with"}, s.httpPushKey)
	httpx.Register(a, httpx.Op{ID: "notify.add_device", Method: http.MethodPost, Path: "/push/subscriptions", Status: 201, MaxBody: 4 << 10, Summary: "Send push messages to this browser; the same browser again is the same subscription, the eleventh replaces the oldest"}, s.httpAddDevice)
	httpx.Register(a, httpx.Op{ID: "notify.list_devices", Method: http.MethodGet, Path: "/push/subscriptions", Summary: "Browsers that take my push messages, the newest first"}, s.httpDevices)
	httpx.Register(a, httpx.Op{ID: "notify.remove_device", Method: http.MethodDelete, Path: "/push/subscriptions/{id}", Status: 204, Summary: "Send no more push messages to it"},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			v, err := httpx.ID[device](in.ID)
			if err != nil {
				return nil, err
			}
			return nil, s.removeDevice(ctx, v)
		})
}

func (s *Service) httpPushKey(ctx context.Context, _ *struct{}) (*pushKeyOut, error) {
	key, err := s.pushKey(ctx)
	if err != nil {
		return nil, err
	}
	out := &pushKeyOut{}
	out.Body.Key = key
	return out, nil
}

func (s *Service) httpAddDevice(ctx context.Context, in *deviceIn) (*deviceOut, error) {
	d, err := s.addDevice(ctx, subscription{Endpoint: in.Body.Endpoint, P256dh: in.Body.P256dh, Auth: in.Body.Auth, Label: in.Body.Label})
	if err != nil {
		return nil, err
	}
	return &deviceOut{deviceBody{d.id, d.label, d.created}}, nil
}

func (s *Service) httpDevices(ctx context.Context, _ *struct{}) (*devicesOut, error) {
	found, err := s.listDevices(ctx)
	if err != nil {
		return nil, err
	}
	out := &devicesOut{}
	out.Body.Items = []deviceBody{}
	for _, d := range found {
		out.Body.Items = append(out.Body.Items, deviceBody{d.id, d.label, d.created})
	}
	return out, nil
}
