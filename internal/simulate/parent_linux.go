package simulate

import "syscall"

// dieWithParent lets no process outlive a simulator that was killed.
func dieWithParent(sig syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: sig}
}
