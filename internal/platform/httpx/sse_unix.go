//go:build unix

package httpx

import "syscall"

const canTry = true

// tryWrite writes what the socket takes now.
func tryWrite(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), b)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, nil
		}
		return n, err
	}
}

// closedByPeer looks for the end of what the peer sends.
func closedByPeer(fd uintptr) bool {
	var b [256]byte
	n, err := syscall.Read(int(fd), b[:])
	return n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
}
