package booking

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"
)

// fdatasync makes a file's data durable.
func fdatasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

// withParent ends a child by the signal when this process ends, however that happens.
func withParent(sig syscall.Signal, cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: sig, Credential: cred, Setpgid: true}
}

// pin binds every thread of a process to one core; threads and processes that these
// make later inherit it.
func pin(pid, core int) error {
	mask := [16]uint64{}
	mask[core/64] = 1 << (core % 64)
	return setMask(pid, mask)
}

// unpin lets a process run everywhere again.
func unpin(pid int) error {
	mask := [16]uint64{}
	for i := range mask {
		mask[i] = ^uint64(0)
	}
	return setMask(pid, mask)
}

func setMask(pid int, mask [16]uint64) error {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	for _, name := range tasks {
		tid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
		if e != 0 && !errors.Is(e, syscall.ESRCH) {
			return fmt.Errorf("pin process %d: %w", pid, e)
		}
	}
	return nil
}
