package settings

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Bounds of a text.
const maxDepth = 32

// Canonical is the one form of a JSON text under which it is signed and compared: members sorted by their bytes, no space, whole
// numbers only. A member that stands twice, a fraction and malformed UTF-8 are refused, because two readers could differ
// about them.
func Canonical(raw []byte) (json.RawMessage, error) {
	v, err := parse(raw)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	write(&b, v)
	return b.Bytes(), nil
}

// parse reads a text into maps, lists, strings, json.Number, bool and nil.
func parse(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, ErrMalformed.Because("no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, ErrMalformed.Because("more than one value")
	}
	return v, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, ErrMalformed.Because("nested deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, ErrMalformed.Because("%w", err)
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return object(d, depth)
		}
		return list(d, depth)
	case json.Number:
		n, err := strconv.ParseInt(t.String(), 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != t.String() {
			return nil, ErrMalformed.At("", "whole numbers only, not "+t.String())
		}
	}
	return t, nil
}

func object(d *json.Decoder, depth int) (any, error) {
	m := map[string]any{}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, ErrMalformed.Because("%w", err)
		}
		name, _ := k.(string) // the decoder takes nothing else
		if _, ok := m[name]; ok {
			return nil, ErrMalformed.At(name, "stands twice")
		}
		if m[name], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	return m, end(d)
}

func list(d *json.Decoder, depth int) (any, error) {
	l := []any{}
	for d.More() {
		v, err := value(d, depth+1)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	return l, end(d)
}

func end(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return ErrMalformed.Because("%w", err)
	}
	return nil
}

func write(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			text(b, k)
			b.WriteByte(':')
			write(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			write(b, x)
		}
		b.WriteByte(']')
	default:
		text(b, v)
	}
}

// text writes a scalar; unlike json.Marshal it leaves <, > and & as they are.
func text(b *bytes.Buffer, v any) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)         // a string, a number, a bool or nil
	b.Truncate(b.Len() - 1) // the line break of the encoder
}
