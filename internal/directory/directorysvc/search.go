package directorysvc

import (
	"strings"
	"unicode"

	"github.com/mozillazg/go-pinyin"
)

// surnames are read differently as a family name than in words (多音字姓氏).
var surnames = map[rune]string{
	'单': "shan", '解': "xie", '仇': "qiu", '查': "zha", '曾': "zeng", '区': "ou", '任': "ren", '华': "hua",
	'朴': "piao", '盖': "ge", '乐': "yue", '尉': "yu", '翟': "zhai", '缪': "miao", '折': "she", '种': "chong",
	'秘': "bi", '繁': "po", '冼': "xian", '员': "yun", '覃': "qin", '黑': "he", '洗': "xian", '过': "guo", '召': "shao",
}

// searchText is what a search of a practitioner looks in: name, its pinyin in full and
// as initials, department, campus, title and specialty words, lower case.
func searchText(name, title, specialty string, places ...string) string {
	full, initials := spell(name)
	parts := append([]string{name, full, initials, title, specialty}, places...)
	for _, p := range places {
		f, i := spell(p)
		parts = append(parts, f, i)
	}
	return strings.ToLower(strings.Join(parts, " "))
}

// spell gives 林知夏 -> linzhixia, lzx. Runes without a reading stay.
func spell(s string) (full, initials string) {
	args := pinyin.NewArgs()
	var f, in strings.Builder
	for i, r := range []rune(s) {
		if !unicode.Is(unicode.Han, r) {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				f.WriteRune(unicode.ToLower(r))
				in.WriteRune(unicode.ToLower(r))
			}
			continue
		}
		py := ""
		if i == 0 {
			py = surnames[r]
		}
		if py == "" {
			if got := pinyin.SinglePinyin(r, args); len(got) > 0 {
				py = got[0]
			}
		}
		if py == "" {
			f.WriteRune(r)
			in.WriteRune(r)
			continue
		}
		f.WriteString(py)
		in.WriteByte(py[0])
	}
	return f.String(), in.String()
}

const maxWords = 5

// words splits what a person typed; every word must be found (AND).
func words(text string) []string {
	ws := strings.Fields(strings.ToLower(text))
	if len(ws) > maxWords {
		ws = ws[:maxWords]
	}
	return ws
}

// like escapes a word for LIKE ... ESCAPE '\'.
func like(word string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
}
