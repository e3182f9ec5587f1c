//go:build !unix

package httpx

const canTry = false

func tryWrite(uintptr, []byte) (int, error) { return 0, nil }

func closedByPeer(uintptr) bool { return false }
