package holdings

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// where is the condition for the subject's rows; $1 is the tenant. false: the subject has nothing that could be there.
func (t Table) where(s Subject) (string, []any, bool) {
	var owners []any
	if t.Owner == Patient {
		owners = []any{s.Patient}
	} else {
		for _, a := range s.Accounts {
			owners = append(owners, a)
		}
	}
	if len(owners) == 0 {
		return "", nil, false
	}
	args := append([]any{s.Tenant}, owners...)
	in := `IN (` + db.In(2, len(owners)) + `)`
	if t.Via != nil {
		return t.Column + ` IN (SELECT id FROM ` + t.Via.Table + ` WHERE tenant_id = $1 AND ` + t.Via.Column + ` ` + in + `)`, args, true
	}
	return t.Column + ` ` + in, args, true
}

// columns of a table that a copy shows, sorted, with their classes.
func (s Set) columns(t Table) (names []string, classes map[string]dataclass.Class) {
	classes = map[string]dataclass.Class{}
	for class, text := range s.Classes[t.Name] {
		for _, c := range strings.Fields(text) {
			if told(class, c) {
				names, classes[c] = append(names, c), class
			}
		}
	}
	slices.Sort(names)
	return names, classes
}

// Copy reads what the context holds of the person, in the order of the declaration. Sealed values are opened after the
// transaction; an account's are found by its own id.
func (s Set) Copy(ctx context.Context, of Subject) ([]Section, error) {
	var out []Section
	for _, t := range s.Tables {
		where, args, ok := t.where(of)
		if t.Hidden || !ok {
			continue
		}
		names, classes := s.columns(t)
		rows, err := s.rows(ctx, of.Tenant, t.Name, names, where, args)
		if err != nil {
			return nil, fmt.Errorf("holdings: %s.%s: %w", s.Context, t.Name, err)
		}
		section := Section{Context: s.Context, Table: t.Name, Title: t.Title, Rows: []map[string]any{}, More: len(rows) > MaxRows}
		for _, r := range rows[:min(len(rows), MaxRows)] {
			shown, err := s.shown(ctx, of, t, r, names, classes)
			if err != nil {
				return nil, err
			}
			section.Rows = append(section.Rows, shown)
		}
		if len(section.Rows) > 0 {
			out = append(out, section)
		}
	}
	return out, nil
}

func (s Set) shown(ctx context.Context, of Subject, t Table, r Row, names []string, classes map[string]dataclass.Class) (map[string]any, error) {
	out := map[string]any{}
	for _, c := range names {
		if !classes[c].IsSealed() {
			out[c] = show(classes[c], c, slices.Contains(t.Days, c), r)
			continue
		}
		open := t.Open[c]
		if open == nil {
			return nil, fmt.Errorf("holdings: %s.%s.%s is sealed and nobody opens it", s.Context, t.Name, c)
		}
		text, err := open(ctx, s.Ring, of.Tenant, r)
		if err != nil {
			return nil, err
		}
		out[c] = text.Reveal()
	}
	return out, nil
}

func (s Set) rows(ctx context.Context, tenant id.ID[auth.Tenant], table string, names []string, where string, args []any) (out []Row, err error) {
	err = s.DB.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+strings.Join(names, ", ")+` FROM `+table+` WHERE tenant_id = $1 AND `+where+
			fmt.Sprintf(` LIMIT %d`, MaxRows+1), args...)
		out, err = db.Collect(rows, err, func(r db.Rows, v *Row) error {
			values, into := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				into[i] = &values[i]
			}
			if err := r.Scan(into...); err != nil {
				return err
			}
			*v = Row{}
			for i, c := range names {
				(*v)[c] = values[i]
			}
			return nil
		})
		return err
	})
	return out, err
}

// maxIDs bounds the rows of one table whose ids are told.
const maxIDs = 100

// IDs are the ids of what the context holds of the person, the newest 100 of each table that a copy shows.
func (s Set) IDs(ctx context.Context, of Subject) (out []string, err error) {
	err = s.DB.Read(ctx, of.Tenant, func(ctx context.Context, tx db.Tx) error {
		out = nil
		for _, t := range s.Tables {
			where, args, ok := t.where(of)
			if _, named := s.Classes[t.Name].Of("id"); !ok || !named || t.Hidden {
				continue
			}
			rows, err := tx.Query(ctx, `SELECT id FROM `+t.Name+` WHERE tenant_id = $1 AND `+where+fmt.Sprintf(` ORDER BY id DESC LIMIT %d`, maxIDs), args...)
			some, err := db.Collect(rows, err, func(r db.Rows, v *id.ID[id.Any]) error { return r.Scan(v) })
			if err != nil {
				return fmt.Errorf("holdings: %s.%s: %w", s.Context, t.Name, err)
			}
			for _, v := range some {
				out = append(out, v.String())
			}
		}
		return nil
	})
	return out, err
}

// Waiting is the person's unfinished business.
func (s Set) Waiting(ctx context.Context, of Subject) (out []Waiting, err error) {
	err = s.DB.Read(ctx, of.Tenant, func(ctx context.Context, tx db.Tx) error {
		out = nil
		for _, t := range s.Tables {
			where, args, ok := t.where(of)
			if t.Pending == nil || !ok {
				continue
			}
			list, args := db.Few(args, t.Pending.In)
			var n int64
			err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM `+t.Name+` WHERE tenant_id = $1 AND `+where+` AND `+t.Pending.Column+` IN (`+list+`)`, args...).Scan(&n)
			if err != nil {
				return fmt.Errorf("holdings: %s.%s: %w", s.Context, t.Name, err)
			}
			if n > 0 {
				out = append(out, Waiting{s.Context, t.Title, n})
			}
		}
		return nil
	})
	return out, err
}

// Keeps is what would stay of the person after an erasure, and why.
func (s Set) Keeps(ctx context.Context, of Subject) (out []KeptRows, err error) {
	err = s.DB.Read(ctx, of.Tenant, func(ctx context.Context, tx db.Tx) error {
		out = nil
		for _, t := range s.Tables {
			where, args, ok := t.where(of)
			if t.Fate != Kept || !ok {
				continue
			}
			var n, last int64
			since := t.Since
			if t.SinceDay {
				since += ` * 86400000000`
			}
			err := tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MAX(`+since+`), 0) FROM `+t.Name+` WHERE tenant_id = $1 AND `+where, args...).Scan(&n, &last)
			if err != nil {
				return fmt.Errorf("holdings: %s.%s: %w", s.Context, t.Name, err)
			}
			if n == 0 {
				continue
			}
			var records int64
			if t.Record != nil {
				list, args := db.Few(args, t.Record.In)
				err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM `+t.Name+` WHERE tenant_id = $1 AND `+where+` AND `+t.Record.Column+` IN (`+list+`)`, args...).Scan(&records)
				if err != nil {
					return fmt.Errorf("holdings: %s.%s: %w", s.Context, t.Name, err)
				}
			}
			out = append(out, KeptRows{s.Context, t.Name, t.Title, n, t.Term.Ends(db.Time(last)), t.Term.Law, records > 0})
		}
		return nil
	})
	return out, err
}

// Erase deletes what this context may delete by itself, with one audit row. Repeating it is no error and leaves no second row.
// Action and policy are those of the use case that decided it.
func (s Set) Erase(ctx context.Context, of Subject, action, policy string) error {
	return s.DB.Write(ctx, of.Tenant, func(ctx context.Context, tx db.Tx) error {
		var changed []string
		for _, t := range s.Tables {
			where, args, ok := t.where(of)
			if t.Fate != Deleted || !ok {
				continue
			}
			n, err := tx.Exec(ctx, `DELETE FROM `+t.Name+` WHERE tenant_id = $1 AND `+where, args...)
			if err != nil {
				return fmt.Errorf("holdings: %s.%s: %w", s.Context, t.Name, err)
			}
			if n > 0 {
				changed = append(changed, t.Name)
			}
		}
		if len(changed) == 0 {
			return nil
		}
		_, err := trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "Patient", ID: of.Patient.String(), Policy: policy, Changed: changed})
		return err
	})
}

// Latest is the later of two instants.
func Latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
