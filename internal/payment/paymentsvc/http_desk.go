package paymentsvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/page"
	"xinglin/internal/payment"
	"xinglin/internal/platform/httpx"
)

// What the windows and the back office see. There is nothing of a person in it.
type (
	paymentLine struct {
		ID          payment.ID      `json:"id"`
		Number      string          `json:"number" example:"REG-260304-7K3Q9XAB"`
		Purpose     payment.Purpose `json:"purpose" example:"appointment"`
		AmountFen   int64           `json:"amount_fen" example:"2500"`
		RefundedFen int64           `json:"refunded_fen" doc:"Fen that are back at the payer"`
		PendingFen  int64           `json:"pending_fen" doc:"Fen on their way back, or waiting for a person"`
		State       payment.State   `json:"state" enum:"open,paid,closed,refunding,refunded"`
		Channel     string          `json:"channel" enum:",wechat,cash" doc:"Empty before the first prepay"`
		CreatedAt   time.Time       `json:"created_at"`
		PaidAt      *time.Time      `json:"paid_at,omitempty"`
	}
	refundLine struct {
		ID         payment.RefundID    `json:"id"`
		PaymentID  payment.ID          `json:"payment_id"`
		Number     string              `json:"number" doc:"The payment's" example:"REG-260304-7K3Q9XAB"`
		AmountFen  int64               `json:"amount_fen" example:"2500"`
		Reason     string              `json:"reason" example:"cancelled"`
		State      payment.RefundState `json:"state" enum:"requested,processing,done,failed"`
		Channel    string              `json:"channel" enum:"wechat,cash" doc:"That the money came by; a requested one of cash waits at a window"`
		At         time.Time           `json:"at"`
		DoneAt     *time.Time          `json:"done_at,omitempty"`
		Why        string              `json:"why,omitempty" enum:"channel_closed,bank_refused" doc:"Of a failed one: the channel closed it, or the payer's bank refused it and somebody must act at the channel"`
		ReplacedBy string              `json:"replaced_by,omitempty" format:"uuid" doc:"The refund that was asked for instead of a failed one"`
	}
	lines[T any] struct {
		Items []T    `json:"items"`
		Next  string `json:"next" doc:"Cursor of the next page, empty on the last"`
	}
	cashTakenBody struct {
		Payment   paymentBody `json:"payment"`
		ChangeFen int64       `json:"change_fen" doc:"To be handed back at once" example:"500"`
	}
)

func (s *Service) deskRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "payment.list", Method: http.MethodGet, Path: "/payments", Summary: "Payments of some days, at most 31, the latest first"},
		func(ctx context.Context, in *listPaymentsIn) (*out[lines[paymentLine]], error) {
			return s.getPayments(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "payment.take_cash", Method: http.MethodPost, Class: httpx.ClassPay, Path: "/payments/{id}/cash", Idempotent: true, Status: http.StatusOK, MaxBody: 1 << 10, Summary: "Take the whole amount in cash at a window"}, s.postCash)
	httpx.Register(a, httpx.Op{ID: "payment.list_all_refunds", Method: http.MethodGet, Path: "/refunds", Summary: "Refunds of all payments, the latest first"},
		func(ctx context.Context, in *listRefundsIn) (*out[lines[refundLine]], error) {
			return s.getAllRefunds(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "payment.pay_out", Method: http.MethodPost, Path: "/refunds/{id}/pay-out", Idempotent: true, Status: http.StatusOK, MaxBody: 1 << 10, Summary: "The cash of a refund was handed out"}, s.postPayOut)
	httpx.Register(a, httpx.Op{ID: "payment.retry_refund", Method: http.MethodPost, Path: "/refunds/{id}/retry", Idempotent: true, Status: http.StatusOK, MaxBody: 1 << 10, Summary: "Another chance for a failed refund: asked for anew under the key, or the channel is asked what became of it"}, s.postRetry)
}

type listPaymentsIn struct {
	State  string `query:"state" enum:"open,paid,closed,refunding,refunded"`
	From   string `query:"from" format:"date" doc:"Opened from this day on; without both the last seven days"`
	To     string `query:"to" format:"date" doc:"Up to and including this day"`
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50"`
}

func (s *Service) getPayments(ctx context.Context, a *httpx.API, in *listPaymentsIn) (*out[lines[paymentLine]], error) {
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	q := listQuery{State: payment.State(in.State), Page: page.Request{Cursor: cursor, Limit: in.Limit}}
	if q.From, err = dateOf("query.from", in.From); err != nil {
		return nil, err
	}
	if q.To, err = dateOf("query.to", in.To); err != nil {
		return nil, err
	}
	found, err := s.list(ctx, httpx.TenantOf(ctx), q)
	if err != nil {
		return nil, err
	}
	o := &out[lines[paymentLine]]{lines[paymentLine]{Items: []paymentLine{}, Next: a.Seal(ctx, found.Next)}}
	for _, p := range found.Items {
		o.Body.Items = append(o.Body.Items, paymentLine{
			ID: p.ID, Number: p.Number, Purpose: p.Purpose, AmountFen: int64(p.Amount), RefundedFen: int64(p.Refunded), PendingFen: int64(p.Pending),
			State: p.State, Channel: p.Channel, CreatedAt: p.CreatedAt, PaidAt: maybe(p.PaidAt),
		})
	}
	return o, nil
}

// dateOf reads a date; zero when it is empty.
func dateOf(path, text string) (clock.Date, error) {
	if text == "" {
		return 0, nil
	}
	d, err := clock.ParseDate(text)
	if err != nil {
		return 0, payment.ErrInvalid.At(path, "YYYY-MM-DD")
	}
	return d, nil
}

type cashIn struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key" doc:"A UUIDv7 of the last day; it becomes the receipt's id"`
	Body struct {
		ReceivedFen int64 `json:"received_fen" minimum:"1" doc:"What the payer laid down" example:"3000"`
	}
}

type cashOut struct {
	Hit  string `header:"Idempotency-Hit"`
	Body cashTakenBody
}

func (s *Service) postCash(ctx context.Context, in *cashIn) (*cashOut, error) {
	pid, err := httpx.ID[payment.Payment](in.ID)
	if err != nil {
		return nil, err
	}
	key, err := keyOf[movement](s, in.Key)
	if err != nil {
		return nil, err
	}
	p, back, hit, err := s.takeCash(ctx, httpx.TenantOf(ctx), pid, key, money.Fen(in.Body.ReceivedFen))
	if err != nil {
		return nil, err
	}
	return &cashOut{Hit: hitText(hit), Body: cashTakenBody{s.body(p).Body, int64(back)}}, nil
}

func hitText(hit bool) string {
	if hit {
		return "true"
	}
	return ""
}

type listRefundsIn struct {
	State   string `query:"state" enum:"requested,processing,done,failed"`
	Channel string `query:"channel" enum:"wechat,cash"`
	Cursor  string `query:"cursor" maxLength:"1024"`
	Limit   int    `query:"limit" minimum:"1" maximum:"100" default:"50"`
}

func (s *Service) getAllRefunds(ctx context.Context, a *httpx.API, in *listRefundsIn) (*out[lines[refundLine]], error) {
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := s.allRefunds(ctx, httpx.TenantOf(ctx), refundQuery{
		State: payment.RefundState(in.State), Channel: in.Channel, Page: page.Request{Cursor: cursor, Limit: in.Limit},
	})
	if err != nil {
		return nil, err
	}
	o := &out[lines[refundLine]]{lines[refundLine]{Items: []refundLine{}, Next: a.Seal(ctx, found.Next)}}
	for _, r := range found.Items {
		o.Body.Items = append(o.Body.Items, lineOf(r))
	}
	return o, nil
}

func lineOf(r listedRefund) refundLine {
	l := refundLine{
		ID: r.ID, PaymentID: r.Payment, Number: r.Number, AmountFen: int64(r.Amount), Reason: r.Reason, State: r.State, Channel: r.Channel, At: r.At, DoneAt: maybe(r.DoneAt),
	}
	switch {
	case r.State == payment.RefundFailed && r.Held:
		l.Why = "bank_refused"
	case r.State == payment.RefundFailed:
		l.Why = "channel_closed"
	}
	if !r.ReplacedBy.IsZero() {
		l.ReplacedBy = r.ReplacedBy.String()
	}
	return l
}

type refundActIn struct {
	ID  string `path:"id" format:"uuid"`
	Key string `header:"Idempotency-Key" doc:"A UUIDv7 of the last day"`
}

type refundActOut struct {
	Hit  string `header:"Idempotency-Hit"`
	Body refundLine
}

func (s *Service) postPayOut(ctx context.Context, in *refundActIn) (*refundActOut, error) {
	rid, err := httpx.ID[payment.Refund](in.ID)
	if err != nil {
		return nil, err
	}
	key, err := keyOf[movement](s, in.Key)
	if err != nil {
		return nil, err
	}
	r, hit, err := s.payOut(ctx, httpx.TenantOf(ctx), rid, key)
	if err != nil {
		return nil, err
	}
	return &refundActOut{Hit: hitText(hit), Body: lineOf(r)}, nil
}

func (s *Service) postRetry(ctx context.Context, in *refundActIn) (*refundActOut, error) {
	rid, err := httpx.ID[payment.Refund](in.ID)
	if err != nil {
		return nil, err
	}
	key, err := keyOf[payment.Refund](s, in.Key)
	if err != nil {
		return nil, err
	}
	r, hit, err := s.retryRefund(ctx, httpx.TenantOf(ctx), rid, key)
	if err != nil {
		return nil, err
	}
	return &refundActOut{Hit: hitText(hit), Body: lineOf(r)}, nil
}
