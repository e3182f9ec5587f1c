// Package fhirfile reads FHIR R4 files of any size: Bundles (transaction, batch,
// collection, searchset), single resources and NDJSON, plain or compressed with gzip. One
// resource at a time is in memory, up to a limit; what it means is not judged here.
package fhirfile

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/fault"
)

// Options are the limits of a file; zero fields have the defaults.
type Options struct {
	Resource int   // bytes of one resource: 4 MiB
	Depth    int   // of nesting: 64
	Bytes    int64 // of the file after decompression: 16 GiB
	Ratio    int64 // of decompression, beyond the first 16 MiB: 200
}

const free = 16 << 20 // bytes that may come out of any compressed file

// Entry is one resource, or what stands in its place.
type Entry struct {
	Path    string // Bundle.entry[12].resource; a single resource: its type; of a later line of NDJSON: [2].Patient
	FullURL string
	Type    string // empty: the entry has no resource (a search, a deletion)
	ID      string
	Raw     []byte // valid until the next entry; nil with Err
	Err     error  // why the resource cannot be read: a fault of package interop
}

// Read gives each resource of the file to visit, in their order, and says how many bytes
// came out. Its error is visit's, the reader's, or a fault of the file as a whole with
// the place in its details.
func Read(r io.Reader, o Options, visit func(Entry) error) (int64, error) {
	if o.Resource == 0 {
		o.Resource = 4 << 20
	}
	if o.Depth == 0 {
		o.Depth = 64
	}
	if o.Bytes == 0 {
		o.Bytes = 16 << 30
	}
	if o.Ratio == 0 {
		o.Ratio = 200
	}
	in, err := open(r, o)
	if err != nil {
		return 0, err
	}
	f := &file{scanner: scanner{br: bufio.NewReaderSize(in, 64<<10), depth: o.Depth, limit: o.Resource + 1024}, visit: visit}
	return in.out, f.read()
}

// source counts what goes in and what comes out.
type source struct {
	raw  *counter
	from io.Reader
	o    Options
	out  int64
	gz   bool
}

type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// open looks at the first bytes: gzip has its own, whatever the file is called.
func open(r io.Reader, o Options) (*source, error) {
	s := &source{raw: &counter{r: r}, o: o}
	br := bufio.NewReaderSize(s.raw, 64<<10)
	s.from = br
	head, err := br.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(head) > 1 && head[0] == 0x1f && head[1] == 0x8b {
		s.gz = true
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, interop.ErrGzip.New()
		}
		s.from = z
	}
	return s, nil
}

// Read implements io.Reader with the limits.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.out += int64(n)
	var corrupt flate.CorruptInputError
	switch {
	case s.out > s.o.Bytes, s.gz && s.out > free && s.out > s.raw.n*s.o.Ratio:
		return 0, interop.ErrBomb.New()
	case s.gz && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt)):
		return n, interop.ErrGzip.New()
	}
	return n, err
}

// file is one file on its way through.
type file struct {
	scanner
	visit  func(Entry) error
	prefix string // of the path: [2]. from the second document on
}

// read goes over the documents of the file.
func (f *file) read() error {
	if head, _ := f.br.Peek(3); string(head) == "\ufeff" {
		_, _ = f.br.Discard(3)
	}
	for n := 0; ; n++ {
		c, err := f.peek()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return interop.ErrNotFHIR.New()
			}
			return nil
		}
		if err != nil {
			return err
		}
		if n > 0 {
			f.prefix = fmt.Sprintf("[%d].", n)
		}
		switch {
		case c == '{':
		case n > 0:
			return at(interop.ErrJSON.New(), f.prefix)
		case c == '<':
			return interop.ErrXML.New()
		default:
			return interop.ErrNotFHIR.New()
		}
		if err := f.document(); err != nil {
			return err
		}
	}
}

// at puts the place into a fault that has none.
func at(err error, path string) error {
	var e *fault.Error
	if errors.As(err, &e) && len(e.Details) == 0 && e == err {
		return e.Code.At(path, e.Code.EN)
	}
	return err
}

// head is what the top of a document says.
type head struct {
	resourceType, kind string
	id                 string
	bundle             bool
}

// name is the type for a path; what is no type of R4 is not a word to repeat.
func (h head) name() string {
	if r4[h.resourceType] {
		return h.resourceType
	}
	return "resource"
}

// document takes one object: a Bundle entry by entry, anything else as a whole.
func (f *file) document() error {
	f.keep()
	if err := f.take('{'); err != nil {
		return err
	}
	var h head
	for {
		c, err := f.want()
		if err != nil {
			return at(err, f.prefix)
		}
		if c == '}' || c == ',' {
			if _, err := f.next(); err != nil {
				return err
			}
			if c == '}' {
				return f.end(h)
			}
			continue
		}
		if err := f.member(&h); err != nil {
			return at(err, f.prefix+h.name())
		}
	}
}

// member takes a name and its value.
func (f *file) member(h *head) error {
	name, err := f.text()
	if err != nil {
		return err
	}
	key := string(name)
	if err := f.take(':'); err != nil {
		return err
	}
	if key == "entry" && (h.resourceType == "" || h.bundle) {
		return f.entries(*h)
	}
	c, err := f.want()
	if err != nil {
		return err
	}
	from := len(f.kept)
	if err := f.value(); err != nil {
		return err
	}
	if c == '"' && !f.over {
		var text string
		_ = json.Unmarshal(f.kept[from:], &text)
		switch key {
		case "resourceType":
			h.resourceType, h.bundle = text, text == "Bundle"
		case "type":
			h.kind = text
		case "id":
			h.id = text
		}
	}
	if h.bundle {
		f.keep() // of a Bundle only the entries are kept
	}
	return nil
}

// end closes a document: what was no Bundle is a resource.
func (f *file) end(h head) error {
	switch {
	case h.bundle:
		return bundleType(h.kind)
	case h.resourceType == "" && !f.over:
		return at(interop.ErrNotFHIR.New(), f.prefix)
	}
	e := Entry{Path: f.prefix + h.name(), Type: h.resourceType, ID: h.id}
	if !json.Valid(f.kept) && !f.over {
		return at(interop.ErrJSON.New(), e.Path)
	}
	return f.give(e, f.kept)
}

func bundleType(kind string) error {
	switch kind {
	case "transaction", "batch", "collection", "searchset":
		return nil
	}
	return interop.ErrBundle.At("Bundle.type", interop.ErrBundle.EN)
}

// entries takes the array of a Bundle.
func (f *file) entries(h head) error {
	if h.resourceType == "" || h.kind == "" {
		return interop.ErrKeyOrder.At(f.prefix+"Bundle.entry", interop.ErrKeyOrder.EN)
	}
	if err := bundleType(h.kind); err != nil {
		return err
	}
	if err := f.take('['); err != nil {
		return at(err, f.prefix+"Bundle.entry")
	}
	for n := 0; ; {
		path := fmt.Sprintf("%sBundle.entry[%d]", f.prefix, n)
		c, err := f.want()
		if err != nil {
			return at(err, path)
		}
		if c == ']' || c == ',' {
			if _, err := f.next(); err != nil {
				return err
			}
			if c == ']' {
				f.keep()
				return nil
			}
			continue
		}
		f.keep()
		if err := f.value(); err != nil {
			return at(err, path)
		}
		if err := f.entry(path); err != nil {
			return err
		}
		n++
	}
}

// entry gives one entry of a Bundle to the visitor.
func (f *file) entry(path string) error {
	if f.over { // the type often stands in front: what nobody uses may be of any size
		e := Entry{Path: path + ".resource", Type: typeInFront(f.kept)}
		return f.give(e, nil)
	}
	if !json.Valid(f.kept) {
		return at(interop.ErrJSON.New(), path)
	}
	if f.kept[0] != '{' {
		return f.visit(Entry{Path: path, Err: interop.ErrShape.New()})
	}
	e := Entry{Path: path + ".resource"}
	var resource []byte
	members(f.kept, func(key string, value []byte) {
		switch key {
		case "fullUrl":
			e.FullURL = plain(value)
		case "resource":
			resource = value
		}
	})
	if resource == nil {
		return f.visit(Entry{Path: path})
	}
	if resource[0] != '{' {
		return f.visit(Entry{Path: e.Path, Err: interop.ErrShape.New()})
	}
	members(resource, func(key string, value []byte) {
		switch key {
		case "resourceType":
			e.Type = plain(value)
		case "id":
			e.ID = plain(value)
		}
	})
	return f.give(e, resource)
}

// give judges the type and the bytes and visits.
func (f *file) give(e Entry, raw []byte) error {
	switch {
	case otherVersions[e.Type]:
		e.Err = interop.ErrVersion.New()
	case f.over:
		e.Err = interop.ErrTooLarge.New()
	case e.Type == "":
		e.Err = interop.ErrMissing.At("resourceType", interop.ErrMissing.EN)
	case !r4[e.Type]:
		e.Type, e.Err = "", interop.ErrType.At("resourceType", interop.ErrType.EN) // not a word that a report may repeat
	case !utf8.Valid(raw):
		e.Err = interop.ErrJSON.New()
	default:
		e.Raw = raw
	}
	return f.visit(e)
}

// plain is a JSON string as text; anything else is empty.
func plain(value []byte) (text string) {
	_ = json.Unmarshal(value, &text)
	return text
}
