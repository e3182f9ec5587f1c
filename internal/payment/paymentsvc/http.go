package paymentsvc

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/payment"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/wechatpay"
)

// Payment and Refund on the wire.
type (
	paymentBody struct {
		ID          payment.ID      `json:"id"`
		Purpose     payment.Purpose `json:"purpose" example:"appointment"`
		ReferenceID id.ID[id.Any]   `json:"reference_id" doc:"The appointment"`
		AmountFen   int64           `json:"amount_fen" doc:"Fen (1/100 yuan)" example:"2500"`
		State       payment.State   `json:"state" enum:"open,paid,closed,refunding,refunded"`
		ExpiresAt   time.Time       `json:"expires_at" doc:"Nobody can pay after it"`
		Channel     string          `json:"channel" enum:",wechat,cash" doc:"Empty before the first prepay"`
		PaidAt      *time.Time      `json:"paid_at,omitempty"`
		RefundedFen int64           `json:"refunded_fen" doc:"Fen that are back at the payer"`
		ServerTime  time.Time       `json:"server_time" doc:"For a countdown that does not trust the phone's clock"`
		Version     int64           `json:"version"`
	}
	refundBody struct {
		ID        payment.RefundID    `json:"id"`
		AmountFen int64               `json:"amount_fen" example:"2500"`
		State     payment.RefundState `json:"state" enum:"requested,processing,done,failed"`
		Reason    string              `json:"reason" example:"cancelled"`
		CreatedAt time.Time           `json:"created_at"`
		DoneAt    *time.Time          `json:"done_at,omitempty"`
	}
	prepaidBody struct {
		PayURL    string    `json:"pay_url" doc:"The channel's page; send the browser there"`
		ExpiresAt time.Time `json:"expires_at" doc:"Until then the same page is given again"`
	}
	list[T any] struct {
		Items []T    `json:"items"`
		Next  string `json:"next" doc:"Always empty: a payment has few refunds"`
	}
	out[T any] struct {
		Body T
	}
	idIn struct {
		ID string `path:"id" format:"uuid"`
	}
)

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "payment.read", Method: http.MethodGet, Class: httpx.ClassPay, Path: "/payments/{id}", Summary: "One payment"}, s.getPayment)
	httpx.Register(a, httpx.Op{ID: "payment.prepay", Method: http.MethodPost, Class: httpx.ClassPay, Path: "/payments/{id}/prepay", Summary: "Open the channel's pay page"}, s.postPrepay)
	httpx.Register(a, httpx.Op{ID: "payment.query", Method: http.MethodPost, Class: httpx.ClassPay, Path: "/payments/{id}/query", Summary: "Ask the channel whether the money has come"}, s.postQuery)
	httpx.Register(a, httpx.Op{ID: "payment.list_refunds", Method: http.MethodGet, Class: httpx.ClassPay, Path: "/payments/{id}/refunds", Summary: "Refunds of a payment"}, s.getRefunds)
	httpx.Register(a, httpx.Op{ID: "payment.refund", Method: http.MethodPost, Path: "/payments/{id}/refunds", Idempotent: true, Summary: "Give money back"}, s.postRefund)
	s.deskRoutes(a)
	httpx.Handle(a, httpx.Op{
		ID: "payment.take_callback", Method: http.MethodPost, Path: "/callbacks/wechatpay", Machine: true, MaxBody: wechatpay.MaxCallback,
		Status: http.StatusNoContent, Summary: "WeChat Pay's signed notifications",
	}, s.postCallback)
}

func (s *Service) body(p payment.Payment) *out[paymentBody] {
	return &out[paymentBody]{paymentBody{
		ID: p.ID, Purpose: p.Purpose, ReferenceID: p.Reference, AmountFen: int64(p.Amount), State: p.State, ExpiresAt: p.Deadline,
		Channel: p.Channel, PaidAt: maybe(p.PaidAt), RefundedFen: int64(p.Refunded), ServerTime: s.base.Clock.Now(), Version: p.Version,
	}}
}

func refundOut(r payment.Refund) refundBody {
	return refundBody{ID: r.ID, AmountFen: int64(r.Amount), State: r.State, Reason: r.Reason, CreatedAt: r.At, DoneAt: maybe(r.DoneAt)}
}

func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Service) getPayment(ctx context.Context, in *idIn) (*out[paymentBody], error) {
	pid, err := httpx.ID[payment.Payment](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Get(ctx, httpx.TenantOf(ctx), pid)
	if err != nil {
		return nil, err
	}
	return s.body(p), nil
}

type prepayIn struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Channel   string `json:"channel" enum:"wechat"`
		ReturnURL string `json:"return_url" minLength:"1" maxLength:"512" doc:"A path on this host, where the browser comes back to" example:"/m/pay/0190"`
	}
	host string
}

// Resolve notes the host that the browser asked, where it shall come back to.
func (in *prepayIn) Resolve(ctx huma.Context) []error {
	in.host = ctx.Host()
	return nil
}

func (s *Service) postPrepay(ctx context.Context, in *prepayIn) (*out[prepaidBody], error) {
	pid, err := httpx.ID[payment.Payment](in.ID)
	if err != nil {
		return nil, err
	}
	back, err := returnTo(ctx, in.host, in.Body.ReturnURL)
	if err != nil {
		return nil, err
	}
	page, until, err := s.prepay(ctx, httpx.TenantOf(ctx), pid, payerIP(ctx))
	if err != nil {
		return nil, err
	}
	return &out[prepaidBody]{prepaidBody{PayURL: wechatpay.H5Link(page, back), ExpiresAt: until}}, nil
}

// returnTo makes a path on this host an address; anything that a browser could read as another host is refused.
func returnTo(ctx context.Context, host, path string) (string, error) {
	u, err := url.Parse(path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") ||
		u.Host != "" || u.Scheme != "" || u.User != nil {
		return "", payment.ErrInvalid.At("body.return_url", "a path on this host is needed")
	}
	u.Scheme, u.Host = "http", host
	if httpx.SessionCookie(ctx, "", 0).Secure { // the door knows whether the browser came by https
		u.Scheme = "https"
	}
	return u.String(), nil
}

// payerIP is the address that the request came from, as the door saw it.
func payerIP(ctx context.Context) string {
	a, err := netip.ParseAddr(strings.TrimPrefix(obs.Origin(ctx), "http "))
	if err != nil {
		return "127.0.0.1"
	}
	return a.WithZone("").Unmap().String()
}

func (s *Service) postQuery(ctx context.Context, in *idIn) (*out[paymentBody], error) {
	pid, err := httpx.ID[payment.Payment](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.query(ctx, httpx.TenantOf(ctx), pid)
	if err != nil {
		return nil, err
	}
	return s.body(p), nil
}

func (s *Service) getRefunds(ctx context.Context, in *idIn) (*out[list[refundBody]], error) {
	pid, err := httpx.ID[payment.Payment](in.ID)
	if err != nil {
		return nil, err
	}
	rs, err := s.refundsOf(ctx, httpx.TenantOf(ctx), pid)
	if err != nil {
		return nil, err
	}
	o := &out[list[refundBody]]{list[refundBody]{Items: []refundBody{}}}
	for _, r := range rs {
		o.Body.Items = append(o.Body.Items, refundOut(r))
	}
	return o, nil
}

type refundIn struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key" doc:"A UUIDv7 of the last day; it becomes the refund's id"`
	Body struct {
		AmountFen int64  `json:"amount_fen" minimum:"1" example:"2500"`
		Reason    string `json:"reason" minLength:"1" maxLength:"40" pattern:"^[a-z][a-z0-9_]*$" doc:"A code, never words about a person" example:"stopped"`
	}
}

type refundMade struct {
	Hit  string `header:"Idempotency-Hit"`
	Body refundBody
}

const keyAge = 24 * time.Hour

// keyOf reads the client's key, which becomes an id of ours.
func keyOf[T any](s *Service, header string) (id.ID[T], error) {
	key, err := httpx.Key[T](header)
	if err != nil {
		return key, err
	}
	if off := s.base.Clock.Now().Sub(key.Time()); off > keyAge || off < -keyAge {
		return key, payment.ErrInvalid.At("header.Idempotency-Key", "its time is more than a day away")
	}
	return key, nil
}

func (s *Service) postRefund(ctx context.Context, in *refundIn) (*refundMade, error) {
	pid, err := httpx.ID[payment.Payment](in.ID)
	if err != nil {
		return nil, err
	}
	key, err := keyOf[payment.Refund](s, in.Key)
	if err != nil {
		return nil, err
	}
	r, hit, err := s.refund(ctx, payment.RefundRequest{
		ID: key, Tenant: httpx.TenantOf(ctx), Payment: pid, Amount: money.Fen(in.Body.AmountFen), Reason: in.Body.Reason,
	})
	if err != nil {
		return nil, err
	}
	o := &refundMade{Body: refundOut(r)}
	if hit {
		o.Hit = "true"
	}
	return o, nil
}
