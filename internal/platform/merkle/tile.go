package merkle

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
)

// A tile has up to 256 neighbouring nodes of one tree level: tile level 0 the hashes of
// leaves, level 1 the roots of complete tiles of level 0, and so on. Nodes between are
// computed. A full tile never changes, so a log of n leaves is n/256 rows and a bit, and
// appending rewrites the last tile of a level or two.
const (
	tileBits  = 8
	TileWidth = 1 << tileBits
)

// TileID is the place of a tile.
type TileID struct {
	Level int
	Index uint64
}

// Tile is its nodes, one after the other.
type Tile []byte

// Width is how many nodes it has.
func (t Tile) Width() int { return len(t) / NodeSize }

// Node is one of them.
func (t Tile) Node(i int) Node { return Node(t[i*NodeSize : (i+1)*NodeSize]) }

// Get reads a tile; nil without an error when there is none.
type Get func(TileID) (Tile, error)

// Remember asks get for each tile once.
func Remember(get Get) Get {
	known := map[TileID]Tile{}
	return func(at TileID) (Tile, error) {
		if t, ok := known[at]; ok {
			return t, nil
		}
		t, err := get(at)
		if err == nil {
			known[at] = t
		}
		return t, err
	}
}

// Edge lists the tiles that are not full in a log of this size: what Append needs.
func Edge(size uint64) (out []TileID) {
	for level := 0; size > 0; level++ {
		if size%TileWidth != 0 {
			out = append(out, TileID{level, size / TileWidth})
		}
		size /= TileWidth
	}
	return out
}

// Append puts leaves behind a log of this size. It gives the tiles that are new or have
// grown, whole.
func Append(size uint64, leaves []Node, get Get) (map[TileID]Tile, error) {
	if size+uint64(len(leaves)) > MaxSize {
		return nil, fmt.Errorf("merkle: a log of more than %d leaves", MaxSize)
	}
	changed := map[TileID]Tile{}
	var grow func(level int, at uint64, n Node) error
	grow = func(level int, at uint64, n Node) error {
		id := TileID{level, at / TileWidth}
		t, ok := changed[id]
		if !ok {
			if at%TileWidth != 0 {
				old, err := get(id)
				if err != nil {
					return err
				}
				if old.Width() < int(at%TileWidth) {
					return fmt.Errorf("merkle: tile %d/%d has %d nodes, want %d", id.Level, id.Index, old.Width(), at%TileWidth)
				}
				t = append(make(Tile, 0, TileWidth*NodeSize), old[:int(at%TileWidth)*NodeSize]...)
			} else {
				t = make(Tile, 0, TileWidth*NodeSize)
			}
		}
		t = append(t, n[:]...)
		changed[id] = t
		if t.Width() == TileWidth {
			return grow(level+1, id.Index, Node(fold(t)))
		}
		return nil
	}
	for i, n := range leaves {
		if err := grow(0, size+uint64(i), n); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// fold is the root over 2^k nodes.
func fold(t []byte) []byte {
	if len(t) == NodeSize {
		return t
	}
	half := len(t) / 2
	return join(fold(t[:half]), fold(t[half:]))
}

// node computes a node of the tree from its tile.
func node(at compact.NodeID, get Get) ([]byte, error) {
	level, sub := int(at.Level)/tileBits, at.Level%tileBits
	first := at.Index << sub
	id := TileID{level, first / TileWidth}
	t, err := get(id)
	if err != nil {
		return nil, err
	}
	from, n := int(first%TileWidth), 1<<sub
	if t.Width() < from+n {
		return nil, fmt.Errorf("merkle: tile %d/%d has %d nodes, want %d", id.Level, id.Index, t.Width(), from+n)
	}
	return fold(t[from*NodeSize : (from+n)*NodeSize]), nil
}

func fetch(ids []compact.NodeID, get Get) ([][]byte, error) {
	out := make([][]byte, len(ids))
	for i, at := range ids {
		b, err := node(at, get)
		if err != nil {
			return nil, err
		}
		out[i] = append([]byte(nil), b...)
	}
	return out, nil
}

// Load is the range [begin, end) from tiles.
func Load(begin, end uint64, get Get) (*Range, error) {
	if begin > end || end > MaxSize {
		return nil, fmt.Errorf("merkle: no range %d to %d", begin, end)
	}
	hashes, err := fetch(compact.RangeNodes(begin, end, nil), get)
	if err != nil {
		return nil, err
	}
	r, err := factory.NewRange(begin, end, hashes)
	if err != nil {
		return nil, err
	}
	return &Range{r}, nil
}

// Root is the root of the first size leaves.
func Root(size uint64, get Get) (Node, error) {
	r, err := Load(0, size, get)
	if err != nil {
		return Node{}, err
	}
	return r.Root(), nil
}

// Inclusion proves the leaf at index in the log of this size.
func Inclusion(index, size uint64, get Get) ([]Node, error) {
	p, err := proof.Inclusion(index, size)
	return prove(p, err, get)
}

// Consistency proves that the log of size2 begins with the one of size1.
func Consistency(size1, size2 uint64, get Get) ([]Node, error) {
	p, err := proof.Consistency(size1, size2)
	return prove(p, err, get)
}

func prove(p proof.Nodes, err error, get Get) ([]Node, error) {
	if err != nil {
		return nil, err
	}
	hashes, err := fetch(p.IDs, get)
	if err != nil {
		return nil, err
	}
	hashes, err = p.Rehash(hashes, join)
	if err != nil {
		return nil, err
	}
	return nodes(hashes), nil
}
