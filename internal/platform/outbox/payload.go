package outbox

import "xinglin/internal/platform/packed"

// Unpack gives the JSON of a payload as a row and a message carry it. Never more than MaxBytes come out of a frame.
func Unpack(payload []byte) ([]byte, error) { return packed.Unpack(payload, MaxBytes) }

func pack(text []byte) []byte { return packed.Pack(text) }
