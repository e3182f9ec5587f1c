package crypt

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strings"
)

// errOtherRoot: a key lies under another root key than the one at hand.
var errOtherRoot = errors.New("crypt: wrapped under another root key")

// RootStep is a point within a rotation of the root key, for those who stop there.
type RootStep int

// The steps. Before Wrapped the store lies under the present root key, from then on under the next one; the reference has both
// between Prepared and Finished, so that whoever starts or asks in between finds the right one.
const (
	Prepared RootStep = iota + 1
	Wrapped
	Finished
)

// RootRotation says how far to go.
type RootRotation struct {
	// Prepare only writes the next key beside the present one into the file.
	Prepare bool
	// After is called after each step; an error ends the rotation there. Nil goes on.
	After func(RootStep) error
}

// RotateRoot replaces the root key: the reference gets a second key, every tenant's keys are wrapped under it in one transaction, and the
// first one goes from the file. One that was stopped is finished by the next call. With env:NAME the operator puts the second
// key into the variable and takes the first one out afterwards: crypt.keys_missing when there is only one.
func (r *Ring) RotateRoot(ctx context.Context, o RootRotation) error {
	after := func(s RootStep) error {
		if o.After == nil {
			return nil
		}
		return o.After(s)
	}
	path, isFile := strings.CutPrefix(r.ref, "file:")
	roots, err := loadRoots(r.ref, false)
	if err != nil {
		return err
	}
	made, err := r.rootCheck(ctx)
	if err != nil {
		return err
	}
	at := choose(roots, made.print)
	switch {
	case at == nil:
		return ErrWrongKeys.Because("store %s, given %s", made.print, roots[0].print())
	case len(roots) == maxRoots && at == roots[1] && !isFile:
		return ErrKeysUnreadable.Because("the store lies under the second key: take the first one out of the variable, then put a new one behind")
	case len(roots) == maxRoots && at == roots[1]:
		return r.finishRoot(path, at) // it was stopped before its last step
	case len(roots) < maxRoots && !isFile:
		return ErrKeysMissing.Because("the variable has one key: put the next one behind it with a space between, in every process, and repeat")
	case len(roots) < maxRoots:
		next, err := newRoot(random(rootSize))
		if err != nil {
			return err
		}
		if err := putRoots(path, at, next); err != nil {
			return err
		}
		roots = []*root{at, next}
	}
	if err := after(Prepared); err != nil || o.Prepare {
		return err
	}
	if err := r.wrapAll(ctx, at, roots[1]); err != nil {
		return err
	}
	r.held.Store(roots[1])
	if err := after(Wrapped); err != nil || !isFile {
		return err
	}
	if err := r.finishRoot(path, roots[1]); err != nil {
		return err
	}
	return after(Finished)
}

func (r *Ring) finishRoot(path string, at *root) error {
	r.held.Store(at)
	return putRoots(path, at)
}

// RootKeys tells how many keys the reference has: two while the root key rotates.
func (r *Ring) RootKeys() (int, error) {
	roots, err := loadRoots(r.ref, false)
	return len(roots), err
}

// putRoots replaces the file as a whole.
func putRoots(path string, roots ...*root) error {
	text := ""
	for _, k := range roots {
		text += hex.EncodeToString(k.raw) + "\n"
	}
	err := writeRootFile(path, text, func(made string) error { return os.Rename(made, path) })
	if err != nil {
		return ErrKeysUnreadable.Wrap(err)
	}
	return nil
}

// follow reads the reference once more and takes the root key that the store lies under now.
func (r *Ring) follow(ctx context.Context) (*root, error) {
	made, err := r.rootCheck(ctx)
	if err != nil {
		return nil, err
	}
	if at := r.root(); at.print() == made.print {
		return at, nil
	}
	roots, err := loadRoots(r.ref, false)
	if err != nil {
		return nil, err
	}
	at := choose(roots, made.print)
	if at == nil {
		return nil, ErrWrongKeys.Because("the root key was rotated: store %s, given %s", made.print, roots[0].print())
	}
	r.held.Store(at)
	return at, nil
}
