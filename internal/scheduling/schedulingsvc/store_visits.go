package schedulingsvc

import (
	"context"
	"slices"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
)

// visitQuery asks for a page of an account's visits.
type visitQuery struct {
	Account scheduling.AccountID
	People  []scheduling.PatientID
	Proven  []scheduling.PatientID // those of them whose visits without an account are shown
	Today   clock.Date
	State   scheduling.State // empty: all
	Before  visitMark
	Limit   int
}

// visits merges the visits to come with the filed ones.
func (s store) visits(ctx context.Context, t scheduling.TenantID, q visitQuery) (out []appointmentRow, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		coming, err := comingVisits(ctx, tx, q)
		if err != nil {
			return err
		}
		owners := []any{q.Account}
		for _, p := range q.Proven {
			owners = append(owners, p)
		}
		for n := len(owners); n&(n-1) != 0; n++ { // few lengths, few texts
			owners = append(owners, q.Account)
		}
		rows, err := tx.Query(ctx, `SELECT `+appointmentColumns+` FROM filed_visit f JOIN appointment a ON a.tenant_id = f.tenant_id AND a.id = f.appointment_id`+appointmentPlan+`
			WHERE f.tenant_id = $1 AND f.owner_id IN (`+db.In(6, len(owners))+`) AND (f.day, f.appointment_id) < ($2, $3) AND ($4 = '' OR a.state = $4)
			ORDER BY f.day DESC, f.appointment_id DESC LIMIT $5`, append([]any{t, q.Before.Day, q.Before.ID, string(q.State), q.Limit}, owners...)...)
		filed, err := db.Collect(rows, err, func(r db.Rows, v *appointmentRow) error { return scanAppointment(r, v) })
		out = append(coming, filed...)
		return err
	})
	slices.SortFunc(out, laterVisit)
	out = slices.CompactFunc(out, func(a, b appointmentRow) bool { return a.ID == b.ID }) // a filed one may have been booked again
	return out[:min(len(out), q.Limit)], err
}

// comingVisits probes the open days for each person: the index begins with both. The lists
// of the statement are padded to few lengths, so that few texts are prepared.
func comingVisits(ctx context.Context, tx db.Tx, q visitQuery) ([]appointmentRow, error) {
	if len(q.People) == 0 || q.State == scheduling.Cancelled {
		return nil, nil
	}
	args := []any{tx.Tenant(), q.Account, string(q.State), q.Before.Day, q.Before.ID, scheduling.AccountID{}}
	days := visitsBack + visitsAhead + 1
	for n := range days {
		args = append(args, q.Today.Add(n-visitsBack))
	}
	people := 4
	for people < len(q.People) {
		people *= 2
	}
	for n := range people {
		args = append(args, q.People[min(n, len(q.People)-1)])
	}
	for n := range people { // the rest is nobody
		var p scheduling.PatientID
		if n < len(q.Proven) {
			p = q.Proven[n]
		}
		args = append(args, p)
	}
	found := appointmentTables + ` WHERE a.tenant_id = $1 AND a.day IN (` + db.In(7, days) + `) AND a.patient_id IN (` + db.In(7+days, people) + `) AND a.state <> 'cancelled'`
	if tx.Engine() == db.Postgres { // which would plan the two lists as a look at all visits of the days
		found = ` FROM unnest(ARRAY[` + db.In(7, days) + `]::int[]) AS d(day) CROSS JOIN (SELECT DISTINCT p FROM unnest(ARRAY[` + db.In(7+days, people) + `]::uuid[]) AS p) AS w(person)
			CROSS JOIN LATERAL (SELECT * FROM appointment x WHERE x.tenant_id = $1 AND x.day = d.day AND x.patient_id = w.person AND x.state <> 'cancelled' LIMIT 100) AS a` + appointmentPlan + ` WHERE TRUE`
	}
	rows, err := tx.Query(ctx, `SELECT `+appointmentColumns+found+` AND (a.account_id = $2 OR a.account_id = $6 AND a.patient_id IN (`+db.In(7+days+people, people)+`)) AND ($3 = '' OR a.state = $3) AND (a.day, a.id) < ($4, $5)`, args...)
	return db.Collect(rows, err, func(r db.Rows, v *appointmentRow) error { return scanAppointment(r, v) })
}

// filePast files the visits of past days. Repeating it changes nothing.
func (s store) filePast(ctx context.Context, t scheduling.TenantID, today clock.Date) error {
	for day := today.Add(-visitsBack - 1); day < today; day++ {
		err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO filed_visit (tenant_id, owner_id, day, appointment_id)
				SELECT a.tenant_id, CASE WHEN a.account_id = $3 THEN a.patient_id ELSE a.account_id END, a.day, a.id FROM appointment a
				WHERE a.tenant_id = $1 AND a.day = $2 AND a.state <> 'cancelled' ORDER BY 2 ON CONFLICT DO NOTHING`, t, day, scheduling.AccountID{})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
