package httpx

import (
	"slices"
	"testing"
)

// TestPlainFields: a plain object is read, and what is not exactly that is left to the typed handler.
func TestPlainFields(t *testing.T) {
	for text, want := range map[string][]Field{
		`{"a":"1-b_c"}`:          {{Name: "a", Text: "1-b_c"}},
		`{"a":"","any":true}`:    {{Name: "a"}, {Name: "any", True: true}},
		`{"any":true,"b":"x"}`:   {{Name: "any", True: true}, {Name: "b", Text: "x"}},
		``:                       nil,
		`{`:                      nil,
		`{}`:                     nil,
		`{"a":"1",}`:             nil,
		`{,"a":"1"}`:             nil,
		`{"a":"1"`:               nil,
		`{"a":"1}`:               nil,
		`{"a":"1"}}`:             nil,
		`{"a":"1"}{}`:            nil,
		`{"a" :"1"}`:             nil,
		`{"a":"1" }`:             nil,
		`{"a":"1","a":"2"}`:      nil,
		`{"A":"1"}`:              nil,
		`{"a":"\u0041"}`:         nil,
		`{"a":"张"}`:              nil,
		`{"a":1}`:                nil,
		`{"a":false}`:            nil,
		`{"a":null}`:             nil,
		`{"a":truex}`:            nil,
		`{"a":"1""b":"2"}`:       nil,
		`{a:"1"}`:                nil,
		"{\"a\":\"1\x00\"}":      nil,
		`[{"a":"1"}]`:            nil,
		`{"a":"1","b":{"c":1}}`:  nil,
		`{"a":"1"},{"b":"true"}`: nil,
		`{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":""}`: nil,
	} {
		if got := plainFields([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
