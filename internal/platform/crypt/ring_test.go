package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
)

var algorithms = []string{"aes-256-gcm", "sm4-gcm"}

func TestSealAndOpen(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, alg := range algorithms {
			r := b.ring(t, alg)
			for _, person := range []id.ID[id.Any]{newPerson(), {}} {
				f := field(newTenant(), person)
				for _, plain := range []string{"", "张三", strings.Repeat("x", 70_000)} {
					sealed := must(r.Seal(t.Context(), f, []byte(plain)))(t)
					if bytes.Contains(sealed, []byte("张三")) || sealed[1] != byte(r.Algorithm()) {
						t.Fatalf("%s: header %x", alg, sealed[:2])
					}
					// Another process, with nothing in its cache and the other algorithm, opens it too.
					for _, other := range append([]string{alg}, algorithms...) {
						if got := must(b.ring(t, other).Open(t.Context(), f, sealed))(t); string(got) != plain {
							t.Fatalf("%s: opened %d bytes", alg, len(got))
						}
					}
				}
			}
		}
	})
}

func TestSealText(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, f := b.ring(t, ""), field(newTenant(), newPerson())
		sealed := must(r.SealText(t.Context(), f, secret.New("李四")))(t)
		if got := must(r.OpenText(t.Context(), f, sealed))(t); got.Reveal() != "李四" {
			t.Fatal("another text")
		}
		if sealed := must(r.SealText(t.Context(), f, secret.Text{}))(t); sealed != nil {
			t.Fatal("an empty text is no NULL")
		}
		if got := must(r.OpenText(t.Context(), f, nil))(t); !got.Empty() {
			t.Fatal("NULL is no empty text")
		}
		if _, err := r.Seal(t.Context(), f, make([]byte, MaxPlain+1)); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("too large: %v", err)
		}
	})
}

func TestChangedOrMovedIsRefused(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, alg := range algorithms {
			r := b.ring(t, alg)
			f := field(newTenant(), newPerson())
			sealed := must(r.Seal(t.Context(), f, []byte("13800138000")))(t)
			for i := range sealed {
				for _, bit := range []byte{0x01, 0x03, 0x80} {
					bad := bytes.Clone(sealed)
					bad[i] ^= bit
					if _, err := r.Open(t.Context(), f, bad); !errors.Is(err, ErrUnreadable) {
						t.Fatalf("%s: byte %d ^ %02x: %v", alg, i, bit, err)
					}
				}
			}
			for n := range sealed {
				if _, err := r.Open(t.Context(), f, sealed[:n]); !errors.Is(err, ErrUnreadable) {
					t.Fatalf("%s: cut to %d: %v", alg, n, err)
				}
			}
			other := newPerson()
			for _, p := range []id.ID[id.Any]{other, {}} {
				must(r.Seal(t.Context(), field(f.Tenant, p), nil))(t)
			}
			for name, change := range map[string]func(*Field){
				"row":         func(f *Field) { f.Row = "row-2" },
				"column":      func(f *Field) { f.Column = "phone" },
				"table":       func(f *Field) { f.Table = "relative" },
				"tenant":      func(f *Field) { f.Tenant = newTenant() },
				"person":      func(f *Field) { f.Person = other },
				"no person":   func(f *Field) { f.Person = id.ID[id.Any]{} },
				"new person":  func(f *Field) { f.Person = newPerson() },
				"row, column": func(f *Field) { f.Row, f.Column = f.Column, f.Row },
			} {
				g := f
				change(&g)
				if _, err := r.Open(t.Context(), g, sealed); !errors.Is(err, ErrUnreadable) {
					t.Errorf("%s: %s: %v", alg, name, err)
				}
			}
		}
	})
}

func TestShred(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, other := b.ring(t, ""), b.ring(t, "")
		now := start
		other.mono = func() time.Time { return now }
		f := field(newTenant(), newPerson())
		rest := field(f.Tenant, newPerson())
		sealed := must(r.Seal(t.Context(), f, []byte("a")))(t)
		kept := must(r.Seal(t.Context(), rest, []byte("b")))(t)
		must(other.Open(t.Context(), f, sealed))(t)
		for range 2 { // repeating is no error
			if err := r.Shred(t.Context(), f.Tenant, f.Person); err != nil {
				t.Fatal(err)
			}
		}
		gone := func(r *Ring, when string) {
			t.Helper()
			if _, err := r.Open(t.Context(), f, sealed); !errors.Is(err, ErrShredded) {
				t.Errorf("%s: open: %v", when, err)
			}
			if _, err := r.Seal(t.Context(), f, nil); !errors.Is(err, ErrShredded) {
				t.Errorf("%s: seal: %v", when, err)
			}
			if err := r.EnsurePerson(t.Context(), f.Tenant, f.Person); !errors.Is(err, ErrShredded) {
				t.Errorf("%s: ensure: %v", when, err)
			}
			if _, err := r.Export(t.Context(), f.Tenant, f.Person); !errors.Is(err, ErrShredded) {
				t.Errorf("%s: export: %v", when, err)
			}
			if err := r.Warm(t.Context(), f.Tenant, f.Person, rest.Person); err != nil {
				t.Errorf("%s: warm: %v", when, err)
			}
		}
		gone(r, "here")
		now = now.Add(fresh) // another process asks again after a second
		if _, err := other.Open(t.Context(), f, sealed); !errors.Is(err, ErrShredded) {
			t.Errorf("another process: %v", err)
		}
		gone(other, "another process")
		gone(b.ring(t, ""), "a new process")
		must(other.Open(t.Context(), rest, kept))(t)
		if n := count(t, b, f.Tenant, "person_id = $2 AND wrapped IS NULL AND destroyed_at IS NOT NULL", f.Person); n != 1 {
			t.Errorf("%d tombstones", n)
		}
	})
}

// Somebody who never had a key stays without one.
func TestShredBeforeTheFirstKey(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, late, f := b.ring(t, ""), b.ring(t, ""), field(newTenant(), newPerson())
		if err := r.Shred(t.Context(), f.Tenant, f.Person); err != nil {
			t.Fatal(err)
		}
		if err := late.makePerson(t.Context(), personRef{f.Tenant, f.Person}, 1); !errors.Is(err, ErrShredded) {
			t.Fatal(err)
		}
		if err := late.makePerson(t.Context(), personRef{f.Tenant, f.Person}, 2); !errors.Is(err, ErrShredded) {
			t.Fatal(err)
		}
	})
}

// After a shred the file of an embedded store does not hold the wrapped key any more.
func TestShredWipesTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := db.MigrateSQLite(t.Context(), dir, []db.Set{Migrations()}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	var wrapped []byte
	session := func(fn func(b *bench)) {
		srv := must(db.Open(t.Context(), db.Options{Dir: dir}))(t)
		fn(&bench{keys: must(srv.Context(t.Context(), "keys"))(t), file: file})
		if err := srv.Close(); err != nil { // closing checkpoints the write-ahead log
			t.Fatal(err)
		}
	}
	holds := func() bool {
		return bytes.Contains(must(os.ReadFile(filepath.Join(dir, "db", "keys.db")))(t), wrapped)
	}
	f := field(newTenant(), newPerson())
	session(func(b *bench) {
		r := b.ring(t, "")
		must(r.Seal(t.Context(), f, nil))(t)
		wrapped = must(r.personRows(t.Context(), f.Tenant, []id.ID[id.Any]{f.Person}))(t)[0].wrapped
	})
	if !holds() {
		t.Fatal("the key is not in the file before: the test looks at the wrong place")
	}
	session(func(b *bench) {
		if err := b.ring(t, "").Shred(t.Context(), f.Tenant, f.Person); err != nil {
			t.Fatal(err)
		}
	})
	if holds() {
		t.Fatal("the destroyed key is still in the file")
	}
}

func TestWrongKeys(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		first := b.ring(t, "")
		open := func(keys string, create bool) error {
			_, err := Open(t.Context(), Options{DB: b.keys, Keys: keys, Create: create})
			return err
		}
		other := filepath.Join(t.TempDir(), "keys")
		if err := makeRootFile(other); err != nil {
			t.Fatal(err)
		}
		if err := open("file:"+other, true); !errors.Is(err, ErrWrongKeys) {
			t.Errorf("other keys: %v", err)
		}
		missing := filepath.Join(t.TempDir(), "keys")
		if err := open("file:"+missing, true); !errors.Is(err, ErrKeysMissing) {
			t.Errorf("lost keys: %v", err)
		}
		if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a store that has keys got a new file: %v", err)
		}
		text := must(os.ReadFile(b.file))(t)
		t.Setenv("XINGLIN_TEST_KEYS", string(text))
		again := must(Open(t.Context(), Options{DB: b.keys, Keys: "env:XINGLIN_TEST_KEYS"}))(t)
		if again.Fingerprint() != first.Fingerprint() || len(first.Fingerprint()) != 32 {
			t.Errorf("fingerprints %q %q", again.Fingerprint(), first.Fingerprint())
		}
		if strings.Contains(string(text), first.Fingerprint()) {
			t.Error("the fingerprint shows the key")
		}
	})
}

func TestRootReferences(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	good := strings.Repeat("0f", rootSize)
	t.Setenv("XINGLIN_TEST_EMPTY", "")
	for name, c := range map[string]struct {
		ref  string
		want error
	}{
		"good":      {write("good", good+"\n", 0o600), nil},
		"two":       {write("two", good+"\n"+strings.Repeat("0e", rootSize)+"\n", 0o600), nil},
		"three":     {write("three", strings.Repeat(good+"\n", 3), 0o600), ErrKeysUnreadable},
		"cut":       {write("cut", good+"\n"+good[:30], 0o600), ErrKeysUnreadable},
		"group":     {write("group", good, 0o640), nil},
		"everyone":  {write("everyone", good, 0o644), ErrKeysUnreadable},
		"short":     {write("short", good[2:], 0o600), ErrKeysUnreadable},
		"no hex":    {write("nohex", strings.Repeat("zz", rootSize), 0o600), ErrKeysUnreadable},
		"huge":      {write("huge", strings.Repeat("0f", maxRootFile), 0o600), ErrKeysUnreadable},
		"folder":    {"file:" + dir, ErrKeysUnreadable},
		"missing":   {"file:" + filepath.Join(dir, "none"), ErrKeysMissing},
		"empty":     {"", ErrKeysMissing},
		"no kind":   {"keys", ErrKeysMissing},
		"unknown":   {"vault:keys", ErrKeysMissing},
		"empty env": {"env:XINGLIN_TEST_EMPTY", ErrKeysMissing},
	} {
		if _, err := loadRoots(c.ref, false); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(dir, "made", "keys")
	a := must(loadRoots("file:"+path, true))(t)[0]
	b := must(loadRoots("file:"+path, true))(t)[0]
	if a.root.id != b.root.id {
		t.Error("two keys from one file")
	}
	if mode := must(os.Stat(path))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
	if n := len(must(os.ReadDir(filepath.Dir(path)))(t)); n != 1 {
		t.Errorf("%d files beside the key", n-1)
	}
}

// Many processes make the first keys of one tenant and person: one wins, all use it.
func TestRaceForTheFirstKey(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const rings = 8
		f := field(newTenant(), newPerson())
		sealed := make([][]byte, rings)
		errs := make([]error, rings)
		var all []*Ring
		for range rings {
			all = append(all, b.ring(t, ""))
		}
		var wg sync.WaitGroup
		for i, r := range all {
			wg.Go(func() { sealed[i], errs[i] = r.Seal(context.Background(), f, []byte{byte(i)}) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			for i, s := range sealed {
				if got := must(r.Open(t.Context(), f, s))(t); got[0] != byte(i) || !bytes.Equal(s[2:18], sealed[0][2:18]) {
					t.Fatalf("ring %d: key %x, not %x", i, s[2:18], sealed[0][2:18])
				}
			}
		}
		if n := count(t, b, f.Tenant, "person_id = $2", f.Person); n != 1 {
			t.Fatalf("%d person keys", n)
		}
	})
}

// While some roll a person's key, another shreds the person: no generation survives.
func TestShredWinsAgainstRolling(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for range 10 {
			f := field(newTenant(), newPerson())
			var all []*Ring
			for range 4 {
				r := b.ring(t, "")
				r.limit = 2 // rolls every other use
				must(r.Seal(t.Context(), f, nil))(t)
				all = append(all, r)
			}
			var wg sync.WaitGroup
			errs := make([]error, len(all))
			for i, r := range all {
				wg.Go(func() {
					if i == 0 {
						errs[i] = r.Shred(context.Background(), f.Tenant, f.Person)
						return
					}
					for range 6 {
						_, err := r.Seal(context.Background(), f, nil)
						if errors.Is(err, ErrShredded) || isCold(err) { // cold: others used the new generations up
							return
						}
						errs[i] = errors.Join(errs[i], err)
					}
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if n := count(t, b, f.Tenant, "person_id = $2 AND destroyed_at IS NULL", f.Person); n != 0 {
				t.Fatalf("%d keys survived", n)
			}
		}
	})
}

func TestKeysRollBeforeTheirLimit(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.ring(t, "")
		r.limit = 3
		for _, person := range []id.ID[id.Any]{newPerson(), {}} {
			f := field(newTenant(), person)
			used := map[string]int{}
			var all [][]byte
			for i := range 10 {
				s := must(r.Seal(t.Context(), f, fmt.Append(nil, i)))(t)
				used[string(s[2:18])]++
				all = append(all, s)
			}
			if len(used) != 4 {
				t.Errorf("%d generations", len(used))
			}
			for k, n := range used {
				if n > 3 {
					t.Errorf("key %x used %d times", k, n)
				}
			}
			stale := b.ring(t, "")
			for i, s := range all {
				if got := must(stale.Open(t.Context(), f, s))(t); string(got) != fmt.Sprint(i) {
					t.Errorf("generation of %d: %q", i, got)
				}
			}
			if n := len(must(r.Export(t.Context(), f.Tenant, f.Person))(t)); n != 4 {
				t.Errorf("%d exported", n)
			}
		}
	})
}

// What one process sealed under a new generation opens in another that knows the old one only.
func TestNewGenerationIsFound(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a, z := b.ring(t, "aes-256-gcm"), b.ring(t, "sm4-gcm")
		for _, person := range []id.ID[id.Any]{newPerson(), {}} {
			f := field(newTenant(), person)
			must(z.Open(t.Context(), f, must(a.Seal(t.Context(), f, nil))(t)))(t)
			s := must(z.Seal(t.Context(), f, []byte("x")))(t)
			if s[1] != byte(SM4GCM) {
				t.Fatalf("algorithm %d", s[1])
			}
			if got := must(a.Open(t.Context(), f, s))(t); string(got) != "x" {
				t.Fatal(got)
			}
		}
	})
}

func TestInsideATransaction(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := b.ring(t, "")
		now := start
		r.mono = func() time.Time { return now }
		f := field(newTenant(), newPerson())
		own := field(f.Tenant, id.ID[id.Any]{})
		var sealed []byte
		inside := func(fn func(ctx context.Context) error) error {
			return b.keys.Write(t.Context(), f.Tenant, func(ctx context.Context, _ db.Tx) error { return fn(ctx) })
		}
		seal := func(f Field) func(context.Context) error {
			return func(ctx context.Context) (err error) { sealed, err = r.Seal(ctx, f, []byte("x")); return err }
		}
		open := func(ctx context.Context) error { _, err := r.Open(ctx, f, sealed); return err }
		index := func(ctx context.Context) error { _, err := r.Digest(ctx, f.Tenant, "p", "v"); return err }
		for name, fn := range map[string]func(context.Context) error{"seal": seal(f), "own": seal(own), "index": index} {
			if err := inside(fn); !errors.Is(err, ErrColdKey) {
				t.Errorf("%s with a cold key: %v", name, err)
			}
		}
		if err := r.EnsurePerson(t.Context(), f.Tenant, f.Person); err != nil {
			t.Fatal(err)
		}
		for name, fn := range map[string]func(context.Context) error{"own": seal(own), "index": index, "seal": seal(f), "open": open} {
			if name == "open" {
				sealed = must(r.Seal(t.Context(), f, []byte("x")))(t)
			}
			if err := inside(fn); err != nil {
				t.Errorf("%s with a warm key: %v", name, err)
			}
		}
		sealed = must(r.Seal(t.Context(), f, []byte("x")))(t)
		now = now.Add(fresh)
		if err := inside(open); !errors.Is(err, ErrColdKey) {
			t.Errorf("open a second later: %v", err)
		}
		if err := inside(seal(f)); err != nil {
			t.Errorf("seal a second later: %v", err)
		}
		now = now.Add(grace)
		if err := inside(seal(f)); !errors.Is(err, ErrColdKey) {
			t.Errorf("seal half a minute later: %v", err)
		}
		if err := r.Warm(t.Context(), f.Tenant, f.Person); err != nil {
			t.Fatal(err)
		}
		var last error
		n := 0
		for ; n < 2*(personBlock+overdraft) && last == nil; n++ {
			last = inside(seal(f))
		}
		if !errors.Is(last, ErrColdKey) || n < overdraft || n > personBlock+overdraft+1 {
			t.Errorf("uses inside transactions without an end: %d, %v", n, last)
		}
		if err := seal(f)(t.Context()); err != nil {
			t.Errorf("after the overdraft: %v", err)
		}
	})
}

// A database error is no cold key and no missing key.
func TestStoreFails(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, f := b.ring(t, ""), field(newTenant(), newPerson())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Seal(ctx, f, nil); err == nil || isCold(err) {
			t.Fatal(err)
		}
	})
}

func TestWarmManyPersons(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, tenant := b.ring(t, ""), newTenant()
		var persons []id.ID[id.Any]
		var sealed [][]byte
		for range warmBatch + 3 {
			p := newPerson()
			persons = append(persons, p, newPerson()) // every other has no key
			sealed = append(sealed, must(r.Seal(t.Context(), field(tenant, p), []byte("x")))(t))
		}
		fresh := b.ring(t, "")
		if err := fresh.Warm(t.Context(), tenant, persons...); err != nil {
			t.Fatal(err)
		}
		err := b.keys.Read(t.Context(), tenant, func(ctx context.Context, _ db.Tx) error {
			for i, s := range sealed {
				if _, err := fresh.Open(ctx, field(tenant, persons[2*i]), s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestIndex(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, alg := range algorithms {
			tenant, other := newTenant(), newTenant()
			index := func(tenant id.ID[auth.Tenant], purpose, value string) string {
				t.Helper()
				x := must(b.ring(t, alg).Blind(t.Context(), tenant, purpose, value, 1))(t)
				if len(x) != 32 {
					t.Fatalf("%d bytes", len(x))
				}
				return string(x)
			}
			phone := index(tenant, "patient.phone", "13800138000")
			if again := index(tenant, "patient.phone", "13800138000"); again != phone {
				t.Error("not the same for the same")
			}
			seen := map[string]bool{phone: true}
			for _, x := range []string{
				index(other, "patient.phone", "13800138000"),
				index(tenant, "patient.document", "13800138000"),
				index(tenant, "patient.phone", "13800138001"),
			} {
				if seen[x] {
					t.Error("the same for another")
				}
				seen[x] = true
			}
		}
		r, tenant := b.ring(t, ""), newTenant()
		before := must(r.Blind(t.Context(), tenant, "p", "v", 1))(t)
		for _, n := range []int{0, 2} {
			if _, err := r.Blind(t.Context(), tenant, "p", "v", n); !errors.Is(err, ErrUnreadable) {
				t.Errorf("generation %d: %v", n, err)
			}
		}
		must(b.ring(t, "sm4-gcm").Rotate(t.Context(), tenant, nil))(t)
		after := must(r.Blind(t.Context(), tenant, "p", "v", 2))(t)
		if Equal(before, after) || !Equal(before, must(r.Blind(t.Context(), tenant, "p", "v", 1))(t)) {
			t.Error("the generations are one")
		}
		if x := must(r.BlindNext(t.Context(), tenant, before, 2))(t); !Equal(x, after) {
			t.Error("one does not follow from the other")
		}
		if x := must(r.Digest(t.Context(), tenant, "p", "v"))(t); Equal(x, before) || Equal(x, after) {
			t.Error("a digest is an index")
		}
	})
}

// The caches are bounded; what fell out is read again.
func TestCacheIsBounded(t *testing.T) {
	c := newLRU[int, int](3)
	for i := range 10 {
		c.put(i, i)
		c.get(7)
	}
	if c.order.Len() != 3 || len(c.items) != 3 {
		t.Fatalf("%d entries", len(c.items))
	}
	if _, ok := c.get(7); !ok {
		t.Error("the one in use fell out")
	}
	if _, ok := c.get(6); ok {
		t.Error("the oldest stayed")
	}
	c.put(7, 8)
	if v, _ := c.get(7); v != 8 {
		t.Error("not replaced")
	}
	each(t, func(t *testing.T, b *bench) {
		r := b.ring(t, "")
		r.persons = newLRU[personRef, *keySet](1)
		r.tenants = newLRU[id.ID[auth.Tenant], *tenantEntry](1)
		for range 3 {
			f := field(newTenant(), newPerson())
			s := must(r.Seal(t.Context(), f, []byte("x")))(t)
			must(r.Seal(t.Context(), field(newTenant(), newPerson()), nil))(t)
			must(r.Open(t.Context(), f, s))(t)
		}
	})
}

// The keys lie wrapped: nothing in the store is a key, and a row moved to another
// person or tenant opens nothing.
func TestStoredKeysAreBound(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, f := b.ring(t, ""), field(newTenant(), newPerson())
		must(r.Seal(t.Context(), f, nil))(t)
		raw := must(r.person(t.Context(), personRef{f.Tenant, f.Person}, fresh))(t).current().raw
		v := must(r.personRows(t.Context(), f.Tenant, []id.ID[id.Any]{f.Person}))(t)[0]
		if bytes.Contains(v.wrapped, raw) {
			t.Fatal("the key lies open")
		}
		v.person = newPerson()
		if _, err := r.unwrapPerson(t.Context(), f.Tenant, v); !errors.Is(err, ErrUnreadable) {
			t.Errorf("under another person: %v", err)
		}
		w := must(r.tenantRows(t.Context(), f.Tenant))(t)[0]
		if _, err := r.root().unwrap(newTenant(), w); !errors.Is(err, ErrUnreadable) {
			t.Errorf("under another tenant: %v", err)
		}
	})
}

func TestOptions(t *testing.T) {
	if _, err := Open(t.Context(), Options{Algorithm: "rot13"}); err == nil {
		t.Error("unknown algorithm accepted")
	}
	if _, err := Open(t.Context(), Options{Clock: clock.System{}}); err == nil {
		t.Error("no store accepted")
	}
}
