package settings

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Change is one difference between two configurations. From is empty for what is new, To for what is gone; both are JSON.
type Change struct {
	Path string `json:"path"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Sections are texts by the name of their section.
type Sections map[string]json.RawMessage

// maxShown is how long a value is in a diff; a longer one is told by its digest.
const maxShown = 200

// Digest names the sections' content: SHA-256 of their canonical text.
func (s Sections) Digest() (string, error) {
	raw, err := Encode(s)
	if err != nil {
		return "", err
	}
	d := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(d[:]), nil
}

// Names are the sections' names, sorted.
func (s Sections) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Diff tells by path what would change from one to the other, in the order of the paths. A list's entries that have names are
// compared by name, so that one more at the front is one change.
func Diff(from, to Sections) ([]Change, error) {
	a, b := map[string]string{}, map[string]string{}
	for _, side := range []struct {
		in  Sections
		out map[string]string
	}{{from, a}, {to, b}} {
		for name, raw := range side.in {
			v, err := parse(raw)
			if err != nil {
				return nil, err
			}
			flatten(name, v, side.out)
		}
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	out := []Change{}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if x, y := a[p], b[p]; x != y {
			out = append(out, Change{p, shown(x), shown(y)})
		}
	}
	return out, nil
}

func flatten(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			flatten(path+"."+k, x, out)
		}
		if len(v) == 0 {
			out[path] = "{}"
		}
	case []any:
		named := byName(v)
		for i, x := range v {
			at := fmt.Sprintf("%s[%d]", path, i)
			if named {
				at = fmt.Sprintf("%s[%s]", path, x.(map[string]any)["name"])
			}
			flatten(at, x, out)
		}
		if len(v) == 0 {
			out[path] = "[]"
		}
	default:
		var b bytes.Buffer
		text(&b, v)
		out[path] = b.String()
	}
}

// byName tells whether every entry is an object with a name of its own.
func byName(l []any) bool {
	seen := map[string]bool{}
	for _, x := range l {
		m, _ := x.(map[string]any)
		name, ok := m["name"].(string)
		if !ok || seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}

func shown(s string) string {
	if utf8.RuneCountInString(s) <= maxShown {
		return s
	}
	d := sha256.Sum256([]byte(s))
	return fmt.Sprintf("%d bytes, sha256 %s", len(s), hex.EncodeToString(d[:8]))
}
