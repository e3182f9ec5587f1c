// Package patient knows the persons cared for (患者, 就诊人): one Patient per person
// and tenant, and the accounts that act for them. Names, numbers and phones are sealed
// under the person's key; equality is found by blind index.
//
// Invariants: UNIQUE (tenant, document type, number index); a second account that
// enters the same person gets a link only after proof and learns nothing before it; a
// child under 14 is added by a guardian with consent (R4, R55).
package patient

import (
	"context"
	"slices"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// Ids of the nouns.
type (
	ID       = id.ID[Patient]
	ClaimID  = id.ID[Claim]
	TenantID = id.ID[auth.Tenant]
)

// DocumentType is the sort of an identity document.
type DocumentType string

// The document types.
const (
	ResidentID   DocumentType = "resident_id"   // 居民身份证, GB 11643 check (R63)
	HMTResidence DocumentType = "hmt_residence" // 港澳台居民居住证
	HMTPermit    DocumentType = "hmt_permit"    // 来往内地通行证
	ForeignPR    DocumentType = "foreign_pr"    // 外国人永久居留身份证
	Passport     DocumentType = "passport"      // 护照
	BirthCert    DocumentType = "birth_cert"    // 出生医学证明
	Internal     DocumentType = "internal"      // 院内临时号
)

// Relationship is what the patient is to the account.
type Relationship string

// The relationships.
const (
	Self   Relationship = "self"
	Child  Relationship = "child"
	Parent Relationship = "parent"
	Spouse Relationship = "spouse"
	Other  Relationship = "other"
)

// Verified is the result of the real-name check.
type Verified string

// The results.
const (
	Unverified Verified = "none"
	Matched    Verified = "verified"
	Mismatched Verified = "mismatch"
)

// Patient is one person, as an account that is linked may see them.
type Patient struct {
	ID           ID
	Name         secret.Text
	DocumentType DocumentType
	Document     secret.Text
	Phone        secret.Text
	Birth        clock.Date
	Sex          string // male, female, unknown
	Relationship Relationship
	Verified     Verified
	VerifiedAt   time.Time
	Version      int64
}

// Claim waits for the proof of a second account.
type Claim struct {
	ID          ClaimID
	PhoneMasked string // empty when there is no phone on file: the desk proves
}

// New describes a person to be added.
type New struct {
	Name         secret.Text
	DocumentType DocumentType
	Document     secret.Text
	// Birth and Sex (male, female, unknown) may stay empty where the number says them
	// (ResidentID, HMTResidence); when given they must agree with it (R63). Elsewhere
	// the birth is needed and an empty sex is unknown.
	Birth clock.Date
	Sex   string
	// Phone is a mobile number of the mainland. Empty: the account's own for oneself
	// and one's child, else none, and a later claim is proved at the desk.
	Phone           secret.Text
	Relationship    Relationship
	GuardianConsent bool
}

// Booker is what a booking needs to know of a person.
type Booker struct {
	ID       ID
	Birth    clock.Date
	Verified Verified
	Masked   string // the name as lists show it (张*三); empty for a shredded person
}

// Person is who somebody is, for the staff that cares for the person now.
type Person struct {
	Name  secret.Text
	Birth clock.Date
	Sex   string // male, female, unknown
}

// Identity is who somebody is by document: for corrections, and for what the law wants sealed after an erasure.
type Identity struct {
	Name         secret.Text
	DocumentType DocumentType
	Document     secret.Text
	Birth        clock.Date
	Sex          string // male, female, unknown
}

// Correction says what of a person was wrong (PIPL art. 46); nil stays. Birth and sex must agree with a document that says them.
type Correction struct {
	Name  *secret.Text
	Birth *clock.Date
	Sex   *string
}

// Carer is an account that acts for a person.
type Carer struct {
	Account      id.ID[auth.Account]
	Relationship Relationship
	Guardian     bool // of a child under 14, with consent
}

// Care is who acts for a person, and whether the person may not yet consent: under 14 on the day (R55).
type Care struct {
	Child  bool
	Carers []Carer // at most 50
}

// Link is a person that an account may act for.
type Link struct {
	Patient ID
	// Proven: the account proved that it may, by the code to the phone on file or at the desk, after the person was known.
	// What was done for the person without an account is shown to it; not to one that merely was the first to enter the person.
	Proven bool
}

// Proven reports whether a proved link leads to the person.
func Proven(links []Link, p ID) bool {
	return slices.Contains(links, Link{Patient: p, Proven: true})
}

// ProvenFor reports whether something of the person was done without an account (at the window) and the caller has proved to
// act for the person, so that it is the caller's to see.
func ProvenFor(ctx context.Context, s Service, who auth.Principal, account id.ID[auth.Account], p ID) (bool, error) {
	if who.Kind != auth.Patient || !account.IsZero() {
		return false, nil
	}
	links, err := s.Linked(ctx, who.Tenant, who.Account)
	return Proven(links, p), err
}

// Service is what others may ask. The principal's links decide; a person who is not
// linked is patient.not_found.
type Service interface {
	// Booker checks that the principal's account may book for the person.
	Booker(ctx context.Context, p ID) (Booker, error)
	// DeskBooker checks that the staff may book for the person at the window, and names the account that the person has
	// for oneself, the oldest link first; zero without one.
	DeskBooker(ctx context.Context, p ID) (Booker, id.ID[auth.Account], error)
	// MaskedNames reads names as lists show them (张*三), at most 200 ids; unknown and shredded ones are left out.
	MaskedNames(ctx context.Context, tenant TenantID, ids []ID) (map[ID]string, error)
	// Person is who somebody is, for staff who see persons (patient.not_found for one who is unknown or shredded). The caller
	// has decided that the person is in the staff's care and writes the audit row.
	Person(ctx context.Context, p ID) (Person, error)
	// Linked lists the persons that the account may act for, at most 50.
	Linked(ctx context.Context, tenant TenantID, account id.ID[auth.Account]) ([]Link, error)
	// Add makes the person and the link, or a Claim when the person exists and is not linked. Exactly one of the results is set.
	Add(ctx context.Context, n New) (*Patient, *Claim, error)
	// Import brings in persons of a hospital's records, without a link and without a real-name check: at most MaxImport, in their
	// order, found again by External or document. Together in one transaction, or each for itself; with dryRun it only says what
	// would be. What was verified by real name is not overwritten. Needs the command line's right.
	Import(ctx context.Context, in []Imported, dryRun bool) ([]ImportResult, error)
	// Care is who acts for the person (patient.not_found); the caller decides what that means for the principal.
	Care(ctx context.Context, tenant TenantID, p ID) (Care, error)
	// Identify is who the person is by document: the privacy officer, and the job of an erasure. The caller writes the audit row.
	Identify(ctx context.Context, p ID) (Identity, error)
	// Correct changes what was wrong and takes the real-name result away; the privacy officer. patient.invalid,
	// patient.document_invalid. The caller keeps what it was before.
	Correct(ctx context.Context, p ID, c Correction) error
	// Shred destroys the person's key: names, numbers and phones become unreadable for ever (PIPL art. 47, R55).
	// The command line, and the job of an erasure that was decided.
	Shred(ctx context.Context, p ID) error
}
