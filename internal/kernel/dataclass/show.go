package dataclass

import (
	"strings"
	"unicode/utf8"

	"xinglin/internal/kernel/secret"
)

const (
	maxStars = 3 // a mask does not tell how long a long name is
	hidden   = "****"
)

// Mask is what answers, notices and screens show of a value to those who need to recognise it and not to know it. It is the
// only way in which a value of a personal class becomes a text for somebody else; a class without a form of its own shows nothing
// but that there is something.
func (c Class) Mask(t secret.Text) string {
	v := t.Reveal()
	if v == "" {
		return ""
	}
	switch c.Plain() {
	case Name:
		return maskName(v)
	case Phone:
		return maskPhone(v)
	case Number:
		return maskNumber(v)
	case Mail:
		return maskMail(v)
	}
	return hidden
}

// maskName: 张*, 张*三, 欧**华, M***a.
func maskName(name string) string {
	rs := []rune(name)
	if len(rs) <= 2 {
		return string(rs[0]) + "*"
	}
	return string(rs[0]) + strings.Repeat("*", min(len(rs)-2, maxStars)) + string(rs[len(rs)-1])
}

// maskNumber keeps the first three and the last two characters, of a short number the first and the last.
func maskNumber(n string) string {
	rs := []rune(n)
	if len(rs) < 8 {
		return string(rs[0]) + hidden + string(rs[len(rs)-1])
	}
	return string(rs[:3]) + hidden + string(rs[len(rs)-2:])
}

const mobileDigits = 11

// maskPhone shows what its owner recognises: 138****0000; nothing of a number that is no mobile one.
func maskPhone(p string) string {
	if len(p) != mobileDigits {
		return ""
	}
	return p[:3] + hidden + p[7:]
}

// maskMail shows the first character and the domain: l***@example.com.
func maskMail(mail string) string {
	name, domain, _ := strings.Cut(mail, "@")
	first, size := utf8.DecodeRuneInString(name)
	if size == 0 {
		return "***@" + domain
	}
	return string(first) + "***@" + domain
}

// LastFour is how somebody at a desk names a phone; empty for one that is no mobile number.
func LastFour(phone secret.Text) string {
	p := phone.Reveal()
	if len(p) != mobileDigits {
		return ""
	}
	return p[7:]
}
