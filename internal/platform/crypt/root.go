package crypt

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const rootSize = 32

// root is the key above all others. It lives outside the database and is never used
// itself: it derives one wrapping key an algorithm.
type root struct {
	derive []byte // for keys of the platform that are no data keys
	id     keyID
	wraps  map[Algorithm]*key
}

func newRoot(raw []byte) (*root, error) {
	r := &root{wraps: map[Algorithm]*key{}}
	copy(r.id[:], mac(AES256GCM, raw, "xinglin/root-id/v1"))
	r.derive = mac(AES256GCM, raw, "xinglin/derive/v1")
	for _, a := range []Algorithm{AES256GCM, SM4GCM} {
		k, err := makeKey(r.id, a, 1, mac(a, raw, "xinglin/root-wrap/v1", a.String())[:a.keySize()])
		if err != nil {
			return nil, err
		}
		r.wraps[a] = k
	}
	return r, nil
}

// loadRoot reads the root key from its reference: file:PATH or env:NAME, 64 hex
// digits. With create a missing file is made, readable by its owner only.
func loadRoot(ref string, create bool) (*root, error) {
	kind, name, _ := strings.Cut(ref, ":")
	if name == "" {
		return nil, ErrKeysMissing.Because("keys reference: want file:PATH or env:NAME")
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
	default:
		err = ErrKeysMissing.Because("keys reference: want file:PATH or env:NAME")
	}
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != rootSize {
		return nil, ErrKeysUnreadable.Because("want %d hex digits", 2*rootSize) // the text itself stays out of the log
	}
	return newRoot(raw)
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
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".keys-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, hex.EncodeToString(random(rootSize)))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
