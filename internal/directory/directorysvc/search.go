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

// compounds are surnames of two runes that are read differently together (复姓).
var compounds = map[string][2]string{
	"单于": {"chan", "yu"}, "万俟": {"mo", "qi"}, "尉迟": {"yu", "chi"}, "澹台": {"tan", "tai"},
	"长孙": {"zhang", "sun"}, "鲜于": {"xian", "yu"}, "令狐": {"ling", "hu"}, "宰父": {"zai", "fu"},
}

// searchText is what a search of a practitioner looks in: name, its pinyin in full and
// as initials, department, campus, title and specialty words, lower case.
func searchText(name, title, specialty string, places ...string) string {
	full, initials := spell(name, surnameOf(name))
	parts := append([]string{name, full, initials, title, specialty}, places...)
	for _, p := range places {
		f, i := spell(p, nil)
		parts = append(parts, f, i)
	}
	return strings.ToLower(strings.Join(parts, " "))
}

// surnameOf gives the readings of a name's first runes as a surname, as far as they are special.
func surnameOf(name string) []string {
	rs := []rune(name)
	if len(rs) > 2 {
		if c, ok := compounds[string(rs[:2])]; ok {
			return c[:]
		}
	}
	if len(rs) > 0 && surnames[rs[0]] != "" {
		return []string{surnames[rs[0]]}
	}
	return nil
}

// spell gives 林知夏 -> linzhixia, lzx. The first runes are read as known says, runes without a reading stay.
func spell(s string, known []string) (full, initials string) {
	args := pinyin.NewArgs()
	var f, in strings.Builder
	for i, r := range []rune(s) {
		py := ""
		if i < len(known) {
			py = known[i]
		} else if unicode.Is(unicode.Han, r) {
			if got := pinyin.SinglePinyin(r, args); len(got) > 0 {
				py = got[0]
			}
		} else if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			continue
		}
		if py == "" {
			py = strings.ToLower(string(r))
			f.WriteString(py)
			in.WriteString(py)
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
	ws := strings.Fields(strings.ToLower(strings.ReplaceAll(strings.ToValidUTF8(text, " "), "\x00", " ")))
	if len(ws) > maxWords {
		ws = ws[:maxWords]
	}
	return ws
}

// like escapes a word for LIKE ... ESCAPE '\'.
func like(word string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
}
