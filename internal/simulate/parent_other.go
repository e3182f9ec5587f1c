//go:build !linux

package simulate

import "syscall"

func dieWithParent(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
