// Package holdings says what a context holds of a person, table by table, and does with it what the person may ask for: a copy, and
// its end (R55). Each context declares its tables beside their classes (Module.Held); a test compares the declaration with the
// schema, so that a new table of persons cannot be forgotten. It knows no context.
package holdings

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
)

// Subject is a person, and the accounts that are this person's own (not those of the family).
type Subject struct {
	Tenant   id.ID[auth.Tenant]
	Patient  id.ID[id.Any]
	Accounts []id.ID[auth.Account] // at most MaxAccounts
}

// MaxAccounts bounds the own accounts of a person.
const MaxAccounts = 10

// Owner says whose id a column holds.
type Owner string

// The owners.
const (
	Patient Owner = "patient"
	Account Owner = "account"
)

// Words are said to the person.
type Words struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Fate is what becomes of the rows when the person is erased.
type Fate string

// The fates.
const (
	Deleted Fate = "deleted" // here
	ByOwner Fate = "owner"   // by a use case of the context that empties or ends them
	Kept    Fate = "kept"    // under Term; the rows name nobody, only ids
)

// Term is how long the law wants rows kept after an erasure.
type Term struct {
	Years int
	Law   Words // the rule and its source, for the person
}

// Ends is the first instant at which the rows need not be kept any more: civil years in UTC, and the day after.
func (t Term) Ends(from time.Time) time.Time { return from.UTC().AddDate(t.Years, 0, 1) }

// The terms that the law sets; docs/compliance.md has their sources, and which of them a professional has to confirm.
var (
	// Visit: records of diagnosis and treatment and what shows that they took place (R11).
	Visit = Term{Years: 15, Law: Words{"互联网诊疗监管细则：诊疗记录保存不少于15年", "Rules for internet diagnosis and treatment: records are kept for at least 15 years"}}
	// Deal: what a platform knows of a trade, and what was done with personal data (R56).
	Deal = Term{Years: 3, Law: Words{"电子商务法、网络数据安全管理条例：交易与处理记录保存不少于3年", "E-commerce law and network data rules: records of trade and processing are kept for at least 3 years"}}
	// Books: vouchers of the hospital's accounts.
	Books = Term{Years: 30, Law: Words{"会计档案管理办法：会计凭证保存30年", "Rules for accounting archives: vouchers are kept for 30 years"}}
)

// Via leads to the person's rows through another table of the same context.
type Via struct{ Table, Column string }

// Table is one table that holds something of persons.
type Table struct {
	Name   string
	Column string // that holds the id of the owner; with Via, the id of a row of Via.Table, whose Column holds the owner's
	Via    *Via
	Owner  Owner
	Title  Words
	Fate   Fate
	Term   Term   // of Kept
	Since  string // column of the instant (microseconds) from which the term runs
	// SinceDay: Since is a civil date.
	SinceDay bool
	// Pending: rows in these States of the column are business under way; the person cannot be erased before it has ended.
	Pending *States
	// Record: rows in these states would be no record without knowing whose they are, so name and document stay sealed for the
	// term (R11).
	Record *States
	Days   []string // columns of civil dates
	// Hidden is not in the copy: other people's matters, or of no use to anybody. Secrets, keys and indexes never are.
	Hidden bool
	// Open reads the sealed columns, each its own.
	Open map[string]Open
}

// States are rows whose column has one of the values.
type States struct {
	Column string
	In     []string
}

// Open reads a sealed column of a row.
type Open func(ctx context.Context, r *crypt.Ring, tenant id.ID[auth.Tenant], row Row) (secret.Text, error)

// Row is a row as the database has it.
type Row map[string]any

// ID is a column of ids; zero without a value.
func (r Row) ID(column string) (v id.ID[id.Any]) {
	switch b := r[column].(type) {
	case []byte:
		copy(v[:], b)
	case [16]byte:
		v = b
	case string:
		if p, err := id.Parse[id.Any](b); err == nil {
			v = p
		}
	}
	return v
}

// Bytes is a column of bytes; nil without a value.
func (r Row) Bytes(column string) []byte {
	b, _ := r[column].([]byte)
	return b
}

// Section is what one table holds of the person, readable: sealed values opened, instants and dates as texts.
type Section struct {
	Context string           `json:"context"`
	Table   string           `json:"table"`
	Title   Words            `json:"title"`
	Rows    []map[string]any `json:"rows"`
	More    bool             `json:"more"` // there are more rows than MaxRows
}

// MaxRows is the most rows of a table in one copy.
const MaxRows = 5000

// KeptRows is what stays of a table after an erasure.
type KeptRows struct {
	Context  string
	Table    string
	Title    Words
	Rows     int64
	Until    time.Time
	Law      Words
	Identity bool
}

// Waiting is business under way.
type Waiting struct {
	Context string
	Title   Words
	Rows    int64
}

// Set are the holdings of one context.
type Set struct {
	Context string
	DB      *db.DB
	Ring    *crypt.Ring
	Classes dataclass.Schema
	Tables  []Table
}

// show makes a value of a column readable.
func show(class dataclass.Class, column string, day bool, r Row) any {
	v := r[column]
	switch x := v.(type) {
	case nil:
		return nil
	case [16]byte:
		return r.ID(column).String()
	case []byte:
		if class.Plain() == dataclass.ID && len(x) == 16 {
			return r.ID(column).String()
		}
		if class == dataclass.ID || class == dataclass.Fact || class == dataclass.Public || class.Personal() {
			return string(x)
		}
		return nil
	case int64:
		if day || class == dataclass.Birth {
			return clock.Date(x).String()
		}
		if x > 0 && isInstant(column) {
			return db.Time(x).In(clock.Shanghai).Format(time.RFC3339)
		}
		return x
	}
	return v
}

// isInstant tells a column of microseconds by its name (R: instants end in _at, as everywhere in the schema).
func isInstant(column string) bool {
	return column == "at" || len(column) > 3 && column[len(column)-3:] == "_at"
}

// told tells whether a copy has the column: what says something to or of the person, and opens nothing.
func told(class dataclass.Class, column string) bool {
	switch class.Plain() {
	case dataclass.Index, dataclass.Secret, dataclass.Key:
		return false
	}
	return column != "tenant_id" && column != "version"
}
