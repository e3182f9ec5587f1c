package lottery

import (
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// State is the state of a lottery.
type State string

// The states of a lottery.
const (
	Open   State = "open"   // announced, and entries are taken within the window
	Sealed State = "sealed" // nobody can enter any more; the list's root is fixed
	Drawn  State = "drawn"  // the seed is shown, the ranks are known
	Done   State = "done"   // the seats are given; what is left is on ordinary sale
)

// EntryState is what an entrant sees.
type EntryState string

// The states of an entry.
const (
	EntryWaiting EntryState = "waiting"
	EntryWon     EntryState = "won"     // a hold or booking under the entry's id
	EntryLost    EntryState = "lost"    // no wished seat was left at its rank
	EntryRefused EntryState = "refused" // the rules of booking refused the seat
)

// Limits of a lottery.
const (
	MinWindow    = 10 * time.Second
	MaxWindow    = 10 * time.Minute
	Notice       = time.Minute // announced at least so long before the release
	MaxAnnounced = 200         // schedules in one announcement
	MaxEntries   = 100_000
	HoldMinutes  = 30 // winners have at least so long to pay
)

// Announcement asks to release schedules by lottery (operator).
type Announcement struct {
	Schedules []ID
	Window    time.Duration // from the release, whole seconds
	Per       Per
}

// EntryRequest enters a person.
type EntryRequest struct {
	ID      id.ID[scheduling.Appointment] // the caller's UUIDv7; the appointment has it when the entry wins
	Lottery ID
	Patient scheduling.PatientID
	Wishes  []SlotID // in the order of preference; none: any, the earliest
}
