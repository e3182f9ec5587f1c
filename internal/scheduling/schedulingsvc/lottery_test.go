package schedulingsvc

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/witness"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
	"xinglin/internal/testkit"
)

// fakeWitness keeps the contract of a witness: a subject is signed once.
type fakeWitness struct {
	key   ed25519.PrivateKey
	clock clock.Clock
	mu    sync.Mutex
	down  bool
	said  map[attest.Subject]attest.Statement
}

var errDown = errors.New("the witness does not answer")

func newWitness(c clock.Clock) *fakeWitness {
	return &fakeWitness{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)), clock: c, said: map[attest.Subject]attest.Statement{}}
}

func (f *fakeWitness) Key() ed25519.PublicKey { return f.key.Public().(ed25519.PublicKey) }

func (f *fakeWitness) setDown(v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = v
}

func (f *fakeWitness) Sign(_ context.Context, owner ed25519.PrivateKey, d attest.Digest) (attest.Statement, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return attest.Statement{}, nil, errDown
	}
	s, ok := f.said[attest.SubjectOf(owner)]
	if !ok {
		s = attest.Statement{Subject: attest.SubjectOf(owner), Digest: d, At: f.clock.Now().UnixMicro()}
		f.said[s.Subject] = s
	}
	if s.Digest != d {
		return attest.Statement{}, nil, witness.ErrOther.New()
	}
	return s, attest.Sign(f.key, s), nil
}

// lottery announces one for the session of the world's doctor on a day.
func (w *world) lottery(date string, window time.Duration, per lottery.Per) lottery.Draw {
	w.t.Helper()
	made, err := w.s.openLotteries(w.as(w.operator), lottery.Announcement{Schedules: []lottery.ID{w.on(date).ID}, Window: window, Per: per})
	if err != nil {
		w.t.Fatal(err)
	}
	return made[0]
}

// entrant is a person in a lottery.
type entrant struct {
	who   auth.Principal
	entry receipted
}

// entered enters a fresh person.
func (w *world) entered(l lottery.Draw, wishes ...lottery.SlotID) entrant {
	w.t.Helper()
	p, v := w.person()
	e, hit, err := w.s.enter(w.as(p), w.wish(l, v, wishes...))
	if err != nil || hit {
		w.t.Fatal(hit, err)
	}
	return entrant{p, e}
}

// wish is a request with a fresh key.
func (w *world) wish(l lottery.Draw, v scheduling.PatientID, wishes ...lottery.SlotID) lottery.EntryRequest {
	return lottery.EntryRequest{ID: key(w.clock.Now()), Lottery: l.Lottery, Patient: v, Wishes: wishes}
}

func (w *world) stored(l lottery.Draw) lottery.Draw {
	w.t.Helper()
	v, err := w.s.store.lottery(context.Background(), w.tenant, l.Lottery)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// verified downloads the proof and verifies it as the command does.
func (w *world) verified(l lottery.Draw, trust lottery.Trust) (lottery.Proof, lottery.Report) {
	w.t.Helper()
	file, err := w.s.proof(context.Background(), w.tenant, l.Lottery)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := lottery.Read[lottery.Proof](bytes.NewReader(file))
	if err != nil {
		w.t.Fatal(err)
	}
	rep, err := p.Verify(trust)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, file)
	}
	return p, rep
}

// mine is the entry as its account sees it now.
func (w *world) mine(e entrant) receipted {
	w.t.Helper()
	_, found, err := w.s.ownEntries(w.as(e.who), e.entry.Lottery)
	if err != nil || len(found) != 1 {
		w.t.Fatal(len(found), err)
	}
	return found[0]
}

// TestLottery: a whole lottery, from the announcement to the proof, with winners who pay,
// losers, and the rest of the seats on sale.
func TestLottery(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 16, 30)
		seen := newWitness(w.clock)
		w.s.UseWitness(seen)
		sch := w.on("2026-03-20")
		slots := w.slots(sch.ID)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		if again := w.lottery("2026-03-20", time.Minute, lottery.PerPerson); again.Commitment != l.Commitment {
			t.Error("a repeat made another seed")
		}
		if !w.on("2026-03-20").Lottery || w.on("2026-03-19").Lottery || !l.OpensAt.Equal(sch.ReleasedAt) || string(l.WitnessKey) != string(seen.Key()) {
			t.Errorf("%+v", l)
		}
		early, ev := w.person()
		_, _, err := w.s.Hold(w.as(early), w.ask(ev, sch.ID))
		want(t, err, scheduling.ErrNotReleased)
		w.clock.Set(l.OpensAt)
		_, _, err = w.s.Hold(w.as(early), w.ask(ev, sch.ID))
		want(t, err, scheduling.ErrLotteryOpen)
		if f := fault.Of(err); f.RetryAfter != time.Minute {
			t.Errorf("retry after %s", f.RetryAfter)
		}
		var all []entrant
		for i := range 30 {
			switch i % 3 {
			case 0:
				all = append(all, w.entered(l))
			case 1:
				all = append(all, w.entered(l, slots[7].ID, slots[0].ID))
			default:
				all = append(all, w.entered(l, slots[2].ID))
			}
		}
		for _, e := range all {
			if m := w.mine(e); m.State != lottery.EntryWaiting || m.Rank != 0 || m.Of != 0 {
				t.Fatalf("%+v", m)
			}
		}
		_, err = w.s.proof(context.Background(), w.tenant, l.Lottery)
		want(t, err, scheduling.ErrLotteryNotDrawn)
		w.clock.Set(l.ClosesAt)
		_, _, err = w.s.enter(w.as(early), w.wish(l, ev))
		want(t, err, scheduling.ErrLotteryClosed)
		w.due()
		if got := w.stored(l); got.State != lottery.Done || got.Count != 30 || w.on("2026-03-20").Lottery {
			t.Fatalf("%+v", got)
		}
		p, rep := w.verified(l, lottery.Trust{WitnessKey: seen.Key()})
		// Who wants any time wins, and two at least of those who name the last one.
		if !rep.Witnessed || rep.Won != w.stored(l).Winners || rep.Won < 12 || rep.Won+rep.Lost != 30 || len(rep.Refused) != 0 {
			t.Errorf("%+v", rep)
		}
		w.checkDecided(l)
		w.checkOutcomes(all, p, rep)
		if w.told(scheduling.AppointmentHeld{}) != rep.Won {
			t.Errorf("%d told", w.told(scheduling.AppointmentHeld{}))
		}
		// A repeat of the entry after the end answers the entry.
		first := lottery.EntryRequest{ID: all[0].entry.ID, Lottery: l.Lottery, Patient: all[0].entry.Patient}
		if e, hit, err := w.s.enter(w.as(all[0].who), first); err != nil || !hit || e.Rank == 0 {
			t.Error(e.Rank, hit, err)
		}
		// What is left is on ordinary sale.
		left := 16 - rep.Won
		for i := range left + 1 {
			q, v := w.person()
			_, _, err := w.s.Hold(w.as(q), w.ask(v, sch.ID))
			if i < left && err != nil || i == left && fault.Of(err).Code != scheduling.ErrFull {
				t.Errorf("%d of %d left: %v", i, left, err)
			}
		}
		w.sound()
	})
}

// checkOutcomes compares what each entrant sees with the proof and the appointments.
func (w *world) checkOutcomes(all []entrant, p lottery.Proof, rep lottery.Report) {
	w.t.Helper()
	ranks := map[int]bool{}
	for _, e := range all {
		m := w.mine(e)
		r, err := p.Find(e.entry.Receipt) // the receipt of the moment of entering
		if err != nil || r.Rank != m.Rank || ranks[m.Rank] || m.Of != len(all) || string(r.Outcome) != string(m.State) {
			w.t.Fatalf("%+v %+v %v", m, r, err)
		}
		ranks[m.Rank] = true
		if m.State != lottery.EntryWon {
			if _, err := w.s.Get(w.as(e.who), m.ID); !errors.Is(err, scheduling.ErrNotFound) {
				w.t.Errorf("a loser has an appointment: %v", err)
			}
			continue
		}
		a := w.get(e.who, m.ID)
		if a.State != scheduling.Pending || a.Slot != m.Slot || a.Patient != m.Patient || a.HoldExpiresAt.Sub(w.clock.Now()) != 30*time.Minute {
			w.t.Errorf("%+v", a)
		}
	}
	w.clock.Add(3 * time.Second)
	w.due() // payments open
	for _, e := range all[:10] {
		m := w.mine(e)
		if m.State == lottery.EntryWon {
			if err := w.paid(w.get(e.who, m.ID)); err != nil || w.get(e.who, m.ID).State != scheduling.Booked {
				w.t.Error(err)
			}
		}
	}
}

// TestLotteryFree: numbers without a fee are booked by the draw itself.
func TestLotteryFree(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(money.Fen(0), 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt)
		e := w.entered(l)
		w.clock.Set(l.ClosesAt)
		w.due()
		if a := w.get(e.who, e.entry.ID); a.State != scheduling.Booked || a.Number != 1 {
			t.Errorf("%+v", a)
		}
		_, rep := w.verified(l, lottery.Trust{})
		if rep.Witnessed || rep.Won != 1 {
			t.Errorf("%+v", rep)
		}
		w.sound()
	})
}

// TestLotteryEmpty: a lottery that nobody entered ends all the same.
func TestLotteryEmpty(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", 10*time.Second, lottery.PerPerson)
		w.clock.Set(l.ClosesAt)
		w.due()
		if _, rep := w.verified(l, lottery.Trust{}); rep.Won+rep.Lost != 0 || w.stored(l).State != lottery.Done {
			t.Errorf("%+v", rep)
		}
		w.sound()
	})
}

// TestLotteryRefusals: what cannot be announced and who cannot enter.
func TestLotteryRefusals(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 16, 30)
		sch := w.on("2026-03-20")
		open := func(p auth.Principal, ids []lottery.ID, window time.Duration, per string) error {
			_, err := w.s.openLotteries(w.as(p), lottery.Announcement{Schedules: ids, Window: window, Per: lottery.Per(per)})
			return err
		}
		patient, v := w.person()
		ids := []lottery.ID{sch.ID}
		want(t, open(w.operator, nil, time.Minute, "person"), scheduling.ErrInput)
		want(t, open(w.operator, ids, 9*time.Second, "person"), scheduling.ErrInput)
		want(t, open(w.operator, ids, 11*time.Minute, "person"), scheduling.ErrInput)
		want(t, open(w.operator, ids, time.Minute, "device"), scheduling.ErrInput)
		want(t, open(w.operator, []lottery.ID{{1}}, time.Minute, "person"), scheduling.ErrNotFound)
		want(t, open(w.operator, []lottery.ID{sch.ID, w.on("2026-03-04").ID}, time.Minute, "person"), scheduling.ErrLotteryLate)
		if w.number(`SELECT COUNT(*) FROM lottery WHERE tenant_id = $1`, w.tenant) != 0 {
			t.Error("half of a refused request was written")
		}
		if err := open(patient, ids, time.Minute, "person"); fault.KindOf(err) != fault.Forbidden {
			t.Error(err)
		}
		l := w.lottery("2026-03-20", time.Minute, lottery.PerAccount)
		want(t, open(w.operator, ids, time.Minute, "person"), scheduling.ErrLotteryExists)
		want(t, open(w.operator, ids, 2*time.Minute, "account"), scheduling.ErrLotteryExists)

		enter := func(p auth.Principal, r lottery.EntryRequest) error {
			_, _, err := w.s.enter(w.as(p), r)
			return err
		}
		want(t, enter(patient, w.wish(l, v)), scheduling.ErrNotReleased)
		w.clock.Set(l.OpensAt)
		slots := w.slots(sch.ID)
		other := w.slots(w.on("2026-03-19").ID)[0].ID
		r := w.wish(l, v, slots[1].ID)
		want(t, enter(patient, w.wish(l, v, other)), scheduling.ErrInput)
		want(t, enter(patient, w.wish(l, v, slots[1].ID, slots[1].ID)), scheduling.ErrInput)
		want(t, enter(patient, w.wish(l, v, make([]lottery.SlotID, 21)...)), scheduling.ErrInput)
		want(t, enter(patient, w.wish(l, scheduling.PatientID{})), scheduling.ErrInput)
		want(t, enter(patient, lottery.EntryRequest{ID: key(w.clock.Now().Add(-25 * time.Hour)), Lottery: l.Lottery, Patient: v}), scheduling.ErrKeyClock)
		want(t, enter(patient, w.wish(lottery.Draw{Seal: lottery.Seal{Lottery: w.on("2026-03-19").ID}}, v)), scheduling.ErrNotFound)
		_, foreign := w.person()
		want(t, enter(patient, w.wish(l, foreign)), scheduling.ErrPatientNotYours)
		if err := enter(patient, r); err != nil {
			t.Fatal(err)
		}
		changed := r
		changed.Wishes = nil
		want(t, enter(patient, changed), scheduling.ErrKeyReused)
		want(t, enter(patient, w.wish(l, w.adult(patient))), scheduling.ErrLotteryEntered) // one an account
		relative := auth.Principal{Kind: auth.Patient, Tenant: w.tenant, Account: id.Random[auth.Account](), Factors: 1}
		w.patients.link(relative.Account, v)
		want(t, enter(relative, w.wish(l, v)), scheduling.ErrLotteryEntered)
		stolen := w.wish(l, w.adult(relative))
		stolen.ID = r.ID
		want(t, enter(relative, stolen), scheduling.ErrKeyReused)
		if n := w.number(`SELECT COUNT(*) FROM lottery_entry WHERE tenant_id = $1`, w.tenant); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
}

// TestLotteryRules: who could not be booked is not let in: the age, the suspension and the
// limit of one visit a day hold as for a hold.
func TestLotteryRules(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rules(func(r *scheduling.BookingRules) { r.Age = scheduling.AgeRule{Kind: scheduling.AgeRefuse, Border: 14} })
		w.rota(2500, 16, 30)
		_, _, second := w.dir.doctor("本部", "心内科", "李四", "110310000000002")
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt)
		p, v := w.person()
		w.patients.birth[v] = day("2020-01-01")
		_, _, err := w.s.enter(w.as(p), w.wish(l, v))
		want(t, err, scheduling.ErrAge)
		w.second(second)
		q := apitestPatient(w)
		u := w.adult(q)
		w.hold(q, w.ask(u, w.of(second, "2026-03-20").ID))
		_, _, err = w.s.enter(w.as(q), w.wish(l, u))
		want(t, err, scheduling.ErrLimitReached)
	})
}

// second gives another doctor of the department the same hours.
func (w *world) second(doctor scheduling.PractitionerID) {
	w.t.Helper()
	first := w.doctor
	w.doctor = doctor
	w.rota(2500, 16, 30)
	w.doctor = first
}

// of is the session of a doctor on a day.
func (w *world) of(doctor scheduling.PractitionerID, date string) scheduling.Schedule {
	w.t.Helper()
	first := w.doctor
	w.doctor = doctor
	defer func() { w.doctor = first }()
	return w.on(date)
}

func apitestPatient(w *world) auth.Principal {
	return auth.Principal{Kind: auth.Patient, Tenant: w.tenant, Account: id.Random[auth.Account](), Session: id.Random[auth.Session](), Factors: 1}
}

// TestLotteryTwice: who wins in two lotteries of one day and department has one visit: the
// second seat goes to the next in rank, and the proof says why.
func TestLotteryTwice(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		_, _, second := w.dir.doctor("本部", "心内科", "李四", "110310000000002")
		w.second(second)
		made, err := w.s.openLotteries(w.as(w.operator), lottery.Announcement{
			Schedules: []lottery.ID{w.on("2026-03-20").ID, w.of(second, "2026-03-20").ID}, Window: time.Minute, Per: "person",
		})
		if err != nil {
			t.Fatal(err)
		}
		w.clock.Set(made[0].OpensAt)
		for range 12 {
			p, v := w.person()
			for _, l := range made {
				if _, _, err := w.s.enter(w.as(p), w.wish(l, v)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.clock.Set(made[0].ClosesAt)
		w.due()
		won, refused := 0, 0
		for _, l := range made {
			_, rep := w.verified(l, lottery.Trust{})
			w.checkDecided(l)
			won += rep.Won
			refused += rep.Refused["scheduling.limit_reached"]
		}
		if won != 12 || refused == 0 || w.number(`SELECT COUNT(DISTINCT patient_id) FROM appointment WHERE tenant_id = $1`, w.tenant) != 12 {
			t.Errorf("%d won, %d refused", won, refused)
		}
		w.sound()
	})
}

// TestLotteryWitness: a sealed lottery waits two minutes for its witness; then the draw
// goes on, says so, and verifies only for who allows it.
func TestLotteryWitness(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		seen := newWitness(w.clock)
		w.s.UseWitness(seen)
		first, second := w.lottery("2026-03-20", time.Minute, lottery.PerPerson), w.lottery("2026-03-21", time.Minute, lottery.PerPerson)
		for _, l := range []lottery.Draw{first, second} {
			w.clock.Set(l.OpensAt)
			w.entered(l)
			w.clock.Set(l.ClosesAt)
			seen.setDown(true)
			w.due()
			if got := w.stored(l); got.State != lottery.Sealed || got.Count != 1 {
				t.Fatalf("%+v", got)
			}
			if l.Lottery == first.Lottery {
				seen.setDown(false)
				w.clock.Add(time.Minute)
			} else {
				w.clock.Add(10 * time.Minute)
			}
			w.due()
		}
		if _, rep := w.verified(first, lottery.Trust{WitnessKey: seen.Key()}); !rep.Witnessed {
			t.Error("signed a minute later")
		}
		p, rep := w.verified(second, lottery.Trust{AllowUnwitnessed: true})
		if rep.Witnessed || p.Witnessed || p.NoteEN != lottery.UnwitnessedEN {
			t.Errorf("%+v", p)
		}
		if _, err := p.Verify(lottery.Trust{}); !errors.Is(err, lottery.ErrUnsigned) {
			t.Error(err)
		}
		w.sound()
	})
}

// TestLotteryWithRealWitness: the draw with a witness process's own server.
func TestLotteryWithRealWitness(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(context.Background())
		srv, err := witness.New(ctx, witness.Options{Listen: "127.0.0.1:0", Key: filepath.Join(t.TempDir(), "key"), Clock: w.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(ctx) }()
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		client, err := witness.NewClient(srv.URL(), srv.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		w.s.UseWitness(client)
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt)
		for range 12 {
			w.entered(l)
		}
		w.clock.Set(l.ClosesAt)
		w.due()
		if _, rep := w.verified(l, lottery.Trust{WitnessKey: client.Key()}); !rep.Witnessed || rep.Won != 8 {
			t.Errorf("%+v", rep)
		}
	})
}

// TestLotteryCrash: the work is cut after every write and begun anew; the end is the same
// as without, and nobody has two seats.
func TestLotteryCrash(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		seen := newWitness(w.clock)
		w.s.UseWitness(seen)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt)
		for range 20 {
			w.entered(l)
		}
		w.clock.Set(l.ClosesAt)
		ctx := testkit.AsSystem(context.Background(), w.tenant, "job:"+jobDraw)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // sealed, and again
			must(w.s.store.sealLottery(ctx, w.tenant, l.Lottery, "test"))
		}
		sealed := w.stored(l)
		if _, _, err := seen.Sign(ctx, lottery.Key(l.Lottery, w.secret(sealed)), sealed.Digest()); err != nil { // signed, and the process died before it wrote that
			t.Fatal(err)
		}
		w.clock.Add(time.Second)
		for range 2 {
			must(w.s.draw(ctx, w.tenant, sealed, "test"))
		}
		drawn := w.stored(l)
		if drawn.State != lottery.Drawn || drawn.SignedAt.After(drawn.SealedAt) {
			t.Fatalf("%+v", drawn)
		}
		entries, err := w.s.store.entries(ctx, w.tenant, l.Lottery)
		must(err)
		best := drawn.Ranked(entries)
		for i := range 3 { // three seats held; the outcome of the third is not written
			e := best[i]
			e.Outcome, e.Slot = lottery.Won, drawn.Seats[i].Slot
			refused, err := w.s.holdWon(ctx, w.tenant, e, "test")
			if must(err); refused != "" {
				t.Fatal(refused)
			}
			if i < 2 {
				must(w.s.store.recordOutcome(ctx, w.tenant, e))
				if err := w.s.store.recordOutcome(ctx, w.tenant, e); !errors.Is(err, errRaced) {
					t.Errorf("recorded twice: %v", err)
				}
			}
		}
		for range 2 {
			must(w.s.drawJob(ctx, aboutLottery{l.Lottery}))
		}
		if _, rep := w.verified(l, lottery.Trust{WitnessKey: seen.Key()}); rep.Won != 8 || rep.Lost != 12 {
			t.Errorf("%+v", rep)
		}
		if n := w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND state = 'pending'`, w.tenant); n != 8 {
			t.Errorf("%d holds", n)
		}
		w.checkDecided(l)
		w.due()
		w.sound()
	})
}

// secret is the lottery's seed.
func (w *world) secret(l lottery.Draw) []byte {
	w.t.Helper()
	b, err := w.s.seed(context.Background(), w.tenant, l)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// TestLotterySecret: before the draw the seed stands nowhere in plain.
func TestLotterySecret(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		got := w.stored(l)
		seed := w.secret(got)
		if len(got.Seed) != 0 || bytes.Contains(got.SeedSealed, seed) || lottery.Commit(l.Lottery, seed) != l.Commitment {
			t.Error("the seed")
		}
		w.clock.Set(l.ClosesAt)
		w.due()
		if got = w.stored(l); !bytes.Equal(got.Seed, seed) {
			t.Error("another seed was shown than the committed one")
		}
	})
}

// TestLotteryRelease: new rules of release leave an announced lottery's window alone, and
// a new rota does not cut its slots anew while people name them.
func TestLotteryRelease(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		rule := w.rota(2500, 16, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.rules(func(r *scheduling.BookingRules) { r.Release = hm(9, 0) })
		if got := w.on("2026-03-20").ReleasedAt; !got.Equal(l.OpensAt) {
			t.Errorf("released at %s", got)
		}
		if got := w.on("2026-03-21").ReleasedAt; got.Equal(l.OpensAt.AddDate(0, 0, 1)) {
			t.Error("the other days follow the rules")
		}
		w.clock.Set(l.OpensAt.Add(time.Second))
		before := w.slots(l.Lottery)
		rule.Duty.SlotMinutes = 60
		if _, err := w.s.updateRota(w.as(w.operator), rule); err != nil {
			t.Fatal(err)
		}
		w.due()
		if after := w.slots(l.Lottery); fmt.Sprint(len(after), after[0].Capacity) != fmt.Sprint(len(before), before[0].Capacity) {
			t.Errorf("%d slots, then %d", len(before), len(after))
		}
	})
}
