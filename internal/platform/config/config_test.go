package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"xinglin/internal/platform/config"
)

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XINGLIN_TEST_SECRET", "from the environment")
	t.Setenv("XINGLIN_TEST_EMPTY", "")
	for ref, want := range map[string]string{
		"file:" + file: "from a file\n", "env:XINGLIN_TEST_SECRET": "from the environment", "env:XINGLIN_TEST_EMPTY": "",
		"file:" + huge: "!", "file:" + dir: "!", "file:" + file + "x": "!", "env:XINGLIN_TEST_MISSING": "!", "hunter2": "!", "": "!", "value:hunter2": "!",
	} {
		got, err := config.Secret(ref)
		if (err != nil) != (want == "!") || err == nil && string(got) != want {
			t.Errorf("%q: %q, %v", ref, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a value given instead of a reference is repeated: %v", err)
		}
	}
}

// Every setting is a flag with words and one environment variable of its own; secrets are references.
func TestEverySettingIsDescribed(t *testing.T) {
	seen := map[string]string{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if _, ok := f.Tag.Lookup("embed"); ok {
				walk(f.Type)
				continue
			}
			name, env, help := typ.Name()+"."+f.Name, f.Tag.Get("env"), f.Tag.Get("help")
			if help == "" || !strings.HasPrefix(env, "XINGLIN_") || env != strings.ToUpper(env) {
				t.Errorf("%s: env %q, help %q", name, env, help)
			}
			if was, ok := seen[env]; ok {
				t.Errorf("%s: %s belongs to %s", name, env, was)
			}
			seen[env] = name
			secret := f.Name == "Key" || f.Name == "Keys"
			if secret && !strings.Contains(help, "eference") {
				t.Errorf("%s: a secret must be a reference: %q", name, help)
			}
		}
	}
	walk(reflect.TypeFor[config.Serve]())
	if len(seen) < 25 {
		t.Errorf("%d settings", len(seen))
	}
}
