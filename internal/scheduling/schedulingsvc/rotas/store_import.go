package rotas

import (
	"context"
	"errors"
	"fmt"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotaplan"
)

// Imported is what a file brings, with the directory's ids.
type Imported struct {
	Rules      []scheduling.RotaRule
	Exceptions []scheduling.Exception
	From       clock.Date // the first day of rules that named none
	Today      clock.Date
	Through    clock.Date // schedules are made up to this day
	Calendar   *calendar.Calendar
	Consent    bool // sessions with visits may stop
	Try        bool // roll all of it back in the end
	Foretell   bool // of a try: do not refuse, count the schedules too
	Policy     string
}

// Outcome is what became of it.
type Outcome struct {
	Rules, Exceptions scheduling.Change
	Schedules         scheduling.Change // when they were foretold
	Stops             []Falling         // most visits first
}

// errTried rolls an import back after it was tried for real.
var errTried = errors.New("dry run")

// Import brings rules and exceptions into the rota and stops the sessions that fall out by
// them: all of it, or nothing. Code: scheduling.import_stops without consent; Stops has them.
func (s Store) Import(ctx context.Context, t scheduling.TenantID, in Imported) (out Outcome, err error) {
	err = s.DB.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = Outcome{}
		if err := s.Turn(ctx, tx); err != nil {
			return err
		}
		m := merging{in: in, touched: map[scheduling.PractitionerID]bool{}}
		var err error
		if out.Rules, err = m.mergeRules(ctx, tx); err != nil {
			return err
		}
		if out.Exceptions, err = m.mergeExceptions(ctx, tx); err != nil {
			return err
		}
		if err := s.follow(ctx, tx, in, m.was.Of(m.touched), &out); err != nil {
			return err
		}
		if in.Try {
			return errTried
		}
		if len(m.touched) == 0 {
			return nil
		}
		_, err = trail.Record(ctx, tx, trail.Entry{Action: "scheduling.import_rota", Noun: "Rota", ID: t.String(), Policy: in.Policy, Changed: []string{"rule", "exception"}})
		return err
	})
	switch {
	case errors.Is(err, errTried):
		err = nil
	case errors.Is(err, scheduling.ErrImportStops):
		out = Outcome{Stops: out.Stops}
	case err != nil:
		out = Outcome{}
	}
	return out, err
}

// follow is what an import does to sessions that are made already; was is how the rota of its
// doctors stood before.
func (s Store) follow(ctx context.Context, tx db.Tx, in Imported, was Rota, out *Outcome) (err error) {
	if out.Stops, err = s.fallingOut(ctx, tx, in, was); err != nil {
		return err
	}
	if in.Foretell {
		out.Schedules, err = s.Extend(ctx, tx, in.Today, in.Through, in.Policy)
		return err
	}
	n := Visits(out.Stops)
	if n > 0 && !in.Consent {
		return scheduling.ErrImportStops.New()
	}
	if in.Try || len(out.Stops) == 0 {
		return nil
	}
	if err := s.Halt(ctx, tx, out.Stops); err != nil {
		return err
	}
	_, err = trail.Record(ctx, tx, trail.Entry{
		Action: "scheduling.import_rota", Noun: "Rota", ID: tx.Tenant().String(), Policy: in.Policy, Changed: []string{"schedule"},
		Why: fmt.Sprintf("%d sessions stop, %d visits", len(out.Stops), n),
	})
	return err
}

// fallingOut are the sessions that a file takes from its doctors, whose rota was another
// before. Unless it is only tried, nobody takes a seat from here to the end of the transaction.
func (s Store) fallingOut(ctx context.Context, tx db.Tx, in Imported, was Rota) ([]Falling, error) {
	who := was.Doctors()
	if len(who) == 0 {
		return nil, nil
	}
	last, err := lastDay(ctx, tx, in.Today)
	if err != nil || last == 0 {
		return nil, err
	}
	rules, exceptions, err := In(ctx, tx, in.Today, last)
	if err != nil {
		return nil, err
	}
	is := Rota{Rules: rules, Exceptions: exceptions}
	ids, err := lostBetween(ctx, tx, in.Calendar, was, is.Of(who), in.Today, last)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	if !in.Try {
		if err := s.Lock(ctx, tx); err != nil {
			return nil, err
		}
	}
	return Standing(ctx, tx, ids)
}

// merging brings one file's rows in.
type merging struct {
	in      Imported
	was     Rota
	touched map[scheduling.PractitionerID]bool // doctors with a new or changed row
}

func (m *merging) mergeRules(ctx context.Context, tx db.Tx) (c scheduling.Change, err error) {
	rows, err := tx.Query(ctx, `SELECT `+ruleColumns+` FROM rota_rule WHERE tenant_id = $1 ORDER BY id LIMIT $2`, tx.Tenant(), maxRota)
	m.was.Rules, err = db.Collect(rows, err, func(r db.Rows, v *scheduling.RotaRule) error { return scanRule(r, v) })
	if err != nil {
		return c, err
	}
	known := map[rotaplan.RuleKey][]scheduling.RotaRule{}
	for _, v := range m.was.Rules {
		k := rotaplan.KeyOfRule(v)
		known[k] = append(known[k], v)
	}
	var fresh [][]any
	for _, v := range m.in.Rules {
		was, found := rotaplan.SameRule(known[rotaplan.KeyOfRule(v)], v, m.in.From)
		if !found {
			v.ID, v.Version = id.New[scheduling.RotaRule](tx.Now()), 1
			fresh = append(fresh, ruleValues(tx.Tenant(), v))
			m.touched[v.Duty.Practitioner] = true
			c.New++
			continue
		}
		v.ID, v.Version, v.From = was.ID, was.Version, was.From
		if v == was {
			c.Same++
			continue
		}
		if err := writeRule(ctx, tx, v); err != nil {
			return c, err
		}
		m.touched[v.Duty.Practitioner] = true
		c.Changed++
	}
	return c, db.InsertMany(ctx, tx, insertRule, 20, fresh)
}

func (m *merging) mergeExceptions(ctx context.Context, tx db.Tx) (c scheduling.Change, err error) {
	rows, err := tx.Query(ctx, `SELECT `+exceptionColumns+` FROM rota_exception WHERE tenant_id = $1 ORDER BY id LIMIT $2`, tx.Tenant(), maxRota)
	m.was.Exceptions, err = db.Collect(rows, err, func(r db.Rows, v *scheduling.Exception) error { return scanException(r, v) })
	if err != nil {
		return c, err
	}
	known := map[rotaplan.ExceptionKey]scheduling.Exception{}
	for _, v := range m.was.Exceptions {
		known[rotaplan.KeyOfException(v)] = v
	}
	var fresh [][]any
	for _, v := range m.in.Exceptions {
		was, found := known[rotaplan.KeyOfException(v)]
		if !found {
			v.ID, v.Version = id.New[scheduling.Exception](tx.Now()), 1
			fresh = append(fresh, exceptionValues(tx.Tenant(), v))
			m.touched[v.Duty.Practitioner] = true
			c.New++
			continue
		}
		v.ID, v.Version = was.ID, was.Version
		if v == was {
			c.Same++
			continue
		}
		if err := writeException(ctx, tx, v); err != nil {
			return c, err
		}
		m.touched[v.Duty.Practitioner] = true
		c.Changed++
	}
	return c, db.InsertMany(ctx, tx, insertException, 18, fresh)
}
