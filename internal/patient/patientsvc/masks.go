package patientsvc

import "strings"

const maxStars = 3 // a mask does not tell how long a long name is

// maskName is what lists show: 张*, 张*三, 欧**华, M***a.
func maskName(name string) string {
	rs := []rune(name)
	switch len(rs) {
	case 0:
		return ""
	case 1, 2:
		return string(rs[0]) + "*"
	}
	return string(rs[0]) + strings.Repeat("*", min(len(rs)-2, maxStars)) + string(rs[len(rs)-1])
}

// maskDocument keeps the first three and the last two characters, of a short number
// the first and the last.
func maskDocument(n string) string {
	switch {
	case n == "":
		return ""
	case len(n) < 8:
		return n[:1] + "****" + n[len(n)-1:]
	}
	return n[:3] + "****" + n[len(n)-2:]
}

// lastFour is how somebody at a desk names a phone; empty for one that is no mobile number.
func lastFour(phone string) string {
	if len(phone) != 11 {
		return ""
	}
	return phone[7:]
}

// maskPhone shows what its owner recognises: 138****0000.
func maskPhone(p string) string {
	if len(p) != 11 {
		return ""
	}
	return p[:3] + "****" + p[7:]
}
