package tlog

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"xinglin/internal/platform/merkle"
)

func rotated(t *testing.T, generation int, from int64, old, next []Signer) string {
	t.Helper()
	text, err := SignRotation(Rotation{
		Log: someHead.Origin, Generation: generation, From: from, At: someHead.At, Old: keysOf(t, old), New: keysOf(t, next),
	}, append(append([]Signer{}, old...), next...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestLineage: each head holds under the keys of its time, and a change of keys counts
// only as the one that the keys before signed.
func TestLineage(t *testing.T) {
	t.Parallel()
	a, b, c := signers(t), signers(t), signers(t)
	one, two := rotated(t, 2, 5, a, b), rotated(t, 3, 9, b, c)
	l, err := LineageOf(someHead.Origin, keysOf(t, a), []string{one, two})
	if err != nil || l.Generation() != 3 || len(l.All()) != 6 || !l.Current().same(keysOf(t, c)) || !l.First().same(keysOf(t, a)) {
		t.Fatalf("%+v %v", l, err)
	}
	for number, by := range map[int64][]Signer{1: a, 4: a, 5: b, 8: b, 9: c, 100: c} {
		h := someHead
		h.Number = number
		for i, who := range [][]Signer{a, b, c} {
			_, _, err := l.Open(signedHead(t, h, who))
			if want := &who[0] == &by[0]; (err == nil) != want {
				t.Errorf("head %d by generation %d: %v", number, i+1, err)
			}
		}
	}
	for name, bad := range map[string][]string{
		"skipped": {two}, "twice": {one, one}, "wrong order": {two, one}, "another's": {rotated(t, 2, 5, b, c)}, "generation": {rotated(t, 3, 5, a, b)},
		"backward": {one, rotated(t, 3, 4, b, c)}, "garbage": {"x"}, "a head": {signedHead(t, someHead, a)},
	} {
		if _, err := LineageOf(someHead.Origin, keysOf(t, a), bad); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := LineageOf("another/log", keysOf(t, a), []string{one}); !errors.Is(err, ErrSigned) {
		t.Errorf("another log: %v", err)
	}
	if _, err := (Lineage{}).Rotate(one); !errors.Is(err, ErrSigned) {
		t.Errorf("no keys: %v", err)
	}
	short, err := LineageOf(someHead.Origin, keysOf(t, a), []string{one})
	if err != nil || !l.Follows(short) || short.Follows(l) || !l.Follows(Lineage{}) {
		t.Error("follows", err)
	}
}

// TestRotationIsSignedByAll: no byte of the text can be changed, and no signature left out.
func TestRotationIsSignedByAll(t *testing.T) {
	t.Parallel()
	a, b := signers(t), signers(t)
	text := rotated(t, 2, 5, a, b)
	for i := range text {
		for _, bad := range []string{text[:i] + string(text[i]^1) + text[i+1:], text[:i] + text[i+1:], text[:i]} {
			if _, err := OpenRotation(bad); err == nil {
				t.Fatalf("byte %d: accepted", i)
			}
		}
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, dash) {
			if _, err := OpenRotation(strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "")); err == nil {
				t.Errorf("without signature %d", i)
			}
		}
	}
	if _, err := OpenRotation(text + strings.Repeat("x", maxRotation)); !errors.Is(err, ErrHead) {
		t.Error(err)
	}
	for _, bad := range []Rotation{{}, {Log: "a b", Generation: 2, From: 1, Old: keysOf(t, a), New: keysOf(t, b)}, {Log: "a", Generation: 1, From: 1, Old: keysOf(t, a), New: keysOf(t, b)}} {
		if _, err := SignRotation(bad, a); err == nil {
			t.Errorf("signed %+v", bad)
		}
	}
}

func TestBeginnings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		family string
		n      int
		name   string
	}{{"x/audit/t", 1, "x/audit/t"}, {"x/audit/t", 2, "x/audit/t/2"}, {"x/audit/t", 17, "x/audit/t/17"}} {
		if got := Beginning(c.family, c.n); got != c.name || Family(c.name) != c.family {
			t.Errorf("%s, %s", got, Family(c.name))
		}
	}
	for _, name := range []string{"x/1", "x/0", "x/02", "x/-2", "x/a", "x"} {
		if Family(name) != name {
			t.Errorf("%s is taken for a beginning of %s", name, Family(name))
		}
	}
}

// grown is a small log with its tree.
func grown(t *testing.T, sizes ...uint64) (map[uint64]merkle.Node, merkle.Get) {
	t.Helper()
	tiles := map[merkle.TileID]merkle.Tile{}
	get := func(at merkle.TileID) (merkle.Tile, error) { return tiles[at], nil }
	roots := map[uint64]merkle.Node{}
	at := uint64(0)
	for _, size := range sizes {
		var leaves []merkle.Node
		for ; at < size; at++ {
			leaves = append(leaves, Leaf{"k.v1", string(rune('a' + at))}.Hash())
		}
		changed, err := merkle.Append(size-uint64(len(leaves)), leaves, get)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range changed {
			tiles[k] = v
		}
		if roots[size], err = merkle.Root(size, get); err != nil {
			t.Fatal(err)
		}
	}
	return roots, get
}

// TestPapersAfterAChangeOfKeys: proofs, bundles and consistency hold for who trusts either
// generation, and not for who trusts neither; a stolen old key signs no new head.
func TestPapersAfterAChangeOfKeys(t *testing.T) {
	t.Parallel()
	a, b, other := signers(t), signers(t), signers(t)
	roots, get := grown(t, 4, 9)
	head := func(number int64, size uint64, by []Signer) string {
		h := someHead
		h.Number, h.Size, h.Root = number, size, roots[size]
		return signedHead(t, h, by)
	}
	turn := rotated(t, 2, 2, a, b)
	life, err := LineageOf(someHead.Origin, keysOf(t, a), []string{turn})
	if err != nil {
		t.Fatal(err)
	}
	early, now, stolen := head(1, 4, a), head(2, 9, b), head(2, 9, a)
	path, err := merkle.Inclusion(3, 9, get)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := merkle.Consistency(4, 9, get)
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(note string) string {
		var out strings.Builder
		w, err := NewBundle(&out, note, life, 0, 9, get)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 9 {
			if i == 4 {
				err = errors.Join(err, w.PutHead(early))
			}
			err = errors.Join(err, w.Put(Leaf{"k.v1", string(rune('a' + i))}))
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	keys := keysOf(t, a).PEM()
	check := func(trust Trust, note string) []error {
		_, one := Proof{ProofFormat, 3, "k.v1", "d", path, note, keys, []string{turn}}.Verify(trust)
		_, _, two := Consistency{ConsistencyFormat, early, note, steps, keys, []string{turn}}.Verify(trust)
		_, three := VerifyBundle(strings.NewReader(bundle(note)), trust, nil)
		return []error{one, two, three}
	}
	for name, ks := range map[string]Keys{"old": keysOf(t, a), "one old": keysOf(t, a)[1:], "new": keysOf(t, b), "one new": keysOf(t, b)[:1], "all": life.All()} {
		for i, err := range check(Trust{Keys: ks}, now) {
			if err != nil {
				t.Errorf("%s keys, paper %d: %v", name, i, err)
			}
		}
		for i, err := range check(Trust{Keys: ks}, stolen) {
			if !errors.Is(err, ErrSigned) {
				t.Errorf("%s keys, a stolen old key, paper %d: %v", name, i, err)
			}
		}
	}
	for i, err := range check(Trust{Keys: keysOf(t, other)}, now) {
		if !errors.Is(err, ErrSigned) {
			t.Errorf("other keys, paper %d: %v", i, err)
		}
	}
	text, err := json.Marshal(Consistency{ConsistencyFormat, early, now, steps[:1], keys, []string{turn}})
	if err != nil || !IsConsistency(text) || IsBundle(text) {
		t.Fatal(err)
	}
	bad, err := ReadConsistency(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := bad.Verify(Trust{Keys: life.All()}); !errors.Is(err, ErrProof) {
		t.Errorf("a short path: %v", err)
	}
	bad.Path, bad.Earlier, bad.Later = steps, now, early
	if _, _, err := bad.Verify(Trust{Keys: life.All()}); !errors.Is(err, ErrProof) {
		t.Errorf("the wrong way round: %v", err)
	}
	if _, err := ReadConsistency(strings.NewReader(`{"format":"x"}`)); !errors.Is(err, ErrPaper) {
		t.Error(err)
	}
}

// TestAnchorsTellTheChange: the change of keys is written with the first head behind it,
// and what stands there is known after a restart.
func TestAnchorsTellTheChange(t *testing.T) {
	t.Parallel()
	a, b := signers(t), signers(t)
	path := filepath.Join(t.TempDir(), "audit.anchor")
	f, err := OpenAnchors(path)
	if err != nil {
		t.Fatal(err)
	}
	turn := rotated(t, 2, 8, a, b)
	before := Begin(someHead.Origin, keysOf(t, a))
	after, err := before.Rotate(turn)
	if err != nil {
		t.Fatal(err)
	}
	next := someHead
	next.Number, next.Size = 8, 9
	first, second := signedHead(t, someHead, a), signedHead(t, next, b)
	if err := errors.Join(f.Write(first, before), f.Write(second, after)); err != nil {
		t.Fatal(err)
	}
	var lines []Anchored
	if err := ReadAnchors(path, func(v Anchored) error { lines = append(lines, v); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 2 || len(lines[0].Rotations) != 0 || len(lines[1].Rotations) != 1 || lines[1].Keys != keysOf(t, a).PEM() {
		t.Fatalf("%+v", lines)
	}
	if f, err = OpenAnchors(path); err != nil || f.Last(someHead.Origin) != second || f.Last("x") != "" {
		t.Error(err)
	}
}
