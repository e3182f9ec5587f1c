// Package secret wraps values that must never be printed: personal data and
// credentials. A Text formats, logs and marshals as ***; only Reveal gives it out,
// and each call of Reveal is a place that a reviewer can search for.
package secret

import (
	"crypto/subtle"
	"log/slog"
)

// Text is a value that does not print itself.
type Text struct{ v string }

// New wraps s.
func New(s string) Text { return Text{s} }

// Reveal gives the value out.
func (t Text) Reveal() string { return t.v }

// Empty reports whether there is no value.
func (t Text) Empty() bool { return t.v == "" }

// Equal compares in constant time.
func (t Text) Equal(o Text) bool { return subtle.ConstantTimeCompare([]byte(t.v), []byte(o.v)) == 1 }

// String, GoString, MarshalText and LogValue hide the value.
func (Text) String() string { return "***" }

// GoString hides the value from %#v.
func (Text) GoString() string { return "***" }

// MarshalText hides the value from encoders.
func (Text) MarshalText() ([]byte, error) { return []byte("***"), nil }

// LogValue hides the value from slog.
func (Text) LogValue() slog.Value { return slog.StringValue("***") }
