package tlog

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"xinglin/internal/platform/merkle"
)

type signer struct {
	public []byte
	sign   func([]byte) ([]byte, error)
}

func (s signer) Public() []byte                { return s.public }
func (s signer) Sign(m []byte) ([]byte, error) { return s.sign(m) }

// signers are a log's two keys.
func signers(t *testing.T) []Signer {
	t.Helper()
	a, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []Signer{
		signer{public(t, &a.PublicKey), func(m []byte) ([]byte, error) { return a.Sign(rand.Reader, m, sm2.NewSM2SignerOption(true, nil)) }},
		signer{public(t, &b.PublicKey), func(m []byte) ([]byte, error) {
			d := sha256.Sum256(m)
			return ecdsa.SignASN1(rand.Reader, b, d[:])
		}},
	}
}

func public(t *testing.T, key any) []byte {
	t.Helper()
	der, err := smx509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func keysOf(t *testing.T, ss []Signer) Keys {
	t.Helper()
	ks, err := KeysOf(ss[0].Public(), ss[1].Public())
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

var someHead = Head{Origin: "xinglin/audit/x", Number: 7, Size: 5, Root: merkle.Leaf([]byte("x")), At: time.Date(2026, 3, 2, 1, 0, 0, 1000, time.UTC)}

func signedHead(t *testing.T, h Head, ss []Signer) string {
	t.Helper()
	note, err := Sign(h, ss)
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// TestHead: what was signed is read as it was, under either key alone.
func TestHead(t *testing.T) {
	t.Parallel()
	ss := signers(t)
	ks, note := keysOf(t, ss), signedHead(t, someHead, ss)
	for _, trusted := range []Keys{ks, ks[:1], ks[1:]} {
		h, by, err := trusted.Open(note)
		if err != nil || h != someHead || !trusted.All(by) || len(by) != len(trusted) {
			t.Errorf("%+v %v", h, err)
		}
	}
	if _, _, err := keysOf(t, signers(t)).Open(note); !errors.Is(err, ErrSigned) {
		t.Errorf("other keys: %v", err)
	}
	if _, _, err := (Keys{}).Open(note); !errors.Is(err, ErrSigned) {
		t.Errorf("no keys: %v", err)
	}
	text := ks.PEM()
	again, err := ParseKeys([]byte(text))
	if err != nil || again.PEM() != text || again[0].Algorithm != SM2 || again[1].Algorithm != P256 || LogID("a", again) != LogID("a", ks) {
		t.Errorf("%v %v", again, err)
	}
	if LogID("a", ks) == LogID("b", ks) || LogID("a", ks) == LogID("a", ks[:1]) || len(ks.And(ks...)) != 2 || len(ks[:1].And(ks...)) != 2 {
		t.Error("names of logs")
	}
	for _, bad := range []string{"", "x", text[:40], "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", strings.Repeat(text, 9)} {
		if _, err := ParseKeys([]byte(bad)); !errors.Is(err, ErrKey) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	for _, bad := range []Head{{Origin: "a b", Number: 1}, {Origin: "a", Number: 0}, {}} {
		if _, err := Sign(bad, ss); err == nil {
			t.Errorf("signed %+v", bad)
		}
	}
	if _, err := Sign(someHead, nil); err == nil {
		t.Error("signed by nobody")
	}
}

// TestEveryByteCounts: no byte of a head can be changed, taken away or doubled without
// being refused.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	ss := signers(t)
	ks, note := keysOf(t, ss), signedHead(t, someHead, ss)
	for i := range note {
		for _, bad := range []string{note[:i] + string(note[i]^1) + note[i+1:], note[:i] + note[i+1:], note[:i] + note[i:i+1] + note[i:], note[:i]} {
			if bad == note {
				continue
			}
			if _, by, err := ks.Open(bad); err == nil && ks.All(by) {
				t.Fatalf("byte %d: accepted %q", i, bad)
			}
		}
	}
	if _, _, err := Parse(strings.Repeat("x", MaxHead+1)); !errors.Is(err, ErrHead) {
		t.Error(err)
	}
	if _, _, err := Parse(note + strings.Repeat(note[strings.Index(note, dash):], maxSignatures)); !errors.Is(err, ErrHead) {
		t.Error(err)
	}
}

// TestForeignVerify: OpenSSL, which shares nothing with this program, finds both
// signatures right.
func TestForeignVerify(t *testing.T) {
	t.Parallel()
	ss := signers(t)
	note := signedHead(t, someHead, ss)
	_, signatures, err := Parse(note)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ks := keysOf(t, ss)
	message := file("message", []byte(someHead.Body()))
	changed := file("changed", []byte(someHead.Body()+" "))
	for i, more := range [][]string{{"-digest", "sm3", "-pkeyopt", "distid:1234567812345678"}, {"-digest", "sha256"}} {
		key, sig := file("key", []byte(Keys{ks[i]}.PEM())), file("sig", signatures[i].Bytes)
		for path, want := range map[string]bool{message: true, changed: false} {
			args := append([]string{"pkeyutl", "-verify", "-pubin", "-inkey", key, "-sigfile", sig, "-rawin", "-in", path}, more...)
			out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
			if (err == nil) != want {
				t.Errorf("openssl about %s, %s: %v\n%s", ks[i].Algorithm, filepath.Base(path), err, out)
			}
		}
	}
}

func TestCosign(t *testing.T) {
	t.Parallel()
	ss := signers(t)
	note := signedHead(t, someHead, ss)
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub := key.Public().(ed25519.PublicKey)
	at := time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC)
	both := With(note, Cosign(someHead, key, at))
	if got, ok := Cosigned(both, pub); !ok || !got.Equal(at) {
		t.Error(got, ok)
	}
	if With(both, Cosign(someHead, key, at)) != both {
		t.Error("the same line twice")
	}
	if h, by, err := keysOf(t, ss).Open(both); err != nil || h != someHead || len(by) != 2 {
		t.Error(h, err)
	}
	other := someHead
	other.Size++
	if _, ok := Cosigned(With(note, Cosign(other, key, at)), pub); ok {
		t.Error("the line of another head")
	}
	if _, ok := Cosigned(note, pub); ok {
		t.Error("no line")
	}
	if _, ok := Cosigned(both, ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32))).Public().(ed25519.PublicKey)); ok {
		t.Error("another witness")
	}
}

// TestProof: a proof holds for its entry, place, head and keys, and for nothing else.
func TestProof(t *testing.T) {
	t.Parallel()
	ss := signers(t)
	tiles := map[merkle.TileID]merkle.Tile{}
	get := func(at merkle.TileID) (merkle.Tile, error) { return tiles[at], nil }
	leaf := func(i int) Leaf { return Leaf{"k.v1", string(rune('a' + i))} }
	var hashes []merkle.Node
	for i := range 20 {
		hashes = append(hashes, leaf(i).Hash())
	}
	changed, err := merkle.Append(0, hashes, get)
	if err != nil {
		t.Fatal(err)
	}
	tiles = changed
	root, err1 := merkle.Root(20, get)
	path, err2 := merkle.Inclusion(6, 20, get)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	h := someHead
	h.Size, h.Root = 20, root
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	note := With(signedHead(t, h, ss), Cosign(h, key, h.At))
	good := Proof{Format: ProofFormat, Position: 6, Kind: "k.v1", Data: "g", Path: path, Head: note}
	trust := Trust{Keys: keysOf(t, ss), Witness: key.Public().(ed25519.PublicKey)}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadProof(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := back.Verify(trust)
	if err != nil || seen.Size != 20 || !strings.Contains(seen.String(), "SM2 key") || !strings.Contains(seen.String(), "witnessed") {
		t.Fatal(seen, err)
	}
	for name, change := range map[string]func(*Proof){
		"data": func(p *Proof) { p.Data = "h" }, "kind": func(p *Proof) { p.Kind = "k.v2" }, "place": func(p *Proof) { p.Position = 7 },
		"outside": func(p *Proof) { p.Position = 20 }, "path": func(p *Proof) { p.Path = p.Path[1:] }, "no path": func(p *Proof) { p.Path = nil },
		"split": func(p *Proof) { p.Kind, p.Data = "k.v1\ng", "" },
	} {
		p := good
		change(&p)
		if _, err := p.Verify(trust); !errors.Is(err, ErrProof) && name != "split" {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := good
	p.Head = strings.Replace(note, "number 7", "number 8", 1)
	if _, err := p.Verify(trust); !errors.Is(err, ErrSigned) {
		t.Errorf("head: %v", err)
	}
	p.Head = signedHead(t, h, ss)
	if _, err := p.Verify(trust); !errors.Is(err, ErrSigned) {
		t.Errorf("no witness: %v", err)
	}
	for _, bad := range []string{"", "{}", `{"format":"xinglin.proof.v2"}`, `{"format":"xinglin.proof.v1","more":1}`} {
		if _, err := ReadProof(strings.NewReader(bad)); !errors.Is(err, ErrPaper) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestAnchors: heads are in the file in their order, the keys with the first; a torn last
// line is cut off, a broken one is named.
func TestAnchors(t *testing.T) {
	t.Parallel()
	ss := signers(t)
	ks := keysOf(t, ss)
	path := filepath.Join(t.TempDir(), "deep", "audit.anchor")
	a, err := OpenAnchors(path)
	if err != nil {
		t.Fatal(err)
	}
	next := someHead
	next.Number, next.Size = 8, 9
	first, second := signedHead(t, someHead, ss), signedHead(t, next, ss)
	for _, note := range []string{first, first, second} {
		if err := a.Write(note, Begin(someHead.Origin, ks)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Write("no head", Begin(someHead.Origin, ks)); !errors.Is(err, ErrHead) {
		t.Error(err)
	}
	read := func() (out []Anchored, err error) {
		err = ReadAnchors(path, func(v Anchored) error { out = append(out, v); return nil })
		return out, err
	}
	got, err := read()
	if err != nil || len(got) != 2 || got[0].Head != first || got[0].Keys != ks.PEM() || got[1].Head != second || got[1].Keys != "" || got[1].Line != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, []byte(`{"head":"xingl`)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); err != nil || len(got) != 2 {
		t.Errorf("torn: %d, %v", len(got), err)
	}
	if a, err = OpenAnchors(path); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(whole) {
		t.Errorf("the torn line stays: %v", err)
	}
	if err := a.Write(second, Begin(someHead.Origin, ks)); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); err != nil || len(got) != 3 || got[2].Keys == "" {
		t.Errorf("after a restart: %+v %v", got, err)
	}
	if err := os.WriteFile(path, []byte("{}x\n"+string(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(); !errors.Is(err, ErrPaper) {
		t.Errorf("broken: %v", err)
	}
	if _, err := OpenAnchors(filepath.Join(path, "below a file")); !errors.Is(err, ErrAnchor) {
		t.Error(err)
	}
	if err := ReadAnchors(path+".no", nil); !errors.Is(err, ErrPaper) {
		t.Error(err)
	}
}
