// Package id has the typed identifiers of the product: UUIDv7 values whose type
// parameter names the noun, so that an ID[Slot] cannot be passed for an ID[Patient].
// On the wire an id is a plain lower-case UUID; in SQLite it is BLOB(16), in
// PostgreSQL uuid.
package id

import (
	"crypto/rand"
	"database/sql/driver"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrMalformed is returned by Parse and Scan for text or bytes that are no UUID.
var ErrMalformed = errors.New("malformed id")

// ID identifies one T. The zero value means "none" and is stored as NULL only
// through Null; stores pass it as sixteen zero bytes otherwise.
type ID[T any] [16]byte

// Any is the noun of ids whose kind is not known at compile time (audit, jobs).
type Any struct{}

var (
	mu     sync.Mutex
	last   uint64 // the last 60-bit time+sequence that New handed out
	maxSeq = uint64(1)<<12 - 1
)

// New makes a UUIDv7 for the instant now. Ids of one process strictly ascend even
// within a millisecond (RFC 9562 method 1: the 12 bits behind the time count).
func New[T any](now time.Time) ID[T] {
	var v ID[T]
	if _, err := rand.Read(v[8:]); err != nil {
		panic(fmt.Sprintf("id: no randomness: %v", err)) // crypto/rand never fails on supported systems
	}
	mu.Lock()
	t := uint64(now.UnixMilli()) << 12
	if t <= last {
		t = last + 1
	}
	last = t
	mu.Unlock()
	put(&v, t)
	return v
}

func put[T any](v *ID[T], t uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], t>>12<<16)
	copy(v[:6], b[:6])
	binary.BigEndian.PutUint16(v[6:8], 0x7000|uint16(t&maxSeq))
	v[8] = v[8]&0x3f | 0x80
}

// Random makes a UUIDv4: for links and tokens, where the time must not show.
func Random[T any]() ID[T] {
	var v ID[T]
	if _, err := rand.Read(v[:]); err != nil {
		panic(fmt.Sprintf("id: no randomness: %v", err))
	}
	v[6] = v[6]&0x0f | 0x40
	v[8] = v[8]&0x3f | 0x80
	return v
}

// Parse reads the canonical 36-character form.
func Parse[T any](s string) (ID[T], error) {
	var v ID[T]
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return v, ErrMalformed
	}
	h := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(v[:], []byte(h)); err != nil {
		return ID[T]{}, ErrMalformed
	}
	return v, nil
}

// Must is Parse for constants and tests; it panics on malformed text.
func Must[T any](s string) ID[T] {
	v, err := Parse[T](s)
	if err != nil {
		panic(err)
	}
	return v
}

// As changes the noun. It is for adapters between two contexts' nouns of the same
// thing (the payment of an appointment carries the appointment's id).
func As[To, From any](v ID[From]) ID[To] { return ID[To](v) }

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// Tail is the last 40 bits in eight letters and figures that people can read out
// (Crockford's base 32): business numbers end with it.
func (v ID[T]) Tail() string { return crockford.EncodeToString(v[11:]) }

// String is the canonical form.
func (v ID[T]) String() string {
	var b [36]byte
	v.write(b[:])
	return string(b[:])
}

func (v ID[T]) write(b []byte) {
	hex.Encode(b[0:8], v[0:4])
	hex.Encode(b[9:13], v[4:6])
	hex.Encode(b[14:18], v[6:8])
	hex.Encode(b[19:23], v[8:10])
	hex.Encode(b[24:36], v[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
}

// IsZero reports whether the id is unset.
func (v ID[T]) IsZero() bool { return v == ID[T]{} }

// Time is the instant inside a UUIDv7, and the zero time for other versions.
func (v ID[T]) Time() time.Time {
	if v[6]>>4 != 7 {
		return time.Time{}
	}
	var b [8]byte
	copy(b[2:], v[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:]))).UTC()
}

// MarshalText and UnmarshalText make the id a plain UUID in JSON; the zero id is "".
func (v ID[T]) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return []byte{}, nil
	}
	b := make([]byte, 36) // not by way of a string: batches of events hold thousands of ids
	v.write(b)
	return b, nil
}

// UnmarshalText reads what MarshalText wrote.
func (v *ID[T]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = ID[T]{}
		return nil
	}
	p, err := Parse[T](string(b))
	if err != nil {
		return err
	}
	*v = p
	return nil
}

// Value stores the sixteen bytes (pgx turns them into uuid).
func (v ID[T]) Value() (driver.Value, error) { return v[:], nil }

// Scan reads sixteen bytes, the canonical text, or NULL as the zero id.
func (v *ID[T]) Scan(src any) error {
	switch s := src.(type) {
	case nil:
		*v = ID[T]{}
		return nil
	case []byte:
		if len(s) == 16 {
			copy(v[:], s)
			return nil
		}
		return v.UnmarshalText(s)
	case string:
		return v.UnmarshalText([]byte(s))
	case [16]byte:
		*v = s
		return nil
	}
	return fmt.Errorf("%w: cannot scan %T", ErrMalformed, src)
}

// Bytes are ids as a plain array, for set-based statements.
func Bytes[T any](ids []ID[T]) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, v := range ids {
		out[i] = v
	}
	return out
}

// Null is the id as a nullable column: NULL for the zero id.
func Null[T any](v ID[T]) any {
	if v.IsZero() {
		return nil
	}
	return v
}
