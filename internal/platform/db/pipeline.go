package db

import "context"

// Pipeline is statements that do not wait for each other's results (see Tx.Send).
type Pipeline struct{ steps []step }

type step struct {
	text string
	args []any
	scan func(Rows) error // nil: no result is read
}

// Exec adds a statement whose result is not read.
func (p *Pipeline) Exec(sql string, args ...any) {
	p.steps = append(p.steps, step{text: sql, args: args})
}

// Query adds a statement; scan gets its rows, in the order of the pipeline, and need
// not close them.
func (p *Pipeline) Query(scan func(Rows) error, sql string, args ...any) {
	p.steps = append(p.steps, step{text: sql, args: args, scan: scan})
}

// Each is a scan for Query: f for each row.
func Each(f func(Rows) error) func(Rows) error {
	return func(rows Rows) error {
		for rows.Next() {
			if err := f(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// runSteps is Send for an engine without pipelines.
func runSteps(ctx context.Context, tx Tx, steps []step) error {
	for _, s := range steps {
		if s.scan == nil {
			if _, err := tx.Exec(ctx, s.text, s.args...); err != nil {
				return err
			}
			continue
		}
		if err := runQuery(ctx, tx, s); err != nil {
			return err
		}
	}
	return nil
}

func runQuery(ctx context.Context, tx Tx, s step) error {
	rows, err := tx.Query(ctx, s.text, s.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := s.scan(rows); err != nil {
		return err
	}
	return rows.Err()
}
