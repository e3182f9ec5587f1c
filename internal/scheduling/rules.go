package scheduling

// BookingRules are a hospital's own rules of registration (RULES 1g). Every number is
// configuration; the presets hold values that real hospitals publish.
type BookingRules struct {
	Preset      string      `json:"preset"`       // the preset it started from
	Release     Minute      `json:"release"`      // the time of day when the day LastDay ahead is released
	FirstDay    int         `json:"first_day"`    // 0: also today; 1: from tomorrow
	LastDay     int         `json:"last_day"`     // 0..60 days ahead
	Pauses      []Span      `json:"pauses"`       // nightly stop; may cross midnight
	HoldMinutes int         `json:"hold_minutes"` // 1..60
	Cancel      CancelRule  `json:"cancel"`
	SeatReturn  SeatReturn  `json:"seat_return"`
	Limit       LimitScope  `json:"limit"`
	Caps        []Cap       `json:"caps"` // over all departments
	Age         AgeRule     `json:"age"`
	NoShow      AbuseRule   `json:"no_show"`
	Returns     []AbuseRule `json:"returns"` // cancel abuse
	LateMinutes int         `json:"late_minutes"`
	MissMinutes int         `json:"miss_minutes"` // after a session's end who has not come is a no-show; 0: never
}

// Span is a part of each day, From inclusive, To exclusive.
type Span struct {
	From Minute `json:"from"`
	To   Minute `json:"to"`
}

// CancelKind is how a cut-off is counted.
type CancelKind string

// The kinds of cut-offs.
const (
	CancelUntilMidnight CancelKind = "midnight"     // 00:00 of the day of the visit
	CancelDayBefore     CancelKind = "day_before"   // At on the day before
	CancelBeforeStart   CancelKind = "before_start" // so many minutes before the slot, by class
)

// CancelRule is the patient's last moment to cancel a booked appointment.
type CancelRule struct {
	Kind            CancelKind `json:"kind"`
	At              Minute     `json:"at"`               // CancelDayBefore
	ExpertMinutes   int        `json:"expert_minutes"`   // CancelBeforeStart: 专家 and 特需
	OrdinaryMinutes int        `json:"ordinary_minutes"` // CancelBeforeStart: 普通
}

// ReturnKind is when a cancelled seat is free again.
type ReturnKind string

// The kinds of returns.
const (
	ReturnAtOnce      ReturnKind = "at_once"
	ReturnRandom      ReturnKind = "random" // so that nobody can wait for a known seat
	ReturnNextRelease ReturnKind = "next_release"
)

// SeatReturn is the policy; Min and Max in minutes are for ReturnRandom.
type SeatReturn struct {
	Kind ReturnKind `json:"kind"`
	Min  int        `json:"min"`
	Max  int        `json:"max"`
}

// LimitPer says who is counted.
type LimitPer string

// Who is counted.
const (
	PerPatient LimitPer = "patient" // the person by identity number
	PerAccount LimitPer = "account" // the phone
)

// LimitScope is what one may book once: per day and department, and optionally per
// doctor or session as well.
type LimitScope struct {
	Per     LimitPer `json:"per"`
	Doctor  bool     `json:"doctor"`
	Session bool     `json:"session"`
}

// Cap bounds the active visits of a person in any Days days in a row.
type Cap struct {
	Days int `json:"days"` // 1..92
	Max  int `json:"max"`
}

// AgeKind is what a hospital does about the 14-year border.
type AgeKind string

// The kinds of age rules.
const (
	AgeAny        AgeKind = "any"
	AgeRefuse     AgeKind = "refuse_under"   // no online booking under the border
	AgePaediatric AgeKind = "paediatric_own" // under the border paediatrics only, from it never
)

// AgeRule has the border in full years on the day of the visit.
type AgeRule struct {
	Kind   AgeKind `json:"kind"`
	Border int     `json:"border"`
}

// AbuseRule blocks booking after Count incidents: within Months months, or (Calendar)
// within one calendar month and then to its end. Count 0 = off.
type AbuseRule struct {
	Count    int  `json:"count"`
	Months   int  `json:"months"`
	Block    int  `json:"block"` // months
	Calendar bool `json:"calendar"`
	SameDay  bool `json:"same_day"` // Returns: only cancellations on the day of the visit count
}
