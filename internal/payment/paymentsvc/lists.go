package paymentsvc

import (
	"context"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/payment"
)

// Bounds of the list of payments: days that it looks at, and those when nothing is asked for.
const (
	maxListDays = 31
	listDays    = 7
)

// listQuery asks for the payments that were opened on some days.
type listQuery struct {
	State    payment.State // empty: all
	From, To clock.Date    // zero: the last seven days, or so many beside the other one
	Page     page.Request
}

// listedPayment is a line of the list.
type listedPayment struct {
	record
	CreatedAt time.Time
}

// listedRefund is a refund with what its payment says.
type listedRefund struct {
	refundRecord
	Number  string
	Channel string
}

// list gives payments, the latest key first: their ids are UUIDv7, so that the hot table needs no index of its own for it.
// Codes: payment.invalid.
func (s *Service) list(ctx context.Context, tenant payment.TenantID, q listQuery) (out page.Page[listedPayment], err error) {
	if _, _, err := s.desk(ctx, tenant, "payment.list", id.As[id.Any](tenant)); err != nil {
		return out, err
	}
	switch {
	case q.To == 0 && q.From == 0:
		q.To = clock.DateOf(s.base.Clock.Now())
		q.From = q.To.Add(1 - listDays)
	case q.To == 0:
		q.To = q.From.Add(listDays - 1)
	case q.From == 0:
		q.From = q.To.Add(1 - listDays)
	}
	if q.To < q.From || int(q.To-q.From) >= maxListDays {
		return out, payment.ErrInvalid.At("query.to", "from..to within 31 days")
	}
	before := firstOf(q.To.Add(1).At(0).Add(keyAge))
	if q.Page.Cursor != "" {
		if before, err = id.Parse[payment.Payment](q.Page.Cursor); err != nil {
			return out, payment.ErrInvalid.At("query.cursor", "not a cursor of this list")
		}
	}
	size := q.Page.Size()
	all, err := s.store.list(ctx, s.base.DB, tenant, q, firstOf(q.From.At(0).Add(-keyAge)), before, size+1)
	if err != nil {
		return out, err
	}
	if out.Items = all[:min(size, len(all))]; len(all) > size {
		out.Next = out.Items[size-1].ID.String()
	}
	return out, nil
}

// firstOf is the least UUIDv7 of an instant.
func firstOf(at time.Time) (v payment.ID) {
	ms := uint64(max(at.UnixMilli(), 0))
	for i := range 6 {
		v[i] = byte(ms >> (40 - 8*i))
	}
	return v
}

// refundQuery asks for refunds.
type refundQuery struct {
	State   payment.RefundState // empty: all
	Channel string              // empty: all
	Page    page.Request
}

// allRefunds lists the refunds of all payments, the latest first. Codes: payment.invalid.
func (s *Service) allRefunds(ctx context.Context, tenant payment.TenantID, q refundQuery) (out page.Page[listedRefund], err error) {
	if _, _, err := s.desk(ctx, tenant, "payment.list_all_refunds", id.As[id.Any](tenant)); err != nil {
		return out, err
	}
	at, before := int64(1<<62), payment.RefundID{}
	if q.Page.Cursor != "" {
		first, rest, _ := strings.Cut(q.Page.Cursor, " ")
		if at, err = strconv.ParseInt(first, 10, 64); err == nil {
			before, err = id.Parse[payment.Refund](rest)
		}
		if err != nil {
			return out, payment.ErrInvalid.At("query.cursor", "not a cursor of this list")
		}
	}
	size := q.Page.Size()
	all, err := s.store.allRefunds(ctx, s.base.DB, tenant, q, at, before, size+1)
	if err != nil {
		return out, err
	}
	if out.Items = all[:min(size, len(all))]; len(all) > size {
		last := out.Items[size-1]
		out.Next = strconv.FormatInt(last.At.UnixMicro(), 10) + " " + last.ID.String()
	}
	return out, nil
}
