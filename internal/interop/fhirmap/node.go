package fhirmap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/fault"
)

// node is an element of a resource with its place. Asking for what has the wrong shape
// notes the first such place; the answer is then empty.
type node struct {
	v    any
	path string
	bad  *error
}

// parse reads a resource.
func parse(raw []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return node{}, interop.ErrJSON.New() // the decoder's words may repeat a value
	}
	return node{v: v, bad: new(error)}, nil
}

// refuse notes the first refusal.
func (n node) refuse(c *fault.Code) {
	if *n.bad == nil {
		*n.bad = c.At(n.path, c.EN)
	}
}

func (n node) there() bool { return n.v != nil }

// get is a member of an object; an absent one is a node that is not there.
func (n node) get(key string) node {
	out := node{path: strings.TrimPrefix(n.path+"."+key, "."), bad: n.bad}
	switch m := n.v.(type) {
	case nil:
	case map[string]any:
		out.v = m[key]
	default:
		n.refuse(interop.ErrShape)
	}
	return out
}

// list are the elements of an array.
func (n node) list(key string) (out []node) {
	at := n.get(key)
	switch l := at.v.(type) {
	case nil:
	case []any:
		for i, v := range l {
			out = append(out, node{v: v, path: fmt.Sprintf("%s[%d]", at.path, i), bad: n.bad})
		}
	default:
		at.refuse(interop.ErrShape)
	}
	return out
}

// text is the node as a string, without the space around it.
func (n node) text() string {
	switch s := n.v.(type) {
	case nil:
	case string:
		return strings.TrimSpace(s)
	default:
		n.refuse(interop.ErrShape)
	}
	return ""
}

func (n node) str(key string) string { return n.get(key).text() }

// yes is a boolean, absent when the element is.
func (n node) yes(key string, absent bool) bool {
	at := n.get(key)
	switch b := at.v.(type) {
	case nil:
	case bool:
		return b
	default:
		at.refuse(interop.ErrShape)
	}
	return absent
}

// concept is the words of a CodeableConcept and its first code.
func (n node) concept() (code, words string) {
	words = n.str("text")
	for _, c := range n.list("coding") {
		if code == "" {
			code = c.str("code")
		}
		if words == "" {
			words = c.str("display")
		}
	}
	return code, words
}

// codes are all codes of a list of CodeableConcepts.
func (n node) codes(key string) (out []string) {
	for _, c := range n.list(key) {
		for _, x := range c.list("coding") {
			out = append(out, x.str("code"))
		}
	}
	return out
}
