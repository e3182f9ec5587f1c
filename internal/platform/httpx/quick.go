package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// Quick answers a request of a hot operation whose form it knows, without reflection over parameters and body. false: it has
// touched nothing, and the typed handler reads, refuses or answers.
type Quick func(w http.ResponseWriter, r *http.Request) bool

// RegisterQuick is Register with a shorter way for what most callers send.
func RegisterQuick[In, Out any](a *API, op Op, quick Quick, h func(context.Context, *In) (*Out, error)) {
	op.quick = quick
	Register(a, op, h)
}

// Field is a member of a plain JSON object: a text, or true.
type Field struct {
	Name, Text string
	True       bool
}

// maxFields of a plain object.
const maxFields = 8

// PlainJSON reads a body that is one object as programs write it: names once each, texts of [0-9a-z_-], true, no space, no escape;
// and a request that asks for nothing but JSON. All else is nil: it is for the typed handler, which finds the body unread.
func PlainJSON(r *http.Request) []Field {
	c := callOf(r.Context())
	if c == nil || r.Body != &c.body || r.Header.Get("Content-Type") != "application/json" {
		return nil
	}
	switch r.Header.Get("Accept") {
	case "", "*/*", "application/json":
	default:
		return nil
	}
	b := make([]byte, c.body.Len())
	if n, _ := c.body.ReadAt(b, 0); n != len(b) { // ReadAt leaves the reader where it is
		return nil
	}
	return plainFields(b)
}

func plainFields(b []byte) (out []Field) {
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return nil
	}
	for b = b[1 : len(b)-1]; ; b = b[1:] {
		f, rest, ok := plainField(b)
		if !ok || len(out) == maxFields {
			return nil
		}
		for _, before := range out {
			if before.Name == f.Name {
				return nil
			}
		}
		out = append(out, f)
		if len(rest) == 0 {
			return out
		}
		if rest[0] != ',' {
			return nil
		}
		b = rest
	}
}

func plainField(b []byte) (f Field, rest []byte, ok bool) {
	if f.Name, rest, ok = plainText(b); !ok || len(rest) == 0 || rest[0] != ':' {
		return f, nil, false
	}
	rest = rest[1:]
	if bytes.HasPrefix(rest, []byte("true")) {
		f.True = true
		return f, rest[4:], true
	}
	f.Text, rest, ok = plainText(rest)
	return f, rest, ok
}

func plainText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, false
	}
	for i, c := range b[1:] {
		if c == '"' {
			return string(b[1 : 1+i]), b[2+i:], true
		}
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			break
		}
	}
	return "", nil, false
}

// Answer writes an answer as the typed operations do: JSON, or the problem of err.
func Answer(w http.ResponseWriter, r *http.Request, status int, body any, err error) {
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	w.Header()["Content-Type"] = plainType
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the caller has gone
}

var plainType = []string{"application/json"}
