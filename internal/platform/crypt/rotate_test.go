package crypt

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

func parts() []Part {
	return []Part{{Context: "patient", Name: "patient", Kind: SealPart}, {Context: "patient", Name: "patient.number_index", Kind: IndexPart}}
}

// A new generation is in force at once here, within seconds in a process that did not hear of it, and that process opens meanwhile what
// it cannot know.
func TestRotateTenant(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, alg := range algorithms {
			r, other := b.ring(t, alg), b.ring(t, alg)
			now := start
			other.mono = func() time.Time { return now }
			person, plain := field(newTenant(), newPerson()), Field{}
			plain = person
			plain.Person = id.ID[id.Any]{}
			old := map[string][]byte{}
			for name, f := range map[string]Field{"person": person, "tenant": plain} {
				old[name] = must(r.Seal(t.Context(), f, []byte("张三")))(t)
				must(other.Open(t.Context(), f, old[name]))(t)
			}
			v := must(r.Rotate(t.Context(), person.Tenant, parts()))(t)
			if v.IndexGeneration != 2 {
				t.Fatalf("index generation %d", v.IndexGeneration)
			}
			fresh := must(r.Seal(t.Context(), plain, []byte("李四")))(t)
			if k, _ := KeyOf(fresh); k == must2(KeyOf(old["tenant"])) {
				t.Error("sealed under the generation before")
			}
			// The other process has not heard: it seals under the old one, and opens the new one.
			if got := must(other.Open(t.Context(), plain, fresh))(t); string(got) != "李四" {
				t.Error("opened something else")
			}
			now = now.Add(tenantFresh)
			if k := must2(KeyOf(must(other.Seal(t.Context(), plain, nil))(t))); k != must2(KeyOf(fresh)) {
				t.Error("two seconds later another process seals under the generation before")
			}
			// The person's key is rolled when its rows are brought over, once.
			for range 2 {
				if err := r.Renew(t.Context(), person.Tenant, []id.ID[id.Any]{person.Person, newPerson()}); err != nil {
					t.Fatal(err)
				}
			}
			if n := count(t, b, person.Tenant, "person_id = $2", person.Person); n != 2 {
				t.Fatalf("%d generations of the person's key", n)
			}
			for name, f := range map[string]Field{"person": person, "tenant": plain} {
				made := must(r.Reseal(t.Context(), f, old[name]))(t)
				if made == nil {
					t.Fatalf("%s: not brought over", name)
				}
				if got := must(b.ring(t, alg).Open(t.Context(), f, made))(t); string(got) != "张三" {
					t.Errorf("%s: another text", name)
				}
				if again := must(r.Reseal(t.Context(), f, made))(t); again != nil {
					t.Errorf("%s: brought over twice", name)
				}
				if got := must(r.Open(t.Context(), f, old[name]))(t); string(got) != "张三" {
					t.Errorf("%s: the old form does not open any more", name)
				}
			}
			refuse(t, r, person)
		}
	})
}

// refuse: one at a time; and what is no sealed value, or of a key that nobody knows, is refused and not changed.
func refuse(t *testing.T, r *Ring, f Field) {
	t.Helper()
	if _, err := r.Rotate(t.Context(), f.Tenant, parts()); !errors.Is(err, ErrRotating) {
		t.Errorf("a second rotation: %v", err)
	}
	v := must(r.Rotations(t.Context()))(t)
	mine := must(r.LastRotation(t.Context(), f.Tenant))(t)
	if len(v) == 0 || len(mine.Parts) != 2 || !mine.Ended.IsZero() {
		t.Fatalf("%d rotations, %+v", len(v), mine)
	}
	for i, p := range mine.Parts {
		p.Phase, p.Changed = Done, 7
		if err := r.SavePart(t.Context(), mine, p); err != nil {
			t.Fatal(err)
		}
		if ended := !must(r.LastRotation(t.Context(), f.Tenant))(t).Ended.IsZero(); ended != (i == 1) {
			t.Errorf("part %d: ended %v", i, ended)
		}
	}
	sealed := must(r.Seal(t.Context(), f, nil))(t)
	unknown := append([]byte(nil), sealed...)
	unknown[5] ^= 0xff
	for name, bad := range map[string][]byte{"cut": sealed[:20], "unknown key": unknown} {
		if _, err := r.Reseal(t.Context(), f, bad); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.Shred(t.Context(), f.Tenant, f.Person); err != nil {
		t.Fatal(err)
	}
	if err := r.Renew(t.Context(), f.Tenant, []id.ID[id.Any]{f.Person}); err != nil {
		t.Errorf("renew a destroyed person: %v", err)
	}
	if _, err := r.Reseal(t.Context(), f, sealed); !errors.Is(err, ErrShredded) {
		t.Errorf("reseal of a destroyed person: %v", err)
	}
}

// Many processes begin a rotation at once: one does.
func TestRotateTwiceAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tenant := newTenant()
		var wg sync.WaitGroup
		var mu sync.Mutex
		begun := 0
		for range 8 {
			r := b.ring(t, "")
			wg.Go(func() {
				_, err := r.Rotate(t.Context(), tenant, parts())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					begun++
				case !errors.Is(err, ErrRotating):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if begun != 1 {
			t.Fatalf("%d began", begun)
		}
		kinds := map[string]int{}
		for _, g := range must(b.ring(t, "").Generations(t.Context(), tenant))(t) {
			kinds[g.Kind]++
		}
		for kind, n := range map[string]int{kindWrap: 2, kindSeal: 2, kindIndex: 2, kindDigest: 1} {
			if kinds[kind] != n {
				t.Errorf("%d generations of %s", kinds[kind], kind)
			}
		}
	})
}

var errKilled = errors.New("killed")

// A rotation of the root key that is killed after any of its steps leaves a store that opens with the file as it is; the next call
// finishes it. A process that runs all the while reads, seals and makes keys for new tenants throughout.
func TestRotateRoot(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, running := b.ring(t, ""), b.ring(t, "")
		f := field(newTenant(), newPerson())
		sealed := must(r.Seal(t.Context(), f, []byte("张三")))(t)
		must(r.Signers(t.Context(), f.Tenant, 1))(t)
		derived, name := r.Derive("cursor"), r.Fingerprint()
		works := func(when string) {
			t.Helper()
			for who, x := range map[string]*Ring{"running": running, "started": b.ring(t, "")} {
				if got, err := x.Open(t.Context(), f, sealed); err != nil || string(got) != "张三" {
					t.Errorf("%s, %s: %v", when, who, err)
				}
				g := field(newTenant(), newPerson())
				must(b.ring(t, "").Open(t.Context(), g, must(x.Seal(t.Context(), g, []byte("x")))(t)))(t)
				if x.Fingerprint() != name || string(x.Derive("cursor")) != string(derived) {
					t.Errorf("%s, %s: what is derived has changed", when, who)
				}
			}
		}
		first := strings.TrimSpace(string(must(os.ReadFile(b.file))(t)))
		for _, step := range []RootStep{Prepared, Wrapped} {
			err := b.ring(t, "").RotateRoot(t.Context(), RootRotation{After: func(s RootStep) error {
				if s == step {
					return errKilled
				}
				return nil
			}})
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			if n := must(b.ring(t, "").RootKeys())(t); n != 2 {
				t.Fatalf("step %d: %d keys in the file", step, n)
			}
			works("killed")
		}
		if err := b.ring(t, "").RotateRoot(t.Context(), RootRotation{}); err != nil { // finishes the one that was wrapped
			t.Fatal(err)
		}
		works("finished")
		last := strings.TrimSpace(string(must(os.ReadFile(b.file))(t)))
		if last == first || len(last) != len(first) {
			t.Fatalf("%d characters in the file", len(last))
		}
		if n := len(must(os.ReadDir(filepath.Dir(b.file)))(t)); n != 1 {
			t.Errorf("%d files beside the key", n-1)
		}
		if err := b.ring(t, "").RotateRoot(t.Context(), RootRotation{}); err != nil { // a whole one
			t.Fatal(err)
		}
		works("rotated again")
		// The key before opens nothing.
		if err := os.WriteFile(b.file, []byte(first), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{DB: b.keys, Keys: "file:" + b.file}); !errors.Is(err, ErrWrongKeys) {
			t.Errorf("the root key before: %v", err)
		}
		if err := os.WriteFile(b.file, []byte(first[:40]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := running.RotateRoot(t.Context(), RootRotation{}); !errors.Is(err, ErrKeysUnreadable) {
			t.Errorf("a cut file: %v", err)
		}
		if _, err := running.Open(t.Context(), f, sealed); err != nil {
			t.Errorf("a running process with a cut file: %v", err)
		}
	})
}

// With a variable the operator brings the second key and takes the first away.
func TestRotateRootOfAVariable(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		one, two := hex.EncodeToString(random(rootSize)), hex.EncodeToString(random(rootSize))
		open := func(value string) (*Ring, error) {
			t.Setenv("XINGLIN_TEST_ROOT", value)
			return Open(t.Context(), Options{DB: b.keys, Keys: "env:XINGLIN_TEST_ROOT"})
		}
		f := field(newTenant(), newPerson())
		r := must(open(one))(t)
		sealed := must(r.Seal(t.Context(), f, []byte("张三")))(t)
		if err := r.RotateRoot(t.Context(), RootRotation{}); !errors.Is(err, ErrKeysMissing) {
			t.Errorf("one key: %v", err)
		}
		r = must(open(one + " " + two))(t)
		if err := r.RotateRoot(t.Context(), RootRotation{}); err != nil {
			t.Fatal(err)
		}
		if err := r.RotateRoot(t.Context(), RootRotation{}); !errors.Is(err, ErrKeysUnreadable) {
			t.Errorf("back to the first: %v", err)
		}
		if _, err := open(one); !errors.Is(err, ErrWrongKeys) {
			t.Errorf("the first alone: %v", err)
		}
		must(must(open(two))(t).Open(t.Context(), f, sealed))(t)
	})
}

// New tenants come while the root key is replaced again and again: every key that is made can be read afterwards.
func TestRootRaces(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.ring(t, "")
		type made struct {
			f      Field
			sealed []byte
		}
		var mu sync.Mutex
		var all []made
		var wg sync.WaitGroup
		for range 4 {
			r := b.ring(t, "")
			wg.Go(func() {
				for range 12 {
					f := field(newTenant(), newPerson())
					s, err := r.Seal(t.Context(), f, []byte("x"))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					all = append(all, made{f, s})
					mu.Unlock()
				}
			})
		}
		for range 5 {
			if err := b.ring(t, "").RotateRoot(t.Context(), RootRotation{}); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		fresh := b.ring(t, "")
		for _, m := range all {
			must(fresh.Open(t.Context(), m.f, m.sealed))(t)
		}
	})
}

// Inside a transaction a generation that this process does not know is a cold key, and asking outside of it helps.
func TestUnknownGenerationIsCold(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, tenant := b.ring(t, ""), newTenant()
		if err := r.LoadTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		must(b.ring(t, "").Rotate(t.Context(), tenant, parts()))(t)
		index := func() error {
			return b.keys.Read(t.Context(), tenant, func(ctx context.Context, _ db.Tx) error {
				_, err := r.Blind(ctx, tenant, "p", "v", 2)
				return err
			})
		}
		if err := index(); !errors.Is(err, ErrColdKey) {
			t.Errorf("cold: %v", err)
		}
		if err := r.RefreshTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		if err := index(); err != nil {
			t.Error(err)
		}
	})
}

func must2(v string, _ bool) string { return v }
