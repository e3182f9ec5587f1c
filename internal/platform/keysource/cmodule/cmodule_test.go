package cmodule_test

import (
	"bytes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm4"

	"xinglin/internal/platform/keysource"
	_ "xinglin/internal/platform/keysource/cmodule" // its changes run this test again
)

// The tests ask the real program, as xinglin does.
var helper string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "xinglin-hsm-")
	if err != nil {
		panic(err)
	}
	helper = filepath.Join(dir, keysource.HelperName)
	c := exec.Command("go", "build", "-o", helper, "xinglin/cmd/xinglin-hsm")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// softHSM is the module of Debian's softhsm2.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

func need(t *testing.T, file, hint string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%s is missing; type: %s", file, hint)
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// source writes the source's file, with changes, and opens it.
func source(t *testing.T, dir string, fields, change map[string]any) keysource.Source {
	t.Helper()
	all := map[string]any{"helper": helper}
	for _, m := range []map[string]any{fields, change} {
		for k, v := range m {
			all[k] = v
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "source.json")
	write(t, path, string(b))
	s, err := keysource.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	about = keysource.About{Installation: "north", Fingerprint: "0123"}
	key   = []byte(strings.Repeat("0123456789abcdef", 2))
)

// token makes a token "xinglin" with an AES key "root", and gives what the source's file says.
func token(t *testing.T) (dir string, fields map[string]any) {
	t.Helper()
	need(t, softHSM, "sudo apt-get install -y softhsm2")
	dir = t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "softhsm2.conf"), "directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	t.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "softhsm2.conf"))
	command(t, "softhsm2-util", "--init-token", "--free", "--label", "xinglin", "--so-pin", "87654321", "--pin", "123456")
	addKey(t, dir, "root", "01")
	write(t, filepath.Join(dir, "pin"), "123456\n")
	return dir, map[string]any{"kind": "pkcs11", "module": softHSM, "token": "xinglin", "key": "root", "pin": "file:pin"}
}

func addKey(t *testing.T, dir, label, id string) {
	t.Helper()
	file := filepath.Join(dir, "aes")
	write(t, file, strings.Repeat(id, 16))
	command(t, "softhsm2-util", "--import", file, "--aes", "--token", "xinglin", "--pin", "123456", "--label", label, "--id", id)
}

func TestPKCS11(t *testing.T) {
	dir, fields := token(t)
	s := source(t, dir, fields, nil)
	if s.Name() != (keysource.Name{Kind: "pkcs11", Key: "xinglin/root"}) {
		t.Errorf("%+v", s.Name())
	}
	wrapped, err := s.Wrap(t.Context(), key, about)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(wrapped, key[:8]) {
		t.Error("the key stands in what was wrapped")
	}
	back, err := s.Unwrap(t.Context(), wrapped, about)
	if err != nil || !bytes.Equal(back, key) {
		t.Fatalf("%v", err)
	}
	again, err := s.Wrap(t.Context(), key, about)
	if err != nil || bytes.Equal(again, wrapped) {
		t.Errorf("wrapped twice alike: %v", err)
	}
	changed := bytes.Clone(wrapped)
	changed[len(changed)-1] ^= 1
	for name, c := range map[string]struct {
		wrapped []byte
		about   keysource.About
	}{
		"changed": {changed, about}, "cut": {wrapped[:20], about}, "another installation": {wrapped, keysource.About{Installation: "south", Fingerprint: "0123"}},
	} {
		if _, err := s.Unwrap(t.Context(), c.wrapped, c.about); !errors.Is(err, keysource.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	addKey(t, dir, "other", "02")
	if _, err := source(t, dir, fields, map[string]any{"key": "other"}).Unwrap(t.Context(), wrapped, about); !errors.Is(err, keysource.ErrRefused) {
		t.Errorf("another key: %v", err)
	}
	addKey(t, dir, "root", "03")
	if _, err := s.Wrap(t.Context(), key, about); !errors.Is(err, keysource.ErrMissing) {
		t.Errorf("two keys of one name: %v", err)
	}
}

func TestPKCS11Refusals(t *testing.T) {
	dir, fields := token(t)
	for name, c := range map[string]struct {
		change map[string]any
		want   error
	}{
		"no module":    {map[string]any{"module": "/nowhere/lib.so"}, keysource.ErrMissing},
		"no library":   {map[string]any{"module": filepath.Join(dir, "pin")}, keysource.ErrMissing},
		"other module": {map[string]any{"module": helper}, keysource.ErrMissing},
		"no token":     {map[string]any{"token": "nobody"}, keysource.ErrMissing},
		"no key":       {map[string]any{"key": "nobody"}, keysource.ErrMissing},
		"no pin file":  {map[string]any{"pin": "file:nobody"}, keysource.ErrMissing},
	} {
		if _, err := source(t, dir, fields, c.change).Wrap(t.Context(), key, about); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	write(t, filepath.Join(dir, "wrong"), "999999")
	_, err := source(t, dir, fields, map[string]any{"pin": "file:wrong"}).Wrap(t.Context(), key, about)
	if !errors.Is(err, keysource.ErrPIN) || strings.Contains(err.Error(), "999999") {
		t.Errorf("a wrong PIN: %v", err)
	}
	if _, err := source(t, dir, fields, nil).Wrap(t.Context(), key, about); err != nil {
		t.Errorf("the right PIN afterwards: %v", err)
	}
}

// device compiles the stand-in.
func device(t *testing.T) (dir string, fields map[string]any) {
	t.Helper()
	dir = t.TempDir()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Fatal("gcc is missing; type: sudo apt-get install -y gcc libc6-dev")
	}
	lib := filepath.Join(dir, "libsdf.so")
	command(t, gcc, "-shared", "-fPIC", "-O1", "-o", lib, filepath.Join("testdata", "sdf.c"))
	t.Setenv("XINGLIN_SDF_STANDIN", dir)
	write(t, filepath.Join(dir, "kek-1"), kek)
	write(t, filepath.Join(dir, "kek-2"), "another kek here")
	return dir, map[string]any{"kind": "sdf", "module": "libsdf.so", "index": 1}
}

const kek = "kek of the tests"

func TestSDF(t *testing.T) {
	dir, fields := device(t)
	s := source(t, dir, fields, nil)
	if s.Name() != (keysource.Name{Kind: "sdf", Key: "1"}) {
		t.Errorf("%+v", s.Name())
	}
	wrapped, err := s.Wrap(t.Context(), key, about)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.Unwrap(t.Context(), wrapped, about)
	if err != nil || !bytes.Equal(back, key) {
		t.Fatalf("%v", err)
	}
	foreignSM4(t, wrapped)
	if other, err := source(t, dir, fields, map[string]any{"index": 2}).Unwrap(t.Context(), wrapped, about); err == nil && bytes.Equal(other, key) {
		t.Error("another KEK gave the key")
	}
	for name, b := range map[string][]byte{"cut": wrapped[:len(wrapped)/2], "empty": []byte("{}")} {
		if _, err := s.Unwrap(t.Context(), b, about); !errors.Is(err, keysource.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := source(t, dir, fields, map[string]any{"index": 9}).Wrap(t.Context(), key, about); !errors.Is(err, keysource.ErrMissing) {
		t.Errorf("no such KEK: %v", err)
	}
	write(t, filepath.Join(dir, "pin-1"), "sesame")
	write(t, filepath.Join(dir, "wrong"), "sesam")
	write(t, filepath.Join(dir, "right"), "sesame")
	for pin, want := range map[string]error{"": keysource.ErrPIN, "file:wrong": keysource.ErrPIN, "file:right": nil} {
		if _, err := source(t, dir, fields, map[string]any{"pin": pin}).Unwrap(t.Context(), wrapped, about); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("PIN %q: %v", pin, err)
		}
	}
	if _, err := source(t, dir, fields, map[string]any{"module": softHSM}).Wrap(t.Context(), key, about); !errors.Is(err, keysource.ErrMissing) {
		t.Errorf("a library without SDF: %v", err)
	}
	if err := os.Unsetenv("XINGLIN_SDF_STANDIN"); err != nil { // t.Setenv brings it back
		t.Fatal(err)
	}
	if _, err := s.Wrap(t.Context(), key, about); !errors.Is(err, keysource.ErrUnavailable) {
		t.Errorf("no device: %v", err)
	}
}

// foreignSM4 opens by another implementation what the stand-in wrapped: its SM4 is the standard's.
func foreignSM4(t *testing.T, wrapped []byte) {
	t.Helper()
	var w struct{ Session, IV, Data []byte }
	if err := json.Unmarshal(wrapped, &w); err != nil {
		t.Fatal(err)
	}
	over, err := sm4.NewCipher([]byte(kek))
	if err != nil {
		t.Fatal(err)
	}
	session := make([]byte, 16)
	over.Decrypt(session, w.Session)
	b, err := sm4.NewCipher(session)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCDecrypter(b, w.IV).CryptBlocks(w.Data, w.Data)
	if !bytes.Equal(w.Data, key) {
		t.Error("another implementation of SM4 reads another key")
	}
}

// The program that holds the keys has no C in it.
func TestMainProgramIsWithoutC(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "xinglin/cmd/xinglin").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "purego") {
		t.Error("xinglin imports purego: it would need the system's linker")
	}
}
