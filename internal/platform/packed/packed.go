// Package packed shortens the JSON of a batch on its way through a row or a message: the
// items repeat each other's words, so a zstd frame takes about a quarter. Short text
// stays as it is, and both forms are read.
package packed

import (
	"bytes"
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	above   = 1 << 10 // bytes from which packing is worth it
	largest = 8 << 20 // bytes that any frame may hold
)

// magic begins every zstd frame, and no JSON.
var magic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// ErrPayload says that bytes are neither JSON nor a whole frame within the limit.
var ErrPayload = errors.New("packed: the bytes cannot be unpacked")

// Coders work on whole payloads and are safe for concurrent use. Options of the library
// that it knows cannot fail.
var (
	packer = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err)
		}
		return e
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(largest), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// Pack gives a zstd frame of JSON where that is shorter.
func Pack(text []byte) []byte {
	if len(text) <= above {
		return text
	}
	if frame := packer().EncodeAll(text, make([]byte, 0, len(text)/2)); len(frame) < len(text) {
		return frame
	}
	return text
}

// Unpack gives the JSON; never more than limit bytes come out of a frame.
func Unpack(b []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(b, magic) {
		return b, nil
	}
	var h zstd.Header
	if h.Decode(b) != nil || h.HasFCS && h.FrameContentSize > uint64(limit) {
		return nil, ErrPayload
	}
	text, err := unpacker().DecodeAll(b, nil)
	if err != nil || len(text) > limit {
		return nil, ErrPayload // the library's words may quote the payload
	}
	return text, nil
}
