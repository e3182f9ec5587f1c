package paymentsvc

import (
	"xinglin/internal/platform/holdings"
)

// held are the tables that hold something of the people behind accounts: money facts stay in the books, by ids and amounts.
func held() []holdings.Table {
	return []holdings.Table{
		{
			Name: "payment", Column: "account_id", Owner: holdings.Account, Fate: holdings.Kept, Term: holdings.Books, Since: "created_at",
			Title:   holdings.Words{ZH: "支付", EN: "Payments"},
			Pending: &holdings.States{Column: "state", In: []string{"open", "refunding"}},
		},
		{
			Name: "refund", Column: "payment_id", Via: &holdings.Via{Table: "payment", Column: "account_id"}, Owner: holdings.Account,
			Fate: holdings.Kept, Term: holdings.Books, Since: "created_at", Title: holdings.Words{ZH: "退款", EN: "Refunds"},
		},
	}
}
