package directorysvc

import (
	"strings"
	"testing"

	"xinglin/internal/platform/mask"
)

// A doctor of a copy is found by the new name and its pinyin, and by the places as before.
func TestMaskPractitioner(t *testing.T) {
	r := mask.NewRow("practitioner", map[string]any{
		"name": "林知夏", "title": "副主任医师", "specialty": "咳嗽", "search": searchText("林知夏", "副主任医师", "咳嗽", "全科医学科", "本部院区"),
	})
	if err := maskPractitioner(t.Context(), &mask.Copy{}, r); err != nil {
		t.Fatal(err)
	}
	name, search := r.Text("name"), r.Text("search")
	full, initials := spell(name, surnameOf(name))
	for _, word := range []string{name, full, initials, "副主任医师", "全科医学科", "quankeyixueke", "本部院区"} {
		if !strings.Contains(search, word) {
			t.Errorf("%q is not in %q", word, search)
		}
	}
	for _, word := range []string{"林知夏", "linzhixia", "lzx", "咳嗽"} {
		if strings.Contains(search, word) || strings.Contains(name+r.Text("specialty"), word) {
			t.Errorf("%q is in %q", word, search)
		}
	}
	// An index of another version is not kept.
	r = mask.NewRow("practitioner", map[string]any{"name": "林知夏", "title": "", "specialty": "", "search": "林知夏 old"})
	if err := maskPractitioner(t.Context(), &mask.Copy{}, r); err != nil || strings.Contains(r.Text("search"), "林知夏") {
		t.Errorf("%q %v", r.Text("search"), err)
	}
}
