package privacy

import "xinglin/internal/patient"

// ConsentChanged tells that a person decided about a purpose.
type ConsentChanged struct {
	Patient patient.ID `json:"patient_id"`
	Purpose Purpose    `json:"purpose"`
	Given   bool       `json:"given"`
	Version int        `json:"version"` // of the text
}

// EventName implements event.Event.
func (ConsentChanged) EventName() string { return "privacy.consent.changed.v1" }

// TextPublished tells that consents to older texts of the purpose do not count any more.
type TextPublished struct {
	Purpose Purpose `json:"purpose"`
	Version int     `json:"version"`
}

// EventName implements event.Event.
func (TextPublished) EventName() string { return "privacy.text.published.v1" }

// RequestDue tells that a request has to be decided within three days.
type RequestDue struct {
	Request RequestID `json:"request_id"`
	Kind    Kind      `json:"kind"`
}

// EventName implements event.Event.
func (RequestDue) EventName() string { return "privacy.request.due.v1" }

// PersonErased tells that nothing of the person can be read any more but what the law wants kept, apart.
type PersonErased struct {
	Patient patient.ID `json:"patient_id"`
}

// EventName implements event.Event.
func (PersonErased) EventName() string { return "privacy.person.erased.v1" }
