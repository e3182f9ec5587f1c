// Package keysource has keys wrapped and unwrapped outside of the program: by a cloud's key management service (kms.go, acs3.go) or by a
// cryptographic module behind PKCS#11 or SDF (GM/T 0018), which the program xinglin-hsm loads in its place (hsm.go).
//
// What is asked of a source is small: 32 bytes in, some bytes out, and back. It is asked once at a start and at a rotation of the root
// key, so a source that is down stops no running hospital.
//
// A source is described by a JSON file (docs/guide/keys.md); secrets in it are references, file:PATH or env:NAME.
package keysource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
)

// What may go wrong with a source.
var (
	ErrFile = fault.Register(fault.Invalid, "keysource.file",
		"密钥来源文件不正确", "The file that describes the key source is not correct")
	ErrMissing = fault.Register(fault.Unavailable, "keysource.missing",
		"密钥来源中找不到所需的模块或密钥", "The key source lacks what its file names: program, module, token or key")
	ErrPIN = fault.Register(fault.Unavailable, "keysource.pin_refused",
		"密码模块拒绝了口令，系统不会重试", "The module refused the PIN; it is not tried again, since PINs lock")
	ErrRefused = fault.Register(fault.Unavailable, "keysource.refused",
		"密钥来源拒绝了请求", "The key source refused: see its code")
	ErrUnavailable = fault.Register(fault.Unavailable, "keysource.unavailable",
		"密钥来源暂时不可用", "The key source does not answer or is throttled; it was asked several times")
)

// KeySize is what a source wraps, in bytes.
const KeySize = 32

const maxFile = 16 << 10

// Name says which key of which kind of source wraps.
type Name struct {
	Kind string `json:"kind"` // kms, pkcs11, sdf
	Key  string `json:"key"`  // key id, token/label, index
}

// About binds a wrapped key to its purpose. Where the source takes associated data it gets this too, and its log shows it.
type About struct {
	Installation string
	Fingerprint  string // of the root key
}

func (a About) bytes() []byte {
	return []byte(strings.Join([]string{"xinglin/key-source/v1", a.Installation, a.Fingerprint}, "\x00"))
}

// Source wraps keys. It is asked one thing at a time.
type Source interface {
	Name() Name
	Wrap(ctx context.Context, key []byte, about About) ([]byte, error)
	Unwrap(ctx context.Context, wrapped []byte, about About) ([]byte, error)
}

// Open reads the file of a source; nothing is asked yet.
func Open(path string) (Source, error) {
	b, err := Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	var f struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, ErrFile.Because("%s: %w", path, err)
	}
	dir := filepath.Dir(path)
	switch f.Kind {
	case "kms":
		return openKMS(b, dir)
	case "pkcs11", "sdf":
		return openHSM(b, dir)
	}
	return nil, ErrFile.Because("%s: kind %q: want kms, pkcs11 or sdf", path, f.Kind)
}

// Read gives a small regular file that nobody else on the machine may write.
func Read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing.Wrap(err)
	}
	if err != nil {
		return nil, ErrFile.Wrap(err)
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, ErrFile.Because("%s: want a regular file of at most %d bytes", path, limit)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, ErrFile.Because("%s may be written by everyone on this machine (mode %04o): chmod 600", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, ErrFile.Wrap(err)
	}
	return b, nil
}

// decode is strict: a misspelt field would be a setting that does not hold.
func decode(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return ErrFile.Wrap(err)
	}
	return nil
}

// beside resolves a path of the file from the file's own folder.
func beside(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// reveal reads a secret's reference; a relative file: stands beside the source's file.
func reveal(dir, ref string) (string, error) {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		ref = "file:" + beside(dir, path)
	}
	b, err := config.Secret(ref)
	if err != nil {
		return "", ErrMissing.Wrap(err)
	}
	text := strings.TrimSpace(string(b)) // a file ends with a line break
	if text == "" {
		return "", ErrMissing.Because("secret %s is empty", ref)
	}
	return text, nil
}
