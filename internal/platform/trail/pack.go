package trail

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// The acts of a batch repeat each other's words: packed they take about a quarter.
var (
	packer, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(false))
	unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxPacked))
)

// maxPacked bounds what a row may unpack to.
const maxPacked = 8 << 20

func pack(b []byte) []byte { return packer.EncodeAll(b, make([]byte, 0, len(b)/3)) }

func unpack(b []byte) ([]byte, error) {
	out, err := unpacker.DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("trail: acts cannot be unpacked: %w", err)
	}
	return out, nil
}
