package lottery

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"math/big"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"xinglin/internal/kernel/attest"
)

// Play is a simulated morning: people who ask once and bots that ask as often as they
// can, from all the persons that they have.
type Play struct {
	People         int
	Bots           int
	BotRequests    int  // of each of a bot's persons
	AccountsPerBot int  // real, linked persons that a bot controls
	OnePerDevice   bool // the risk rule: what comes from one device or phone pool is one entry
	Seats          int
	Draws          int
	Seed           uint64
}

// Limits of a simulation.
const (
	maxPlayers = 1_000_000
	maxDraws   = 10_000_000
)

// ErrPlay refuses figures that make no lottery.
var ErrPlay = errors.New("want 1..1000000 people and persons of bots, at least one seat fewer than entries, 2..10000000 draws")

func (p Play) check() error {
	bots := p.Bots * p.AccountsPerBot
	entries := p.People + bots
	if p.OnePerDevice {
		entries = p.People + p.Bots
	}
	if p.People < 1 || p.Bots < 1 || p.BotRequests < 1 || p.AccountsPerBot < 1 || p.People > maxPlayers || bots > maxPlayers ||
		p.Seats < 1 || p.Seats >= entries || p.Draws < 2 || p.Draws > maxDraws {
		return ErrPlay
	}
	return nil
}

// Tally is what many draws gave. Parts per million, because this house counts in whole
// numbers: Advantage 1,000,000 is "a bot wins as often as a human".
type Tally struct {
	Draws     int
	Requests  int64 // of one draw
	Entries   int   // of one draw, after the rule of one entry
	BotWins   int64
	HumanWins int64
	BotRate   int64 // ppm, seats a bot wins in a draw
	HumanRate int64 // ppm
	Advantage int64 // ppm, BotRate over HumanRate
	Low, High int64 // ppm, its 95 % interval
}

// Run plays the draws. The same Play gives the same Tally on every machine.
func (p Play) Run() (Tally, error) {
	if err := p.check(); err != nil {
		return Tally{}, err
	}
	var next, sum, squares atomic.Int64
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			d := p.desk()
			for i := next.Add(1) - 1; i < int64(p.Draws); i = next.Add(1) - 1 {
				b := d.draw(i)
				sum.Add(b)
				squares.Add(b * b)
			}
		})
	}
	work.Wait()
	d := p.desk()
	d.draw(0)
	t := p.estimate(sum.Load(), squares.Load())
	t.Requests, t.Entries = int64(p.People)+int64(p.Bots*p.AccountsPerBot)*int64(p.BotRequests), len(d.leaves)
	return t, nil
}

// desk is where one worker draws; its slices are used again for each draw.
type desk struct {
	p       Play
	witness ed25519.PrivateKey
	leaves  []Hash
	bot     map[Hash]bool // leaves of bots
}

func (p Play) desk() *desk {
	seed := hashOf("xinglin-lottery-play-witness", number(int64(p.Seed)))
	return &desk{p: p, witness: ed25519.NewKeyFromSeed(seed[:]), bot: map[Hash]bool{}}
}

// draw is one lottery from the first request to the last seat; it gives the seats that
// went to bots. The bots' requests all come before the people's.
func (d *desk) draw(i int64) (bots int64) {
	r := rand.NewChaCha8(hashOf("xinglin-lottery-play", number(int64(d.p.Seed)), number(i)))
	var lottery ID
	seed := make([]byte, SeedSize)
	_, _ = r.Read(lottery[:])
	_, _ = r.Read(seed)
	d.leaves = d.leaves[:0]
	clear(d.bot)
	in := NewRegister(d.p.People + d.p.Bots*d.p.AccountsPerBot)
	for b := range d.p.Bots {
		var device Hash
		if d.p.OnePerDevice {
			device = hashOf("device", number(int64(b)))
		}
		for a := range d.p.AccountsPerBot {
			person := playPerson('b', b*d.p.AccountsPerBot+a)
			for range d.p.BotRequests {
				if in.Enter(person, device) {
					d.bot[d.enter(r, lottery, person, device)] = true
				}
			}
		}
	}
	for h := range d.p.People {
		var device Hash
		if d.p.OnePerDevice {
			device = hashOf("device", number(int64(d.p.Bots+h)))
		}
		if person := playPerson('h', h); in.Enter(person, device) {
			d.enter(r, lottery, person, device)
		}
	}
	root := Root(d.leaves)
	key := Key(lottery, seed)
	seal := Seal{Lottery: lottery, Commitment: Commit(lottery, seed), Per: PerPerson, Root: root, Count: len(d.leaves)}
	signature := attest.Sign(d.witness, attest.Statement{Subject: attest.SubjectOf(key), Digest: seal.Digest()})
	for _, at := range Rank(seed, root, signature, d.leaves)[:d.p.Seats] {
		if d.bot[d.leaves[at]] {
			bots++
		}
	}
	return bots
}

// playPerson is the pseudonym of a player.
func playPerson(kind byte, n int) (h Hash) {
	h[0] = kind
	binary.BigEndian.PutUint64(h[24:], uint64(n))
	return h
}

func (d *desk) enter(r *rand.ChaCha8, lottery ID, person, group Hash) Hash {
	e := Entry{Person: person, Group: group}
	_, _ = r.Read(e.Handle[:])
	leaf := e.Leaf(lottery)
	d.leaves = append(d.leaves, leaf)
	return leaf
}

const million = 1_000_000

// estimate is the ratio of the two rates with its interval by the delta method. The draw
// is the unit: seats within one draw depend on each other, draws do not, so the variance
// is that of the bots' seats from draw to draw. All seats of a draw are given, hence the
// humans' part follows from the bots'.
func (p Play) estimate(sum, squares int64) Tally {
	n, all := int64(p.Draws), int64(p.Draws)*int64(p.Seats)
	t := Tally{Draws: p.Draws, BotWins: sum, HumanWins: all - sum}
	t.BotRate = ratio(million, sum, n*int64(p.Bots))
	t.HumanRate = ratio(million, t.HumanWins, n*int64(p.People))
	if t.HumanWins == 0 {
		return t
	}
	scale := ratio(million, int64(p.People), int64(p.Bots)) // ppm of one bot's win over one human's
	t.Advantage = ratio(scale, sum, t.HumanWins)
	// The standard error of sum in thousandths: sqrt(n (n Σb² - (Σb)²) / (n (n-1))).
	v := new(big.Int).Mul(big.NewInt(n), big.NewInt(squares))
	v.Sub(v, new(big.Int).Mul(big.NewInt(sum), big.NewInt(sum)))
	v.Mul(v, big.NewInt(million))
	v.Div(v, big.NewInt(n-1))
	se := v.Sqrt(v)
	// d(advantage)/d(sum) = scale * all / humans²; 1.96 standard errors.
	half := new(big.Int).Mul(se, big.NewInt(196))
	half.Mul(half, big.NewInt(scale)).Mul(half, big.NewInt(all))
	half.Div(half, new(big.Int).Mul(big.NewInt(t.HumanWins), big.NewInt(t.HumanWins)))
	half.Div(half, big.NewInt(1000*100))
	t.Low, t.High = t.Advantage-half.Int64(), t.Advantage+half.Int64()
	return t
}

// ratio is scale * a / b in whole numbers.
func ratio(scale, a, b int64) int64 {
	v := new(big.Int).Mul(big.NewInt(scale), big.NewInt(a))
	return v.Div(v, big.NewInt(b)).Int64()
}
