package ledgersvc

import "xinglin/internal/kernel/dataclass"

// data are the classes of the columns.
func data() dataclass.Schema {
	return dataclass.Schema{
		"ledger_transaction": {
			dataclass.ID:   "tenant_id id reference_id number",
			dataclass.Fact: "kind at debit_fen credit_fen lines hash posted_at",
		},
		"posting": {
			dataclass.ID:   "tenant_id transaction_id",
			dataclass.Fact: "line account amount_fen posted_at",
		},
	}
}
