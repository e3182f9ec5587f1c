package crypt

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"xinglin/internal/platform/keysource"
)

// A wrapped file holds the root key for an installation whose keys come from a KMS or a module:
//
//	source        path of the source's file, from this file's folder
//	installation  a name, which the source gets as associated data too
//	keys          one, while it rotates two: fingerprint, by (kind and key of the source), algorithm,
//	              wrapped: a data key of 32 bytes as the source gave it,
//	              sealed: the root key under the data key, in the sealed form of format.go
//
// The associated data of sealed names installation, fingerprint and source. So it does not matter what a source can bind: a field that was
// changed, a data key of another file and a replayed answer open nothing.

const (
	wrappedVersion = 1
	maxWrappedFile = 64 << 10
)

type wrappedFile struct {
	Version      int           `json:"version"`
	Source       string        `json:"source"`
	Installation string        `json:"installation"`
	Keys         []*wrappedKey `json:"keys"`

	dir string
}

type wrappedKey struct {
	Fingerprint string         `json:"fingerprint"`
	By          keysource.Name `json:"by"`
	Algorithm   string         `json:"algorithm"`
	Wrapped     []byte         `json:"wrapped"`
	Sealed      []byte         `json:"sealed"`
}

func readWrapped(path string) (*wrappedFile, error) {
	b, err := keysource.Read(path, maxWrappedFile)
	if errors.Is(err, keysource.ErrMissing) {
		return nil, ErrKeysMissing.Because("%s: make it with xinglin keys wrap", path)
	}
	if err != nil {
		return nil, ErrKeysUnreadable.Wrap(err)
	}
	f := &wrappedFile{dir: filepath.Dir(path)}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, ErrKeysUnreadable.Because("%s is cut or no wrapped key: %w", path, err)
	}
	if f.Version != wrappedVersion || f.Source == "" || len(f.Keys) == 0 || len(f.Keys) > maxRoots {
		return nil, ErrKeysUnreadable.Because("%s: want version %d, a source and one or two keys", path, wrappedVersion)
	}
	for _, k := range f.Keys {
		if k == nil || len(k.Wrapped) == 0 || len(k.Sealed) == 0 {
			return nil, ErrKeysUnreadable.Because("%s: a key without its bytes", path)
		}
	}
	return f, nil
}

func (f *wrappedFile) candidates() (out []*candidate) {
	for _, k := range f.Keys {
		out = append(out, &candidate{print: k.Fingerprint, wrapped: k, file: f})
	}
	return out
}

func (f *wrappedFile) from() (keysource.Source, error) {
	path := f.Source
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.dir, path)
	}
	return keysource.Open(path)
}

func (f *wrappedFile) about(print string) keysource.About {
	return keysource.About{Installation: f.Installation, Fingerprint: print}
}

func (f *wrappedFile) aad(k *wrappedKey) string {
	return strings.Join([]string{"xinglin/wrapped-root/v1", f.Installation, k.Fingerprint, k.By.Kind, k.By.Key}, "\x00")
}

// sealer is the data key as a key of the sealed form; its id is derived.
func sealer(algorithm string, data []byte) (*key, error) {
	alg, err := ParseAlgorithm(algorithm)
	if err != nil {
		return nil, err
	}
	var kid keyID
	copy(kid[:], mac(alg, data, "xinglin/wrapped-root-id/v1"))
	return makeKey(kid, alg, 1, mac(alg, data, "xinglin/wrapped-root-key/v1")[:alg.keySize()])
}

// open asks the source, once.
func (f *wrappedFile) open(ctx context.Context, k *wrappedKey) (*root, error) {
	s, err := f.from()
	if err != nil {
		return nil, err
	}
	if s.Name() != k.By {
		return nil, ErrKeysUnreadable.Because("wrapped by %s %s, the source's file names %s %s", k.By.Kind, k.By.Key, s.Name().Kind, s.Name().Key)
	}
	data, err := s.Unwrap(ctx, k.Wrapped, f.about(k.Fingerprint))
	if err != nil {
		return nil, err
	}
	return f.unseal(k, data)
}

func (f *wrappedFile) unseal(k *wrappedKey, data []byte) (*root, error) {
	by, err := sealer(k.Algorithm, data)
	if err != nil {
		return nil, ErrKeysUnreadable.Wrap(err)
	}
	h, err := parse(k.Sealed)
	if err != nil {
		return nil, ErrKeysUnreadable.Wrap(err)
	}
	raw, err := by.open(f.aad(k), h)
	if err != nil || len(raw) != rootSize {
		return nil, ErrKeysUnreadable.Because("the root key does not open with what the source gave: the file was changed, or the source answered for another one")
	}
	r, err := newRoot(raw)
	if err != nil {
		return nil, err
	}
	if r.print() != k.Fingerprint {
		return nil, ErrKeysUnreadable.Because("the root key is %s, the file says %s", r.print(), k.Fingerprint)
	}
	return r, nil
}

// wrap has the source wrap a data key, and asks for it back before anybody relies on it.
func (f *wrappedFile) wrap(ctx context.Context, s keysource.Source, r *root) (*wrappedKey, error) {
	k := &wrappedKey{Fingerprint: r.print(), By: s.Name(), Algorithm: AES256GCM.String()}
	if k.By.Kind == "sdf" {
		k.Algorithm = SM4GCM.String() // national algorithms all the way
	}
	data := random(keysource.KeySize)
	by, err := sealer(k.Algorithm, data)
	if err != nil {
		return nil, err
	}
	if k.Wrapped, err = s.Wrap(ctx, data, f.about(k.Fingerprint)); err != nil {
		return nil, err
	}
	k.Sealed = by.seal(f.aad(k), r.raw)
	back, err := s.Unwrap(ctx, k.Wrapped, f.about(k.Fingerprint))
	if err != nil {
		return nil, err
	}
	if _, err := f.unseal(k, back); err != nil {
		return nil, err
	}
	return k, nil
}

// putWrapped replaces the file's keys; those that are not wrapped yet are by the file's source.
func putWrapped(ctx context.Context, path string, roots []*candidate) ([]*candidate, error) {
	f, err := readWrapped(path)
	if err != nil {
		return nil, err
	}
	var s keysource.Source
	f.Keys = nil
	for _, c := range roots {
		k := c.wrapped
		if k == nil {
			if s == nil {
				if s, err = f.from(); err != nil {
					return nil, err
				}
			}
			if k, err = f.wrap(ctx, s, c.root); err != nil {
				return nil, err
			}
		}
		f.Keys = append(f.Keys, k)
	}
	if err := f.write(path, func(made string) error { return os.Rename(made, path) }); err != nil {
		return nil, err
	}
	out := f.candidates()
	for i, c := range roots {
		out[i].root = c.root
	}
	return out, nil
}

func (f *wrappedFile) write(path string, put func(made string) error) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := writeRootFile(path, string(b)+"\n", put); err != nil {
		return ErrKeysUnreadable.Wrap(err)
	}
	return nil
}

// Wrapping says how a wrapped file is made.
type Wrapping struct {
	Source       string // the source's file
	Out          string // must not be there yet
	From         string // reference of a root key that there is; empty: a new one
	Installation string // a name; empty: a random one
}

// WrapRoot makes a wrapped file and gives the root key's fingerprint.
func WrapRoot(ctx context.Context, w Wrapping) (print string, err error) {
	if _, err := os.Lstat(w.Out); !errors.Is(err, fs.ErrNotExist) {
		return "", ErrKeysUnreadable.Because("%s is there already and stays", w.Out)
	}
	r, err := newRoot(random(rootSize))
	if err != nil {
		return "", err
	}
	if w.From != "" {
		if r, err = sole(ctx, w.From); err != nil {
			return "", err
		}
	}
	f := &wrappedFile{Version: wrappedVersion, Installation: w.Installation, dir: filepath.Dir(w.Out)}
	if f.Installation == "" {
		f.Installation = hex.EncodeToString(random(8))
	}
	if f.Source, err = fromFolder(f.dir, w.Source); err != nil {
		return "", ErrKeysUnreadable.Wrap(err)
	}
	s, err := f.from()
	if err != nil {
		return "", err
	}
	k, err := f.wrap(ctx, s, r)
	if err != nil {
		return "", err
	}
	f.Keys = []*wrappedKey{k}
	err = f.write(w.Out, func(made string) error { return os.Link(made, w.Out) })
	return r.print(), err
}

// CheckRoot opens the root key of a reference and gives its fingerprint; out, when named, gets it in the clear: the way back from a source.
func CheckRoot(ctx context.Context, ref, out string) (print string, err error) {
	r, err := sole(ctx, ref)
	if err != nil || out == "" {
		if r != nil {
			print = r.print()
		}
		return print, err
	}
	err = writeRootFile(out, hex.EncodeToString(r.raw)+"\n", func(made string) error { return os.Link(made, out) })
	if err != nil {
		return "", ErrKeysUnreadable.Wrap(err)
	}
	return r.print(), nil
}

// sole is the one root key of a reference.
func sole(ctx context.Context, ref string) (*root, error) {
	roots, err := loadRoots(ref, false)
	if err != nil {
		return nil, err
	}
	if len(roots) != 1 {
		return nil, ErrRotating.Because("the reference has two root keys: finish the rotation first")
	}
	return roots[0].open(ctx)
}

// fromFolder names a path from a folder when it lies in it, so that both may move together.
func fromFolder(dir, path string) (string, error) {
	d, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	p, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(d, p); err == nil && filepath.IsLocal(rel) {
		return rel, nil
	}
	return p, nil
}
