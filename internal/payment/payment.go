// Package payment takes and gives back money (支付, 退款) for other contexts, each
// payment under the caller's own id.
//
// Invariants: a payment's refunds never exceed it (a CHECK on its row); a notification
// of the channel has its effect once; a paid payment has either its effect
// (acknowledged by the caller's event) or its refund; every money fact is posted to
// the ledger.
package payment

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
)

// Ids of the nouns.
type (
	ID       = id.ID[Payment]
	RefundID = id.ID[Refund]
	TenantID = id.ID[auth.Tenant]
)

// State of a payment.
type State string

// The states. Refunding means that money is on its way back; the payment may have been
// paid only in part back.
const (
	Open      State = "open"
	Paid      State = "paid"
	Closed    State = "closed" // never paid, and the channel was told
	Refunding State = "refunding"
	Refunded  State = "refunded"
)

// RefundState of one refund.
type RefundState string

// The states of a refund.
const (
	RefundRequested  RefundState = "requested"
	RefundProcessing RefundState = "processing"
	RefundDone       RefundState = "done"
	RefundFailed     RefundState = "failed" // a person must act; it stays on the operator's list
)

// The channels, as Payment.Channel names them; it is empty before the first prepay.
const (
	WeChat = "wechat"
	Cash   = "cash" // taken at a window; its refunds wait until they are handed out there
)

// Purpose is what a payment is for: the caller's noun.
type Purpose string

// ForAppointment is a registration fee (挂号费).
const ForAppointment Purpose = "appointment"

// RegistrationFee is the description of such a payment.
const RegistrationFee = "挂号费"

// Request opens a payment. ID is the caller's own, a UUIDv7 of these days (lists go by it): the same ID again is the same
// payment. Account is zero for who was booked at a window and has none.
type Request struct {
	ID          ID
	Tenant      TenantID
	Account     id.ID[auth.Account]
	Purpose     Purpose
	Reference   id.ID[id.Any]
	Number      string // business number: REG-...
	Description string // shown by the channel: no personal data
	Amount      money.Fen
	Deadline    time.Time
}

// Payment is what others see.
type Payment struct {
	ID        ID
	Purpose   Purpose
	Reference id.ID[id.Any]
	Account   id.ID[auth.Account]
	Amount    money.Fen
	Refunded  money.Fen // done
	Pending   money.Fen // reserved by refunds under way, or refused by the payer's bank and waiting for a person
	State     State
	Channel   string
	Deadline  time.Time
	PaidAt    time.Time
	Version   int64
}

// Refund gives money back.
type Refund struct {
	ID      RefundID
	Payment ID
	Amount  money.Fen
	Reason  string // a code of the caller: cancelled, expired, stopped
	State   RefundState
	At      time.Time
	DoneAt  time.Time
}

// RefundRequest asks for a refund under the caller's own id.
type RefundRequest struct {
	ID      RefundID
	Tenant  TenantID
	Payment ID
	Amount  money.Fen
	Reason  string
}

// Service is what others may ask.
type Service interface {
	// Open makes the payment, or returns it when the id is known with the same content (payment.id_reused otherwise).
	Open(ctx context.Context, r Request) (Payment, error)
	// Get reads one; payment.not_found.
	Get(ctx context.Context, tenant TenantID, p ID) (Payment, error)
	// States reads at most 200 in one batch; unknown ids, and for a person other accounts' payments, are left out. Nobody's
	// (what the window takes from somebody without an account) are not: the caller decides who sees what they are for.
	States(ctx context.Context, tenant TenantID, ps []ID) (map[ID]Payment, error)
	// Close gives up an open payment: it can no longer be paid. A payment that turns out to be paid stays paid and tells so by its event.
	Close(ctx context.Context, tenant TenantID, p ID) error
	// Refund asks for money back; idempotent by its id; payment.refund_exceeds when it would be more than was paid.
	Refund(ctx context.Context, r RefundRequest) (Refund, error)
}
