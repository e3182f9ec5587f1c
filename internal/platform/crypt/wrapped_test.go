package crypt

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kmssim"
	"xinglin/internal/platform/keysource"
)

// cloud is a served simulator; its folder has source.json.
func cloud(t *testing.T) (*kmssim.Server, string) {
	t.Helper()
	dir := t.TempDir()
	s := must(kmssim.New(kmssim.Options{Dir: dir, Listen: "127.0.0.1:0"}))(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return s, dir
}

func (b *bench) opened(t *testing.T, ref string) (*Ring, error) {
	t.Helper()
	return Open(t.Context(), Options{DB: b.keys, Keys: ref, Clock: clock.NewManual(start)})
}

// An installation begins with a wrapped key, rotates it, is killed in between, and asks the source once a start.
func TestWrappedRoot(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sim, dir := cloud(t)
		path := filepath.Join(dir, "root.json")
		must(WrapRoot(t.Context(), Wrapping{Source: filepath.Join(dir, "source.json"), Out: path, Installation: "north"}))(t)
		ref := "wrapped:" + path
		r := must(b.opened(t, ref))(t)
		f := field(newTenant(), newPerson())
		sealed := must(r.Seal(t.Context(), f, []byte("张三")))(t)
		before := sim.Asked()
		running := must(b.opened(t, ref))(t)
		must(running.Open(t.Context(), f, sealed))(t)
		if n := sim.Asked() - before; n != 1 {
			t.Errorf("a start asked the source %d times", n)
		}
		first := must(os.ReadFile(path))(t)
		for _, step := range []RootStep{Prepared, Wrapped} {
			err := must(b.opened(t, ref))(t).RotateRoot(t.Context(), RootRotation{After: func(s RootStep) error {
				if s == step {
					return errKilled
				}
				return nil
			}})
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			for _, x := range []*Ring{running, must(b.opened(t, ref))(t)} {
				if got := must(x.Open(t.Context(), f, sealed))(t); string(got) != "张三" {
					t.Error("another text")
				}
				must(x.Seal(t.Context(), field(newTenant(), newPerson()), nil))(t)
			}
		}
		r = must(b.opened(t, ref))(t)
		if err := r.RotateRoot(t.Context(), RootRotation{}); err != nil {
			t.Fatal(err)
		}
		if n := must(r.RootKeys())(t); n != 1 {
			t.Errorf("%d keys in the file", n)
		}
		// Rotated, and the source is down: those who run go on, a start is refused with its code.
		sim.Disable(kmssim.KeyID, true)
		must(running.Seal(t.Context(), field(newTenant(), newPerson()), nil))(t)
		if _, err := b.opened(t, ref); !errors.Is(err, keysource.ErrRefused) {
			t.Errorf("the source refuses: %v", err)
		}
		if err := running.RotateRoot(t.Context(), RootRotation{}); !errors.Is(err, keysource.ErrRefused) {
			t.Errorf("rotation while the source refuses: %v", err)
		}
		sim.Disable(kmssim.KeyID, false)
		must(b.opened(t, ref))(t)
		if err := os.WriteFile(path, first, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := b.opened(t, ref); !errors.Is(err, ErrWrongKeys) {
			t.Errorf("the file from before the rotation: %v", err)
		}
	})
}

// An installation moves from a file to a source and back.
func TestMoveToASource(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		_, dir := cloud(t)
		f := field(newTenant(), newPerson())
		sealed := must(b.ring(t, "").Seal(t.Context(), f, []byte("张三")))(t)
		path, back := filepath.Join(dir, "root.json"), filepath.Join(t.TempDir(), "back")
		w := Wrapping{Source: filepath.Join(dir, "source.json"), Out: path, From: "file:" + b.file}
		print := must(WrapRoot(t.Context(), w))(t)
		must(must(b.opened(t, "wrapped:"+path))(t).Open(t.Context(), f, sealed))(t)
		if got := must(CheckRoot(t.Context(), "wrapped:"+path, back))(t); got != print {
			t.Errorf("%s, made %s", got, print)
		}
		must(must(b.opened(t, "file:"+back))(t).Open(t.Context(), f, sealed))(t)
		if _, err := WrapRoot(t.Context(), w); !errors.Is(err, ErrKeysUnreadable) {
			t.Errorf("over a file that is there: %v", err)
		}
		if _, err := CheckRoot(t.Context(), "wrapped:"+path, back); !errors.Is(err, ErrKeysUnreadable) {
			t.Errorf("out over a file that is there: %v", err)
		}
	})
}

func TestWrappedFilesThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sim, dir := cloud(t)
		path, other := filepath.Join(dir, "root.json"), filepath.Join(dir, "other.json")
		source := filepath.Join(dir, "source.json")
		must(WrapRoot(t.Context(), Wrapping{Source: source, Out: path, Installation: "north"}))(t)
		must(WrapRoot(t.Context(), Wrapping{Source: source, Out: other, Installation: "south"}))(t)
		must(b.opened(t, "wrapped:"+path))(t)
		good := must(os.ReadFile(path))(t)
		asked := sim.Asked()
		if _, err := b.opened(t, "wrapped:"+other); !errors.Is(err, ErrWrongKeys) || sim.Asked() != asked {
			t.Errorf("another installation's: %v, asked %d times", err, sim.Asked()-asked)
		}
		var foreign wrappedFile
		if err := json.Unmarshal(must(os.ReadFile(other))(t), &foreign); err != nil {
			t.Fatal(err)
		}
		change := func(do func(f *wrappedFile)) []byte {
			var f wrappedFile
			if err := json.Unmarshal(good, &f); err != nil {
				t.Fatal(err)
			}
			do(&f)
			return must(json.Marshal(f))(t)
		}
		for name, c := range map[string]struct {
			text []byte
			want error
		}{
			"cut":               {good[:len(good)/2], ErrKeysUnreadable},
			"empty":             {nil, ErrKeysUnreadable},
			"unknown field":     {[]byte(strings.Replace(string(good), `"version"`, `"x": 1, "version"`, 1)), ErrKeysUnreadable},
			"no keys":           {change(func(f *wrappedFile) { f.Keys = nil }), ErrKeysUnreadable},
			"a later version":   {change(func(f *wrappedFile) { f.Version = 2 }), ErrKeysUnreadable},
			"another name":      {change(func(f *wrappedFile) { f.Installation = "south" }), keysource.ErrRefused},
			"another source":    {change(func(f *wrappedFile) { f.Keys[0].By.Key = "x" }), ErrKeysUnreadable},
			"another algorithm": {change(func(f *wrappedFile) { f.Keys[0].Algorithm = "sm4-gcm" }), ErrKeysUnreadable},
			"sealed bit":        {change(func(f *wrappedFile) { f.Keys[0].Sealed[40] ^= 1 }), ErrKeysUnreadable},
			"foreign sealed":    {change(func(f *wrappedFile) { f.Keys[0].Sealed = foreign.Keys[0].Sealed }), ErrKeysUnreadable},
			"foreign wrapped":   {change(func(f *wrappedFile) { f.Keys[0].Wrapped = foreign.Keys[0].Wrapped }), keysource.ErrRefused},
			"claims our key": {change(func(f *wrappedFile) {
				f.Keys[0].Sealed, f.Keys[0].Wrapped, f.Installation = foreign.Keys[0].Sealed, foreign.Keys[0].Wrapped, "south"
			}), keysource.ErrRefused},
		} {
			if err := os.WriteFile(path, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := b.opened(t, "wrapped:"+path); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// The answer to another question opens nothing: whoever plays the service can refuse and no more.
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		must(CheckRoot(t.Context(), "wrapped:"+other, ""))(t)
		sim.Fail(kmssim.Fault{Replay: true})
		if _, err := b.opened(t, "wrapped:"+path); !errors.Is(err, ErrKeysUnreadable) {
			t.Errorf("a replayed answer: %v", err)
		}
		must(b.opened(t, "wrapped:"+path))(t)
		if _, err := b.opened(t, "wrapped:"+path+".none"); !errors.Is(err, ErrKeysMissing) {
			t.Errorf("no file: %v", err)
		}
	})
}
