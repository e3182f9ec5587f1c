package paymentsvc

import (
	"crypto/sha256"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
)

// Kinds of money facts. A failed refund takes the promise back; the money is an advance again.
const (
	factPaid      = "payment.paid"
	factRequested = "payment.refund_requested"
	factDone      = "payment.refund_done"
	factFailed    = "payment.refund_failed"
)

// fact is what the ledger must learn: one balanced transaction.
type fact struct {
	ID      ledger.TransactionID
	Payment payment.ID
	Refund  payment.RefundID // zero for factPaid
	Kind    string
	Channel string // that the money came by, and goes back by
	Amount  money.Fen
	Number  string
	At      time.Time
}

// factID is the same for the same fact in all processes, so that a repeat is harmless.
func factID[T any](kind string, of id.ID[T]) ledger.TransactionID {
	h := sha256.New()
	h.Write([]byte("xinglin ledger " + kind + " "))
	h.Write(of[:])
	var v ledger.TransactionID
	copy(v[:], h.Sum(nil))
	v[6] = v[6]&0x0f | 0x80 // a UUIDv8: of our own making
	v[8] = v[8]&0x3f | 0x80
	return v
}

// transaction is the fact in double entry; positive is debit.
func (f fact) transaction(tenant payment.TenantID) ledger.Transaction {
	asset := ledger.ChannelReceivable
	if f.Channel == payment.Cash {
		asset = ledger.Cash
	}
	debit, credit := asset, ledger.AdvanceReceived
	switch f.Kind {
	case factRequested:
		debit, credit = ledger.AdvanceReceived, ledger.RefundPayable
	case factDone:
		debit, credit = ledger.RefundPayable, asset
	case factFailed:
		debit, credit = ledger.RefundPayable, ledger.AdvanceReceived
	}
	of := id.As[id.Any](f.Payment)
	if !f.Refund.IsZero() {
		of = id.As[id.Any](f.Refund)
	}
	return ledger.Transaction{
		ID: f.ID, Tenant: tenant, Kind: f.Kind, Reference: of, Number: f.Number, At: f.At,
		Postings: []ledger.Posting{{Account: debit, Amount: f.Amount}, {Account: credit, Amount: -f.Amount}},
	}
}
