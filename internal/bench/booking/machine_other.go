//go:build !linux

package booking

import (
	"errors"
	"os"
	"syscall"
)

func fdatasync(f *os.File) error { return f.Sync() }

func withParent(syscall.Signal, *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{}
}

var errNoPin = errors.New("binding processes to cores needs Linux")

func pin(int, int) error { return errNoPin }

func unpin(int) error { return nil }
