package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

// module is the library of Debian's softhsm2.
const module = "/usr/lib/softhsm/libsofthsm2.so"

// token makes a token with an AES key in a module, and the source's file.
func token(t *testing.T) (source string) {
	t.Helper()
	if _, err := os.Stat(module); err != nil {
		t.Fatalf("%s is missing; type: sudo apt-get install -y softhsm2", module)
	}
	dir := t.TempDir()
	source = filepath.Join(dir, "source.json")
	for name, text := range map[string]string{
		"softhsm2.conf": "directories.tokendir = " + dir + "\nobjectstore.backend = file\nlog.level = ERROR\n",
		"aes":           "an AES key of 256 bits, that is 32"[:32],
		"pin":           "123456",
		"source.json":   fmt.Sprintf(`{"kind": "pkcs11", "module": %q, "token": "xinglin", "key": "root", "pin": "file:pin"}`, module),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "softhsm2.conf"))
	for _, args := range [][]string{
		{"--init-token", "--free", "--label", "xinglin", "--so-pin", "87654321", "--pin", "123456"},
		{"--import", filepath.Join(dir, "aes"), "--aes", "--token", "xinglin", "--pin", "123456", "--label", "root", "--id", "01"},
	} {
		if out, err := exec.Command("softhsm2-util", args...).CombinedOutput(); err != nil {
			t.Fatalf("softhsm2-util: %v\n%s", err, out)
		}
	}
	return source
}

// TestRootKeyInAModule: an installation moves its root key into a module while nobody looks, serves from there, rotates while it serves, and
// goes on while the module is away; a wrong PIN is tried once and said.
func TestRootKeyInAModule(t *testing.T) {
	source := token(t)
	w := rig.NewWorld(t, rig.SQLite)
	p := w.Serve(t)
	people := w.People(t, p, "", 0, 3, 1)
	p.Stop(t)

	wrapped := filepath.Join(w.Dir, "root.json")
	plain := filepath.Join(w.Data(), "keys", "root")
	rig.Must(t, "keys", "wrap", "--source", source, "--from", "file:"+plain, "--out", wrapped, "--installation", "proof")
	if err := os.Remove(plain); err != nil {
		t.Fatal(err)
	}
	begin := clock.Mono()
	rig.Must(t, "keys", "unwrap", "--check", "--keys", "wrapped:"+wrapped)
	t.Logf("the module answers within %s", clock.Mono().Sub(begin))

	keys := []string{"--keys", "wrapped:" + wrapped}
	p = w.Serve(t, keys...)
	reads := func(when string) {
		t.Helper()
		for _, b := range people {
			var out struct {
				Items []struct{ Name string }
			}
			if _, err := b.At(p.URL).Do(context.Background(), "GET", "/patients", nil, &out); err != nil || len(out.Items) != 1 || out.Items[0].Name == "" {
				t.Errorf("%s: %v, %d persons", when, err, len(out.Items))
			}
		}
	}
	reads("served from the module")
	before := read(t, wrapped)
	rig.Must(t, append([]string{"keys", "rotate", "--what", "root"}, w.Where()...)...)
	if string(read(t, wrapped)) == string(before) {
		t.Error("the wrapped file is the one from before")
	}
	reads("rotated")

	// The module is away: who serves goes on, and a start is refused with its code. Nobody tries a PIN again and again.
	pin := filepath.Join(filepath.Dir(source), "pin")
	if err := os.WriteFile(pin, []byte("654321"), 0o600); err != nil {
		t.Fatal(err)
	}
	reads("the PIN is another one")
	p.Stop(t)
	r := rig.Run(t, "keys", "unwrap", "--check", "--keys", "wrapped:"+wrapped)
	if r.Code == 0 || !strings.Contains(r.Stderr, "keysource.pin_refused") || strings.Contains(r.Stderr, "654321") {
		t.Errorf("a wrong PIN: exit %d\n%s", r.Code, r.Stderr)
	}
	if err := errors.Join(os.WriteFile(pin, []byte("123456\n"), 0o600), os.WriteFile(wrapped+".first", before, 0o600)); err != nil {
		t.Fatal(err)
	}
	p = w.ServeAt(t, rig.Port(t), rig.Port(t), "--keys", "wrapped:"+wrapped+".first")
	if err := p.Said(context.Background(), "crypt.wrong_keys"); err != nil {
		t.Error(err)
	}
	p.End()
	p = w.Serve(t, keys...)
	reads("started again")
	p.Stop(t)
	w.Verify(t)
}
