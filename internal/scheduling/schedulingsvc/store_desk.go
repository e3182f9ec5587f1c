package schedulingsvc

import (
	"context"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
)

const maxDeskVisits = 100

// deskVisits probes the open days of a person, whoever booked, and notes that they were read.
func (s store) deskVisits(ctx context.Context, t scheduling.TenantID, p scheduling.PatientID, today clock.Date, policy string) (out []appointmentRow, err error) {
	args := []any{t, p, maxDeskVisits}
	for n := range visitsAhead + 1 {
		args = append(args, today.Add(n))
	}
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+appointmentColumns+appointmentTables+` WHERE a.tenant_id = $1 AND a.day IN (`+db.In(4, visitsAhead+1)+`) AND a.patient_id = $2
			AND a.state <> 'cancelled' ORDER BY a.day, s.starts_at, a.id LIMIT $3`, args...)
		out, err = db.Collect(rows, err, func(r db.Rows, v *appointmentRow) error { return scanAppointment(r, v) })
		if err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "scheduling.list_desk_appointments", Noun: "Patient", ID: p.String(), Policy: policy})
		return err
	})
	return out, err
}
