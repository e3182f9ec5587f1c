//go:build unix

package live

import (
	"fmt"
	"syscall"
)

// filesFor raises this process's soft limit of open files to the hard one and fails when
// that is too low.
func filesFor(n int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if uint64(l.Cur) < uint64(n) {
		return fmt.Errorf("this many viewers need %d open files in each process, the hard limit is %d (ulimit -Hn); lower --viewers or raise the limit", n, l.Cur)
	}
	return nil
}
