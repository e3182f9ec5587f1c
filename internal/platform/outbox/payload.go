package outbox

import (
	"bytes"
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// packAbove is the size of JSON from which it is worth to pack a payload.
const packAbove = 1 << 10

// magic begins every zstd frame, and no JSON.
var magic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// ErrPayload says that a payload is neither JSON nor a whole frame of at most MaxBytes.
var ErrPayload = errors.New("outbox: the payload cannot be unpacked")

// Coders work on whole payloads and are safe for concurrent use. Options of the library that it knows cannot fail.
var (
	packer = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err)
		}
		return e
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxBytes), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// pack makes a payload of JSON: a zstd frame where that is shorter.
func pack(text []byte) []byte {
	if len(text) <= packAbove {
		return text
	}
	if frame := packer().EncodeAll(text, make([]byte, 0, len(text)/2)); len(frame) < len(text) {
		return frame
	}
	return text
}

// Unpack gives the JSON of a payload as a row and a message carry it. Never more than MaxBytes come out of a frame.
func Unpack(payload []byte) ([]byte, error) {
	if !bytes.HasPrefix(payload, magic) {
		return payload, nil
	}
	text, err := unpacker().DecodeAll(payload, nil)
	if err != nil || len(text) > MaxBytes {
		return nil, ErrPayload // the library's words may quote the payload
	}
	return text, nil
}
