//go:build !unix

package process

import (
	"os"
	"path/filepath"
)

// LockDir takes DIR for this process: the file cannot be made twice while it is open.
func LockDir(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "lock")
	_ = os.Remove(name) // fails while another process has it open
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, ErrDirTaken.Wrap(err)
	}
	return func() { _ = f.Close(); _ = os.Remove(name) }, nil
}
