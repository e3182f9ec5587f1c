// Package lottery is the arithmetic of a verifiable release of numbers: everything that
// both the hospital and anybody who checks it compute, from the same bytes. It stores,
// sends and reads nothing.
//
// Before the window the hospital publishes Commit(seed). Each person has at most one
// entry. After the window the entries' leaves are sealed under a Merkle root; a witness
// signs the seal, once a lottery; then the seed is shown, and each entry's rank is the
// order of H(seed, root, signature, leaf). The hospital alone does not know the
// signature before the list is sealed, the witness alone does not know the seed: neither
// of them can choose who wins, and being faster or asking more often changes nothing.
package lottery

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// Hash is a SHA-256 value; hexadecimal in JSON.
type Hash [32]byte

// IsZero reports whether the hash is unset.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("a hash has %d hexadecimal digits, not %d", hex.EncodedLen(len(h)), len(b))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// Bytes are of any length; hexadecimal in JSON.
type Bytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode(nil, text)
	return err
}

// hashOf is SHA-256 over the domain and the parts, each with its length before it, so
// that no two lists of parts give one text.
func hashOf(domain string, parts ...[]byte) Hash {
	var room [512]byte // enough for all but long lists of wishes and seats
	b := append(binary.BigEndian.AppendUint32(room[:0], uint32(len(domain))), domain...)
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	return sha256.Sum256(b)
}

func number(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// ID of a lottery is its schedule's: a schedule has at most one.
type ID = id.ID[scheduling.Schedule]

// SlotID is a wish.
type SlotID = id.ID[scheduling.Slot]

// SeedSize is the size of the hospital's secret, in bytes.
const SeedSize = 32

// Commit is what is published before: it fixes the seed and shows nothing of it.
func Commit(lottery ID, seed []byte) Hash {
	return hashOf("xinglin-lottery-seed-v1", lottery[:], seed)
}

// Key is the lottery's own key. It follows from the seed, so a commitment has exactly one
// subject at the witness and therefore one signature. It also signs the receipts.
func Key(lottery ID, seed []byte) ed25519.PrivateKey {
	h := hashOf("xinglin-lottery-key-v1", lottery[:], seed)
	return ed25519.NewKeyFromSeed(h[:])
}

// Per says who counts once, in addition to the person, who always does.
type Per string

// The rules of one entry.
const (
	PerPerson  Per = "person"
	PerAccount Per = "account" // one entry an account (phone): a family chooses whom
)

// MaxWishes bounds the slots that an entry names.
const MaxWishes = 20

// Entry is one person's entry as the public list shows it: no name, no account.
type Entry struct {
	Handle Hash     `json:"handle"` // of the entry's id and the receipt's nonce
	Person Hash     `json:"person"` // the same for one person within one lottery, means nothing elsewhere
	Group  Hash     `json:"group"`  // the same for all entries that count as one; zero under PerPerson
	Wishes []SlotID `json:"wishes"` // in the order of preference; empty: any, the earliest
}

// Handle names an entry in the public list; only who has the nonce finds it there.
func Handle(entry id.ID[scheduling.Appointment], nonce []byte) Hash {
	return hashOf("xinglin-lottery-handle-v1", entry[:], nonce)
}

// Leaf is the entry as the sealed list holds it.
func (e Entry) Leaf(lottery ID) Hash {
	wishes := make([]byte, 0, 16*len(e.Wishes))
	for _, w := range e.Wishes {
		wishes = append(wishes, w[:]...)
	}
	return hashOf("xinglin-lottery-entry-v1", lottery[:], e.Handle[:], e.Person[:], e.Group[:], wishes)
}

// Root is the RFC 6962 Merkle root over the leaves, which it sorts: the list has no
// order of arrival. Of no leaves it is the hash of nothing.
func Root(leaves []Hash) Hash {
	slices.SortFunc(leaves, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	h := rfc6962.DefaultHasher
	r := (&compact.RangeFactory{Hash: h.HashChildren}).NewEmptyRange(0)
	for _, l := range leaves {
		_ = r.Append(h.HashLeaf(l[:]), nil) // refuses hashes of another size only
	}
	root, err := r.GetRootHash(nil)
	if err != nil || root == nil {
		root = h.EmptyRoot()
	}
	return Hash(root)
}

// Register applies the rule of one entry: one a person, and one a group where the
// lottery has groups. The database holds it as two unique constraints; this is the same
// rule for whoever verifies or simulates.
type Register struct {
	persons, groups map[Hash]bool
}

// NewRegister is empty, with room for n.
func NewRegister(n int) *Register {
	return &Register{persons: make(map[Hash]bool, n), groups: map[Hash]bool{}}
}

// Enter reports whether the person is in anew: false when the person or the group is in.
func (r *Register) Enter(person, group Hash) bool {
	if r.persons[person] || r.groups[group] {
		return false
	}
	r.persons[person] = true
	if !group.IsZero() {
		r.groups[group] = true
	}
	return true
}

// Seat counts the free seats of a slot at the moment of sealing.
type Seat struct {
	Slot     SlotID    `json:"slot"`
	StartsAt time.Time `json:"starts_at"`
	Free     int       `json:"free"`
}

// Seal is all that is fixed when the window is over, before anybody knows the draw.
type Seal struct {
	Lottery    ID        `json:"lottery"`
	Commitment Hash      `json:"commitment"`
	Per        Per       `json:"per"`
	OpensAt    time.Time `json:"opens_at"`
	ClosesAt   time.Time `json:"closes_at"`
	Seats      []Seat    `json:"seats"`
	Root       Hash      `json:"root"`
	Count      int       `json:"count"`
	SealedAt   time.Time `json:"sealed_at"`
}

// Digest is what the witness signs.
func (s Seal) Digest() attest.Digest {
	var seats []byte
	for _, v := range s.Seats {
		seats = append(seats, v.Slot[:]...)
		seats = append(seats, number(v.StartsAt.UnixMicro())...)
		seats = append(seats, number(int64(v.Free))...)
	}
	return attest.Digest(hashOf("xinglin-lottery-seal-v1", s.Lottery[:], s.Commitment[:], []byte(s.Per), number(s.OpensAt.UnixMicro()),
		number(s.ClosesAt.UnixMicro()), seats, s.Root[:], number(int64(s.Count)), number(s.SealedAt.UnixMicro())))
}

// Ticket is an entry's number in the draw: the lowest wins first. signature is the
// witness's, or empty when there was none.
func Ticket(seed []byte, root Hash, signature []byte, leaf Hash) Hash {
	return hashOf("xinglin-lottery-rank-v1", seed, root[:], signature, leaf[:])
}

// Rank orders the leaves by their tickets: the result holds indexes of leaves, first
// rank first.
func Rank(seed []byte, root Hash, signature []byte, leaves []Hash) []int {
	type drawn struct {
		ticket Hash
		at     int
	}
	all := make([]drawn, len(leaves))
	for i, l := range leaves {
		all[i] = drawn{Ticket(seed, root, signature, l), i}
	}
	slices.SortFunc(all, func(a, b drawn) int {
		if c := bytes.Compare(a.ticket[:], b.ticket[:]); c != 0 {
			return c
		}
		return bytes.Compare(leaves[a.at][:], leaves[b.at][:])
	})
	out := make([]int, len(all))
	for i, v := range all {
		out[i] = v.at
	}
	return out
}

// Allotter gives the sealed seats away, one entry after the other.
type Allotter struct {
	seats []Seat // by start
	left  int
}

// NewAllotter begins with the sealed seats.
func NewAllotter(seats []Seat) *Allotter {
	a := &Allotter{seats: slices.Clone(seats)}
	slices.SortStableFunc(a.seats, func(x, y Seat) int { return x.StartsAt.Compare(y.StartsAt) })
	for _, s := range a.seats {
		a.left += s.Free
	}
	return a
}

// Left is how many seats nobody has.
func (a *Allotter) Left() int { return a.left }

// Take gives the first wished slot that has a seat, the earliest for no wishes; false
// when none has one.
func (a *Allotter) Take(wishes []SlotID) (SlotID, bool) {
	if a.left == 0 {
		return SlotID{}, false
	}
	if len(wishes) == 0 {
		i := slices.IndexFunc(a.seats, func(s Seat) bool { return s.Free > 0 })
		return a.take(i)
	}
	for _, w := range wishes {
		if i := slices.IndexFunc(a.seats, func(s Seat) bool { return s.Slot == w && s.Free > 0 }); i >= 0 {
			return a.take(i)
		}
	}
	return SlotID{}, false
}

func (a *Allotter) take(i int) (SlotID, bool) {
	if i < 0 {
		return SlotID{}, false
	}
	a.seats[i].Free--
	a.left--
	return a.seats[i].Slot, true
}

// GiveBack returns a seat whose taker was refused.
func (a *Allotter) GiveBack(slot SlotID) {
	if i := slices.IndexFunc(a.seats, func(s Seat) bool { return s.Slot == slot }); i >= 0 {
		a.seats[i].Free++
		a.left++
	}
}
