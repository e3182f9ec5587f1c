// Package cmodule loads a cryptographic module's C library, PKCS#11 or SDF (GM/T 0018), and has it wrap one key. Only xinglin-hsm imports it:
// the main program has no C in it.
package cmodule

import (
	"errors"
	"fmt"
	"os"

	"github.com/ebitengine/purego"

	"xinglin/internal/platform/keysource"
)

// Kinds of Answer.Error.
const (
	missing     = "missing"
	badPIN      = "pin"
	refused     = "refused"
	unavailable = "unavailable"
)

// failure is an Answer's error.
type failure struct{ kind, why string }

func (f *failure) Error() string { return f.why }

func fail(kind, format string, a ...any) error { return &failure{kind, fmt.Sprintf(format, a...)} }

// Do answers one question.
func Do(q keysource.Question) (a keysource.Answer) {
	defer func() {
		if r := recover(); r != nil {
			a = keysource.Answer{Error: refused, Why: fmt.Sprint(r)}
		}
	}()
	var data []byte
	var err error
	switch {
	case q.Op != "wrap" && q.Op != "unwrap":
		err = fail(refused, "operation %q", q.Op)
	case q.Kind == "pkcs11":
		data, err = pkcs11(q)
	case q.Kind == "sdf":
		data, err = sdf(q)
	default:
		err = fail(refused, "kind %q", q.Kind)
	}
	if err != nil {
		var f *failure
		if errors.As(err, &f) {
			return keysource.Answer{Error: f.kind, Why: f.why}
		}
		return keysource.Answer{Error: refused, Why: err.Error()}
	}
	return keysource.Answer{Data: data}
}

// load opens the library.
func load(path string) (uintptr, error) {
	if _, err := os.Stat(path); err != nil {
		return 0, fail(missing, "module: %v", err)
	}
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, fail(missing, "module does not load: %v", err)
	}
	return lib, nil
}

// function binds one of the library's functions.
func function(lib uintptr, f any, name string) error {
	at, err := purego.Dlsym(lib, name)
	if err != nil {
		return fail(missing, "the module has no %s", name)
	}
	purego.RegisterFunc(f, at)
	return nil
}
