// Package rotas stores a hospital's rota: its rules and the exceptions from them, loads it from
// a file, and knows which sessions a change of it leaves without a rule. It makes no
// sessions; what lays the rota over the calendar reads it here.
package rotas

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
)

// Store is the SQL of the rota.
type Store struct {
	DB     *db.DB
	Turn   func(ctx context.Context, tx db.Tx) error // makes the writers of a tenant go one after the other
	Follow func(ctx context.Context, tx db.Tx) error // asks for the sessions to follow
	Lock   func(ctx context.Context, tx db.Tx) error // nobody takes a seat until the end of the transaction
	Halt   func(ctx context.Context, tx db.Tx, of []Falling) error
	// Extend makes the schedules of some days; its counts are what an import that is only tried foretells.
	Extend func(ctx context.Context, tx db.Tx, from, to clock.Date, policy string) (scheduling.Change, error)
}

// found makes a missing row the caller's not found.
func found(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return scheduling.ErrNotFound.New()
	}
	return err
}

// maxRota bounds the rules and the exceptions of a tenant.
const maxRota = 100_000

const ruleColumns = `id, campus_id, department_id, practitioner_id, session, class, seats, slot_minutes, fee_fen, start_minute, end_minute, location, remark,
	recurrence, from_day, to_day, holidays, makeup, version`

func scanRule(r db.Row, v *scheduling.RotaRule) error {
	d := &v.Duty
	return r.Scan(&v.ID, &d.Campus, &d.Department, &d.Practitioner, (*string)(&d.Session), (*string)(&d.Class), &d.Seats, &d.SlotMinutes, (*int64)(&d.Fee),
		(*int)(&d.Start), (*int)(&d.End), &d.Location, &d.Remark, &v.Recurrence, &v.From, &v.To, (*string)(&v.Holidays), (*string)(&v.MakeUp), &v.Version)
}

func ruleValues(t scheduling.TenantID, v scheduling.RotaRule) []any {
	d := v.Duty
	return []any{
		t, v.ID, d.Campus, d.Department, d.Practitioner, string(d.Session), string(d.Class), d.Seats, d.SlotMinutes, int64(d.Fee), int(d.Start), int(d.End),
		d.Location, d.Remark, v.Recurrence, v.From, v.To, string(v.Holidays), string(v.MakeUp), v.Version,
	}
}

const exceptionColumns = `id, kind, campus_id, department_id, practitioner_id, session, class, seats, slot_minutes, fee_fen, start_minute, end_minute, location, remark,
	from_day, to_day, version`

func scanException(r db.Row, v *scheduling.Exception) error {
	d := &v.Duty
	return r.Scan(&v.ID, (*string)(&v.Kind), &d.Campus, &d.Department, &d.Practitioner, (*string)(&d.Session), (*string)(&d.Class), &d.Seats, &d.SlotMinutes, (*int64)(&d.Fee),
		(*int)(&d.Start), (*int)(&d.End), &d.Location, &d.Remark, &v.From, &v.To, &v.Version)
}

func exceptionValues(t scheduling.TenantID, v scheduling.Exception) []any {
	d := v.Duty
	return []any{
		t, v.ID, string(v.Kind), id.Null(d.Campus), id.Null(d.Department), d.Practitioner, string(d.Session), string(d.Class), d.Seats, d.SlotMinutes, int64(d.Fee),
		int(d.Start), int(d.End), d.Location, d.Remark, v.From, v.To, v.Version,
	}
}

// In reads the rules that reach into from..to and the exceptions of those days, by
// id: what was planned first wins.
func In(ctx context.Context, tx db.Tx, from, to clock.Date) ([]scheduling.RotaRule, []scheduling.Exception, error) {
	rows, err := tx.Query(ctx, `SELECT `+ruleColumns+` FROM rota_rule WHERE tenant_id = $1 AND from_day <= $2 AND (to_day = 0 OR to_day >= $3) ORDER BY id LIMIT $4`,
		tx.Tenant(), to, from, maxRota)
	rules, err := db.Collect(rows, err, func(r db.Rows, v *scheduling.RotaRule) error { return scanRule(r, v) })
	if err != nil {
		return nil, nil, err
	}
	rows, err = tx.Query(ctx, `SELECT `+exceptionColumns+` FROM rota_exception WHERE tenant_id = $1 AND from_day <= $2 AND to_day >= $3 ORDER BY id LIMIT $4`,
		tx.Tenant(), to, from, maxRota)
	exceptions, err := db.Collect(rows, err, func(r db.Rows, v *scheduling.Exception) error { return scanException(r, v) })
	return rules, exceptions, err
}

// Between is In, in a transaction of its own.
func (s Store) Between(ctx context.Context, t scheduling.TenantID, from, to clock.Date) (rules []scheduling.RotaRule, exceptions []scheduling.Exception, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rules, exceptions, err = In(ctx, tx, from, to)
		return err
	})
	return rules, exceptions, err
}

// Filter narrows the list of rules; zero ids do not.
type Filter struct {
	Department   scheduling.DepartmentID
	Practitioner scheduling.PractitionerID
}

// Rules lists the rules of a tenant by id.
func (s Store) Rules(ctx context.Context, t scheduling.TenantID, f Filter, after id.ID[scheduling.RotaRule], p page.Request) (out page.Page[scheduling.RotaRule], err error) {
	size := p.Size()
	where, args := "", []any{t, after, size + 1}
	if !f.Department.IsZero() {
		args = append(args, f.Department)
		where += fmt.Sprintf(" AND department_id = $%d", len(args))
	}
	if !f.Practitioner.IsZero() {
		args = append(args, f.Practitioner)
		where += fmt.Sprintf(" AND practitioner_id = $%d", len(args))
	}
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+ruleColumns+` FROM rota_rule WHERE tenant_id = $1 AND id > $2`+where+` ORDER BY id LIMIT $3`, args...)
		out.Items, err = db.Collect(rows, err, func(r db.Rows, v *scheduling.RotaRule) error { return scanRule(r, v) })
		return err
	})
	if len(out.Items) > size {
		out.Items = out.Items[:size]
		out.Next = out.Items[size-1].ID.String()
	}
	return out, err
}

// Rule reads one; scheduling.not_found.
func (s Store) Rule(ctx context.Context, t scheduling.TenantID, rule id.ID[scheduling.RotaRule]) (v scheduling.RotaRule, err error) {
	err = s.DB.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		return found(scanRule(tx.QueryRow(ctx, `SELECT `+ruleColumns+` FROM rota_rule WHERE tenant_id = $1 AND id = $2`, t, rule), &v))
	})
	return v, err
}

// Fits decides about a rule beside the doctor's others.
type Fits func(rules []scheduling.RotaRule, exceptions []scheduling.Exception) error

// Save makes a rule (version 0) or changes it if nobody was faster.
func (s Store) Save(ctx context.Context, t scheduling.TenantID, v scheduling.RotaRule, from, to clock.Date, check Fits, policy string) (scheduling.RotaRule, error) {
	action := "scheduling.update_rota"
	if v.Version == 0 {
		action = "scheduling.create_rota"
	}
	err := s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if err := s.Turn(ctx, tx); err != nil {
			return err
		}
		rules, exceptions, err := In(ctx, tx, from, to)
		if err != nil {
			return err
		}
		if v.Version != 0 {
			if err := ruleIsAt(ctx, tx, v); err != nil {
				return err
			}
		}
		if err := check(rules, exceptions); err != nil {
			return err
		}
		if err := writeRule(ctx, tx, v); err != nil {
			return err
		}
		if err := s.Follow(ctx, tx); err != nil {
			return err
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "RotaRule", ID: v.ID.String(), Policy: policy, Changed: []string{"rule"}})
		return err
	})
	v.Version++
	if db.IsUnique(err) {
		err = scheduling.ErrRotaOverlap.Wrap(err)
	}
	return v, err
}

func ruleIsAt(ctx context.Context, tx db.Tx, v scheduling.RotaRule) error {
	var version int64
	err := found(tx.QueryRow(ctx, `SELECT version FROM rota_rule WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), v.ID).Scan(&version))
	if err == nil && version != v.Version {
		err = scheduling.ErrStale.New()
	}
	return err
}

const insertRule = `INSERT INTO rota_rule (tenant_id, ` + ruleColumns + `) VALUES `

const insertException = `INSERT INTO rota_exception (tenant_id, ` + exceptionColumns + `) VALUES `

// writeRule inserts a rule of version 0 or updates the version that it has.
func writeRule(ctx context.Context, tx db.Tx, v scheduling.RotaRule) error {
	if v.Version == 0 {
		v.Version = 1
		return db.InsertMany(ctx, tx, insertRule, 20, [][]any{ruleValues(tx.Tenant(), v)})
	}
	n, err := tx.Exec(ctx, `UPDATE rota_rule SET campus_id = $3, department_id = $4, practitioner_id = $5, session = $6, class = $7, seats = $8, slot_minutes = $9, fee_fen = $10,
			start_minute = $11, end_minute = $12, location = $13, remark = $14, recurrence = $15, from_day = $16, to_day = $17, holidays = $18, makeup = $19, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND version = $20`, ruleValues(tx.Tenant(), v)...)
	if err == nil && n == 0 {
		err = scheduling.ErrStale.New()
	}
	return err
}

func writeException(ctx context.Context, tx db.Tx, v scheduling.Exception) error {
	n, err := tx.Exec(ctx, `UPDATE rota_exception SET kind = $3, campus_id = $4, department_id = $5, practitioner_id = $6, session = $7, class = $8, seats = $9, slot_minutes = $10,
			fee_fen = $11, start_minute = $12, end_minute = $13, location = $14, remark = $15, from_day = $16, to_day = $17, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND version = $18`, exceptionValues(tx.Tenant(), v)...)
	if err == nil && n == 0 {
		err = scheduling.ErrStale.New()
	}
	return err
}

// Rota is rules and exceptions, each by id.
type Rota struct {
	Rules      []scheduling.RotaRule
	Exceptions []scheduling.Exception
}

// Doctors are those whom it is about.
func (r Rota) Doctors() map[scheduling.PractitionerID]bool {
	out := map[scheduling.PractitionerID]bool{}
	for _, v := range r.Rules {
		out[v.Duty.Practitioner] = true
	}
	for _, v := range r.Exceptions {
		out[v.Duty.Practitioner] = true
	}
	return out
}

// With is the rota in which a rule that is there reads as v.
func (r Rota) With(v scheduling.RotaRule) Rota {
	r.Rules = slices.Clone(r.Rules)
	for i := range r.Rules {
		if r.Rules[i].ID == v.ID {
			r.Rules[i] = v
		}
	}
	return r
}

// Of is the part about some doctors.
func (r Rota) Of(who map[scheduling.PractitionerID]bool) (out Rota) {
	for _, v := range r.Rules {
		if who[v.Duty.Practitioner] {
			out.Rules = append(out.Rules, v)
		}
	}
	for _, v := range r.Exceptions {
		if who[v.Duty.Practitioner] {
			out.Exceptions = append(out.Exceptions, v)
		}
	}
	return out
}
