package patient

import (
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

// External is what another system calls a person: FHIR Identifier.
type External struct {
	System string // URI of the numbering; no personal data
	Value  secret.Text
}

// Imported is a person as a hospital's own records have them. Nobody acts for an
// imported person before a proof: an account that enters the same document gets a Claim.
type Imported struct {
	// External finds the person again: at least one, and none that several persons share.
	External []External
	Name     secret.Text // figures are allowed: records have them
	// DocumentType empty: the records know no document; a new person gets an Internal number made of the first External.
	DocumentType DocumentType
	Document     secret.Text
	Birth        clock.Date
	Sex          string      // male, female, unknown; empty is unknown
	Phone        secret.Text // a mobile number of the mainland, or empty; never replaces the phone of a person that an account acts for
	Profile      Profile
}

// Profile is what the records know beyond: kept sealed as a whole, shown to nobody yet.
type Profile struct {
	Names     []secret.Text // further names
	Telecom   []Telecom
	Addresses []Address
	Contacts  []Contact // guardians and next of kin, not accounts
}

// Telecom is a way to reach somebody: phone, email, fax, other.
type Telecom struct {
	System, Use string
	Value       secret.Text
}

// Address is a postal address; Lines go from the smallest part up.
type Address struct {
	Use, Country, PostalCode    string
	Text, State, City, District secret.Text
	Lines                       []secret.Text
}

// Contact is somebody to turn to. Relationship is a code of the records: guardian, parent, N (next of kin).
type Contact struct {
	Name         secret.Text
	Relationship string
	Telecom      []Telecom
}

// Outcome is what became of an imported person.
type Outcome string

// The outcomes.
const (
	ImportCreated Outcome = "created"
	ImportChanged Outcome = "changed"
	ImportSame    Outcome = "same"
	ImportRefused Outcome = "refused"
)

// ImportResult is the answer for one person; Err names fields, never values.
type ImportResult struct {
	ID      ID // zero when refused
	Outcome Outcome
	Err     error
}

// MaxImport is the most persons of one Import.
const MaxImport = 100
