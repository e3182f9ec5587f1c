package lottery

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

var opens = time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)

// play makes things of a fixed seed.
type play struct{ *rand.ChaCha8 }

func newPlay(seed uint64) play {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	return play{rand.NewChaCha8(s)}
}

func (p play) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = p.Read(b)
	return b
}

func (p play) hash() Hash { return Hash(p.bytes(32)) }

func (p play) n(n int) int { return int(p.Uint64() % uint64(n)) }

func (p play) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(p.bytes(ed25519.SeedSize)) }

// lottery is one honest lottery with its receipts.
type lottery struct {
	proof    Proof
	receipts []Receipt
	witness  ed25519.PrivateKey
}

// hold is an honest draw of n entries; every seventh winner is refused by the rules.
func hold(p play, n, slots, each int, per Per, witnessed bool) lottery {
	l := lottery{witness: p.key(), proof: Proof{Format: ProofFormat, Seed: p.bytes(SeedSize)}}
	x := &l.proof
	x.Seal = Seal{Lottery: ID(p.bytes(16)), Per: per, OpensAt: opens, ClosesAt: opens.Add(time.Minute), SealedAt: opens.Add(61 * time.Second)}
	x.Commitment = Commit(x.Lottery, x.Seed)
	for i := range slots {
		x.Seats = append(x.Seats, Seat{SlotID(p.bytes(16)), opens.Add(time.Duration(i) * time.Hour), each})
	}
	for range n {
		r := Receipt{Format: ReceiptFormat, Lottery: x.Lottery, Commitment: x.Commitment, Entry: id.ID[scheduling.Appointment](p.bytes(16)), Nonce: p.bytes(16), Person: p.hash(), Wishes: []SlotID{}}
		if per == PerAccount {
			r.Group = p.hash()
		}
		if witnessed {
			r.WitnessKey = Bytes(l.witness.Public().(ed25519.PublicKey))
		}
		for range p.n(3) {
			r.Wishes = append(r.Wishes, x.Seats[p.n(slots)].Slot)
		}
		r.Sign(Key(x.Lottery, x.Seed))
		l.receipts = append(l.receipts, r)
	}
	l.draw(witnessed)
	return l
}

// draw seals, signs, ranks and allots the receipts' entries.
func (l *lottery) draw(witnessed bool) {
	x := &l.proof
	var leaves []Hash
	for _, r := range l.receipts {
		leaves = append(leaves, r.listed().Leaf(x.Lottery))
	}
	x.Root, x.Count = Root(slices.Clone(leaves)), len(leaves)
	x.Witnessed, x.Witness = witnessed, nil
	x.NoteZH, x.NoteEN = Note(witnessed)
	var signature []byte
	if witnessed {
		s := attest.Statement{Subject: attest.SubjectOf(Key(x.Lottery, x.Seed)), Digest: x.Digest(), At: x.SealedAt.UnixMicro()}
		signature = attest.Sign(l.witness, s)
		x.Witness = &Witness{Key: Bytes(l.witness.Public().(ed25519.PublicKey)), Signature: signature, SignedAt: x.SealedAt}
	}
	a := NewAllotter(x.Seats)
	x.Results = []Result{}
	for i, at := range Rank(x.Seed, x.Root, signature, leaves) {
		r := Result{Entry: l.receipts[at].listed(), Rank: i + 1, Outcome: Lost}
		if slot, ok := a.Take(r.Wishes); ok && i%7 == 3 {
			a.GiveBack(slot)
			r.Outcome, r.Reason = Refused, "scheduling.limit_reached"
		} else if ok {
			r.Outcome, r.Slot = Won, slot
		}
		x.Results = append(x.Results, r)
	}
}

// copyOf goes through the file.
func copyOf(t interface{ Fatal(...any) }, p Proof) Proof {
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Read[Proof](bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestHonest: every honest draw verifies from its file, and each receipt finds its entry.
func TestHonest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPlay(rapid.Uint64().Draw(t, "seed"))
		per := rapid.SampledFrom([]Per{PerPerson, PerAccount}).Draw(t, "per")
		witnessed := rapid.Bool().Draw(t, "witnessed")
		l := hold(p, rapid.IntRange(0, 60).Draw(t, "entries"), rapid.IntRange(1, 6).Draw(t, "slots"), rapid.IntRange(0, 5).Draw(t, "each"), per, witnessed)
		x := copyOf(t, l.proof)
		rep, err := x.Verify(Trust{})
		if err != nil || rep.Witnessed != witnessed {
			t.Fatal(err, rep)
		}
		refused := 0
		for _, n := range rep.Refused {
			refused += n
		}
		if rep.Won+rep.Lost+refused != len(l.receipts) {
			t.Fatal("an entry without an outcome")
		}
		for _, r := range l.receipts {
			if got, err := x.Find(r); err != nil || got.Person != r.Person {
				t.Fatal(err)
			}
		}
	})
}

// TestTampering: each change of a proof is found and named.
func TestTampering(t *testing.T) {
	t.Parallel()
	stranger := newPlay(99)
	for name, x := range map[string]struct {
		do   func(l *lottery)
		want error
	}{
		"format":       {func(l *lottery) { l.proof.Format = "v2" }, ErrFormat},
		"rule":         {func(l *lottery) { l.proof.Per = "device" }, ErrFormat},
		"short seed":   {func(l *lottery) { l.proof.Seed = l.proof.Seed[:31] }, ErrFormat},
		"seed":         {func(l *lottery) { l.proof.Seed[5] ^= 1 }, ErrSeed},
		"commitment":   {func(l *lottery) { l.proof.Commitment[0] ^= 1 }, ErrSeed},
		"lottery":      {func(l *lottery) { l.proof.Lottery[15] ^= 1 }, ErrSeed},
		"count":        {func(l *lottery) { l.proof.Count++ }, ErrCount},
		"dropped":      {func(l *lottery) { l.proof.Results = l.proof.Results[:len(l.proof.Results)-1] }, ErrCount},
		"dropped both": {func(l *lottery) { l.proof.Results = l.proof.Results[:len(l.proof.Results)-1]; l.proof.Count-- }, ErrRoot},
		"added": {func(l *lottery) {
			l.proof.Results = append(l.proof.Results, Result{Entry: Entry{Handle: stranger.hash(), Person: stranger.hash()}, Rank: l.proof.Count + 1, Outcome: Lost})
			l.proof.Count++
		}, ErrRoot},
		"person":         {func(l *lottery) { l.proof.Results[4].Person[0] ^= 1 }, ErrRoot},
		"wishes":         {func(l *lottery) { l.proof.Results[4].Wishes = append(l.proof.Results[4].Wishes, l.proof.Seats[0].Slot) }, ErrRoot},
		"root":           {func(l *lottery) { l.proof.Root[9] ^= 1 }, ErrRoot},
		"person twice":   {func(l *lottery) { l.proof.Results[4].Person = l.proof.Results[5].Person }, ErrTwice},
		"entry twice":    {func(l *lottery) { l.proof.Results[4].Handle = l.proof.Results[5].Handle }, ErrTwice},
		"group":          {func(l *lottery) { l.proof.Results[4].Group = stranger.hash() }, ErrFormat},
		"seats":          {func(l *lottery) { l.proof.Seats[0].Free++ }, ErrSignature},
		"slot moved":     {func(l *lottery) { l.proof.Seats[0].StartsAt = opens.Add(9 * time.Hour) }, ErrSignature},
		"window":         {func(l *lottery) { l.proof.ClosesAt = opens.Add(2 * time.Minute) }, ErrSignature},
		"sealed at":      {func(l *lottery) { l.proof.SealedAt = l.proof.SealedAt.Add(time.Microsecond) }, ErrSignature},
		"signature":      {func(l *lottery) { l.proof.Witness.Signature[3] ^= 1 }, ErrSignature},
		"signed at":      {func(l *lottery) { l.proof.Witness.SignedAt = opens.Add(3 * time.Minute) }, ErrSignature},
		"own witness":    {func(l *lottery) { l.witness = stranger.key(); l.draw(true) }, ErrWitnessKey},
		"witness hidden": {func(l *lottery) { l.draw(false) }, ErrUnsigned},
		"says unsigned":  {func(l *lottery) { l.proof.Witness.Signature = nil }, ErrUnsigned},
		"early": {func(l *lottery) {
			l.proof.SealedAt = opens.Add(-time.Minute)
			l.draw(true)
		}, ErrEarly},
		"field": {func(l *lottery) { l.proof.Witnessed = false }, ErrSignature},
		"order": {func(l *lottery) {
			r := l.proof.Results
			r[0].Entry, r[20].Entry = r[20].Entry, r[0].Entry
		}, ErrOrder},
		"rank":      {func(l *lottery) { l.proof.Results[2].Rank = 2 }, ErrOrder},
		"friend":    {func(l *lottery) { last(l, Lost).Outcome = Won }, ErrAllotted},
		"kept out":  {func(l *lottery) { r := last(l, Won); r.Outcome, r.Slot = Lost, SlotID{} }, ErrAllotted},
		"moved":     {func(l *lottery) { last(l, Won).Slot = SlotID{1} }, ErrAllotted},
		"no reason": {func(l *lottery) { last(l, Refused).Reason = "" }, ErrAllotted},
		"unsaid":    {func(l *lottery) { last(l, Lost).Outcome = "" }, ErrAllotted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := hold(newPlay(7), 40, 3, 3, PerPerson, true)
			trust := Trust{WitnessKey: l.witness.Public().(ed25519.PublicKey)}
			if _, err := l.proof.Verify(trust); err != nil {
				t.Fatalf("before: %v", err)
			}
			x.do(&l)
			if _, err := copyOf(t, l.proof).Verify(trust); !errors.Is(err, x.want) {
				t.Errorf("got %v, want %v", err, x.want)
			}
		})
	}
}

// last is the last result with the outcome.
func last(l *lottery, o Outcome) *Result {
	for i := range l.proof.Results {
		if r := &l.proof.Results[len(l.proof.Results)-1-i]; r.Outcome == o {
			return r
		}
	}
	panic("no such outcome")
}

// TestEveryByte: no byte of the file may change unseen, but for the sentences and the
// letter case of its digits.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	l := hold(newPlay(11), 12, 2, 2, PerAccount, true)
	l.proof.NoteZH, l.proof.NoteEN = "", ""
	file, err := json.Marshal(l.proof)
	if err != nil {
		t.Fatal(err)
	}
	trust := Trust{WitnessKey: l.witness.Public().(ed25519.PublicKey)}
	for i := range file {
		for _, bit := range []byte{1} {
			b := bytes.Clone(file)
			b[i] ^= bit
			v, err := Read[Proof](bytes.NewReader(b))
			if err != nil {
				continue
			}
			if _, err := v.Verify(trust); err != nil {
				continue
			}
			same, err := json.Marshal(v)
			if err != nil || !bytes.Equal(same, file) && !bytes.Contains(file[max(0, i-45):i], []byte(`"reason":"`)) {
				t.Fatalf("byte %d of %s changed to %q and it verifies", i, file[max(0, i-40):min(len(file), i+10)], b[i])
			}
		}
	}
}

// TestReceipts: what an entrant finds out with a receipt.
func TestReceipts(t *testing.T) {
	t.Parallel()
	honest := hold(newPlay(3), 20, 2, 4, PerPerson, true)
	mine := honest.receipts[4]

	dropped := hold(newPlay(3), 20, 2, 4, PerPerson, true)
	dropped.receipts = append(dropped.receipts[:4], dropped.receipts[5:]...)
	dropped.draw(true)
	changed := hold(newPlay(3), 20, 2, 4, PerPerson, true)
	changed.receipts[4].Wishes = append(changed.receipts[4].Wishes, changed.proof.Seats[1].Slot)
	changed.draw(true)
	for name, x := range map[string]struct {
		proof   Proof
		receipt func(r *Receipt)
		want    error
	}{
		"in":            {honest.proof, func(*Receipt) {}, nil},
		"dropped":       {dropped.proof, func(*Receipt) {}, ErrMissing},
		"changed":       {changed.proof, func(*Receipt) {}, ErrChanged},
		"other lottery": {hold(newPlay(4), 20, 2, 4, PerPerson, true).proof, func(*Receipt) {}, ErrReceipt},
		"other seed":    {honest.proof, func(r *Receipt) { r.Commitment[0] ^= 1 }, ErrReceipt},
		"other witness": {honest.proof, func(r *Receipt) { r.WitnessKey = nil }, ErrReceipt},
		"other format":  {honest.proof, func(r *Receipt) { r.Format = "x" }, ErrReceipt},
		"invented":      {honest.proof, func(r *Receipt) { r.Nonce = []byte("0123456789abcdef") }, ErrForged},
	} {
		if _, err := x.proof.Verify(Trust{}); err != nil {
			t.Fatalf("%s: the list itself is sound: %v", name, err)
		}
		r := mine
		x.receipt(&r)
		if _, err := x.proof.Find(r); !errors.Is(err, x.want) {
			t.Errorf("%s: got %v, want %v", name, err, x.want)
		}
	}
}

// TestUnwitnessed: without a witness a draw says so, and only who allows it accepts a
// draw whose announced witness is silent.
func TestUnwitnessed(t *testing.T) {
	t.Parallel()
	l := hold(newPlay(5), 20, 2, 4, PerPerson, false)
	if rep, err := l.proof.Verify(Trust{}); err != nil || rep.Witnessed || l.proof.NoteEN != UnwitnessedEN {
		t.Error(err, rep)
	}
	l.proof.Witness = &Witness{Key: Bytes(l.witness.Public().(ed25519.PublicKey))}
	if _, err := l.proof.Verify(Trust{}); !errors.Is(err, ErrUnsigned) {
		t.Error(err)
	}
	if rep, err := l.proof.Verify(Trust{AllowUnwitnessed: true}); err != nil || rep.Witnessed {
		t.Error(err, rep)
	}
}

// TestRoot: RFC 6962 values of its own definition, in any order of the leaves.
func TestRoot(t *testing.T) {
	t.Parallel()
	node := func(prefix byte, parts ...[]byte) []byte {
		h := sha256.Sum256(append([]byte{prefix}, bytes.Join(parts, nil)...))
		return h[:]
	}
	a, b, c := Hash{1}, Hash{2}, Hash{3}
	want := node(1, node(1, node(0, a[:]), node(0, b[:])), node(0, c[:]))
	for _, order := range [][]Hash{{a, b, c}, {c, b, a}, {b, c, a}} {
		if got := Root(order); got != Hash(want) {
			t.Errorf("%x, want %x", got, want)
		}
	}
	if Root(nil) != Hash(sha256.Sum256(nil)) {
		t.Error("the root of no leaves")
	}
}

// TestOperator: a hospital that knows its seed and tries 32 invented entries before it
// seals would win almost always without a witness, and with one as often as anybody: the
// signature that decides is not known before the list is sealed.
func TestOperator(t *testing.T) {
	t.Parallel()
	const trials, people, seats, tries = 120, 50, 5, 32
	p, witness := newPlay(21), newPlay(22).key()
	alone, watched := 0, 0
	for range trials {
		lid, seed := ID(p.bytes(16)), p.bytes(SeedSize)
		var leaves []Hash
		for range people {
			leaves = append(leaves, Entry{Handle: p.hash(), Person: p.hash()}.Leaf(lid))
		}
		best, own, sealed := people, Hash{}, []Hash(nil)
		for range tries {
			mine := Entry{Handle: p.hash(), Person: p.hash()}.Leaf(lid)
			all := append(slices.Clone(leaves), mine)
			root := Root(all)
			rank := slices.IndexFunc(Rank(seed, root, nil, all), func(at int) bool { return all[at] == mine })
			if rank < best {
				best, own, sealed = rank, mine, all
			}
		}
		if best < seats {
			alone++
		}
		root := Root(sealed)
		seal := Seal{Lottery: lid, Commitment: Commit(lid, seed), Per: PerPerson, Root: root, Count: len(sealed)}
		signature := attest.Sign(witness, attest.Statement{Subject: attest.SubjectOf(Key(lid, seed)), Digest: seal.Digest(), At: 1})
		for _, at := range Rank(seed, root, signature, sealed)[:seats] {
			if sealed[at] == own {
				watched++
			}
		}
	}
	// Fair is trials * seats / (people + 1) = 11.8 with a deviation of 3.3: four of them.
	if watched > 25 {
		t.Errorf("with a witness the operator's choice won %d of %d", watched, trials)
	}
	if alone < trials*85/100 {
		t.Errorf("without a witness it won %d of %d only: the test tries nothing", alone, trials)
	}
}

// TestAllotter: wishes in their order, any is the earliest, a refusal gives the seat on.
func TestAllotter(t *testing.T) {
	t.Parallel()
	early, late := SlotID{1}, SlotID{2}
	a := NewAllotter([]Seat{{late, opens.Add(time.Hour), 1}, {early, opens, 2}})
	take := func(want SlotID, ok bool, wishes ...SlotID) {
		t.Helper()
		if got, is := a.Take(wishes); got != want || is != ok {
			t.Errorf("%v: got %v %t", wishes, got, is)
		}
	}
	take(early, true)
	take(late, true, late, early)
	take(SlotID{}, false, late)
	take(SlotID{}, false, SlotID{9})
	take(early, true, late, early)
	take(SlotID{}, false)
	a.GiveBack(early)
	a.GiveBack(SlotID{9})
	if a.Left() != 1 {
		t.Errorf("%d left", a.Left())
	}
	take(early, true)
}

// TestSimulation: the interval of a bot's advantage for one person a bot lies around 1; five persons a bot win about five times as often, and one entry a
// device takes that away. The same seed gives the same figures.
func TestSimulation(t *testing.T) {
	t.Parallel()
	base := Play{People: 380, Bots: 20, BotRequests: 20, AccountsPerBot: 1, Seats: 40, Draws: 400, Seed: 1}
	one, err := base.Run()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := base.Run(); err != nil || again != one {
		t.Errorf("%+v, then %+v", one, again)
	}
	if one.Entries != 400 || one.Requests != 780 || one.BotWins+one.HumanWins != 16_000 || one.Low > million || one.High < million || one.High > 1_200_000 || one.Low < 800_000 {
		t.Errorf("%+v", one)
	}
	five := base
	five.AccountsPerBot = 5
	got, err := five.Run()
	if err != nil || got.Entries != 480 || got.Low < 4_400_000 || got.High > 5_600_000 {
		t.Errorf("%+v %v", got, err)
	}
	five.OnePerDevice = true
	if got, err = five.Run(); err != nil || got.Entries != 400 || got.High > 1_200_000 || got.Low < 800_000 {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []Play{{}, {People: 1, Bots: 1, BotRequests: 1, AccountsPerBot: 1, Seats: 2, Draws: 10}, {People: 10, Bots: 1, BotRequests: 1, AccountsPerBot: 1, Seats: 2, Draws: 1}} {
		if _, err := bad.Run(); !errors.Is(err, ErrPlay) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestEstimate: the interval covers the truth in about 95 of 100 repetitions.
func TestEstimate(t *testing.T) {
	t.Parallel()
	covered := 0
	for s := range uint64(100) {
		r, err := Play{People: 40, Bots: 10, BotRequests: 2, AccountsPerBot: 1, Seats: 10, Draws: 40, Seed: s}.Run()
		if err != nil {
			t.Fatal(err)
		}
		if r.Low <= million && r.High >= million {
			covered++
		}
	}
	if covered < 86 { // 95 with a deviation of 2.2: four of them
		t.Errorf("%d of 100 intervals hold the truth", covered)
	}
}

// FuzzRead: no file makes the verifier panic, and none that it accepts differs from what
// it would write.
func FuzzRead(f *testing.F) {
	for _, witnessed := range []bool{true, false} {
		l := hold(newPlay(13), 5, 2, 1, PerPerson, witnessed)
		b, err := json.Marshal(l.proof)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		if b, err = json.Marshal(l.receipts[0]); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _ := Read[Receipt](bytes.NewReader(b))
		p, err := Read[Proof](bytes.NewReader(b))
		if err != nil {
			return
		}
		_, _ = p.Find(r)
		if _, err := p.Verify(Trust{}); err == nil {
			if _, err := copyOf(t, p).Verify(Trust{}); err != nil {
				t.Error(err)
			}
		}
	})
}
