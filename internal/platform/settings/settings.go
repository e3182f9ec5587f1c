// Package settings says which parts of a tenant's configuration a context keeps, and how they are read, checked and put. Each
// context declares its sections (Module.Settings) as it declares what it holds of persons; the tenant context carries them as
// one signed bundle. A section never holds a secret: a reference to one, or nothing. The package knows no context.
package settings

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"xinglin/internal/kernel/fault"
)

// Refusals of a section's text.
var (
	ErrMalformed = fault.Register(fault.Invalid, "settings.malformed", "配置内容格式不正确", "The configuration is not well formed")
	ErrRefused   = fault.Register(fault.Invalid, "settings.refused", "配置内容未通过检查", "The configuration did not pass the checks")
	ErrUnknown   = fault.Register(fault.Invalid, "settings.unknown_section", "没有这一项配置", "There is no such section of the configuration")
)

// Words name a section for people.
type Words struct{ ZH, EN string }

// Section is one part of the configuration of the tenant that the principal of ctx acts on.
type Section struct {
	Name  string // context.noun
	Words Words
	// Get is the section as it lives, canonical.
	Get func(ctx context.Context) (json.RawMessage, error)
	// Check tells whether Put would take it, and changes nothing. Its refusal names the fields by path.
	Check func(ctx context.Context, raw json.RawMessage) error
	// Put makes the section live through the context's own use case: authorised and in the trail. Putting what lives does nothing.
	Put func(ctx context.Context, raw json.RawMessage) error
}

// Of makes a section of a Go value. What the value does not know is refused; put is not called when nothing would change.
func Of[V any](name string, words Words, get func(context.Context) (V, error), check func(context.Context, V) error, put func(context.Context, V) error) Section {
	s := Section{Name: name, Words: words}
	s.Get = func(ctx context.Context) (json.RawMessage, error) {
		v, err := get(ctx)
		if err != nil {
			return nil, err
		}
		return Encode(v)
	}
	s.Check = func(ctx context.Context, raw json.RawMessage) error {
		v, err := Decode[V](raw)
		if err != nil {
			return err
		}
		if err := check(ctx, v); err != nil {
			return err
		}
		// What was put has to read back as the same text, or nobody could tell later whether it still lives.
		given, err := Canonical(raw)
		if err != nil {
			return err
		}
		whole, err := Encode(v)
		if err == nil && !bytes.Equal(given, whole) {
			err = ErrMalformed.Because("want every member, in the form that an export has")
		}
		return err
	}
	s.Put = func(ctx context.Context, raw json.RawMessage) error {
		v, err := Decode[V](raw)
		if err != nil {
			return err
		}
		lives, err := s.Get(ctx)
		if err != nil {
			return err
		}
		if wanted, err := Encode(v); err != nil || bytes.Equal(lives, wanted) {
			return err
		}
		return put(ctx, v)
	}
	return s
}

// Encode is the canonical text of a value.
func Encode(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return Canonical(raw)
}

// Decode reads a text strictly: one value, no member that V does not have.
func Decode[V any](raw []byte) (v V, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, ErrMalformed.Because("%w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return v, ErrMalformed.Because("more than one value")
	}
	return v, nil
}
