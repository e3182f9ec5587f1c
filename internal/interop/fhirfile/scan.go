package fhirfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"xinglin/internal/interop"
)

// scanner walks over a JSON text of any length. It keeps the bytes of what it walks over
// up to a limit, so that one resource at a time is in memory and never more.
type scanner struct {
	br    *bufio.Reader
	depth int // limit

	kept  []byte
	limit int
	over  bool // more than the limit went by since keep
	stack []byte
}

// keep forgets the kept bytes and begins anew.
func (s *scanner) keep() { s.kept, s.over = s.kept[:0], false }

// next takes one byte.
func (s *scanner) next() (byte, error) {
	c, err := s.br.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, interop.ErrTruncated.New()
	}
	if err != nil {
		return 0, err
	}
	if len(s.kept) < s.limit {
		s.kept = append(s.kept, c)
	} else {
		s.over = true
	}
	return c, nil
}

// peek looks at the next byte that is no space, and drops the spaces; io.EOF at the end.
func (s *scanner) peek() (byte, error) {
	for {
		c, err := s.br.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return c, s.br.UnreadByte()
	}
}

// want is peek within a value, where the end is too early.
func (s *scanner) want() (byte, error) {
	c, err := s.peek()
	if errors.Is(err, io.EOF) {
		err = interop.ErrTruncated.New()
	}
	return c, err
}

// take wants this byte next.
func (s *scanner) take(want byte) error {
	c, err := s.want()
	if err != nil {
		return err
	}
	if c != want {
		return interop.ErrJSON.New()
	}
	_, err = s.next()
	return err
}

// text takes a string and gives its bytes between the quotes, escapes as they are.
func (s *scanner) text() ([]byte, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	from := len(s.kept)
	if err := s.rest(); err != nil {
		return nil, err
	}
	if s.over || from > len(s.kept)-1 {
		return nil, nil
	}
	return s.kept[from : len(s.kept)-1], nil
}

// rest takes a string to its closing quote. Most of it goes by in slices of the buffer.
func (s *scanner) rest() error {
	for {
		have, _ := s.br.Peek(max(s.br.Buffered(), 1))
		if n := bytes.IndexAny(have, "\"\\"); n > 0 {
			s.add(have[:n])
			_, _ = s.br.Discard(n)
		} else if n < 0 && len(have) > 0 {
			s.add(have)
			_, _ = s.br.Discard(len(have))
			continue
		}
		c, err := s.next()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			return nil
		case '\\':
			if _, err := s.next(); err != nil {
				return err
			}
		}
	}
}

func (s *scanner) add(b []byte) {
	if n := s.limit - len(s.kept); len(b) > n {
		b, s.over = b[:max(n, 0)], true
	}
	s.kept = append(s.kept, b...)
}

// value takes a whole value. Brackets and strings are minded, the rest of the grammar is
// judged where the bytes are used.
func (s *scanner) value() error {
	c, err := s.want()
	if err != nil {
		return err
	}
	switch c {
	case '{', '[':
		return s.nested()
	case '"':
		_, err := s.text()
		return err
	}
	return s.literal()
}

// nested takes an object or array. The closing brackets that are due are the stack.
func (s *scanner) nested() error {
	s.stack = s.stack[:0]
	for {
		c, err := s.next()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			if err := s.rest(); err != nil {
				return err
			}
		case '{', '[':
			if len(s.stack) == s.depth {
				return interop.ErrDeep.New()
			}
			s.stack = append(s.stack, c+2) // } and ] stand two behind
		case '}', ']':
			if top := len(s.stack) - 1; s.stack[top] != c {
				return interop.ErrJSON.New()
			} else if s.stack = s.stack[:top]; top == 0 {
				return nil
			}
		}
	}
}

// literal takes a number, true, false or null.
func (s *scanner) literal() error {
	for n := 0; ; n++ {
		c, err := s.br.ReadByte()
		if errors.Is(err, io.EOF) && n > 0 {
			return nil
		}
		if err != nil {
			return interop.ErrTruncated.New()
		}
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
		case n == 0:
			return interop.ErrJSON.New()
		default:
			return s.br.UnreadByte()
		}
		s.add([]byte{c})
	}
}
