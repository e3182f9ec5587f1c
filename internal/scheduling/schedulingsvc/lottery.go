package schedulingsvc

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"sync"
	"time"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/state"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/lottery"
	"xinglin/internal/scheduling/schedulingsvc/columns"
)

// Witness signs a sealed list, once a lottery. platform/witness has a client of one.
type Witness interface {
	Key() ed25519.PublicKey
	Sign(ctx context.Context, owner ed25519.PrivateKey, d attest.Digest) (attest.Statement, []byte, error)
}

// UseWitness names the witness of the lotteries that are announced from now on. Call it
// before the context's doors open; without it draws say that there was none.
func (s *Service) UseWitness(w Witness) { s.lots.witness = w }

// lotteries is the life of a lottery. Each step is one transaction that is conditional
// on the state it comes from, so that it may be repeated after any crash.
var lotteries = state.Machine[lottery.State]{
	Noun: "Lottery", Initial: lottery.Open,
	Steps: []state.Step[lottery.State]{
		{From: lottery.Open, To: lottery.Sealed, By: "timer", Guard: "the window is over; entries in flight are in or refused"},
		{From: lottery.Sealed, To: lottery.Drawn, By: "witness", Guard: "signed, or the announced witness did not answer for two minutes, or none was announced"},
		{From: lottery.Drawn, To: lottery.Done, By: "allot", Guard: "each seat has a hold or booking in the order of the ranks, or nobody wants it"},
	},
}

// lots is what this process keeps of lotteries: the witness, and what never changes once
// it is known. Forgetting any of it costs time only.
type lots struct {
	witness Witness

	mu     sync.Mutex
	keys   map[lotteryKey]ed25519.PrivateKey
	ranks  map[lotteryKey]map[id.ID[scheduling.Appointment]]int
	proofs map[lotteryKey][]byte
}

type lotteryKey struct {
	tenant scheduling.TenantID
	id     lottery.ID
}

// maxKept bounds each of the maps of lots.
const maxKept = 32

// keep puts a value in; when the map is full, another one goes.
func keep[V any](m *map[lotteryKey]V, k lotteryKey, v V) {
	if *m == nil {
		*m = map[lotteryKey]V{}
	}
	for old := range *m {
		if len(*m) < maxKept {
			break
		}
		delete(*m, old)
	}
	(*m)[k] = v
}

// lotteryFirst refuses an ordinary hold while a lottery decides who gets the numbers.
// Before the release the refusal of the clock comes, as ever.
func lotteryFirst(v scheduleRow, now time.Time) error {
	if v.Window == 0 || now.Before(v.ReleasedAt) {
		return nil
	}
	wait := v.ReleasedAt.Add(time.Duration(v.Window) * time.Second).Sub(now)
	return scheduling.ErrLotteryOpen.After(max(wait, 2*time.Second))
}

// openLotteries announces lotteries, all or none. A repeat with the same rules changes
// nothing, so the seed that was committed to stays.
func (s *Service) openLotteries(ctx context.Context, r lottery.Announcement) ([]lottery.Draw, error) {
	who, policy, err := s.may(ctx, "scheduling.open_lottery", "Lottery")
	if err != nil {
		return nil, err
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	ids := r.Distinct()
	fresh := make([]lottery.Draw, 0, len(ids))
	for _, l := range ids {
		v := lottery.Draw{Seal: lottery.Seal{Lottery: l, Per: r.Per}, Window: r.Window}
		seed := make([]byte, lottery.SeedSize)
		if _, err := rand.Read(seed); err != nil {
			return nil, err
		}
		v.Commitment = lottery.Commit(l, seed)
		if v.SeedSealed, err = s.base.Crypt.Seal(ctx, columns.Seed(who.Tenant, l), seed); err != nil {
			return nil, err
		}
		if s.lots.witness != nil {
			v.WitnessKey = s.lots.witness.Key()
		}
		fresh = append(fresh, v)
	}
	return s.store.openLotteries(ctx, who.Tenant, fresh, policy)
}

// receipted is an entry with what its account may know of it.
type receipted struct {
	lottery.Entrant
	State   lottery.EntryState
	Rank    int // from 1; 0 before the draw
	Of      int // entries; 0 before the seal
	Receipt lottery.Receipt
}

// enter puts a person of the caller's into a lottery. The rights are those of a hold.
// Nothing about it is faster than once: a repeat, under this key or another, answers the
// entry that is there.
func (s *Service) enter(ctx context.Context, r lottery.EntryRequest) (receipted, bool, error) {
	none := receipted{}
	who, err := auth.From(ctx)
	if err != nil {
		return none, false, err
	}
	now := s.base.Clock.Now()
	if err := r.Check(now, keyDrift); err != nil {
		return none, false, err
	}
	booker, err := s.mayEnter(ctx, who, r.Patient)
	if err != nil {
		return none, false, err
	}
	o, err := s.store.entryOffer(ctx, who.Tenant, r, who.Account, clock.DateOf(now))
	if err != nil {
		return none, false, err
	}
	e := lottery.Entrant{ID: r.ID, Lottery: r.Lottery, Account: who.Account, Patient: r.Patient, Entry: lottery.Entry{Wishes: r.Wishes}}
	hit := o.Known != nil
	switch {
	case hit && !e.Same(*o.Known):
		return none, false, scheduling.ErrKeyReused.New()
	case hit:
		e = *o.Known
	default:
		if err := s.mayWin(ctx, who.Tenant, o, booker, now); err != nil {
			return none, false, err
		}
		if err := s.pseudonyms(ctx, who.Tenant, o.Lottery, &e); err != nil {
			return none, false, err
		}
		made := s.store.enter(ctx, who.Tenant, o.Lottery.Lottery, []lottery.Entrant{e})
		if made[0].err != nil {
			return none, false, made[0].err
		}
		e, hit = made[0].Entrant, made[0].hit
	}
	out, err := s.receipts(ctx, who.Tenant, o.Lottery, []lottery.Entrant{e})
	if err != nil {
		return none, false, err
	}
	return out[0], hit, nil
}

// mayEnter asks for the right of a hold (the account is linked to the person) and for
// that of entering.
func (s *Service) mayEnter(ctx context.Context, who auth.Principal, p scheduling.PatientID) (patient.Booker, error) {
	booker, _, err := s.mayHold(ctx, who, p)
	if err == nil {
		_, err = s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.enter_lottery", Noun: "Patient", ID: p.String(), Attrs: map[string]any{"linked": true}})
	}
	return booker, err
}

// mayWin refuses who could not be booked anyway, so that no seat is drawn for nothing.
func (s *Service) mayWin(ctx context.Context, t scheduling.TenantID, o entryOffer, b patient.Booker, now time.Time) error {
	l, sch := o.Lottery, o.Schedule
	switch {
	case sch.Stopped:
		return scheduling.ErrScheduleStopped.New()
	case now.Before(l.OpensAt):
		return scheduling.ErrNotReleased.After(l.OpensAt.Sub(now))
	case l.State != lottery.Open || !now.Before(l.ClosesAt):
		return scheduling.ErrLotteryClosed.New()
	case o.WishesFound < o.Wishes:
		return scheduling.ErrInput.At("slot_ids", "times of this schedule that are still to come")
	case o.Limited:
		return scheduling.ErrLimitReached.New()
	}
	if err := bookingrules.CheckPast(&o.Rules, &o.Past, clock.DateOf(now)); err != nil {
		return err
	}
	kept, err := s.sessionOf(ctx, t, scheduling.HoldRequest{Schedule: sch.ID, Any: true})
	if err != nil {
		return err
	}
	return bookingrules.CheckAge(o.Rules.Age, b.Birth, b.Birth != 0, sch.Date, kept.paediatric)
}

// nonceSize is the size of what hides an entry in the public list, in bytes.
const nonceSize = 16

// pseudonyms fills in what the public list shows of an entry. They mean nothing without
// the tenant's key and differ from lottery to lottery.
func (s *Service) pseudonyms(ctx context.Context, t scheduling.TenantID, l lottery.Draw, e *lottery.Entrant) error {
	e.Nonce = make([]byte, nonceSize)
	if _, err := rand.Read(e.Nonce); err != nil {
		return err
	}
	e.Handle = lottery.Handle(e.ID, e.Nonce)
	person, err := s.base.Crypt.Digest(ctx, t, "lottery.person "+l.Lottery.String(), e.Patient.String())
	if err != nil {
		return err
	}
	e.Person = lottery.Hash(person)
	if l.Per == lottery.PerAccount {
		group, err := s.base.Crypt.Digest(ctx, t, "lottery.account "+l.Lottery.String(), e.Account.String())
		if err != nil {
			return err
		}
		e.Group = lottery.Hash(group)
	}
	e.Leaf = e.Entry.Leaf(l.Lottery)
	return nil
}

// receipts adds the signed receipts, and ranks once they are drawn.
func (s *Service) receipts(ctx context.Context, t scheduling.TenantID, l lottery.Draw, entries []lottery.Entrant) ([]receipted, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	key, err := s.lotteryKey(ctx, t, l)
	if err != nil {
		return nil, err
	}
	var ranks map[id.ID[scheduling.Appointment]]int
	if l.Drawn() {
		if ranks, err = s.ranking(ctx, t, l); err != nil {
			return nil, err
		}
	}
	out := make([]receipted, 0, len(entries))
	for _, e := range entries {
		r := receipted{Entrant: e, State: e.StateIn(l), Rank: ranks[e.ID], Of: l.Count, Receipt: l.Receipt(e)}
		r.Receipt.Sign(key)
		out = append(out, r)
	}
	return out, nil
}

// lotteryKey is the lottery's own key, from its seed.
func (s *Service) lotteryKey(ctx context.Context, t scheduling.TenantID, l lottery.Draw) (ed25519.PrivateKey, error) {
	k := lotteryKey{t, l.Lottery}
	s.lots.mu.Lock()
	key, ok := s.lots.keys[k]
	s.lots.mu.Unlock()
	if ok {
		return key, nil
	}
	seed, err := s.seed(ctx, t, l)
	if err != nil {
		return nil, err
	}
	key = lottery.Key(l.Lottery, seed)
	s.lots.mu.Lock()
	defer s.lots.mu.Unlock()
	keep(&s.lots.keys, k, key)
	return key, nil
}

// seed opens the lottery's secret.
func (s *Service) seed(ctx context.Context, t scheduling.TenantID, l lottery.Draw) ([]byte, error) {
	if len(l.Seed) > 0 {
		return l.Seed, nil
	}
	return s.base.Crypt.Open(ctx, columns.Seed(t, l.Lottery), l.SeedSealed)
}

// ownEntries are the caller's entries of a lottery.
func (s *Service) ownEntries(ctx context.Context, l lottery.ID) (lottery.Draw, []receipted, error) {
	who, _, err := s.may(ctx, "scheduling.list_lottery_entries", "Lottery")
	if err != nil {
		return lottery.Draw{}, nil, err
	}
	row, found, err := s.store.ownEntries(ctx, who.Tenant, l, who.Account)
	if err != nil {
		return row, nil, err
	}
	out, err := s.receipts(ctx, who.Tenant, row, found)
	return row, out, err
}
