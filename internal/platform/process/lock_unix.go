//go:build unix

package process

import (
	"os"
	"path/filepath"
	"syscall"
)

// LockDir takes DIR for this process until release; process.dir_taken when another has
// it. The kernel lets go of the lock when a process dies, also by kill -9.
func LockDir(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, ErrDirTaken.Wrap(err)
	}
	return func() { _ = f.Close() }, nil
}
