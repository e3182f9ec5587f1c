package packed_test

import (
	"bytes"
	"errors"
	"testing"

	"xinglin/internal/platform/packed"
)

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 10, 1024, 1025, 100_000} {
		text := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
		b := packed.Pack(text)
		if n > 1024 && len(b) >= n/4 {
			t.Errorf("%d bytes stay %d", n, len(b))
		}
		got, err := packed.Unpack(b, n)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d: %v", n, err)
		}
		if _, err := packed.Unpack(b, n-1); n > 1024 && !errors.Is(err, packed.ErrPayload) {
			t.Errorf("%d: beyond the limit: %v", n, err)
		}
	}
	b := packed.Pack(bytes.Repeat([]byte("x"), 5000))
	if _, err := packed.Unpack(b[:len(b)-1], 5000); !errors.Is(err, packed.ErrPayload) {
		t.Errorf("half a frame: %v", err)
	}
}
