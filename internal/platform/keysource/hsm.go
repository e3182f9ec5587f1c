package keysource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Modules are C libraries, and this program has no C in it. So xinglin-hsm, a small program beside this one, loads the library and answers
// one question on its standard input; a library that crashes or hangs takes nothing else with it.

// hsmTime bounds one question: slow modules need seconds.
const hsmTime = 30 * time.Second

// HelperName is the program beside this one.
const HelperName = "xinglin-hsm"

// hsmFile describes a key in a module.
type hsmFile struct {
	Kind   string `json:"kind"`
	Module string `json:"module"`           // path of the library
	Token  string `json:"token,omitempty"`  // pkcs11: label of the token
	Key    string `json:"key,omitempty"`    // pkcs11: label of the AES key
	Index  uint32 `json:"index,omitempty"`  // sdf: of the KEK
	PIN    string `json:"pin,omitempty"`    // pkcs11: reference of the user's PIN
	Helper string `json:"helper,omitempty"` // the program, when it is not beside this one
}

// Question is what xinglin-hsm is asked, as JSON on its standard input.
type Question struct {
	Op     string `json:"op"` // wrap, unwrap
	Kind   string `json:"kind"`
	Module string `json:"module"`
	Token  string `json:"token,omitempty"`
	Key    string `json:"key,omitempty"`
	Index  uint32 `json:"index,omitempty"`
	PIN    string `json:"pin,omitempty"`
	Data   []byte `json:"data"`
	About  []byte `json:"about"` // associated data, where the mechanism takes some
}

// Answer is what it says, as JSON on its standard output.
type Answer struct {
	Data  []byte `json:"data,omitempty"`
	Error string `json:"error,omitempty"` // missing, pin, refused, unavailable
	Why   string `json:"why,omitempty"`
}

// hsm asks the helper.
type hsm struct {
	file   hsmFile
	dir    string
	helper string
	within time.Duration
}

func openHSM(b []byte, dir string) (*hsm, error) {
	var f hsmFile
	if err := decode(b, &f); err != nil {
		return nil, err
	}
	switch {
	case f.Module == "":
		return nil, ErrFile.At("module", "want the path of the library")
	case f.Kind == "pkcs11" && (f.Token == "" || f.Key == "" || f.PIN == ""):
		return nil, ErrFile.At("token", "want token, key and pin")
	case f.Kind == "sdf" && f.Index == 0:
		return nil, ErrFile.At("index", "want the KEK's index, from 1")
	}
	helper := beside(dir, f.Helper)
	if helper == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, ErrMissing.Wrap(err)
		}
		helper = filepath.Join(filepath.Dir(own), HelperName)
	}
	f.Module = beside(dir, f.Module)
	return &hsm{file: f, dir: dir, helper: helper, within: hsmTime}, nil
}

// Name implements Source.
func (h *hsm) Name() Name {
	if h.file.Kind == "sdf" {
		return Name{"sdf", fmt.Sprint(h.file.Index)}
	}
	return Name{"pkcs11", h.file.Token + "/" + h.file.Key}
}

// Wrap implements Source.
func (h *hsm) Wrap(ctx context.Context, key []byte, about About) ([]byte, error) {
	return h.ask(ctx, "wrap", key, about)
}

// Unwrap implements Source.
func (h *hsm) Unwrap(ctx context.Context, wrapped []byte, about About) ([]byte, error) {
	key, err := h.ask(ctx, "unwrap", wrapped, about)
	if err == nil && len(key) != KeySize {
		return nil, ErrRefused.Because("the module gave %d bytes, want %d", len(key), KeySize)
	}
	return key, err
}

// ask runs the helper once; a refusal is never tried again, since PINs lock.
func (h *hsm) ask(ctx context.Context, op string, data []byte, about About) ([]byte, error) {
	f := h.file
	q := Question{Op: op, Kind: f.Kind, Module: f.Module, Token: f.Token, Key: f.Key, Index: f.Index, Data: data, About: about.bytes()}
	if f.PIN != "" {
		pin, err := reveal(h.dir, f.PIN)
		if err != nil {
			return nil, err
		}
		q.PIN = pin
	}
	in, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.within)
	defer cancel()
	c := exec.CommandContext(ctx, h.helper)
	c.WaitDelay = time.Second
	c.Stdin = bytes.NewReader(in) // not an argument: those are everybody's to see
	var out, said capped
	c.Stdout, c.Stderr = &out, &said
	err = c.Run()
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound):
		return nil, ErrMissing.Because("the program %s is missing: make build makes it, it belongs beside xinglin", h.helper)
	case ctx.Err() != nil:
		return nil, ErrUnavailable.Because("the module did not answer: %w", ctx.Err())
	}
	var a Answer
	lines := bytes.Split(bytes.TrimSpace(out.b), []byte("\n")) // the library may have printed before
	if bad := json.Unmarshal(lines[len(lines)-1], &a); bad != nil {
		return nil, ErrUnavailable.Because("%s ended without an answer (%v): %.300q", HelperName, err, said.b)
	}
	switch a.Error {
	case "":
		return a.Data, nil
	case "missing":
		return nil, ErrMissing.Because("%.300s", a.Why)
	case "pin":
		return nil, ErrPIN.Because("%.300s", a.Why)
	case "unavailable":
		return nil, ErrUnavailable.Because("%.300s", a.Why)
	}
	return nil, ErrRefused.Because("%.300s", a.Why)
}

// capped keeps the beginning of what a library may say without an end.
type capped struct{ b []byte }

func (c *capped) Write(p []byte) (int, error) {
	c.b = append(c.b, p[:min(len(p), maxAnswer-len(c.b))]...)
	return len(p), nil
}
