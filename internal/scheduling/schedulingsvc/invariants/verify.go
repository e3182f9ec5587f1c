// Package invariants says what must hold of registration over all tenants, whatever happens: `xinglin verify` asks it of the
// database itself.
package invariants

import (
	"slices"
	"time"

	"xinglin/internal/platform/verify"
)

// atOnce is for rules that no work in flight may break: all of it is one transaction.
const atOnce = 1

// Checks are the invariants.
func Checks() []verify.Check {
	return slices.Concat(seatChecks(), appointmentChecks(), stopChecks(), lotteryChecks())
}

// seatsUsed are the slots with what uses their seats.
const seatsUsed = ` FROM slot s
			LEFT JOIN (SELECT tenant_id, slot_id, SUM(CASE WHEN state = 'pending' THEN 1 ELSE 0 END) AS pending, SUM(CASE WHEN state <> 'pending' THEN 1 ELSE 0 END) AS booked
				FROM appointment WHERE state <> 'cancelled' GROUP BY tenant_id, slot_id) u ON u.tenant_id = s.tenant_id AND u.slot_id = s.id
			LEFT JOIN (SELECT tenant_id, slot_id, COUNT(*) AS waiting FROM seat_return GROUP BY tenant_id, slot_id) w ON w.tenant_id = s.tenant_id AND w.slot_id = s.id`

// seatChecks count the rows, not the counters: what holds a seat is an active appointment
// or a seat that waits for its return.
func seatChecks() []verify.Check {
	return []verify.Check{
		{Name: "scheduling: no slot is oversold", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(s.id) AS what, 0 AS at` + seatsUsed + ` WHERE s.held + s.booked > s.capacity OR s.capacity < COALESCE(u.pending + u.booked, 0) + COALESCE(w.waiting, 0)`},
		{Name: "scheduling: held is the sum of holds and waiting returns", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(s.id) AS what, 0 AS at` + seatsUsed + ` WHERE s.held <> COALESCE(u.pending, 0) + COALESCE(w.waiting, 0)`},
		{Name: "scheduling: booked is the count of its appointments", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(s.id) AS what, 0 AS at` + seatsUsed + ` WHERE s.booked <> COALESCE(u.booked, 0)`},
		{Name: "scheduling: each seat has one owner and its bit", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(s.id) AS what, 0 AS at FROM slot s LEFT JOIN (
				SELECT r.tenant_id, r.slot_id, r.seat FROM seat_return r
				UNION ALL SELECT a.tenant_id, a.slot_id, a.number - f.first FROM appointment a JOIN slot f ON f.tenant_id = a.tenant_id AND f.id = a.slot_id
					WHERE a.state <> 'cancelled'
			) o ON o.tenant_id = s.tenant_id AND o.slot_id = s.id
			GROUP BY s.tenant_id, s.id, s.taken, s.capacity
			HAVING s.taken <> COALESCE(SUM(CASE WHEN o.seat IS NULL THEN 0 WHEN o.seat >= 0 AND o.seat < s.capacity THEN CAST(1 AS BIGINT) << o.seat ELSE -1 END), 0)
				OR COUNT(o.seat) <> COUNT(DISTINCT o.seat)`},
		{Name: "scheduling: each seat names who has it", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, 0 AS at FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
			WHERE a.state <> 'cancelled' AND substr(s.holders, 2 * (a.number - s.first) + 1, 2) <> substr(id_bytes(a.id), 15, 2)`},
		{Name: "scheduling: a session's seats are those of its slots", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(c.id) AS what, 0 AS at FROM schedule c
			LEFT JOIN slot s ON s.tenant_id = c.tenant_id AND s.schedule_id = c.id
			GROUP BY c.tenant_id, c.id, c.capacity
			HAVING c.capacity <> COALESCE(SUM(s.capacity), 0)`},
		{Name: "scheduling: each hold has its timer", SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, a.created_at AS at FROM appointment a
			WHERE a.state = 'pending' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.tenant_id = a.tenant_id AND j.kind = 'scheduling.expire_holds'
				AND j.state IN ('ready', 'running') AND (j.created_at = a.created_at OR j.key = id_text(a.id)))`},
		{Name: "scheduling: each waiting seat has its timer", SQL: `-- global: every tenant
			SELECT id_text(r.appointment_id) AS what, a.state_at AS at FROM seat_return r JOIN appointment a ON a.tenant_id = r.tenant_id AND a.id = r.appointment_id
			WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.tenant_id = r.tenant_id AND j.kind = 'scheduling.return_seat' AND j.key = id_text(r.appointment_id)
				AND j.state IN ('ready', 'running'))`},
	}
}

func appointmentChecks() []verify.Check {
	return []verify.Check{
		{Name: "scheduling: one active appointment per person, day and scope", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(patient_id) AS what, 0 AS at FROM appointment WHERE state <> 'cancelled' GROUP BY tenant_id, day, patient_id, scope HAVING COUNT(*) > 1
			UNION ALL SELECT id_text(account_id) AS what, 0 AS at FROM appointment WHERE state <> 'cancelled' AND per_account
			GROUP BY tenant_id, day, account_id, scope HAVING COUNT(*) > 1`},
		{Name: "scheduling: one active appointment per number of a session", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(s.schedule_id) AS what, 0 AS at FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
			WHERE a.state <> 'cancelled' GROUP BY s.tenant_id, s.schedule_id, a.number HAVING COUNT(*) > 1`},
		{Name: "scheduling: a booking with a fee was paid, a number is given", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, 0 AS at FROM appointment a WHERE a.state IN ('booked', 'arrived', 'fulfilled', 'noshow')
				AND (a.number < 1 OR a.fee_fen > 0 AND a.settlement <> 'applied')
			UNION ALL SELECT id_text(a.id) AS what, 0 AS at FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
				WHERE a.state <> 'cancelled' AND (a.number < s.first OR a.number >= s.first + s.capacity)`},
		{Name: "scheduling: an applied payment of a cancelled visit has its refund asked for", SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, a.state_at AS at FROM appointment a
			WHERE a.state = 'cancelled' AND (a.settlement = 'refund' OR a.settlement = 'applied' AND a.fee_fen > 0) AND a.state_at > (
				SELECT COALESCE(MAX(f.at), 0) - 518400000000 FROM appointment_history f WHERE f.tenant_id = a.tenant_id)
			AND NOT EXISTS (SELECT 1 FROM job j WHERE j.tenant_id = a.tenant_id AND j.kind = 'scheduling.refund_payment' AND j.key = id_text(a.id))`},
		{Name: "scheduling: each history is a chain to the state", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, 0 AS at FROM appointment a LEFT JOIN (
				SELECT tenant_id, appointment_id, to_state, ROW_NUMBER() OVER (PARTITION BY tenant_id, appointment_id ORDER BY seq DESC) AS nth FROM appointment_history
			) h ON h.tenant_id = a.tenant_id AND h.appointment_id = a.id AND h.nth = 1
				WHERE a.state <> COALESCE(h.to_state, CASE WHEN a.fee_fen = 0 THEN 'booked' ELSE 'pending' END)
			UNION ALL SELECT id_text(l.appointment_id) AS what, 0 AS at FROM (
				SELECT h.appointment_id, h.from_state, LAG(h.to_state, 1, CASE WHEN a.fee_fen = 0 THEN 'booked' ELSE 'pending' END)
					OVER (PARTITION BY h.tenant_id, h.appointment_id ORDER BY h.seq) AS was
				FROM appointment_history h JOIN appointment a ON a.tenant_id = h.tenant_id AND a.id = h.appointment_id
			) l WHERE l.from_state <> l.was`},
		{Name: "scheduling: no child row of a foreign tenant", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(s.id) AS what, 0 AS at FROM slot s LEFT JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id WHERE c.id IS NULL
			UNION ALL SELECT id_text(a.id) AS what, 0 AS at FROM appointment a LEFT JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id WHERE s.id IS NULL
			UNION ALL SELECT id_text(f.appointment_id) AS what, 0 AS at FROM filed_visit f LEFT JOIN appointment a ON a.tenant_id = f.tenant_id AND a.id = f.appointment_id WHERE a.id IS NULL
			UNION ALL SELECT id_text(r.appointment_id) AS what, 0 AS at FROM seat_return r LEFT JOIN appointment a ON a.tenant_id = r.tenant_id AND a.id = r.appointment_id WHERE a.id IS NULL
			UNION ALL SELECT id_text(h.appointment_id) AS what, 0 AS at FROM appointment_history h LEFT JOIN appointment a ON a.tenant_id = h.tenant_id AND a.id = h.appointment_id WHERE a.id IS NULL
			UNION ALL SELECT id_text(c.id) AS what, 0 AS at FROM schedule c LEFT JOIN rota_rule r ON r.tenant_id = c.tenant_id AND r.id = c.rule_id WHERE c.rule_id IS NOT NULL AND r.id IS NULL`},
	}
}

// stopChecks are about sessions that are not held, and people who do not come.
func stopChecks() []verify.Check {
	return []verify.Check{
		{Name: "scheduling: a stopped session says since when", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(c.id) AS what, 0 AS at FROM schedule c LEFT JOIN session_stop x ON x.tenant_id = c.tenant_id AND x.schedule_id = c.id
			WHERE c.stopped <> (x.schedule_id IS NOT NULL)`},
		{Name: "scheduling: a stopped session has cancelled its visits", Grace: 5 * time.Minute, SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, x.stopped_at AS at FROM session_stop x JOIN slot s ON s.tenant_id = x.tenant_id AND s.schedule_id = x.schedule_id
			JOIN appointment a ON a.tenant_id = s.tenant_id AND a.slot_id = s.id WHERE a.state IN ('pending', 'booked', 'arrived')`},
		{Name: "scheduling: a visit is missed only after the end of a session that was held", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, 0 AS at FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id
			JOIN schedule c ON c.tenant_id = s.tenant_id AND c.id = s.schedule_id WHERE a.state = 'noshow' AND (a.state_at < c.ends_at OR c.stopped)`},
		{Name: "scheduling: each missed visit counts once", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(a.id) AS what, 0 AS at FROM appointment a LEFT JOIN incident i ON i.tenant_id = a.tenant_id AND i.patient_id = a.patient_id AND i.appointment_id = a.id AND i.kind = 'missed'
			WHERE a.state = 'noshow' AND i.appointment_id IS NULL
			UNION ALL SELECT id_text(i.appointment_id) AS what, 0 AS at FROM incident i LEFT JOIN appointment a ON a.tenant_id = i.tenant_id AND a.id = i.appointment_id
			WHERE i.kind = 'missed' AND COALESCE(a.state, '') <> 'noshow'`},
	}
}

// lotteryChecks compare lotteries with their entries and appointments; the root itself is
// what `xinglin lottery verify` computes.
func lotteryChecks() []verify.Check {
	return []verify.Check{
		{Name: "scheduling: a sealed lottery has the entries that were sealed", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(l.id) AS what, 0 AS at FROM lottery l WHERE l.state <> 'open' AND l.entries <>
				(SELECT COUNT(*) FROM lottery_entry e WHERE e.tenant_id = l.tenant_id AND e.lottery_id = l.id)`},
		{Name: "scheduling: each won entry has its appointment", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(e.id) AS what, 0 AS at FROM lottery_entry e LEFT JOIN appointment a ON a.tenant_id = e.tenant_id AND a.id = e.id
				AND a.patient_id = e.patient_id AND a.account_id = e.account_id AND a.slot_id = e.slot_id
			LEFT JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id AND s.schedule_id = e.lottery_id
			WHERE e.outcome = 'won' AND s.id IS NULL`},
		{Name: "scheduling: a lottery that is done has counted its winners", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(l.id) AS what, 0 AS at FROM lottery l WHERE l.state = 'done' AND l.winners <>
				(SELECT COUNT(*) FROM lottery_entry e WHERE e.tenant_id = l.tenant_id AND e.lottery_id = l.id AND e.outcome = 'won')`},
		{Name: "scheduling: a schedule waits for its lottery and for nothing else", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(c.id) AS what, 0 AS at FROM schedule c LEFT JOIN lottery l ON l.tenant_id = c.tenant_id AND l.id = c.id
			WHERE (c.lottery_s > 0) <> (l.id IS NOT NULL AND l.state <> 'done')`},
		{Name: "scheduling: each lottery that is not done has its job", SQL: `-- global: every tenant
			SELECT id_text(l.id) AS what, l.updated_at AS at FROM lottery l WHERE l.state <> 'done'
			AND NOT EXISTS (SELECT 1 FROM job j WHERE j.tenant_id = l.tenant_id AND j.kind = 'scheduling.draw_lottery' AND j.key = id_text(l.id)
				AND j.state IN ('ready', 'running'))`},
		{Name: "scheduling: each entry has its lottery", Grace: atOnce, SQL: `-- global: every tenant
			SELECT id_text(e.id) AS what, 0 AS at FROM lottery_entry e LEFT JOIN lottery l ON l.tenant_id = e.tenant_id AND l.id = e.lottery_id WHERE l.id IS NULL`},
	}
}

// Sets are what other contexts' invariants are compared with.
func Sets() []verify.Set {
	return []verify.Set{
		// The audit row of each transition, unless it is still in the own trail. The hold's has
		// the appointment's id, and leaves with the row of its batch.
		{Name: "scheduling.acts", SQL: `-- global: every tenant
			SELECT id_text(h.act_id) AS key, h.at FROM appointment_history h
			WHERE NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = h.tenant_id AND t.id = h.act_id)
			UNION ALL SELECT id_text(a.id) AS key, a.created_at AS at FROM appointment a
			WHERE NOT EXISTS (SELECT 1 FROM trail t WHERE t.tenant_id = a.tenant_id AND t.action = 'scheduling.hold' AND t.at = a.created_at)`},
		// Payments that must exist: of visits that wait for one or had one.
		{Name: "scheduling.appointment_payments", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, created_at AS at FROM appointment WHERE fee_fen > 0 AND (state <> 'cancelled' OR settlement <> '')`},
		// Payments that had their effect or go back.
		{Name: "scheduling.settled", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, state_at AS at FROM appointment WHERE fee_fen > 0 AND settlement <> ''`},
		// Visits that were booked and are cancelled.
		{Name: "scheduling.given_up", SQL: `-- global: every tenant
			SELECT id_text(id) AS key, state_at AS at FROM appointment
			WHERE state = 'cancelled' AND cancel_reason IN ('patient', 'staff', 'stopped') AND (fee_fen = 0 OR settlement = 'applied')`},
	}
}
