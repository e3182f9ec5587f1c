package db

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Micros is an instant as the column value: microseconds since 1970 UTC, NULL for the zero time.
func Micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// Time is the instant of a column value; 0 is the zero time.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

type instant struct{ t *time.Time }

// Instant scans a BIGINT of microseconds, or NULL as the zero time, into t.
func Instant(t *time.Time) any { return instant{t} }

func (i instant) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*i.t = time.Time{}
	case int64:
		*i.t = Time(v)
	default:
		return fmt.Errorf("db: instant from %T", src)
	}
	return nil
}

type jsonValue struct{ v any }

// JSON stores v in a {{json}} column.
func JSON(v any) any { return jsonValue{v} }

func (j jsonValue) Value() (driver.Value, error) {
	b, err := json.Marshal(j.v)
	if err != nil {
		return nil, fmt.Errorf("db: json: %w", err)
	}
	return string(b), nil
}

type jsonInto struct{ v any }

// JSONInto scans a {{json}} column into the value v points to; NULL leaves it alone.
func JSONInto(v any) any { return jsonInto{v} }

func (j jsonInto) Scan(src any) error {
	switch b := src.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(b), j.v)
	case []byte:
		return json.Unmarshal(b, j.v)
	}
	return fmt.Errorf("db: json from %T", src)
}

// In writes n placeholders starting at $from, for IN lists of bounded length.
func In(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(from + i))
	}
	return b.String()
}

// Few adds values to the arguments and writes their placeholders for an IN list. Their
// number becomes a power of two, the last one repeated, so that few texts are prepared.
func Few[T any](args []any, values []T) (list string, all []any) {
	from, n := len(args)+1, 0
	for ; n < len(values) || n&(n-1) != 0; n++ {
		args = append(args, values[min(n, len(values)-1)])
	}
	return In(from, n), args
}

// OneByOne is a query for each of many keys of a list by Few. match is how the query compares its key. Against a table that the
// statistics take for empty, as in the first rush of a hospital, PostgreSQL plans a list as a look at all of the tenant's rows; here it
// goes to the index once for each key, for at most most rows.
func OneByOne(e Engine, list, kind string, most int, query func(match string) string) string {
	if e != Postgres {
		return query("IN (" + list + ")")
	}
	return "-- global: the query within names the tenant\nSELECT x.* FROM (SELECT DISTINCT v FROM unnest(ARRAY[" + list + "]::" + kind + "[]) AS v) AS k(v) CROSS JOIN LATERAL (" +
		query("= k.v") + " LIMIT " + strconv.Itoa(most) + ") AS x"
}

// Collect reads a bounded result into a slice that is never nil; err is Query's own.
func Collect[T any](rows Rows, err error, scan func(Rows, *T) error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
