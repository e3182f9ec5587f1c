package paymentsvc

import (
	"context"

	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
)

// insertOpenPG writes the payments and the beginning of their history in one statement,
// and says which were not there.
func insertOpenPG(ctx context.Context, tx db.Tx, all []opening) (map[payment.ID]bool, error) {
	n := len(all)
	ids, accounts, references, acts := make([][16]byte, n), make([][16]byte, n), make([][16]byte, n), make([][16]byte, n)
	purposes, numbers, descriptions := make([]string, n), make([]string, n), make([]string, n)
	amounts, deadlines := make([]int64, n), make([]int64, n)
	for i, o := range all {
		ids[i], accounts[i], references[i], acts[i] = o.ID, o.Account, o.Reference, o.act
		purposes[i], numbers[i], descriptions[i] = string(o.Purpose), o.Number, o.Description
		amounts[i], deadlines[i] = fen(o.Amount), o.Deadline.UnixMicro()
	}
	rows, err := tx.Query(ctx, `WITH r AS (SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::uuid[])
			AS r(id, account, purpose, reference, number, description, amount, deadline, act)),
		made AS (INSERT INTO payment (tenant_id, id, account_id, purpose, reference_id, number, description, amount_fen, state, deadline, version, created_at)
			SELECT $1, id, account, purpose, reference, number, description, amount, 'open', deadline, 1, $2 FROM r
			ON CONFLICT (tenant_id, id) DO NOTHING RETURNING id),
		begun AS (INSERT INTO payment_history (tenant_id, payment_id, id, from_state, to_state, act_id, at)
			SELECT $1, id, r.act, '', 'open', r.act, $2 FROM made JOIN r USING (id))
		SELECT id FROM made`,
		tx.Tenant(), tx.Now().UnixMicro(), ids, accounts, purposes, references, numbers, descriptions, amounts, deadlines, acts)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	made := make(map[payment.ID]bool, n)
	for rows.Next() {
		var p payment.ID
		if err := rows.Scan(&p); err != nil {
			return nil, err
		}
		made[p] = true
	}
	return made, rows.Err()
}
