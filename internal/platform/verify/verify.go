// Package verify checks the invariants of every context in the databases: queries whose
// rows are violations, and sets of keys of one context that must be within another's.
// It only reads, so it may run beside a live system; what is younger than the grace is
// work in flight and listed apart.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"xinglin/internal/platform/db"
)

// Check is one invariant of one context. SQL gives a row for each violation:
// SELECT CAST(... AS TEXT) what, at BIGINT (microseconds; when it became so). In it and
// in sets id_text(column) is an id as text on both engines, id_bytes(column) its bytes.
type Check struct {
	Name  string // scheduling: never oversold
	SQL   string
	Grace time.Duration // younger rows are in flight; 0 means 2 minutes, NoGrace that none is
}

// Set is a set of keys for Subset. SQL: SELECT CAST(key AS TEXT), at BIGINT; the order
// does not matter.
type Set struct {
	Name string // scheduling: paid appointments
	SQL  string
}

// Subset says that every key of the set Left is in the set Right.
type Subset struct {
	Name        string
	Left, Right string        // names of sets
	Grace       time.Duration // 0 means 2 minutes
	Age         time.Duration // older keys of the left are not compared: the right forgets them; 0 compares all
}

// Unit is what one context brings. Events, Actions and Jobs are the names that it
// knows; nil means unchecked.
type Unit struct {
	Context string
	DB      *db.DB
	Checks  []Check
	Sets    []Set
	Events  []string // that it tells
	Actions []string // in its trail
	Jobs    []string // kinds that it handles
}

// Grace is how young work in flight is, unless a check says otherwise.
const Grace = 2 * time.Minute

// NoGrace is for what is wrong at any age.
const NoGrace time.Duration = -1

// MaxNamed bounds the rows that a line names.
const MaxNamed = 20

// Line is the outcome of one check.
type Line struct {
	Name       string
	Seen       int // keys compared; 0 for queries, which only see violations
	Violations int
	InFlight   int
	Broken     []string // the first violations by name
	Young      []string // the first in flight
	Err        error    // the check itself failed
}

// Report is the outcome of all.
type Report struct{ Lines []Line }

// Clean tells that nothing is violated and every check ran.
func (r Report) Clean() bool {
	for _, l := range r.Lines {
		if l.Violations > 0 || l.Err != nil {
			return false
		}
	}
	return true
}

// Run runs every check, prints a line for each, and gives the report. The error is of
// the checks that could not run, or of w.
func Run(ctx context.Context, units []Unit, subsets []Subset, w io.Writer) (Report, error) {
	var rep Report
	var errs []error
	add := func(l Line) {
		rep.Lines = append(rep.Lines, l)
		if l.Err != nil {
			errs = append(errs, fmt.Errorf("verify: %s: %w", l.Name, l.Err))
		}
		if err := l.print(w); err != nil {
			errs = append(errs, err)
		}
	}
	sets, err := index(units)
	if err != nil {
		return rep, err
	}
	for _, u := range units {
		for _, c := range append(frame(u), u.Checks...) {
			add(query(ctx, u.DB, c))
		}
	}
	for _, s := range subsets {
		add(compare(ctx, sets, s))
	}
	return rep, errors.Join(errs...)
}

func (l Line) print(w io.Writer) error {
	word := "ok  "
	if l.Violations > 0 || l.Err != nil {
		word = "FAIL"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-84s %6d violations %6d in flight", word, l.Name, l.Violations, l.InFlight)
	if l.Seen > 0 {
		fmt.Fprintf(&b, " %8d compared", l.Seen)
	}
	b.WriteByte('\n')
	for _, x := range l.Broken {
		fmt.Fprintf(&b, "        broken     %s\n", x)
	}
	if n := l.Violations - len(l.Broken); n > 0 {
		fmt.Fprintf(&b, "        and %d more\n", n)
	}
	for _, x := range l.Young {
		fmt.Fprintf(&b, "        in flight  %s\n", x)
	}
	if l.Err != nil {
		fmt.Fprintf(&b, "        not checked: %v\n", l.Err)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// count takes one finding in. An instant far ahead is no work in flight.
func (l *Line) count(what string, at, now time.Time, grace time.Duration) {
	if grace == 0 {
		grace = Grace
	}
	if grace > 0 && at.After(now.Add(-grace)) && at.Before(now.Add(grace)) {
		l.InFlight++
		if len(l.Young) < MaxNamed {
			l.Young = append(l.Young, readable(what))
		}
		return
	}
	l.Violations++
	if len(l.Broken) < MaxNamed {
		l.Broken = append(l.Broken, readable(what))
	}
}

var plainEvent = regexp.MustCompile(`^[a-z0-9_.]+$`)

// frame are the checks that hold for every context's frame tables.
func frame(u Unit) []Check {
	var out []Check
	add := func(what, table, column, at string, known []string) {
		if known == nil {
			return
		}
		quoted := []string{"''"}
		for _, k := range known {
			if plainEvent.MatchString(k) { // names come from the code
				quoted = append(quoted, "'"+k+"'")
			}
		}
		out = append(out, Check{
			Name: u.Context + ": " + what,
			SQL: "-- global: verify\nSELECT CAST(" + column + " AS TEXT) AS what, " + at + " AS at FROM " + table +
				" WHERE " + column + " NOT IN (" + strings.Join(quoted, ", ") + ")",
			Grace: NoGrace, // a name is known or not
		})
	}
	add("each outbox row is a known event", "outbox", "name", "created_at", u.Events)
	add("each audit row is a known action", "trail", "action", "at", u.Actions)
	add("each open job has a handler", "(SELECT kind, created_at FROM job WHERE state IN ('ready', 'running')) j", "kind", "created_at", u.Jobs)
	return append(out, Check{
		Name:  u.Context + ": each audit row names who and what",
		SQL:   "-- global: verify\nSELECT CAST(action AS TEXT) AS what, at FROM trail WHERE actor = '' OR action = '' OR noun = ''",
		Grace: NoGrace,
	}, Check{
		Name: u.Context + ": no finished or dead job is open, each open one has an end",
		SQL: "-- global: verify\nSELECT CAST(kind AS TEXT) AS what, created_at AS at FROM job WHERE max < 1 OR attempts < 0" +
			" OR (state = 'running') <> (owner <> '') OR (state IN ('done', 'cancelled')) <> (done_at IS NOT NULL)",
	})
}
