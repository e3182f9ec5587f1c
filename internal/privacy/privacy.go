// Package privacy keeps what persons decide about their data and ask for (个人信息权益): Consents to separate purposes, Requests (a
// copy, a transfer, a correction, an erasure, an objection to who saw the record), and the hospital's registers of impact Assessments and Breaches (R14, R55, R56).
//
// Invariants: a consent is for one purpose, one version of its text and one person, given by the person, or under 14 by the guardian;
// a newer text asks again; each step stays; a request is decided by a person within 15 working days; a copy is taken once; an
// erasure destroys the person's key and leaves what the law wants kept, sealed apart, with its end; registers only grow.
package privacy

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
)

// Nouns and their ids.
type (
	// Consent is what a person decided about a purpose.
	Consent struct{}
	// Request is what a person asked for.
	Request struct{}
	// Assessment is an impact assessment (个人信息保护影响评估).
	Assessment struct{}
	// Breach is an incident with personal data (个人信息安全事件).
	Breach struct{}
	// Retained is what the law wants kept of who an erased person was.
	Retained struct{}

	TenantID     = id.ID[auth.Tenant]
	RequestID    = id.ID[Request]
	AssessmentID = id.ID[Assessment]
	BreachID     = id.ID[Breach]
	RetainedID   = id.ID[Retained]
)

// Purpose is one thing that data is used for; each has its own consent.
type Purpose string

// The purposes. None is given before the person says so, and care never depends on one.
const (
	RecordSharing    Purpose = "record_sharing"    // 诊疗记录在本院各科室间共享: treating staff of other departments see the record
	CrossInstitution Purpose = "cross_institution" // 跨机构共享: other hospitals of the group or alliance
	Personalisation  Purpose = "personalisation"   // 个性化推荐与AI: search, recommendation and assistant use what is known of the person (R40)
	Research         Purpose = "research"          // 科研
	Marketing        Purpose = "marketing"         // 营销信息
)

// Purposes lists them in the order of the consent centre.
var Purposes = []Purpose{RecordSharing, CrossInstitution, Personalisation, Research, Marketing}

// Sensitive tells that the purpose uses health data, so that its text says why it is necessary and what it may do to the person (R55).
func (p Purpose) Sensitive() bool { return p != Marketing }

// Known tells whether there is such a purpose.
func (p Purpose) Known() bool {
	for _, k := range Purposes {
		if p == k {
			return true
		}
	}
	return false
}

// Wording is a purpose in one language. Necessity and Effect are needed for sensitive ones.
type Wording struct {
	Title, Body, Necessity, Effect string
}

// Text is one version of what persons consent to.
type Text struct {
	Purpose     Purpose
	Version     int // from 1
	ZH, EN      Wording
	PublishedAt time.Time
}

// Decision is what a person decided about a purpose.
type Decision string

// The decisions.
const (
	Undecided Decision = "none"
	Given     Decision = "given"
	Withdrawn Decision = "withdrawn"
	Outdated  Decision = "outdated" // given, to an older text or by a guardian whose child is 14 by now: it does not count
)

// Capacity is in whose name somebody decided.
type Capacity string

// The capacities.
const (
	BySelf     Capacity = "self"
	ByGuardian Capacity = "guardian"
)

// Kind is what a request asks for.
type Kind string

// The kinds.
const (
	Copy     Kind = "copy"     // everything that is held, readable by people and machines
	Transfer Kind = "transfer" // the machine-readable part alone, for another holder (PIPL art. 45)
	Correct  Kind = "correct"
	Erase    Kind = "erase"
	Object   Kind = "object" // to an access to the own record (PIPL art. 44, 50)
)

// State is where a request is.
type State string

// The states.
const (
	Open      State = "open"      // a person has to decide
	Working   State = "working"   // the program is at it
	Ready     State = "ready"     // the file waits to be taken
	Done      State = "done"      // taken, corrected or erased
	Refused   State = "refused"   // with a reason
	Cancelled State = "cancelled" // taken back by the person
	Expired   State = "expired"   // the file was not taken
)

// WorkingDays is how long the hospital has for a request: GB/T 35273 and the rules for apps say 15 working days.
const WorkingDays = 15

// CopyDays is how long a finished file waits.
const CopyDays = 7

// Severity is how grave a breach is; the time to tell the authority follows.
type Severity string

// The severities.
const (
	General  Severity = "general"
	Major    Severity = "major"
	Critical Severity = "critical"
)

// Tell is how long there is, from finding a breach, to tell the authority (R14 says at once: these are the outer limits of the
// national reporting rules, which a professional has to confirm), and to tell persons.
func (s Severity) Tell() (authority, persons time.Duration) {
	switch s {
	case Critical:
		return time.Hour, 24 * time.Hour
	case Major:
		return 4 * time.Hour, 24 * time.Hour
	}
	return 24 * time.Hour, 72 * time.Hour
}

// AssessmentYears is how long an assessment is kept (R56): the register has no way to delete one.
const AssessmentYears = 3

// Wanted is what a correction should change; empty stays.
type Wanted struct {
	Name  secret.Text
	Birth *clock.Date
	Sex   string
}

// TextSpec is a text to be published.
type TextSpec struct {
	Purpose Purpose
	After   int // the version that the publisher saw, 0 for none: another one is privacy.stale
	ZH, EN  Wording
}

// Service is what other contexts ask before they use data for a purpose.
type Service interface {
	// Consented tells whether the person's consent to the purpose counts now: given, to the text that is in force, by who may. A purpose
	// without a text has none. Unknown and erased persons have consented to nothing.
	Consented(ctx context.Context, tenant TenantID, p patient.ID, purpose Purpose) (bool, error)
	// ConsentedAmong gives those of the persons, at most 200, whose consent counts.
	ConsentedAmong(ctx context.Context, tenant TenantID, ps []patient.ID, purpose Purpose) (map[patient.ID]bool, error)
	// Publish puts a text into force; consents to older ones do not count from now on. The operator, the privacy officer and the
	// command line. privacy.text_invalid, privacy.stale.
	Publish(ctx context.Context, t TextSpec) (Text, error)
}
