package witness

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
)

// hospital is a log with its keys.
type hospital struct {
	t       *testing.T
	signers []tlog.Signer
	keys    tlog.Keys
	tiles   map[merkle.TileID]merkle.Tile
	size    uint64
	number  int64

	name  string    // empty: xinglin/audit/x
	first tlog.Keys // when the keys were changed
	turns []string
}

func (h *hospital) origin() string { return cmp.Or(h.name, "xinglin/audit/x") }

// life is the log's keys.
func (h *hospital) life() tlog.Lineage {
	h.t.Helper()
	first := h.first
	if first == nil {
		first = h.keys
	}
	l, err := tlog.LineageOf(h.origin(), first, h.turns)
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

// rotate changes the keys: the old ones of the true log, or of a thief.
func (h *hospital) rotate(from int64) *hospital {
	h.t.Helper()
	next := newHospital(h.t)
	text, err := tlog.SignRotation(tlog.Rotation{
		Log: tlog.Family(h.origin()), Generation: len(h.turns) + 2, From: from, At: start, Old: h.keys, New: next.keys,
	}, append(append([]tlog.Signer{}, h.signers...), next.signers...))
	if err != nil {
		h.t.Fatal(err)
	}
	c := h.copy()
	c.first, c.turns = h.life().First(), append(append([]string{}, h.turns...), text)
	c.keys, c.signers = next.keys, next.signers
	return c
}

type signer struct{ key *ecdsa.PrivateKey }

func (s signer) Public() []byte {
	der, err := smx509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		panic(err)
	}
	return der
}

func (s signer) Sign(m []byte) ([]byte, error) {
	d := sha256.Sum256(m)
	return ecdsa.SignASN1(rand.Reader, s.key, d[:])
}

func newHospital(t *testing.T) *hospital {
	t.Helper()
	h := &hospital{t: t, tiles: map[merkle.TileID]merkle.Tile{}}
	var ders [][]byte
	for range 2 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		h.signers = append(h.signers, signer{k})
		ders = append(ders, signer{k}.Public())
	}
	var err error
	if h.keys, err = tlog.KeysOf(ders...); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hospital) get(at merkle.TileID) (merkle.Tile, error) { return h.tiles[at], nil }

// copy is a log that goes on another way from here.
func (h *hospital) copy() *hospital {
	c := *h
	c.tiles = map[merkle.TileID]merkle.Tile{}
	for k, v := range h.tiles {
		c.tiles[k] = v
	}
	return &c
}

func (h *hospital) grow(n int, word string) *hospital {
	h.t.Helper()
	var leaves []merkle.Node
	for i := range n {
		leaves = append(leaves, merkle.Leaf(fmt.Append(nil, word, h.size, i)))
	}
	changed, err := merkle.Append(h.size, leaves, h.get)
	if err != nil {
		h.t.Fatal(err)
	}
	for k, v := range changed {
		h.tiles[k] = v
	}
	h.size += uint64(n)
	return h
}

func (h *hospital) head() string {
	h.t.Helper()
	root, err := merkle.Root(h.size, h.get)
	if err != nil {
		h.t.Fatal(err)
	}
	h.number++
	note, err := tlog.Sign(tlog.Head{Origin: h.origin(), Number: h.number, Size: h.size, Root: root, At: start.Add(time.Duration(h.number) * time.Minute)}, h.signers)
	if err != nil {
		h.t.Fatal(err)
	}
	return note
}

func (h *hospital) prove(_ context.Context, from uint64) ([]merkle.Node, error) {
	return merkle.Consistency(from, h.size, h.get)
}

func (h *hospital) ask(c *Client, note string) error {
	h.t.Helper()
	line, err := c.Cosign(context.Background(), note, h.life(), h.prove)
	if err != nil {
		return err
	}
	if _, ok := tlog.Cosigned(tlog.With(note, line), c.Key()); !ok {
		h.t.Errorf("the line does not hold: %q", line)
	}
	return nil
}

// TestFollow: a log that grows is cosigned, again and after restarts; one that forks or
// was set back is refused for ever, and the refused head is kept as evidence.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir, clk := t.TempDir(), clock.NewManual(start)
	s, stop := run(t, dir, clk, 0)
	c := client(t, s)
	a := newHospital(t).grow(5, "a")
	if _, err := c.Known(t.Context(), "xinglin/audit/x", a.keys); !errors.Is(err, ErrUnknown) {
		t.Fatalf("unknown: %v", err)
	}
	note := a.head()
	for range 2 {
		if err := a.ask(c, note); err != nil {
			t.Fatal(err)
		}
	}
	old := a.copy()
	if err := a.grow(700, "a").ask(c, a.head()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		fork := old.copy().grow(900, "b")
		if err := fork.ask(c, fork.head()); !errors.Is(err, ErrFork) {
			t.Errorf("fork: %v", err)
		}
		same := old.copy().grow(700, "b")
		if err := same.ask(c, same.head()); !errors.Is(err, ErrFork) {
			t.Errorf("fork of one size: %v", err)
		}
		back := old.copy().grow(3, "a")
		if err := back.ask(c, back.head()); !errors.Is(err, ErrSetBack) {
			t.Errorf("set back: %v", err)
		}
		stop()
		s, stop = run(t, dir, clk, 0)
		c = client(t, s)
	}
	if err := a.grow(1, "a").ask(c, a.head()); err != nil {
		t.Errorf("the true log goes on: %v", err)
	}
	known, err := c.Known(t.Context(), "xinglin/audit/x", a.keys)
	if err != nil || known.Refused == "" {
		t.Fatalf("%+v %v", known, err)
	}
	if h, _, err := a.keys.Open(known.Refused); err != nil || h.Size != 905 {
		t.Errorf("evidence: %+v %v", h, err)
	}
	if h, _, err := a.keys.Open(known.Head); err != nil || h.Size != 706 {
		t.Errorf("last: %+v %v", h, err)
	}
	b := newHospital(t).grow(2, "b") // the same name under other keys is another log
	if err := b.ask(c, b.head()); err != nil {
		t.Errorf("another hospital: %v", err)
	}
}

// TestHeadRefusals: what is not signed by all keys of the log, or cannot be read.
func TestHeadRefusals(t *testing.T) {
	t.Parallel()
	s, _ := run(t, t.TempDir(), clock.NewManual(start), 0)
	c := client(t, s)
	a, b := newHospital(t).grow(5, "a"), newHospital(t)
	note := a.head()
	if _, err := c.Cosign(t.Context(), note, b.life(), a.prove); !errors.Is(err, ErrSigner) {
		t.Errorf("other keys: %v", err)
	}
	if _, err := c.Cosign(t.Context(), note, tlog.Begin("xinglin/audit/x", a.keys.And(b.keys...)), a.prove); !errors.Is(err, ErrSigner) {
		t.Errorf("not all keys: %v", err)
	}
	if err := a.ask(c, strings.Replace(note, "number 1", "number 2", 1)); !errors.Is(err, ErrSigner) {
		t.Errorf("changed: %v", err)
	}
	if err := a.ask(c, note); err != nil {
		t.Fatal(err)
	}
	wrong := func(context.Context, uint64) ([]merkle.Node, error) { return []merkle.Node{{1}}, nil }
	if _, err := c.Cosign(t.Context(), a.grow(1, "a").head(), a.life(), wrong); !errors.Is(err, ErrFork) {
		t.Errorf("a false proof: %v", err)
	}
	for body, want := range map[string]int{"": 400, "{}": 400, `{"note":"x","keys":"x","from":0,"path":[]}`: 400, `{"more":1}`: 400, strings.Repeat("x", maxHeadBody+1): 400} {
		res, err := http.Post(s.URL()+PathHeads, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := read(t, res); status != want {
			t.Errorf("%.20q: %d", body, status)
		}
	}
	for path, want := range map[string]int{"/x": 400, "/" + strings.Repeat("0", 64): 404} {
		res, err := http.Get(s.URL() + PathHeads + path)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := read(t, res); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestHeadRace: of two ways on from one head exactly one is cosigned.
func TestHeadRace(t *testing.T) {
	t.Parallel()
	s, _ := run(t, t.TempDir(), clock.System{}, 1000)
	a := newHospital(t).grow(5, "a")
	if err := a.ask(client(t, s), a.head()); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 20 {
		way := a.copy().grow(3, fmt.Sprint("way", i))
		note := way.head()
		work.Go(func() {
			err := way.ask(client(t, s), note)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrFork) && !errors.Is(err, ErrOtherSize):
				t.Error(err)
			}
		})
	}
	work.Wait()
	if won != 1 {
		t.Errorf("%d ways were cosigned", won)
	}
}

// TestHeadsFile: the file is written anew when it is mostly old lines; a torn last line
// goes, a changed one keeps the witness from starting; strangers are bounded.
func TestHeadsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key.heads")
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	l, err := openLogs(path, key, clock.NewManual(start))
	if err != nil {
		t.Fatal(err)
	}
	a := newHospital(t)
	yes := func() bool { return true }
	ask := func(h *hospital) error {
		from := h.size
		note := h.grow(1, "a").head()
		p, err := h.prove(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = l.cosign(headRequest{Note: note, Keys: h.keys.PEM(), From: from, Path: p}, yes)
		return err
	}
	l.lines = staleLines // as if so many old ones were there
	for range 8 {
		if err := ask(a); err != nil {
			t.Fatal(err)
		}
	}
	if l.lines >= staleLines {
		t.Errorf("%d lines", l.lines)
	}
	l.max = 1
	if err := ask(newHospital(t)); !errors.Is(err, ErrFull) {
		t.Errorf("a stranger: %v", err)
	}
	if _, _, err := l.cosign(headRequest{Note: a.head(), Keys: a.keys.PEM()}, func() bool { return false }); !errors.Is(err, ErrBusy) {
		t.Errorf("too many: %v", err)
	}
	l.close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]struct {
		text string
		ok   bool
	}{
		"torn": {string(whole) + `{"log":"x`, true}, "foreign line": {string(whole) + "{}\n", false}, "changed": {strings.Replace(string(whole), "number ", "number 1", 1), false},
		"no JSON": {"x\n" + string(whole), false},
	} {
		if err := os.WriteFile(path, []byte(file.text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := openLogs(path, key, clock.NewManual(start))
		if (err == nil) != file.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			l.close()
		}
	}
}

// TestChangeOfKeys: a log goes on under new keys that its old ones signed, and under no
// others; what was seen is never taken back, also after a restart.
func TestChangeOfKeys(t *testing.T) {
	t.Parallel()
	dir, clk := t.TempDir(), clock.NewManual(start)
	s, stop := run(t, dir, clk, 0)
	c := client(t, s)
	a := newHospital(t).grow(5, "a")
	if err := a.ask(c, a.head()); err != nil {
		t.Fatal(err)
	}
	b := a.rotate(2).grow(3, "a")
	thief := a.rotate(2).grow(4, "a") // has the old keys and makes others
	late := a.rotate(1).grow(3, "a")  // says that the head which was seen held under others
	if err := late.ask(c, late.head()); !errors.Is(err, ErrFork) {
		t.Errorf("a change behind the back: %v", err)
	}
	if err := b.ask(c, b.head()); err != nil {
		t.Fatalf("the change: %v", err)
	}
	for range 2 {
		if err := thief.ask(c, thief.head()); !errors.Is(err, ErrFork) {
			t.Errorf("another change by the old keys: %v", err)
		}
		old := a.copy().grow(20, "a") // the old keys sign on
		old.number = 9
		if err := old.ask(c, old.head()); !errors.Is(err, ErrFork) {
			t.Errorf("the old keys: %v", err)
		}
		stop()
		s, stop = run(t, dir, clk, 0)
		c = client(t, s)
	}
	if err := b.grow(1, "a").ask(c, b.head()); err != nil {
		t.Errorf("goes on: %v", err)
	}
	unsigned := b.copy()
	unsigned.signers = a.signers
	if err := unsigned.grow(1, "a").ask(c, unsigned.head()); !errors.Is(err, ErrSigner) {
		t.Errorf("old keys below a new head: %v", err)
	}
	known, err := c.Known(t.Context(), "xinglin/audit/x", a.keys)
	if err != nil || len(known.Rotations) != 1 || known.Rotations[0] != b.turns[0] {
		t.Fatalf("%+v %v", known, err)
	}
	stop()
}

// TestNewBeginning: a log that was set back is refused under its name and followed under
// the next one.
func TestNewBeginning(t *testing.T) {
	t.Parallel()
	s, _ := run(t, t.TempDir(), clock.NewManual(start), 0)
	c := client(t, s)
	a := newHospital(t).grow(5, "a")
	old := a.copy()
	if err := a.grow(5, "a").ask(c, a.head()); err != nil {
		t.Fatal(err)
	}
	if err := old.ask(c, old.head()); !errors.Is(err, ErrSetBack) {
		t.Errorf("set back: %v", err)
	}
	old.name = "xinglin/audit/x/2"
	for range 2 {
		if err := old.grow(3, "b").ask(c, old.head()); err != nil {
			t.Errorf("the new name: %v", err)
		}
	}
	if err := a.grow(1, "a").ask(c, a.head()); err != nil {
		t.Errorf("the old log, if it comes back: %v", err)
	}
}
