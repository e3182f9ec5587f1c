package lottery

import (
	"slices"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// Draw is a lottery as the hospital keeps it, from its announcement to its end.
type Draw struct {
	Seal
	State      State
	Window     time.Duration
	SeedSealed []byte
	Seed       []byte // from drawn on
	WitnessKey []byte
	Signature  []byte
	SignedAt   time.Time
	Winners    int
}

// Drawn reports whether the ranks are known.
func (d Draw) Drawn() bool { return d.State == Drawn || d.State == Done }

// Entrant is an entry as the hospital keeps it: with the person and what became of it.
type Entrant struct {
	Entry
	ID        id.ID[scheduling.Appointment]
	Lottery   ID
	Account   scheduling.AccountID
	Patient   scheduling.PatientID
	Nonce     []byte
	Leaf      Hash
	Outcome   Outcome // won, refused; empty: waiting or lost
	Slot      SlotID
	Reason    string
	CreatedAt time.Time
}

// Same reports whether a known entry came of the same request.
func (e Entrant) Same(v Entrant) bool {
	return e.ID == v.ID && e.Lottery == v.Lottery && e.Account == v.Account && e.Patient == v.Patient && slices.Equal(e.Wishes, v.Wishes)
}

// StateIn is what the entrant sees.
func (e Entrant) StateIn(d Draw) EntryState {
	switch {
	case e.Outcome == Won:
		return EntryWon
	case e.Outcome == Refused:
		return EntryRefused
	case d.State == Done:
		return EntryLost
	}
	return EntryWaiting
}

// WishList is the wishes as a JSON list, never null.
func (e Entrant) WishList() []SlotID {
	if e.Wishes == nil {
		return []SlotID{}
	}
	return e.Wishes
}

// Ranked is a drawn lottery's entries in the order of the draw.
func (d Draw) Ranked(entries []Entrant) []Entrant {
	leaves := make([]Hash, len(entries))
	for i, e := range entries {
		leaves[i] = e.Leaf
	}
	out := make([]Entrant, len(entries))
	for i, at := range Rank(d.Seed, d.Root, d.Signature, leaves) {
		out[i] = entries[at]
	}
	return out
}

// Proof lays a finished lottery out.
func (d Draw) Proof(entries []Entrant) Proof {
	p := Proof{Format: ProofFormat, Seal: d.Seal, Seed: d.Seed, Witnessed: len(d.Signature) > 0, Results: []Result{}}
	p.NoteZH, p.NoteEN = Note(p.Witnessed)
	if len(d.WitnessKey) > 0 {
		p.Witness = &Witness{Key: d.WitnessKey, Signature: d.Signature, SignedAt: d.SignedAt}
	}
	for i, e := range d.Ranked(entries) {
		r := Result{Entry: e.Entry, Rank: i + 1, Outcome: e.Outcome, Slot: e.Slot, Reason: e.Reason}
		if r.Outcome == "" {
			r.Outcome = Lost
		}
		p.Results = append(p.Results, r)
	}
	return p
}

// Receipt is what an entrant keeps, not signed yet.
func (d Draw) Receipt(e Entrant) Receipt {
	return Receipt{
		Format: ReceiptFormat, Lottery: d.Lottery, Commitment: d.Commitment, WitnessKey: d.WitnessKey, Entry: e.ID, Nonce: e.Nonce,
		Person: e.Person, Group: e.Group, Wishes: e.Wishes,
	}
}

// Decided is what a lottery that has ended was for one entry.
func Decided(v Draw, sch scheduling.Schedule, e Entrant, rank int, payBy time.Time) scheduling.LotteryDecided {
	out := scheduling.LotteryDecided{
		Visit: scheduling.Visit{
			Appointment: e.ID, Account: e.Account, Patient: e.Patient, Schedule: sch.ID, Campus: sch.Campus, Department: sch.Department,
			Practitioner: sch.Practitioner, Date: sch.Date, Session: sch.Session, Class: sch.Class, Fee: sch.Fee,
		},
		Outcome: e.Outcome, Reason: e.Reason, Rank: rank, Of: v.Count,
	}
	switch e.Outcome {
	case "":
		out.Outcome = Lost
	case Won:
		out.Slot, out.PayBy = e.Slot, payBy
		if i := slices.IndexFunc(v.Seats, func(s Seat) bool { return s.Slot == e.Slot }); i >= 0 {
			out.StartsAt = v.Seats[i].StartsAt
		}
	}
	return out
}
