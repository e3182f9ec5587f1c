package mask

import (
	"slices"
	"strings"
	"unicode"

	"xinglin/internal/kernel/clock"
)

// What a scan looks for.
const (
	KindPhone    = "mobile number"
	KindResident = "resident number"
	KindKnown    = "known value"
)

// Kinds are all of them.
var Kinds = []string{KindPhone, KindResident, KindKnown}

// hits are counts by kind.
type hits map[string]int

func (h hits) none() bool {
	for _, n := range h {
		if n > 0 {
			return false
		}
	}
	return true
}

// Find counts raw identifiers in a text: mobile numbers and valid resident numbers that are no stand-ins, and values on the list
// (nil for none). It never gives the value.
func Find(text string, known *Known) map[string]int { return find(text, known, true) }

const (
	maxNameLetters = 24
	maxWord        = 128
	maxHan         = 6 // letters of a name within a longer run
	maxWords       = 4 // of a name in Latin letters
)

// numberDigits are how many digits phones and document numbers have.
var numberDigits = []int{11, 17, 18}

// find is Find; with names those on the list are looked for within words too.
func find(text string, known *Known, names bool) hits {
	h := hits{}
	shapes(text, h)
	if known != nil && len(known.list) > 0 {
		knownIn(text, known, names, h)
	}
	return h
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

func alnum(b byte) bool { return digit(b) || b|0x20 >= 'a' && b|0x20 <= 'z' }

// shapes counts what looks like an identifier and stands by itself, which no run of digits within an id or a hash does.
func shapes(text string, h hits) {
	for i := 0; i < len(text); {
		if !digit(text[i]) {
			i++
			continue
		}
		from := i
		for i < len(text) && digit(text[i]) {
			i++
		}
		run, end := text[from:i], i
		if len(run) == 17 && end < len(text) && text[end]|0x20 == 'x' {
			run, end = text[from:end+1], end+1
		}
		if from > 0 && alnum(text[from-1]) || end < len(text) && alnum(text[end]) {
			continue
		}
		if len(run) == 13 || len(run) == 15 { // +86 139..., 0086139...
			if rest, ok := strings.CutPrefix(strings.TrimPrefix(run, "00"), "86"); ok && len(rest) == 11 {
				run = rest
			}
		}
		switch {
		case mobile(run) && !standInPhone(run):
			h[KindPhone]++
		case resident(run) && !standInResident(run):
			h[KindResident]++
		}
	}
}

// mobile is eleven digits of a mobile number of the mainland.
func mobile(s string) bool {
	return len(s) == 11 && s[0] == '1' && s[1] >= '3' && s[1] <= '9' && strings.Trim(s, "0123456789") == ""
}

func standInPhone(s string) bool { return slices.Contains(nobodys, s[:3]) }

// resident is a valid number of GB 11643-1999 of somebody born in the last 200 years.
func resident(s string) bool {
	if len(s) != 18 || strings.Trim(s[:17], "0123456789") != "" {
		return false
	}
	s = strings.ToUpper(s)
	if !slices.Contains(provinces, s[:2]) && !slices.Contains(abroad, s[:2]) || withCheck(s[:17]) != s {
		return false
	}
	_, err := clock.ParseDate(s[6:10] + "-" + s[10:12] + "-" + s[12:14])
	return err == nil && s[6:8] >= "18" && s[6:8] <= "21"
}

func standInResident(s string) bool { return s[2:6] == nowhere }

// knownIn counts values of the list: whole words, digits wherever they stand, names within runs of Chinese letters and of words.
func knownIn(text string, known *Known, names bool, h hits) {
	count := func(v string) {
		if known.has(v) {
			h[KindKnown]++
		}
	}
	runs(text, func(r rune) bool { return r >= '0' && r <= '9' }, func(run string) {
		for _, n := range numberDigits {
			for at := 0; at+n <= len(run) && at < maxWord; at++ {
				count(run[at : at+n])
			}
		}
	})
	word := func(r rune) bool {
		return r < unicode.MaxASCII && (alnum(byte(r)) || strings.ContainsRune("@._+-", r))
	}
	runs(text, word, func(run string) {
		run = strings.Trim(run, "._+-")
		counted := slices.Contains(numberDigits, len(run)) && strings.Trim(run, "0123456789") == ""
		if len(run) >= minWord && len(run) <= maxWord && !counted {
			count(run)
		}
	})
	han := func(r rune) bool { return unicode.Is(unicode.Han, r) || r == '·' }
	runs(text, han, func(run string) {
		rs := []rune(run)
		if len(rs) >= 2 && len(rs) <= maxNameLetters {
			count(run)
		}
		for n := 2; names && n <= maxHan; n++ {
			for at := 0; n < len(rs) && at+n <= len(rs); at++ {
				count(string(rs[at : at+n]))
			}
		}
	})
	latinNames(text, count)
}

// latinNames offers up to four words behind each other.
func latinNames(text string, count func(string)) {
	letter := func(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Han, r) }
	var words []string
	flush := func() {
		for n := 2; n <= maxWords; n++ {
			for at := 0; at+n <= len(words); at++ {
				count(strings.Join(words[at:at+n], ""))
			}
		}
		words = words[:0]
	}
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return !letter(r) && r != ' ' && r != '-' && r != '\'' && r != '·' }) {
		for _, w := range strings.Fields(line) {
			if words = append(words, w); len(words) > 64 {
				flush()
			}
		}
		flush()
	}
}

// runs gives the longest stretches of letters that belong to a set.
func runs(text string, in func(rune) bool, f func(string)) {
	from := -1
	for i, r := range text {
		switch {
		case in(r) && from < 0:
			from = i
		case !in(r) && from >= 0:
			f(text[from:i])
			from = -1
		}
	}
	if from >= 0 {
		f(text[from:])
	}
}
