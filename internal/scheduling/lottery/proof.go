package lottery

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// The formats of the two files.
const (
	ProofFormat   = "xinglin-lottery-proof-v1"
	ReceiptFormat = "xinglin-lottery-receipt-v1"
)

// Outcome is what became of an entry.
type Outcome = scheduling.LotteryOutcome

// The outcomes.
const (
	Won     = scheduling.LotteryWon
	Lost    = scheduling.LotteryLost
	Refused = scheduling.LotteryRefused // Reason has the code
)

// Result is one entry of the list with its outcome.
type Result struct {
	Entry
	Rank    int     `json:"rank"` // from 1
	Outcome Outcome `json:"outcome"`
	Slot    SlotID  `json:"slot,omitzero"`
	Reason  string  `json:"reason,omitempty"`
}

// Witness is who signed the seal.
type Witness struct {
	Key       Bytes     `json:"key"`                 // Ed25519, as announced before
	Signature Bytes     `json:"signature,omitempty"` // none when the witness did not answer in time
	SignedAt  time.Time `json:"signed_at,omitzero"`  // by the witness's clock
}

// Proof is the downloadable file: all that is needed to compute the draw again.
type Proof struct {
	Format string `json:"format"`
	Seal
	Seed      Bytes    `json:"seed"`
	Witnessed bool     `json:"witnessed"`
	NoteZH    string   `json:"note_zh"`
	NoteEN    string   `json:"note_en"`
	Witness   *Witness `json:"witness,omitempty"`
	Results   []Result `json:"results"` // by rank
}

// What the file says of itself, in plain words.
const (
	WitnessedZH   = "名单封存后由独立见证人签名，医院和见证人都无法单独决定结果。"
	WitnessedEN   = "An independent witness signed after the list was sealed: neither the hospital nor the witness alone could choose the winners."
	UnwitnessedZH = "没有见证人：医院在封存前知道随机种子，有可能挑选结果。"
	UnwitnessedEN = "No witness: the hospital knew the seed before the list was sealed and could have chosen the winners."
)

// Note is the sentence for a draw with or without a witness.
func Note(witnessed bool) (zh, en string) {
	if witnessed {
		return WitnessedZH, WitnessedEN
	}
	return UnwitnessedZH, UnwitnessedEN
}

// What may be wrong with a proof or a receipt. Verify wraps them with the place.
var (
	ErrFormat     = errors.New("this is no lottery proof of a known format")
	ErrSeed       = errors.New("the seed does not fit the published commitment")
	ErrCount      = errors.New("the number of entries is not the sealed one")
	ErrTwice      = errors.New("one person, group or entry is in the list twice")
	ErrRoot       = errors.New("the list of entries does not fit the sealed root")
	ErrWitnessKey = errors.New("the proof names another witness than the one that you trust")
	ErrSignature  = errors.New("the witness's signature does not hold for this seal")
	ErrEarly      = errors.New("the witness signed before the window was over")
	ErrUnsigned   = errors.New("a witness was announced or demanded, and there is no signature: the hospital could have chosen")
	ErrOrder      = errors.New("the ranks are not those of the draw")
	ErrAllotted   = errors.New("the seats were not given in the order of the ranks")
	ErrReceipt    = errors.New("the receipt is of another lottery, commitment or witness")
	ErrMissing    = errors.New("the entry of the receipt is not in the sealed list")
	ErrChanged    = errors.New("the entry stands in the list with another person or other wishes than in the receipt")
	ErrForged     = errors.New("the receipt was not signed by this lottery")
)

// witnessSkew is how far the witness's clock may be behind the hospital's.
const witnessSkew = time.Minute

// Trust is what the verifier brings along.
type Trust struct {
	WitnessKey       ed25519.PublicKey // from the witness itself; empty: the proof's own word
	AllowUnwitnessed bool              // accept a draw whose announced witness did not sign
}

// Report is the outcome of a verification that found nothing wrong.
type Report struct {
	Witnessed bool
	Won       int
	Lost      int
	Refused   map[string]int // by code
}

// Verify computes the draw again. The error says what is wrong first.
func (p Proof) Verify(t Trust) (Report, error) {
	none := Report{}
	if p.Format != ProofFormat || len(p.Seed) != SeedSize || p.Per != PerPerson && p.Per != PerAccount {
		return none, ErrFormat
	}
	if Commit(p.Lottery, p.Seed) != p.Commitment {
		return none, ErrSeed
	}
	leaves, err := p.list()
	if err != nil {
		return none, err
	}
	signature, err := p.signature(t)
	if err != nil {
		return none, err
	}
	for i, at := range Rank(p.Seed, p.Root, signature, leaves) {
		if at != i || p.Results[i].Rank != i+1 {
			return none, fmt.Errorf("rank %d: %w", i+1, ErrOrder)
		}
	}
	rep, err := p.allotment()
	rep.Witnessed = len(signature) > 0
	if err == nil && rep.Witnessed != p.Witnessed {
		err = fmt.Errorf("the field witnessed: %w", ErrSignature)
	}
	return rep, err
}

// list checks the entries against the root and gives their leaves in the file's order.
func (p Proof) list() ([]Hash, error) {
	if len(p.Results) != p.Count {
		return nil, fmt.Errorf("%d entries, %d sealed: %w", len(p.Results), p.Count, ErrCount)
	}
	in, handles := NewRegister(len(p.Results)), map[Hash]bool{}
	leaves := make([]Hash, len(p.Results))
	for i, r := range p.Results {
		if (p.Per == PerPerson) != r.Group.IsZero() || len(r.Wishes) > MaxWishes {
			return nil, fmt.Errorf("rank %d: %w", r.Rank, ErrFormat)
		}
		if handles[r.Handle] || !in.Enter(r.Person, r.Group) {
			return nil, fmt.Errorf("rank %d: %w", r.Rank, ErrTwice)
		}
		handles[r.Handle] = true
		leaves[i] = r.Leaf(p.Lottery)
	}
	if Root(slices.Clone(leaves)) != p.Root {
		return nil, ErrRoot
	}
	return leaves, nil
}

// signature checks the witness's word; empty without a witness.
func (p Proof) signature(t Trust) ([]byte, error) {
	w := p.Witness
	switch {
	case w == nil && len(t.WitnessKey) == 0:
		return nil, nil
	case w == nil:
		return nil, ErrUnsigned
	case len(t.WitnessKey) > 0 && !t.WitnessKey.Equal(ed25519.PublicKey(w.Key)):
		return nil, ErrWitnessKey
	case len(w.Signature) == 0 && t.AllowUnwitnessed:
		return nil, nil
	case len(w.Signature) == 0:
		return nil, ErrUnsigned
	}
	s := attest.Statement{Subject: attest.SubjectOf(Key(p.Lottery, p.Seed)), Digest: p.Digest(), At: w.SignedAt.UnixMicro()}
	if !attest.Verify(ed25519.PublicKey(w.Key), s, w.Signature) {
		return nil, ErrSignature
	}
	if w.SignedAt.Before(p.ClosesAt.Add(-witnessSkew)) {
		return nil, ErrEarly
	}
	return w.Signature, nil
}

// allotment gives the seats away again, in the order of the ranks.
func (p Proof) allotment() (Report, error) {
	rep := Report{Refused: map[string]int{}}
	a := NewAllotter(p.Seats)
	for _, r := range p.Results {
		slot, ok := a.Take(r.Wishes)
		switch {
		case r.Outcome == Won && ok && slot == r.Slot:
			rep.Won++
		case r.Outcome == Lost && !ok && r.Slot.IsZero():
			rep.Lost++
		case r.Outcome == Refused && ok && r.Slot.IsZero() && r.Reason != "":
			a.GiveBack(slot)
			rep.Refused[r.Reason]++
		default:
			return rep, fmt.Errorf("rank %d, %q: %w", r.Rank, r.Outcome, ErrAllotted)
		}
	}
	return rep, nil
}

// Receipt is what an entrant gets, to find the own entry in the list and to show that it
// was there. The lottery's key signs it, so a dropped entry can be proved to others.
type Receipt struct {
	Format     string                        `json:"format"`
	Lottery    ID                            `json:"lottery"`
	Commitment Hash                          `json:"commitment"`
	WitnessKey Bytes                         `json:"witness_key,omitempty"`
	Entry      id.ID[scheduling.Appointment] `json:"entry"`
	Nonce      Bytes                         `json:"nonce"`
	Person     Hash                          `json:"person"`
	Group      Hash                          `json:"group"`
	Wishes     []SlotID                      `json:"wishes"`
	Signature  Bytes                         `json:"signature"`
}

// listed is the receipt's entry as the list shows it.
func (r Receipt) listed() Entry {
	return Entry{Handle: Handle(r.Entry, r.Nonce), Person: r.Person, Group: r.Group, Wishes: r.Wishes}
}

func (r Receipt) message() []byte {
	leaf := r.listed().Leaf(r.Lottery)
	h := hashOf(ReceiptFormat, r.Lottery[:], r.Commitment[:], r.WitnessKey, leaf[:])
	return h[:]
}

// Sign signs the receipt with the lottery's key.
func (r *Receipt) Sign(key ed25519.PrivateKey) { r.Signature = ed25519.Sign(key, r.message()) }

// Find checks a receipt against a proof that Verify has passed. ErrMissing and
// ErrChanged with a signed receipt prove that the hospital dropped or changed an entry.
func (p Proof) Find(r Receipt) (Result, error) {
	var announced Bytes
	if p.Witness != nil {
		announced = p.Witness.Key
	}
	if r.Format != ReceiptFormat || r.Lottery != p.Lottery || r.Commitment != p.Commitment || !slices.Equal(announced, r.WitnessKey) {
		return Result{}, ErrReceipt
	}
	if !ed25519.Verify(Key(p.Lottery, p.Seed).Public().(ed25519.PublicKey), r.message(), r.Signature) {
		return Result{}, ErrForged
	}
	want := r.listed()
	i := slices.IndexFunc(p.Results, func(x Result) bool { return x.Handle == want.Handle })
	if i < 0 {
		return Result{}, ErrMissing
	}
	if p.Results[i].Leaf(p.Lottery) != want.Leaf(p.Lottery) {
		return p.Results[i], ErrChanged
	}
	return p.Results[i], nil
}

// MaxFile bounds a proof file, in bytes.
const MaxFile = 256 << 20

// Read reads a proof or a receipt: strict, so that nothing in the file goes unchecked.
func Read[T Proof | Receipt](r io.Reader) (v T, err error) {
	d := json.NewDecoder(io.LimitReader(r, MaxFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, fmt.Errorf("%w: something follows the file's end", ErrFormat)
	}
	return v, nil
}
