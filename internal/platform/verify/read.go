package verify

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// statementTime replaces the database's own limit: a check may read whole tables.
const statementTime = 10 * time.Minute

// read runs f in a read transaction that may take long.
func read(ctx context.Context, d *db.DB, f func(ctx context.Context, tx db.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	return d.ReadAll(ctx, func(ctx context.Context, tx db.Tx) error {
		if tx.Engine() == db.Postgres {
			_, err := tx.Exec(ctx, fmt.Sprintf("-- global: verify\nSET LOCAL statement_timeout = %d", statementTime.Milliseconds()))
			if err != nil {
				return err
			}
		}
		return f(ctx, tx)
	})
}

// query runs one check.
func query(ctx context.Context, d *db.DB, c Check) Line {
	l := Line{Name: c.Name}
	l.Err = read(ctx, d, func(ctx context.Context, tx db.Tx) error {
		l = Line{Name: c.Name}
		return each(ctx, tx, c.SQL, "at, what", func(what string, at time.Time) error {
			l.count(what, at, tx.Now(), c.Grace)
			return nil
		})
	})
	return l
}

var (
	idText  = regexp.MustCompile(`id_text\(([a-z0-9_.]+)\)`)
	idBytes = regexp.MustCompile(`id_bytes\(([a-z0-9_.]+)\)`)
)

// dialect writes id_text(column), an id as its canonical text, and id_bytes(column), its
// sixteen bytes, for the engine.
func dialect(e db.Engine, text string) string {
	if e == db.Postgres {
		text = idBytes.ReplaceAllString(text, "uuid_send($1)")
		return idText.ReplaceAllString(text, "CAST($1 AS TEXT)")
	}
	text = idBytes.ReplaceAllString(text, "$1")
	return idText.ReplaceAllString(text,
		"lower(substr(hex($1),1,8)||'-'||substr(hex($1),9,4)||'-'||substr(hex($1),13,4)||'-'||substr(hex($1),17,4)||'-'||substr(hex($1),21,12))")
}

// each gives the rows of a text of two columns in an order.
func each(ctx context.Context, tx db.Tx, text, order string, f func(what string, at time.Time) error) error {
	rows, err := tx.Query(ctx, "-- global: verify\nWITH found(what, at) AS (\n"+dialect(tx.Engine(), text)+"\n) SELECT what, at FROM found ORDER BY "+order)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var what string
		var at time.Time
		if err := rows.Scan(&what, db.Instant(&at)); err != nil {
			return err
		}
		if err := f(what, at); err != nil {
			return err
		}
	}
	return rows.Err()
}

type source struct {
	db  *db.DB
	set Set
}

func index(units []Unit) (map[string]source, error) {
	out := map[string]source{}
	for _, u := range units {
		for _, s := range u.Sets {
			if _, twice := out[s.Name]; twice {
				return nil, fmt.Errorf("verify: the set %q is there twice", s.Name)
			}
			out[s.Name] = source{u.DB, s}
		}
	}
	return out, nil
}

type key struct {
	what string
	at   time.Time
}

// stream reads a set in byte order of its keys, as fast as the other side takes them.
// end must be called: with all when the channel was closed, else the reader is stopped.
func (s source) stream(ctx context.Context) (keys <-chan key, now time.Time, end func(all bool) error) {
	ch, started, done := make(chan key, 256), make(chan time.Time, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		err := read(ctx, s.db, func(ctx context.Context, tx db.Tx) error {
			select {
			case started <- tx.Now():
			default:
			}
			order := "what"
			if tx.Engine() == db.Postgres {
				order = `what COLLATE "C"`
			}
			return each(ctx, tx, s.set.SQL, order, func(what string, at time.Time) error {
				select {
				case ch <- key{what, at}:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
		close(ch)
		close(started)
		done <- err
	}()
	return ch, <-started, func(all bool) error {
		defer cancel()
		if all {
			return <-done
		}
		cancel()
		<-done
		return nil
	}
}

// compare is a merge join of two sorted streams: it holds one key of each.
func compare(ctx context.Context, sets map[string]source, s Subset) Line {
	l := Line{Name: s.Name}
	left, ok1 := sets[s.Left]
	right, ok2 := sets[s.Right]
	if !ok1 || !ok2 {
		l.Err = fmt.Errorf("set %q or %q is missing", s.Left, s.Right)
		return l
	}
	// Left first: what enters both while this runs is young on the left.
	lk, now, endLeft := left.stream(ctx)
	rk, _, endRight := right.stream(ctx)
	r, more := <-rk
	last, any := "", false
	for k := range lk {
		if any && k.what < last {
			l.Err = errors.New("the keys do not come in order")
			break
		}
		last, any = k.what, true
		if s.Age > 0 && k.at.Before(now.Add(-s.Age)) {
			continue
		}
		l.Seen++
		for more && r.what < k.what {
			r, more = <-rk
		}
		if !more || r.what != k.what {
			l.count(k.what, k.at, now, s.Grace)
		}
	}
	l.Err = errors.Join(l.Err, endLeft(l.Err == nil), endRight(!more))
	if l.Err != nil { // a broken stream makes no violations
		l.Violations, l.InFlight, l.Broken, l.Young = 0, 0, nil, nil
	}
	return l
}

// readable shows a key as text: on SQLite an id in it is its sixteen bytes.
func readable(s string) string {
	odd := func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }
	if !strings.ContainsFunc(s, odd) || len(s) < 16 {
		return s
	}
	var v id.ID[id.Any]
	copy(v[:], s)
	return v.String() + readable(s[16:])
}
