package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"pgregory.net/rapid"
)

// The leaves and roots of Certificate Transparency's own tests (RFC 6962, SHA-256).
var (
	knownLeaves = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	knownRoots  = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	knownPaths = []struct {
		index, size uint64
		path        []string
	}{
		{0, 1, nil},
		{0, 8, []string{
			"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
		}},
		{5, 8, []string{
			"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
			"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
			"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		}},
	}
	knownConsistency = []struct {
		a, b uint64
		path []string
	}{
		{1, 1, nil},
		{1, 8, []string{
			"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
		}},
		{6, 8, []string{
			"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
			"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
			"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		}},
	}
)

// book is a log in memory.
type book struct {
	size  uint64
	tiles map[TileID]Tile
}

func (b *book) get(at TileID) (Tile, error) { return b.tiles[at], nil }

func (b *book) add(t interface{ Fatal(...any) }, leaves ...Node) {
	changed, err := Append(b.size, leaves, b.get)
	if err != nil {
		t.Fatal(err)
	}
	for at, tile := range changed {
		b.tiles[at] = tile
	}
	b.size += uint64(len(leaves))
}

func known(t *testing.T, n int) *book {
	t.Helper()
	b := &book{tiles: map[TileID]Tile{}}
	for _, x := range knownLeaves[:n] {
		raw, err := hex.DecodeString(x)
		if err != nil {
			t.Fatal(err)
		}
		b.add(t, Leaf(raw))
	}
	return b
}

// TestKnownAnswers: roots, inclusion and consistency proofs of RFC 6962's own examples.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	for n, want := range knownRoots {
		root, err := Root(uint64(n), known(t, n).get)
		if err != nil || hex.EncodeToString(root.SHA256()) != want {
			t.Errorf("root of %d: %x, %v", n, root.SHA256(), err)
		}
	}
	all := known(t, len(knownLeaves))
	same := func(what string, got []Node, want []string) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d nodes, want %d", what, len(got), len(want))
		}
		for i := range want {
			if hex.EncodeToString(got[i].SHA256()) != want[i] {
				t.Errorf("%s: node %d is %x", what, i, got[i].SHA256())
			}
		}
	}
	for _, k := range knownPaths {
		got, err := Inclusion(k.index, k.size, all.get)
		if err != nil {
			t.Fatal(err)
		}
		same(fmt.Sprint("inclusion ", k.index, k.size), got, k.path)
	}
	for _, k := range knownConsistency {
		got, err := Consistency(k.a, k.b, all.get)
		if err != nil {
			t.Fatal(err)
		}
		same(fmt.Sprint("consistency ", k.a, k.b), got, k.path)
	}
	// GB/T 32905: SM3 of "abc", so that the second half is the national hash.
	if s := sm3.Sum([]byte("abc")); hex.EncodeToString(s[:]) != "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0" {
		t.Errorf("SM3: %x", s)
	}
}

// naive is the definition of RFC 6962, 2.1, for one hash function.
func naive(h func() hash.Hash, leaves [][]byte) []byte {
	d := h()
	switch len(leaves) {
	case 0:
		return d.Sum(nil)
	case 1:
		d.Write([]byte{0})
		d.Write(leaves[0])
		return d.Sum(nil)
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	d.Write([]byte{1})
	d.Write(naive(h, leaves[:k]))
	d.Write(naive(h, leaves[k:]))
	return d.Sum(nil)
}

// TestAgainstTheDefinition: whatever the batches, both roots are what the definition
// says, at every size that was; proofs hold, and for nothing else.
func TestAgainstTheDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &book{tiles: map[TileID]Tile{}}
		var leaves [][]byte
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 300), 1, 5).Draw(t, "batches") {
			var some []Node
			for range n {
				data := fmt.Appendf(nil, "leaf %d", len(leaves))
				leaves, some = append(leaves, data), append(some, Leaf(data))
			}
			b.add(t, some...)
		}
		if b.size == 0 {
			return
		}
		size := rapid.Uint64Range(1, b.size).Draw(t, "size")
		index := rapid.Uint64Range(0, size-1).Draw(t, "index")
		old := rapid.Uint64Range(0, size).Draw(t, "old")
		root, err := Root(size, Remember(b.get))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(root.SHA256(), naive(sha256.New, leaves[:size])) || !bytes.Equal(root.SM3(), naive(sm3.New, leaves[:size])) {
			t.Fatalf("root of %d", size)
		}
		path, err := Inclusion(index, size, b.get)
		if err != nil || VerifyInclusion(index, size, Leaf(leaves[index]), path, root) != nil {
			t.Fatalf("inclusion of %d in %d: %v", index, size, err)
		}
		if err := VerifyInclusion(index, size, Leaf([]byte("another")), path, root); !errors.Is(err, ErrProof) {
			t.Fatalf("another leaf: %v", err)
		}
		was, err := Root(old, b.get)
		if err != nil {
			t.Fatal(err)
		}
		path, err = Consistency(old, size, b.get)
		if err != nil || VerifyConsistency(old, size, path, was, root) != nil {
			t.Fatalf("consistency of %d and %d: %v", old, size, err)
		}
		was[40] ^= 1 // the SM3 half alone
		if err := VerifyConsistency(old, size, path, was, root); !errors.Is(err, ErrProof) {
			t.Fatalf("another past: %v", err)
		}
		ranges(t, b, old, size, root)
	})
}

// ranges: what lies before, in and behind a part makes the whole.
func ranges(t *rapid.T, b *book, from, size uint64, root Node) {
	left, err := Load(0, from, b.get)
	if err != nil {
		t.Fatal(err)
	}
	right, err := Load(from, size, b.get)
	if err != nil {
		t.Fatal(err)
	}
	again, err := RangeOf(from, size, right.Nodes())
	if err != nil || left.Join(again) != nil || left.Root() != root || left.Size() != size {
		t.Fatalf("range %d to %d: %v", from, size, err)
	}
	if _, err := RangeOf(from, size, append(right.Nodes(), Node{})); !errors.Is(err, ErrProof) {
		t.Fatalf("a node too many: %v", err)
	}
}

// TestBrokenTiles: a tile that is missing or short is an error, not another root.
func TestBrokenTiles(t *testing.T) {
	t.Parallel()
	b := &book{tiles: map[TileID]Tile{}}
	leaves := make([]Node, 3*TileWidth+5)
	for i := range leaves {
		leaves[i] = Leaf(fmt.Append(nil, i))
	}
	b.add(t, leaves...)
	if e := Edge(b.size); len(e) != 2 || e[0] != (TileID{0, 3}) || e[1] != (TileID{1, 0}) {
		t.Errorf("edge %v", e)
	}
	b.tiles[TileID{0, 3}] = b.tiles[TileID{0, 3}][:NodeSize]
	if _, err := Root(b.size, b.get); err == nil {
		t.Error("the root over a short tile")
	}
	if _, err := Append(b.size, leaves[:1], b.get); err == nil {
		t.Error("appended behind a short tile")
	}
	delete(b.tiles, TileID{1, 0})
	if _, err := Consistency(1, 2*TileWidth, b.get); err == nil {
		t.Error("a proof over a missing tile")
	}
	if _, err := Append(MaxSize, leaves[:1], b.get); err == nil {
		t.Error("a log without end")
	}
	if VerifyInclusion(0, MaxSize+1, Node{}, nil, Node{}) == nil || VerifyConsistency(1, MaxSize+1, nil, Node{}, Node{}) == nil {
		t.Error("a proof about a log without end")
	}
}

func TestNodeText(t *testing.T) {
	t.Parallel()
	n := Leaf([]byte("x"))
	text, err := n.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back Node
	if err := back.UnmarshalText(text); err != nil || back != n {
		t.Error(back, err)
	}
	for _, bad := range []string{"", "AA==", string(text) + "=", string(text[:len(text)-4]), "-" + string(text[1:])} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	k := &book{tiles: map[TileID]Tile{}}
	some := make([]Node, 500)
	b.ReportAllocs()
	for b.Loop() {
		for i := range some {
			some[i] = Leaf(fmt.Append(nil, i))
		}
		k.add(b, some...)
	}
	b.ReportMetric(float64(len(some)*b.N)/b.Elapsed().Seconds(), "leaves/s")
}
