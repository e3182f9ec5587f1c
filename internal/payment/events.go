package payment

import (
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
)

// PaidEvent tells that money has come; the purpose's context must settle it.
type PaidEvent struct {
	Payment   ID            `json:"payment_id"`
	Purpose   Purpose       `json:"purpose"`
	Reference id.ID[id.Any] `json:"reference_id"`
	Amount    money.Fen     `json:"amount_fen"`
	PaidAt    time.Time     `json:"paid_at"`
}

// EventName implements event.Event.
func (PaidEvent) EventName() string { return "payment.payment.paid.v1" }

// ClosedEvent tells that an open payment can no longer be paid.
type ClosedEvent struct {
	Payment   ID            `json:"payment_id"`
	Purpose   Purpose       `json:"purpose"`
	Reference id.ID[id.Any] `json:"reference_id"`
}

// EventName implements event.Event.
func (ClosedEvent) EventName() string { return "payment.payment.closed.v1" }

// RefundedEvent tells that money went back.
type RefundedEvent struct {
	Payment   ID                  `json:"payment_id"`
	Refund    RefundID            `json:"refund_id"`
	Purpose   Purpose             `json:"purpose"`
	Reference id.ID[id.Any]       `json:"reference_id"`
	Account   id.ID[auth.Account] `json:"account_id"`
	Amount    money.Fen           `json:"amount_fen"`
	At        time.Time           `json:"at"`
}

// EventName implements event.Event.
func (RefundedEvent) EventName() string { return "payment.refund.done.v1" }
