// Package merkle is the arithmetic of a log that only grows: the tree of RFC 6962 under
// two hash functions at once, SHA-256 and SM3, so that neither has to be trusted alone.
// It stores nothing and knows nothing about what is logged.
//
// A Node is the SHA-256 hash followed by the SM3 hash of the same subtree. The tree is
// kept in tiles (tile.go): what is complete never changes, appending and proving touch
// a few of them.
package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm3"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
)

// Sizes in bytes.
const (
	HashSize = 32
	NodeSize = 2 * HashSize
)

// MaxSize bounds a log, in leaves: far beyond what a hospital can do in its life.
const MaxSize = uint64(1) << 48

// What domain separation puts before leaves and inner nodes (RFC 6962, 2.1).
const (
	leafMark = 0
	nodeMark = 1
)

// ErrProof says that a proof does not hold.
var ErrProof = errors.New("merkle: the proof does not hold")

// Node is a subtree's hash: SHA-256, then SM3.
type Node [NodeSize]byte

// SHA256 is the first half.
func (n Node) SHA256() []byte { return n[:HashSize] }

// SM3 is the second half.
func (n Node) SM3() []byte { return n[HashSize:] }

// MarshalText is the node in base64, for files.
func (n Node) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, n[:]), nil
}

// UnmarshalText reads what MarshalText wrote, strictly.
func (n *Node) UnmarshalText(b []byte) error {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(b))
	if err != nil || len(raw) != NodeSize {
		return errors.New("merkle: want 64 bytes in base64")
	}
	copy(n[:], raw)
	return nil
}

func sum(parts ...[]byte) (n Node) {
	a, b := sha256.New(), sm3.New()
	for _, p := range parts {
		a.Write(p)
		b.Write(p)
	}
	a.Sum(n[:0])
	b.Sum(n[:HashSize])
	return n
}

// Leaf is the hash of one leaf.
func Leaf(data []byte) Node { return sum([]byte{leafMark}, data) }

// Empty is the root of a log without leaves.
func Empty() Node { return sum() }

// join is the hash over two subtrees: each function over its own halves.
func join(left, right []byte) []byte {
	out := make([]byte, 0, NodeSize)
	a, b := sha256.New(), sm3.New()
	a.Write([]byte{nodeMark})
	a.Write(left[:HashSize])
	a.Write(right[:HashSize])
	b.Write([]byte{nodeMark})
	b.Write(left[HashSize:])
	b.Write(right[HashSize:])
	return b.Sum(a.Sum(out))
}

// hasher lends both functions to the proofs of transparency-dev/merkle as one.
type hasher struct{}

func (hasher) EmptyRoot() []byte               { n := Empty(); return n[:] }
func (hasher) HashLeaf(leaf []byte) []byte     { n := Leaf(leaf); return n[:] }
func (hasher) HashChildren(l, r []byte) []byte { return join(l, r) }
func (hasher) Size() int                       { return NodeSize }

// Range is what must be known of leaves [begin, end) to grow them and, when begin is 0,
// to tell their root: at most two nodes a level.
type Range struct{ r *compact.Range }

var factory = &compact.RangeFactory{Hash: join}

// NewRange is the empty range that begins at a leaf.
func NewRange(begin uint64) *Range { return &Range{factory.NewEmptyRange(begin)} }

// RangeOf is the range [begin, end) from its nodes, left to right, as Nodes gave them.
func RangeOf(begin, end uint64, nodes []Node) (*Range, error) {
	if begin > end || end > MaxSize || len(nodes) != compact.RangeSize(begin, end) {
		return nil, ErrProof
	}
	r, err := factory.NewRange(begin, end, slices(nodes))
	if err != nil {
		return nil, ErrProof
	}
	return &Range{r}, nil
}

// Append takes one more leaf's hash.
func (r *Range) Append(leaf Node) {
	if err := r.r.Append(leaf[:], nil); err != nil {
		panic("merkle: " + err.Error()) // a range that we made ourselves is whole
	}
}

// Join takes the range that begins where this one ends.
func (r *Range) Join(next *Range) error {
	if err := r.r.AppendRange(next.r, nil); err != nil {
		return ErrProof
	}
	return nil
}

// Size is where the range ends.
func (r *Range) Size() uint64 { return r.r.End() }

// Nodes are the range's nodes, left to right.
func (r *Range) Nodes() []Node { return nodes(r.r.Hashes()) }

// Root is the root of a range that begins at 0.
func (r *Range) Root() Node {
	if r.r.End() == 0 {
		return Empty()
	}
	b, err := r.r.GetRootHash(nil)
	if err != nil {
		panic("merkle: the root of a range that does not begin at 0")
	}
	return Node(b)
}

// VerifyInclusion says whether leaf stands at index in the log of this size and root.
func VerifyInclusion(index, size uint64, leaf Node, path []Node, root Node) error {
	if size > MaxSize {
		return ErrProof
	}
	if err := proof.VerifyInclusion(hasher{}, index, size, leaf[:], slices(path), root[:]); err != nil {
		return ErrProof
	}
	return nil
}

// VerifyConsistency says whether the log of size2 is the one of size1 and more behind it.
func VerifyConsistency(size1, size2 uint64, path []Node, root1, root2 Node) error {
	if size2 > MaxSize {
		return ErrProof
	}
	if size1 == 0 { // the empty log is the beginning of every log
		if len(path) != 0 || root1 != Empty() {
			return ErrProof
		}
		return nil
	}
	if err := proof.VerifyConsistency(hasher{}, size1, size2, slices(path), root1[:], root2[:]); err != nil {
		return ErrProof
	}
	return nil
}

func slices(in []Node) [][]byte {
	out := make([][]byte, len(in))
	for i := range in {
		out[i] = bytes.Clone(in[i][:]) // the library works in place
	}
	return out
}

func nodes(in [][]byte) []Node {
	out := make([]Node, len(in))
	for i, b := range in {
		out[i] = Node(b)
	}
	return out
}

// String shows the beginning of both hashes, for people.
func (n Node) String() string { return fmt.Sprintf("%x/%x", n[:6], n[HashSize:HashSize+6]) }
