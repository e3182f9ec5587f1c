package mask

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"xinglin/internal/kernel/dataclass"
)

// Known are raw values of a source as 64 bits of a keyed hash each: a scan looks for them in a copy, and the list itself tells
// nothing without the key. It takes 8 bytes of memory a value.
type Known struct {
	key    []byte
	list   []uint64
	sorted bool
	full   int // repeats are thrown out when the list is so long
}

// NewKnown is an empty list under a key for masking.
func NewKnown(key []byte) *Known {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("xinglin/known/v1"))
	return &Known{key: h.Sum(nil)}
}

// Shorter values are in every text: they prove nothing.
const (
	minWord   = 6 // of letters and digits
	minDigits = 8 // of digits alone
)

// Add puts a value on the list: what is too short to be told from other words is left out. Phones are also known without
// their separators.
func (k *Known) Add(class dataclass.Class, v string) { k.add(class, v) }

func (k *Known) add(class dataclass.Class, v string) {
	if k == nil { // a rule's own test
		return
	}
	v = normal(v)
	n := len([]rune(v))
	switch {
	case class.Plain() == dataclass.Name:
		if n < 2 || n > maxNameLetters {
			return
		}
	case n < minWord, n < minDigits && strings.Trim(v, "0123456789") == "", n > maxWord:
		return
	}
	k.list, k.sorted = append(k.list, k.digest(v)), false
	if len(k.list) > k.full {
		k.sort()
		k.full = 2*len(k.list) + 1<<16
	}
}

// normal is a value as it is compared: small letters, without white space and the dots of names.
func normal(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '·' || r == '．' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

func (k *Known) digest(normal string) uint64 {
	h := hmac.New(sha256.New, k.key)
	h.Write([]byte(normal))
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func (k *Known) sort() {
	if !k.sorted {
		slices.Sort(k.list)
		k.list, k.sorted = slices.Compact(k.list), true
	}
}

// Len is how many values are on the list.
func (k *Known) Len() int { k.sort(); return len(k.list) }

// has tells whether a value is on the list; nil has none.
func (k *Known) has(v string) bool {
	if k == nil || len(k.list) == 0 {
		return false
	}
	k.sort()
	_, ok := slices.BinarySearch(k.list, k.digest(normal(v)))
	return ok
}

const knownHead = "xinglin-known v1 "

// print names the list's key.
func (k *Known) print() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, k.digest("key")))
}

// WriteTo writes the list: a line that names the key, then a line of 16 hexadecimal digits a value, in order.
func (k *Known) WriteTo(w io.Writer) (n int64, err error) {
	k.sort()
	b := bufio.NewWriter(w)
	write := func(s string) {
		if err == nil {
			var m int
			m, err = b.WriteString(s)
			n += int64(m)
		}
	}
	write(knownHead + k.print() + "\n")
	for _, d := range k.list {
		write(fmt.Sprintf("%016x\n", d))
	}
	if err == nil {
		err = b.Flush()
	}
	return n, err
}

// maxKnown bounds a list that is read: 512 MiB of memory.
const maxKnown = 64 << 20

// ReadKnown reads a list: mask.known when it is damaged or of another key.
func ReadKnown(r io.Reader, key []byte) (*Known, error) {
	k := NewKnown(key)
	lines := bufio.NewScanner(r)
	if !lines.Scan() || lines.Text() != knownHead+k.print() {
		return nil, ErrKnown.New()
	}
	var was []byte
	for lines.Scan() {
		d, err := hex.DecodeString(lines.Text())
		if err != nil || len(d) != 8 || bytes.Compare(was, d) >= 0 && was != nil || len(k.list) >= maxKnown {
			return nil, ErrKnown.New()
		}
		k.list, was = append(k.list, binary.BigEndian.Uint64(d)), d
	}
	k.sorted = true
	if err := lines.Err(); err != nil {
		return nil, ErrKnown.Wrap(err)
	}
	return k, nil
}
