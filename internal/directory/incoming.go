package directory

import "xinglin/internal/kernel/id"

// Identifier is what another system calls an entry: FHIR Identifier.
type Identifier struct {
	System string `json:"system"` // URI of the numbering, may be empty
	Value  string `json:"value"`
}

// Noun is the sort of an entry that carries identifiers.
type Noun string

// The nouns.
const (
	NounOrganization Noun = "Organization"
	NounCampus       Noun = "Campus"
	NounDepartment   Noun = "Department"
	NounPractitioner Noun = "Practitioner"
)

// Incoming is one entry of another system's list. Exactly one of the pointers is set; its
// ID and Version are not read, empty fields stay as they are. Only a Department may come
// without identifiers: it is found by its name within the campus.
type Incoming struct {
	Identifiers  []Identifier
	Organization *Organization
	Campus       *Campus     // Organization zero: the tenant's own
	Department   *Department // Campus is needed
	// Practitioner needs Licence, Name and Department, which becomes one of the places
	// where the practitioner works. Without a Name the practitioner must be known.
	Practitioner *Practitioner
}

// Outcome is what became of an incoming entry.
type Outcome string

// The outcomes.
const (
	Created Outcome = "created"
	Changed Outcome = "changed"
	Same    Outcome = "same"
	Refused Outcome = "refused"
)

// Taken is the answer for one incoming entry.
type Taken struct {
	ID      id.ID[id.Any] // zero when refused
	Outcome Outcome
	Place   Outcome // of a practitioner's place of work: Created or Same
	Err     error   // when refused
}

// MaxIncoming is the most entries of one Take.
const MaxIncoming = 100
