package tlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Anchors is a file outside the database in which the heads of logs are written down,
// synced before anybody builds on them. It only grows: a database that was rolled back
// is behind it. Put it on another disk, on write-once storage, or ship it elsewhere.
type Anchors struct {
	mu   sync.Mutex
	path string
	last map[string]anchor // by origin: what stands there last, as far as this process knows
}

type anchor struct {
	note string
	told int // changes of keys that this process wrote; -1: not even the keys
}

// Anchored is one line of the file.
type Anchored struct {
	Line int    `json:"-"`
	Head string `json:"head"`           // the signed head
	Keys string `json:"keys,omitempty"` // PEM, with which the log began; with the first head that a process wrote, and after a change of keys
	// Rotations are the log's changes of keys; they stand with the keys.
	Rotations []string `json:"rotations,omitempty"`
}

// maxAnchor bounds one line, in bytes.
const maxAnchor = 2*MaxHead + 2*MaxRotations*maxRotation

// OpenAnchors makes the file when it is missing. A last line without its end was never
// acknowledged (the process died while writing it): it is cut off.
func OpenAnchors(path string) (*Anchors, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, ErrAnchor.Wrap(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ErrAnchor.Wrap(err)
	}
	defer f.Close()
	end, err := wholeLines(f)
	if err == nil {
		err = errors.Join(f.Truncate(end), f.Sync(), syncDir(filepath.Dir(path)))
	}
	if err != nil {
		return nil, ErrAnchor.Wrap(err)
	}
	a := &Anchors{path: path, last: map[string]anchor{}}
	if err := a.remember(); err != nil && !errors.Is(err, ErrPaper) { // xinglin audit verify names a broken line
		return nil, err
	}
	return a, nil
}

// remember takes up what processes before this one wrote.
func (a *Anchors) remember() error {
	return ReadAnchors(a.path, func(v Anchored) error {
		h, _, err := Parse(v.Head)
		if err != nil {
			return nil // as above
		}
		a.last[h.Origin] = anchor{v.Head, -1}
		return nil
	})
}

// Last is the last head of a log that stands in the file, as far as this process knows:
// what others write beside it is not read again. "" for none.
func (a *Anchors) Last(origin string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last[origin].note
}

// wholeLines is where the last whole line ends.
func wholeLines(f *os.File) (end int64, err error) {
	in := bufio.NewReaderSize(f, maxAnchor)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case err == nil:
			end += int64(len(line))
		case errors.Is(err, io.EOF):
			return end, nil
		default:
			return end, err
		}
	}
}

// syncDir makes a new name in the folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Write puts a head down and syncs it; what this process wrote last for the log is not
// written twice.
func (a *Anchors) Write(note string, l Lineage) error {
	h, _, err := Parse(note)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was, known := a.last[h.Origin]
	if !known {
		was.told = -1
	}
	if was.note == note && was.told >= 0 {
		return nil
	}
	v := Anchored{Head: note}
	if was.told < len(l.Rotations()) {
		v.Keys, v.Rotations = l.First().PEM(), l.Rotations()
	}
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return ErrAnchor.Wrap(err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return ErrAnchor.Wrap(err)
	}
	a.last[h.Origin] = anchor{note, len(l.Rotations())}
	return nil
}

// ReadAnchors gives the lines of a file in their order, each with its number from 1. A
// last line without its end is none. tlog.paper_malformed names a line that cannot be
// read.
func ReadAnchors(path string, f func(Anchored) error) error {
	file, err := os.Open(path)
	if err != nil {
		return ErrPaper.Wrap(err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, maxAnchor)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		v := Anchored{Line: n}
		if err != nil || strictly(line, &v) != nil {
			return ErrPaper.At("line", fmt.Sprintf("line %d of the anchor file cannot be read", n))
		}
		if err := f(v); err != nil {
			return err
		}
	}
}

func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
