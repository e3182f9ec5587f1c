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
	isFile := !strings.HasPrefix(r.ref, "env:")
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
		return ErrWrongKeys.Because("store %s, given %s", made.print, roots[0].print)
	case len(roots) == maxRoots && at == roots[1] && !isFile:
		return ErrKeysUnreadable.Because("the store lies under the second key: take the first one out of the variable, then put a new one behind")
	case len(roots) == maxRoots && at == roots[1]:
		return r.finishRoot(ctx, at) // it was stopped before its last step
	case len(roots) < maxRoots && !isFile:
		return ErrKeysMissing.Because("the variable has one key: put the next one behind it with a space between, in every process, and repeat")
	case len(roots) < maxRoots:
		next, err := newRoot(random(rootSize))
		if err != nil {
			return err
		}
		if roots, err = putRoots(ctx, r.ref, at, &candidate{print: next.print(), root: next}); err != nil {
			return err
		}
	}
	if err := after(Prepared); err != nil || o.Prepare {
		return err
	}
	from, err := at.open(ctx)
	if err != nil {
		return err
	}
	to, err := roots[1].open(ctx)
	if err != nil {
		return err
	}
	if err := r.wrapAll(ctx, from, to); err != nil {
		return err
	}
	r.held.Store(to)
	if err := after(Wrapped); err != nil || !isFile {
		return err
	}
	if err := r.finishRoot(ctx, roots[1]); err != nil {
		return err
	}
	return after(Finished)
}

func (r *Ring) finishRoot(ctx context.Context, at *candidate) error {
	k, err := at.open(ctx)
	if err != nil {
		return err
	}
	r.held.Store(k)
	_, err = putRoots(ctx, r.ref, at)
	return err
}

// RootKeys tells how many keys the reference has: two while the root key rotates.
func (r *Ring) RootKeys() (int, error) {
	roots, err := loadRoots(r.ref, false)
	return len(roots), err
}

// putRoots replaces the file as a whole. What is wrapped already stays as it is.
func putRoots(ctx context.Context, ref string, roots ...*candidate) ([]*candidate, error) {
	kind, path, _ := strings.Cut(ref, ":")
	if kind == "wrapped" {
		return putWrapped(ctx, path, roots)
	}
	text := ""
	for _, k := range roots {
		text += hex.EncodeToString(k.root.raw) + "\n"
	}
	err := writeRootFile(path, text, func(made string) error { return os.Rename(made, path) })
	if err != nil {
		return nil, ErrKeysUnreadable.Wrap(err)
	}
	return roots, nil
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
		return nil, ErrWrongKeys.Because("the root key was rotated: store %s, given %s", made.print, roots[0].print)
	}
	k, err := at.open(ctx)
	if err != nil {
		return nil, err
	}
	r.held.Store(k)
	return k, nil
}
