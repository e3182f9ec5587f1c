package lottery

import (
	"slices"
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

// Check refuses what cannot be announced.
func (a Announcement) Check() error {
	switch {
	case len(a.Schedules) == 0 || len(a.Schedules) > MaxAnnounced:
		return scheduling.ErrInput.At("schedule_ids", "1 to 200 schedules")
	case a.Window < MinWindow || a.Window > MaxWindow || a.Window%time.Second != 0:
		return scheduling.ErrInput.At("window_seconds", "10 to 600")
	case a.Per != PerPerson && a.Per != PerAccount:
		return scheduling.ErrInput.At("per", "person, account")
	}
	return nil
}

// Distinct are the schedules, each once, in the order of their ids.
func (a Announcement) Distinct() []ID {
	return slices.Compact(slices.SortedFunc(slices.Values(a.Schedules), func(x, y ID) int { return slices.Compare(x[:], y[:]) }))
}

// EntryRequest enters a person.
type EntryRequest struct {
	ID      id.ID[scheduling.Appointment] // the caller's UUIDv7; the appointment has it when the entry wins
	Lottery ID
	Patient scheduling.PatientID
	Wishes  []SlotID // in the order of preference; none: any, the earliest
}

// Check refuses what no lottery takes. drift is how far the key's time may be from now.
func (r EntryRequest) Check(now time.Time, drift time.Duration) error {
	made := r.ID.Time()
	switch {
	case made.IsZero() || made.Before(now.Add(-drift)) || made.After(now.Add(drift)):
		return scheduling.ErrKeyClock.New()
	case r.Patient.IsZero():
		return scheduling.ErrInput.At("patient_id", "needed")
	case len(r.Wishes) > MaxWishes:
		return scheduling.ErrInput.At("slot_ids", "at most 20")
	}
	seen := map[SlotID]bool{}
	for _, w := range r.Wishes {
		if seen[w] {
			return scheduling.ErrInput.At("slot_ids", "each once")
		}
		seen[w] = true
	}
	return nil
}
