// Package mask makes copies of an installation's data without the people in it, for development (J12): every row that refers to
// another still does, the same source and key give the same values, and no key leads back. It copies by the classes that each
// context declares of its columns (kernel/dataclass); what follows from a value in a sealed field, the context itself rewrites by
// a Rule. Scan looks through a finished copy for what must not be in it.
//
// What the copy has instead of people can be told from them: phones begin with numbers that belong to no operator, resident
// numbers name a county that is none, names have a 某 in them. So a scan needs no list to find a real one.
package mask

import (
	"context"
	"fmt"
	"regexp"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// Refusals.
var (
	ErrDestination = fault.Register(fault.Conflict, "mask.destination",
		"目标目录不是空的", "The folder for the copy must be empty or not there")
	ErrServed = fault.Register(fault.Conflict, "mask.served",
		"数据库正在使用中，请先停止服务，或使用恢复的备份", "Processes serve the database: stop them, or copy a restored backup")
	ErrUndeclared = fault.Register(fault.Internal, "mask.undeclared",
		"有数据列未声明脱敏方式", "A column has no class, or nobody says how it is masked; nothing was copied")
	ErrNoRoom = fault.Register(fault.Internal, "mask.no_room",
		"没有足够的替代号码", "There are not enough numbers to stand in for those of the source")
	ErrKey = fault.Register(fault.Invalid, "mask.key",
		"脱敏密钥无法使用", "The key for masking cannot be used: want a file of at least 32 bytes that nobody else can read")
	ErrKnown = fault.Register(fault.Invalid, "mask.known",
		"名单与密钥不符，或已损坏", "The list of known values is damaged or was made with another key")
	ErrFound = fault.Register(fault.Conflict, "mask.raw_found",
		"发现未脱敏的数据", "Raw identifiers were found; the lines above say where")
)

// Rule says how the rows of one table go into a copy where the classes of its columns do not say all.
type Rule struct {
	Table string
	// Drop leaves out every row.
	Drop bool
	// Before sees up to 500 rows together, to load their keys.
	Before func(ctx context.Context, c *Copy, rows []*Row) error
	// Row rewrites a row. What it does not set goes by its class.
	Row func(ctx context.Context, c *Copy, r *Row) error
}

// Unit is what one context brings to a copy.
type Unit struct {
	Context string
	Set     db.Set
	Data    dataclass.Schema
	Rules   []Rule
}

// Row is a row on its way into the copy.
type Row struct {
	table  string
	values map[string]any
	set    map[string]bool
	out    bool
	home   string // another context's database; empty: its own
	also   []*Row
}

// NewRow is a row of a table, for the test of a rule.
func NewRow(table string, values map[string]any) *Row {
	return &Row{table: table, values: values, set: map[string]bool{}}
}

// Null tells that the column has no value.
func (r *Row) Null(column string) bool { return r.values[column] == nil }

// Text is a column of text; empty without a value.
func (r *Row) Text(column string) string {
	switch v := r.values[column].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Bytes is a column of bytes; nil without a value.
func (r *Row) Bytes(column string) []byte {
	switch v := r.values[column].(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

// Int is a column of whole numbers; 0 without a value.
func (r *Row) Int(column string) int64 {
	v, _ := r.values[column].(int64)
	return v
}

// ID is a column of ids; zero without a value.
func (r *Row) ID(column string) (v id.ID[id.Any]) {
	copy(v[:], r.Bytes(column))
	return v
}

// Tenant is whose row it is.
func (r *Row) Tenant() id.ID[auth.Tenant] { return id.As[auth.Tenant](r.ID("tenant_id")) }

// Set gives a column its value in the copy.
func (r *Row) Set(column string, v any) {
	if b, ok := v.([]byte); ok && b == nil {
		v = nil // a sealed value that is not there is NULL, not an empty one
	}
	r.values[column], r.set[column] = v, true
}

// LeaveOut drops the row.
func (r *Row) LeaveOut() { r.out = true }

// Out tells that the row was dropped.
func (r *Row) Out() bool { return r.out }

// Move makes it a row of another context's table, with these values and no others.
func (r *Row) Move(context, table string, values map[string]any) {
	r.home, r.table, r.values = context, table, values
	for column := range values {
		r.set[column] = true
	}
}

// Also adds a row to another table of the same context, with these values and no others.
func (r *Row) Also(table string, values map[string]any) {
	r.also = append(r.also, &Row{table: table, values: values})
}

// codeText is a code, a state, an id or a number of business: no words that somebody typed.
var codeText = regexp.MustCompile(`^[A-Za-z0-9_.:/+-]{0,80}$`)

// undeclared names a column without a way into the copy.
func undeclared(unit, table string, err error) error {
	return ErrUndeclared.Wrap(fmt.Errorf("%s.%s: %w", unit, table, err))
}
