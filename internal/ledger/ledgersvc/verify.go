package ledgersvc

import "xinglin/internal/platform/verify"

// checks are the invariants of the ledger.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "ledger: postings of each transaction sum to zero and are complete", SQL: `-- global: every tenant
			SELECT id_text(t.id) AS what, t.posted_at AS at FROM ledger_transaction t
			LEFT JOIN posting p ON p.tenant_id = t.tenant_id AND p.transaction_id = t.id
			GROUP BY t.tenant_id, t.id, t.posted_at, t.debit_fen, t.credit_fen, t.lines
			HAVING COALESCE(SUM(p.amount_fen), 0) <> 0 OR COUNT(p.line) <> t.lines OR t.debit_fen <> t.credit_fen
				OR COALESCE(SUM(CASE WHEN p.amount_fen > 0 THEN p.amount_fen ELSE 0 END), 0) <> t.debit_fen`},
		{Name: "ledger: no posting without its transaction or of another tenant", SQL: `-- global: every tenant
			SELECT id_text(p.transaction_id) AS what, p.posted_at AS at FROM posting p
			LEFT JOIN ledger_transaction t ON t.tenant_id = p.tenant_id AND t.id = p.transaction_id WHERE t.id IS NULL`},
	}
}

// sets are what other contexts' invariants are compared with.
func sets() []verify.Set {
	return []verify.Set{
		{Name: "ledger.transactions", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, posted_at AS at FROM ledger_transaction ORDER BY 1`},
	}
}
