// Package fault is the language of refusals: every error that a caller may see has
// a Kind (what sort of refusal, mapped to one HTTP status and one FHIR issue code)
// and a registered Code (stable, prefixed by its context) with a Chinese and an
// English title. Anything else is internal: the caller learns only a trace id.
package fault

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"sync"
	"time"
)

// Kind is the sort of a refusal.
type Kind string

// The kinds. platform/httpx maps each to a status and a FHIR issue code.
const (
	Invalid         Kind = "invalid"         // 422: the input breaks a rule of its form
	Malformed       Kind = "malformed"       // 400: the input cannot be read
	Unauthenticated Kind = "unauthenticated" // 401
	Forbidden       Kind = "forbidden"       // 403
	NotFound        Kind = "not_found"       // 404: also for what the caller may not know of
	Conflict        Kind = "conflict"        // 409: the state does not allow it
	Stale           Kind = "stale"           // 412: another version than the caller's
	Gone            Kind = "gone"            // 410
	TooLarge        Kind = "too_large"       // 413
	Misdirected     Kind = "misdirected"     // 421: this process does not open that door
	Limited         Kind = "limited"         // 429: rate or budget used up
	Unavailable     Kind = "unavailable"     // 503: try again later
	Internal        Kind = "internal"        // 500: details only in the log
)

// Code is one registered refusal. Declare codes as package variables with Register.
type Code struct {
	Kind Kind
	Name string // scheduling.slot_taken
	ZH   string // title in Chinese, without personal data
	EN   string
}

var (
	registry = map[string]*Code{}
	regMu    sync.Mutex
	nameRE   = regexp.MustCompile(`^[a-z]+(\.[a-z0-9_]+)+$`)
)

// Register declares a code. It panics on a malformed or repeated name, which a
// process notices at its start.
func Register(kind Kind, name, zh, en string) *Code {
	regMu.Lock()
	defer regMu.Unlock()
	if !nameRE.MatchString(name) {
		panic("fault: malformed code " + name)
	}
	if _, ok := registry[name]; ok {
		panic("fault: code registered twice: " + name)
	}
	c := &Code{Kind: kind, Name: name, ZH: zh, EN: en}
	registry[name] = c
	return c
}

// Codes lists every registered code by name, for the generated reference.
func Codes() []*Code {
	regMu.Lock()
	defer regMu.Unlock()
	out := make([]*Code, 0, len(registry))
	for _, c := range registry {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Detail points at one part of the input. Message must not hold personal data.
type Detail struct {
	Path    string `json:"path"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error is a refusal. Cause goes to the log only; Detail and Params are shown.
type Error struct {
	Code       *Code
	Details    []Detail
	RetryAfter time.Duration
	Cause      error
}

// Error implements error with the code and the cause, for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code.Name + ": " + e.Cause.Error()
	}
	return e.Code.Name
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is makes errors.Is(err, code) work on codes.
func (e *Error) Is(target error) bool {
	var c *Code
	switch t := target.(type) {
	case *Code:
		c = t
	case *Error:
		c = t.Code
	}
	return c == e.Code
}

// Error makes a bare Code usable as an error value: return scheduling.ErrSlotTaken.
func (c *Code) Error() string { return c.Name }

// New is the refusal with this code.
func (c *Code) New() *Error { return &Error{Code: c} }

// With adds details that the caller sees.
func (c *Code) With(d ...Detail) *Error { return &Error{Code: c, Details: d} }

// At is With for one field.
func (c *Code) At(path, message string) *Error {
	return &Error{Code: c, Details: []Detail{{Path: path, Code: c.Name, Message: message}}}
}

// Wrap keeps a cause for the log.
func (c *Code) Wrap(err error) *Error { return &Error{Code: c, Cause: err} }

// Because is Wrap with a formatted cause.
func (c *Code) Because(format string, a ...any) *Error {
	return &Error{Code: c, Cause: fmt.Errorf(format, a...)}
}

// After tells the caller when to come again.
func (c *Code) After(d time.Duration) *Error { return &Error{Code: c, RetryAfter: d} }

// Of finds the refusal in err's chain; nil when err is not a fault (internal).
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var c *Code
	if errors.As(err, &c) {
		return &Error{Code: c}
	}
	return nil
}

// KindOf is the kind of err: Internal when it is not a fault, "" when nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e := Of(err); e != nil {
		return e.Code.Kind
	}
	return Internal
}
