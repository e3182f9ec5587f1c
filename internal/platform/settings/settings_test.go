package settings

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":[true,null,"<&>"]}`: `{"a":[true,null,"<&>"],"b":1}`,
		` [ ] `:                         `[]`,
		`{"é":"\u4e2d"}`:                `{"é":"中"}`,
	} {
		if got, err := Canonical([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s: %s %v", in, got, err)
		}
	}
	for name, in := range map[string]string{
		"a member twice": `{"a":1,"b":{"c":1,"c":2}}`, "the same member, escaped": `{"a":1,"\u0061":2}`, "a fraction": `[1.5]`, "an exponent": `[1e2]`,
		"minus nothing": `[-0]`, "two values": `{} {}`, "too large": `[9223372036854775808]`, "no UTF-8": "[\"\xff\"]", "nothing": ``, "half": `{"a":[1`,
		"deep": deep(40),
	} {
		if got, err := Canonical([]byte(in)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
}

func deep(n int) (s string) {
	for range n {
		s += "["
	}
	for range n {
		s += "]"
	}
	return s
}

func TestDiff(t *testing.T) {
	one := Sections{"x.places": json.RawMessage(`[{"name":"东","phone":"1"},{"name":"西","phone":"2"}]`), "x.rules": json.RawMessage(`{"a":1,"l":[]}`)}
	two := Sections{"x.places": json.RawMessage(`[{"name":"南","phone":"3"},{"name":"东","phone":"1"},{"name":"西","phone":"9"}]`), "x.rules": json.RawMessage(`{"l":[],"a":1}`)}
	got, err := Diff(one, two)
	want := []Change{
		{`x.places[南].name`, ``, `"南"`},
		{`x.places[南].phone`, ``, `"3"`},
		{`x.places[西].phone`, `"2"`, `"9"`},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got[i], want[i])
		}
	}
	a, _ := one.Digest()
	b, _ := Sections{"x.rules": json.RawMessage(`{ "l":[], "a":1}`), "x.places": one["x.places"]}.Digest()
	c, _ := two.Digest()
	if a != b || a == c {
		t.Errorf("digests %s %s %s", a, b, c)
	}
}

func TestOf(t *testing.T) {
	type rules struct {
		Minutes int `json:"minutes"`
	}
	lives, puts := rules{5}, 0
	refused := errors.New("refused")
	s := Of("x.rules", Words{}, func(context.Context) (rules, error) { return lives, nil },
		func(_ context.Context, r rules) error {
			if r.Minutes < 0 {
				return refused
			}
			return nil
		},
		func(_ context.Context, r rules) error { lives, puts = r, puts+1; return nil })
	if raw, err := s.Get(t.Context()); err != nil || string(raw) != `{"minutes":5}` {
		t.Fatalf("%s %v", raw, err)
	}
	if err := s.Check(t.Context(), json.RawMessage(`{"minutes":-1}`)); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{`{"minute":5}`, `{"minutes":"5"}`, `{"minutes":5}{}`} {
		if err := s.Check(t.Context(), json.RawMessage(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	type two struct{ A, B int }
	pair := Of("x.two", Words{}, func(context.Context) (two, error) { return two{}, nil }, func(context.Context, two) error { return nil }, nil)
	if err := pair.Check(t.Context(), json.RawMessage(`{"A":1}`)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a member is missing: %v", err)
	}
	for range 2 {
		if err := s.Put(t.Context(), json.RawMessage(`{"minutes":7}`)); err != nil {
			t.Fatal(err)
		}
	}
	if lives.Minutes != 7 || puts != 1 {
		t.Errorf("%v after %d puts; the second changes nothing", lives, puts)
	}
}
