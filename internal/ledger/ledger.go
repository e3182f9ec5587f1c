// Package ledger keeps the books (分录): double entry, append only.
//
// Invariants: the postings of a transaction sum to zero; a transaction is posted once
// by the caller's id; nothing is ever changed, a mistake is reversed by another
// transaction.
package ledger

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
)

// Ids of the nouns.
type (
	TransactionID = id.ID[Transaction]
	TenantID      = id.ID[auth.Tenant]
)

// The accounts of the foundation. Assets and expenses grow with positive amounts.
const (
	ChannelReceivable = "asset:channel:wechat" // money that the channel owes us
	Cash              = "asset:cash"           // 库存现金: in the drawers of the windows
	AdvanceReceived   = "liability:advance"    // paid by patients, visit not yet made
	RefundPayable     = "liability:refund"     // promised back, not yet confirmed by the channel
	RegistrationFee   = "income:registration"  // earned
)

// Posting is one line; positive is debit.
type Posting struct {
	Account string
	Amount  money.Fen
}

// Transaction is one balanced entry.
type Transaction struct {
	ID        TransactionID // the caller's own
	Tenant    TenantID
	Kind      string // payment.paid, payment.refund_requested, payment.refund_done, payment.refund_failed
	Reference id.ID[id.Any]
	Number    string
	At        time.Time
	Postings  []Posting // 2 to 100
}

// Service is what others may ask.
type Service interface {
	// Post writes the transaction; the same id with the same content again is no error (ledger.id_reused otherwise), an unbalanced
	// one is ledger.unbalanced.
	Post(ctx context.Context, t Transaction) error
	// Balance is the sum of an account's postings.
	Balance(ctx context.Context, tenant TenantID, account string) (money.Fen, error)
}

// Refusals.
var (
	ErrUnbalanced = fault.Register(fault.Invalid, "ledger.unbalanced", "借贷不平", "The postings do not sum to zero")
	ErrReused     = fault.Register(fault.Conflict, "ledger.id_reused", "凭证号已用于其他内容", "The transaction id was used for something else")
	ErrInvalid    = fault.Register(fault.Invalid, "ledger.invalid", "凭证不正确", "The transaction is not correct")
)
