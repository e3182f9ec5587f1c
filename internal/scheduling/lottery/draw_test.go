package lottery

import (
	"errors"
	"slices"
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

func TestAnnouncement(t *testing.T) {
	a, b := ID{15: 1}, ID{15: 2}
	sound := Announcement{Schedules: []ID{b, a, b}, Window: time.Minute, Per: PerPerson}
	if err := sound.Check(); err != nil {
		t.Fatal(err)
	}
	if got := sound.Distinct(); !slices.Equal(got, []ID{a, b}) || !slices.Equal(sound.Schedules, []ID{b, a, b}) {
		t.Errorf("%v of %v", got, sound.Schedules)
	}
	for name, change := range map[string]func(*Announcement){
		"none":        func(v *Announcement) { v.Schedules = nil },
		"too many":    func(v *Announcement) { v.Schedules = make([]ID, MaxAnnounced+1) },
		"too short":   func(v *Announcement) { v.Window = MinWindow - time.Second },
		"too long":    func(v *Announcement) { v.Window = MaxWindow + time.Second },
		"parts":       func(v *Announcement) { v.Window += time.Millisecond },
		"another per": func(v *Announcement) { v.Per = "family" },
	} {
		v := sound
		change(&v)
		if err := v.Check(); !errors.Is(err, scheduling.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEntryRequest(t *testing.T) {
	const drift = time.Hour
	key := id.New[scheduling.Appointment](opens)
	made := key.Time() // ids of one process never go back
	for name, x := range map[string]struct {
		now    time.Duration // after the key was made
		change func(*EntryRequest)
		want   error
	}{
		"sound":        {0, func(*EntryRequest) {}, nil},
		"old key":      {drift, func(*EntryRequest) {}, nil},
		"new key":      {-drift, func(*EntryRequest) {}, nil},
		"no wishes":    {0, func(r *EntryRequest) { r.Wishes = nil }, nil},
		"no key":       {0, func(r *EntryRequest) { r.ID = id.ID[scheduling.Appointment]{} }, scheduling.ErrKeyClock},
		"too old":      {drift + 1, func(*EntryRequest) {}, scheduling.ErrKeyClock},
		"to come":      {-drift - 1, func(*EntryRequest) {}, scheduling.ErrKeyClock},
		"no person":    {0, func(r *EntryRequest) { r.Patient = scheduling.PatientID{} }, scheduling.ErrInput},
		"a wish twice": {0, func(r *EntryRequest) { r.Wishes = append(r.Wishes, r.Wishes[0]) }, scheduling.ErrInput},
		"too many":     {0, func(r *EntryRequest) { r.Wishes = make([]SlotID, MaxWishes+1) }, scheduling.ErrInput},
	} {
		r := EntryRequest{ID: key, Patient: scheduling.PatientID{15: 1}, Wishes: []SlotID{{15: 2}, {15: 1}}}
		x.change(&r)
		if err := r.Check(made.Add(x.now), drift); (x.want == nil) != (err == nil) || x.want != nil && !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDraw: what the hospital lays out of a finished draw holds for whoever verifies it,
// and so does each receipt.
func TestDraw(t *testing.T) {
	p := newPlay(7)
	d := Draw{State: Done, Seed: p.bytes(SeedSize)}
	d.Lottery, d.Per, d.OpensAt, d.ClosesAt, d.SealedAt = ID(p.bytes(16)), PerPerson, opens, opens.Add(time.Minute), opens.Add(time.Minute)
	d.Commitment = Commit(d.Lottery, d.Seed)
	d.Seats = []Seat{{SlotID(p.bytes(16)), opens.Add(time.Hour), 2}}
	var entries []Entrant
	var leaves []Hash
	for range 5 {
		e := Entrant{ID: id.ID[scheduling.Appointment](p.bytes(16)), Lottery: d.Lottery, Nonce: p.bytes(16)}
		e.Handle, e.Person = Handle(e.ID, e.Nonce), p.hash()
		e.Leaf = e.Entry.Leaf(d.Lottery)
		entries, leaves = append(entries, e), append(leaves, e.Leaf)
	}
	d.Root, d.Count = Root(leaves), len(entries)
	entries = d.Ranked(entries)
	for i := range 2 {
		entries[i].Outcome, entries[i].Slot = Won, d.Seats[0].Slot
	}
	slices.Reverse(entries) // the order of storage means nothing
	proof := d.Proof(entries)
	report, err := proof.Verify(Trust{})
	if err != nil || report.Won != 2 || report.Lost != 3 || proof.Witnessed || proof.Witness != nil {
		t.Errorf("%+v %v", report, err)
	}
	for _, e := range entries {
		r := d.Receipt(e)
		r.Sign(Key(d.Lottery, d.Seed))
		if _, err := proof.Find(r); err != nil {
			t.Error(err)
		}
	}
}

func TestEntrant(t *testing.T) {
	for _, x := range []struct {
		outcome Outcome
		state   State
		want    EntryState
	}{
		{"", Open, EntryWaiting},
		{"", Drawn, EntryWaiting},
		{"", Done, EntryLost},
		{Won, Drawn, EntryWon},
		{Won, Done, EntryWon},
		{Refused, Done, EntryRefused},
	} {
		if got := (Entrant{Outcome: x.outcome}).StateIn(Draw{State: x.state}); got != x.want {
			t.Errorf("%q in %s: %s", x.outcome, x.state, got)
		}
	}
	for state, want := range map[State]bool{Open: false, Sealed: false, Drawn: true, Done: true} {
		if (Draw{State: state}).Drawn() != want {
			t.Errorf("%s: drawn %v", state, !want)
		}
	}
	e := Entrant{ID: id.ID[scheduling.Appointment]{15: 1}, Entry: Entry{Wishes: []SlotID{{15: 1}}}}
	again, other := e, e
	again.Nonce, again.Outcome = []byte("another"), Won
	other.Wishes = []SlotID{{15: 2}}
	if !e.Same(again) || e.Same(other) {
		t.Error("a request is its key, person and wishes")
	}
	if got := (Entrant{}).WishList(); got == nil || len(e.WishList()) != 1 {
		t.Error("a list of wishes is never null")
	}
}
