package booking

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// The generator's HTTP/1.1 is as small as may be, because it shares the machine with
// what it measures: requests are bytes made before the clock starts, of an answer only
// the status and the length are read.

var (
	headEnd       = []byte("\r\n\r\n")
	lineEnd       = []byte("\r\n")
	contentLength = []byte("content-length:")
	encoding      = []byte("transfer-encoding:")
)

var errAnswer = errors.New("malformed answer")

// head is what the generator wants to know of an answer.
type head struct {
	status  int
	size    int // of the head, with the empty line
	length  int // of the body
	chunked bool
}

// parseHead reads a head; ok is false while it is not whole.
func parseHead(b []byte) (h head, ok bool, err error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return h, false, nil
	}
	h.size = end + len(headEnd)
	lines := b[:end]
	first, rest, _ := bytes.Cut(lines, lineEnd)
	if len(first) < 12 || !bytes.HasPrefix(first, []byte("HTTP/1.1 ")) {
		return h, true, errAnswer
	}
	if h.status, err = strconv.Atoi(string(first[9:12])); err != nil || h.status < 200 || h.status > 599 {
		return h, true, errAnswer
	}
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, lineEnd)
		switch {
		case hasFold(line, contentLength):
			if h.length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil || h.length < 0 {
				return h, true, errAnswer
			}
		case hasFold(line, encoding):
			h.chunked = true
		}
	}
	return h, true, nil
}

func hasFold(line, prefix []byte) bool {
	return len(line) >= len(prefix) && bytes.EqualFold(line[:len(prefix)], prefix)
}

// chunksEnd reports whether a chunked body is whole.
func chunksEnd(b []byte) (bool, error) {
	for {
		i := bytes.Index(b, lineEnd)
		if i < 0 {
			return false, nil
		}
		size, _, _ := bytes.Cut(b[:i], []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 32)
		if err != nil || n < 0 {
			return false, errAnswer
		}
		b = b[i+2:]
		if n == 0 {
			return bytes.HasSuffix(b, lineEnd), nil
		}
		if int64(len(b)) < n+2 {
			return false, nil
		}
		b = b[n+2:]
	}
}

const maxAnswer = 64 << 10

// wire is one keep-alive connection.
type wire struct {
	conn net.Conn
	buf  []byte
	body []byte // of the last answer, valid until the next
}

func dial(address string) (*wire, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &wire{conn: c, buf: make([]byte, maxAnswer)}, nil
}

// call sends one request and reads its whole answer.
func (w *wire) call(request []byte) (status int, err error) {
	if _, err := w.conn.Write(request); err != nil {
		return 0, err
	}
	n := 0
	var h head
	for ok := false; !ok; {
		m, err := w.conn.Read(w.buf[n:])
		if err != nil {
			return 0, err
		}
		n += m
		if h, ok, err = parseHead(w.buf[:n]); err != nil {
			return 0, err
		}
		if !ok && n == len(w.buf) {
			return 0, errAnswer
		}
	}
	for {
		done := !h.chunked && n >= h.size+h.length
		if h.chunked {
			if done, err = chunksEnd(w.buf[h.size:n]); err != nil {
				return 0, err
			}
		}
		if done {
			w.body = w.buf[h.size:n]
			return h.status, nil
		}
		if n == len(w.buf) {
			return 0, fmt.Errorf("an answer of more than %d bytes", maxAnswer)
		}
		m, err := w.conn.Read(w.buf[n:])
		if err != nil {
			return 0, err
		}
		n += m
	}
}

func (w *wire) close() { _ = w.conn.Close() }
