package crypt

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const rootSize = 32

// root is the key above all others. It lives outside the database and is never used
// itself: it derives one wrapping key an algorithm.
type root struct {
	id    keyID
	raw   []byte
	wraps map[Algorithm]*key
}

func newRoot(raw []byte) (*root, error) {
	r := &root{raw: raw, wraps: map[Algorithm]*key{}}
	copy(r.id[:], mac(AES256GCM, raw, "xinglin/root-id/v1"))
	for _, a := range []Algorithm{AES256GCM, SM4GCM} {
		k, err := makeKey(r.id, a, 1, mac(a, raw, "xinglin/root-wrap/v1", a.String())[:a.keySize()])
		if err != nil {
			return nil, err
		}
		r.wraps[a] = k
	}
	return r, nil
}

// print names the root key without showing it.
func (r *root) print() string { return hex.EncodeToString(r.id[:]) }

// The seed of derived keys lies under the root key, as bytes of the sealed form.
const (
	seedSize = 32
	seedAAD  = "xinglin/seed/v1"
)

func (r *root) sealSeed(seed []byte) []byte { return r.wraps[AES256GCM].seal(seedAAD, seed) }

func (r *root) openSeed(sealed []byte) ([]byte, error) {
	h, err := parse(sealed)
	if err != nil {
		return nil, ErrUnreadable.Because("seed: %w", err)
	}
	seed, err := r.wraps[AES256GCM].open(seedAAD, h)
	if err != nil || len(seed) != seedSize {
		return nil, ErrUnreadable.Because("the seed does not open under the root key")
	}
	return seed, nil
}

// maxRoots is how many keys a reference may hold: while the root key rotates, the present one and the next.
const maxRoots = 2

// candidate is a root key as a reference names it. One of a wrapped file stays wrapped until it is known to be the one that the store
// lies under: another installation's file never reaches its source.
type candidate struct {
	print   string
	root    *root       // nil while it is wrapped
	wrapped *wrappedKey // nil but in a wrapped file
	file    *wrappedFile
}

func (c *candidate) open(ctx context.Context) (*root, error) {
	if c.root != nil {
		return c.root, nil
	}
	r, err := c.file.open(ctx, c.wrapped)
	if err == nil {
		c.root = r
	}
	return r, err
}

const wantReference = "keys reference: want file:PATH, env:NAME or wrapped:PATH"

// loadRoots reads the reference of the root key: file:PATH or env:NAME, 64 hex digits; while it rotates two of them, each on a line of
// its own or with a space between; or wrapped:PATH (wrapped.go). With create a missing file: is made, readable by its owner only.
func loadRoots(ref string, create bool) ([]*candidate, error) {
	kind, name, _ := strings.Cut(ref, ":")
	if name == "" {
		return nil, ErrKeysMissing.Because(wantReference)
	}
	var text string
	var err error
	switch kind {
	case "file":
		text, err = readRootFile(name, create)
	case "env":
		if text = os.Getenv(name); text == "" {
			err = ErrKeysMissing.Because("environment variable %s is empty", name)
		}
	case "wrapped":
		f, err := readWrapped(name)
		if err != nil {
			return nil, err
		}
		return f.candidates(), nil
	default:
		err = ErrKeysMissing.Because(wantReference)
	}
	if err != nil {
		return nil, err
	}
	return parseRoots(text)
}

func parseRoots(text string) (out []*candidate, err error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > maxRoots {
		return nil, ErrKeysUnreadable.Because("want %d hex digits", 2*rootSize)
	}
	for _, w := range words {
		raw, err := hex.DecodeString(w)
		if err != nil || len(raw) != rootSize {
			return nil, ErrKeysUnreadable.Because("want %d hex digits", 2*rootSize) // the text itself stays out of the log
		}
		r, err := newRoot(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, &candidate{print: r.print(), root: r})
	}
	return out, nil
}

// choose gives the root key with this fingerprint; nil when it is none of them.
func choose(roots []*candidate, print string) *candidate {
	for _, r := range roots {
		if r.print == print {
			return r
		}
	}
	return nil
}

const maxRootFile = 1 << 10

func readRootFile(path string, create bool) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return "", ErrKeysMissing.Wrap(err)
		}
		if err := makeRootFile(path); err != nil {
			return "", ErrKeysMissing.Wrap(err)
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return "", ErrKeysMissing.Wrap(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxRootFile {
		return "", ErrKeysUnreadable.Because("%s is no key file", path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", ErrKeysUnreadable.Because("%s is open to everyone on this machine (mode %04o): chmod 600", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", ErrKeysUnreadable.Wrap(err)
	}
	return string(b), nil
}

// makeRootFile writes a new root key under path, whole or not at all. A file that
// another process made at the same moment stays.
func makeRootFile(path string) error {
	return writeRootFile(path, hex.EncodeToString(random(rootSize))+"\n", func(made string) error {
		if err := os.Link(made, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

// writeRootFile brings the text to disk beside path and then, by put, to its name.
func writeRootFile(path, text string, put func(made string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".keys-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := put(f.Name()); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
