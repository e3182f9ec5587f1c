package audit

import "time"

// Class says how long the text of an entry is kept. Its hash is kept for ever, so that
// every proof stays valid.
type Class string

// The classes.
const (
	// Operation is the default: acts of running the house. Six months are the law (R57),
	// which can be 184 days; 190 are kept.
	Operation Class = "operation"
	// Transaction: money, and what is done with persons' data: three years (R56, trade data
	// of platforms).
	Transaction Class = "transaction"
	// Record: acts on medical records and what belongs to them: fifteen years (R11).
	Record Class = "record"
	// Permanent entries are never deleted: what the log says about itself.
	Permanent Class = "permanent"
)

// Classes lists them, the shortest first.
var Classes = []Class{Operation, Transaction, Record, Permanent}

const day = 24 * time.Hour

// MinimumDays is the shortest time of any class, in days.
const MinimumDays = 190

// DueAt is the first instant at which an entry of this instant may go; ok is false when
// it never may. Years are civil years of the calendar in UTC, so that leap days count.
func (c Class) DueAt(at time.Time) (due time.Time, ok bool) {
	switch c {
	case Operation:
		return at.Add(MinimumDays * day), true
	case Transaction:
		return at.UTC().AddDate(3, 0, 1), true
	case Record:
		return at.UTC().AddDate(15, 0, 1), true
	}
	return time.Time{}, false
}

// Known says whether it is one of the classes.
func (c Class) Known() bool {
	for _, k := range Classes {
		if c == k {
			return true
		}
	}
	return false
}

// nouns that are kept longer than the default.
var nouns = map[string]Class{
	"Payment": Transaction, "Refund": Transaction, "Ledger": Transaction, "Transaction": Transaction, "Appointment": Transaction, "Turn": Transaction,
	"Patient": Transaction, "Claim": Transaction, "Link": Transaction, "Account": Transaction, "Import": Transaction, "Exchange": Transaction,
	"Consent": Transaction, "Request": Transaction, "Retained": Transaction, "Assessment": Transaction, "Breach": Transaction, "Purpose": Transaction,
	"AuditEvent": Transaction, "AuditLog": Transaction,
	"Encounter": Record, "MedicalRecord": Record, "Prescription": Record,
}

// ClassOf is the class of an act on this noun.
func ClassOf(noun string) Class {
	if c, ok := nouns[noun]; ok {
		return c
	}
	return Operation
}
