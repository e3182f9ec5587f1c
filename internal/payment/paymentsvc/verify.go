package paymentsvc

import "xinglin/internal/platform/verify"

// checks are the invariants of the payment context.
func checks() []verify.Check {
	return []verify.Check{
		{Name: "payment: refunds never exceed the payment, columns equal the refunds", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM payment p
			LEFT JOIN refund r ON r.tenant_id = p.tenant_id AND r.payment_id = p.id
			GROUP BY p.tenant_id, p.id, p.amount_fen, p.refunded_fen, p.pending_fen
			HAVING p.refunded_fen + p.pending_fen > p.amount_fen
				OR COALESCE(SUM(CASE WHEN r.state = 'done' THEN r.amount_fen ELSE 0 END), 0) <> p.refunded_fen
				OR COALESCE(SUM(CASE WHEN r.held = 1 THEN r.amount_fen ELSE 0 END), 0) <> p.pending_fen`},
		{Name: "payment: each paid payment has its effect or its refund", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, p.paid_at AS at FROM payment p WHERE p.paid_at IS NOT NULL AND (p.effect = 'none'
				OR (p.effect = 'refunded' AND NOT EXISTS (SELECT 1 FROM refund r WHERE r.tenant_id = p.tenant_id AND r.payment_id = p.id)))`},
		{Name: "payment: the state says what the columns say", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM payment p WHERE (p.state IN ('open', 'closed')) <> (p.paid_at IS NULL)
				OR (p.state = 'refunding') <> (p.pending_fen > 0) OR (p.state = 'refunded') <> (p.refunded_fen = p.amount_fen)
				OR (p.channel_transaction IS NULL) <> (p.paid_at IS NULL)`},
		{Name: "payment: each state was reached by its history", SQL: `-- global: every tenant
			-- Once more reached than left: the order of the rows would be that of the processes' clocks.
			SELECT id_text(p.id) AS what, 0 AS at FROM payment p WHERE 1 <> (SELECT COUNT(CASE WHEN h.to_state = p.state THEN 1 END)
				- COUNT(CASE WHEN h.from_state = p.state THEN 1 END) FROM payment_history h WHERE h.tenant_id = p.tenant_id AND h.payment_id = p.id)`},
		{Name: "payment: each open payment has its closing timer", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, 0 AS at FROM payment p WHERE p.state = 'open' AND NOT EXISTS (SELECT 1 FROM job j
				WHERE j.tenant_id = p.tenant_id AND j.kind = 'payment.close' AND j.key = id_text(p.id) AND j.state IN ('ready', 'running', 'dead'))`},
		{Name: "payment: each refund under way has its job, or waits at a window", SQL: `-- global: every tenant
			SELECT id_text(r.id) AS what, 0 AS at FROM refund r JOIN payment p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
			WHERE r.state IN ('requested', 'processing') AND p.channel <> 'cash' AND NOT EXISTS (SELECT 1 FROM job j
				WHERE j.tenant_id = r.tenant_id AND j.kind = 'payment.refund' AND j.key = id_text(r.id) AND j.state IN ('ready', 'running', 'dead'))`},
		{Name: "payment: each money fact is kept and known to the ledger", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, p.paid_at AS at FROM payment p WHERE p.paid_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM fact f
				WHERE f.tenant_id = p.tenant_id AND f.payment_id = p.id AND f.kind = 'payment.paid' AND f.amount_fen = p.amount_fen)
			UNION ALL SELECT id_text(r.id), r.created_at FROM refund r WHERE NOT EXISTS (SELECT 1 FROM fact f
				WHERE f.tenant_id = r.tenant_id AND f.refund_id = r.id AND f.kind = 'payment.refund_requested' AND f.amount_fen = r.amount_fen)
			UNION ALL SELECT id_text(r.id), r.done_at FROM refund r WHERE r.state = 'done' AND NOT EXISTS (SELECT 1 FROM fact f
				WHERE f.tenant_id = r.tenant_id AND f.refund_id = r.id AND f.kind = 'payment.refund_done' AND f.amount_fen = r.amount_fen)
			UNION ALL SELECT id_text(f.id), f.at FROM fact f WHERE f.posted_at IS NULL`},
		{Name: "payment: no refund, callback, history or fact of another tenant", SQL: `-- global: every tenant
			SELECT id_text(r.id) AS what, 0 AS at FROM refund r LEFT JOIN payment p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id WHERE p.id IS NULL
			UNION ALL SELECT id_text(h.payment_id), 0 FROM payment_history h
				LEFT JOIN payment p ON p.tenant_id = h.tenant_id AND p.id = h.payment_id WHERE p.id IS NULL
			UNION ALL SELECT id_text(h.refund_id), 0 FROM refund_history h
				LEFT JOIN refund r ON r.tenant_id = h.tenant_id AND r.id = h.refund_id WHERE r.id IS NULL
			UNION ALL SELECT id_text(f.id), 0 FROM fact f
				LEFT JOIN payment p ON p.tenant_id = f.tenant_id AND p.id = f.payment_id
				LEFT JOIN refund r ON r.tenant_id = f.tenant_id AND r.id = f.refund_id
				WHERE p.id IS NULL OR (f.refund_id IS NOT NULL AND r.id IS NULL)
			UNION ALL SELECT n.id, 0 FROM notification n LEFT JOIN payment p ON p.tenant_id = n.tenant_id AND p.id = n.payment_id
				WHERE n.outcome <> 'mismatch' AND p.id IS NULL
			UNION ALL SELECT c.notification_id, 0 FROM callback c
				LEFT JOIN notification n ON n.tenant_id = c.tenant_id AND n.channel = c.channel AND n.id = c.notification_id WHERE n.id IS NULL`},
		{Name: "payment: cash came and went at a window, once and as much", SQL: `-- global: every tenant
			SELECT id_text(p.id) AS what, p.paid_at AS at FROM payment p WHERE p.channel = 'cash' AND p.paid_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM cash_movement m
				WHERE m.tenant_id = p.tenant_id AND m.payment_id = p.id AND m.refund_id IS NULL AND m.amount_fen = p.amount_fen)
			UNION ALL SELECT id_text(r.id), r.done_at FROM refund r JOIN payment p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
				WHERE r.state = 'done' AND p.channel = 'cash' AND NOT EXISTS (SELECT 1 FROM cash_movement m
				WHERE m.tenant_id = r.tenant_id AND m.payment_id = p.id AND m.refund_id = r.id AND m.amount_fen = r.amount_fen)
			UNION ALL SELECT id_text(m.id), m.at FROM cash_movement m
				LEFT JOIN payment p ON p.tenant_id = m.tenant_id AND p.id = m.payment_id
				LEFT JOIN refund r ON r.tenant_id = m.tenant_id AND r.id = m.refund_id
				WHERE p.id IS NULL OR p.channel <> 'cash' OR p.paid_at IS NULL OR m.refund_id IS NOT NULL AND (r.id IS NULL OR r.state <> 'done')
			UNION ALL SELECT id_text(m.payment_id), MAX(m.at) FROM cash_movement m GROUP BY m.tenant_id, m.payment_id, m.refund_id HAVING COUNT(*) > 1`},
		{Name: "payment: each notification had its effect", SQL: `-- global: every tenant
			SELECT n.id AS what, n.received_at AS at FROM notification n WHERE n.outcome = 'new'`},
	}
}

// sets are compared with other contexts: paid payments with what they booked, money facts with the ledger's transactions.
func sets() []verify.Set {
	return []verify.Set{
		{Name: "payment.paid", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, paid_at AS at FROM payment WHERE paid_at IS NOT NULL AND purpose = 'appointment' ORDER BY 1`},
		{Name: "payment.applied", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, paid_at AS at FROM payment WHERE effect = 'applied' AND purpose = 'appointment' ORDER BY 1`},
		{Name: "payment.payments", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, created_at AS at FROM payment ORDER BY 1`},
		// Acts that are not in the own trail any more: the audit context must have them. Those of
		// opening leave with the row of their batch.
		{Name: "payment.acts", SQL: `-- global: every tenant
			SELECT id_text(h.act_id) AS key, h.at FROM payment_history h
			WHERE h.from_state <> '' AND NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = h.tenant_id AND t.id = h.act_id)
			UNION ALL SELECT id_text(h.act_id), h.at FROM payment_history h
			WHERE h.from_state = '' AND NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = h.tenant_id AND t.action = 'payment.open' AND t.at = h.at)
			UNION ALL SELECT id_text(h.act_id), h.at FROM refund_history h
			WHERE NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = h.tenant_id AND t.id = h.act_id) ORDER BY 1`},
		{Name: "payment.facts", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, at FROM fact ORDER BY 1`},
		{Name: "payment.ledgered", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, posted_at AS at FROM fact WHERE posted_at IS NOT NULL ORDER BY 1`},
	}
}
