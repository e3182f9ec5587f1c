package mask

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/secret"
)

// Faker makes the values that stand in for real ones. All follow from the key and the value (or whose value it is), by
// HMAC-SHA256: the same again for the same, and no way back. Where two values must stay two, the stand-in is written down in
// the scratch database while the copy is made.
type Faker struct {
	key     []byte
	scratch scratch
	known   *Known
}

func (f *Faker) mac(purpose string, parts ...string) []byte {
	h := hmac.New(sha256.New, f.key)
	h.Write([]byte("xinglin/mask/v1\x00" + purpose + "\x00" + strings.Join(parts, "\x00")))
	return h.Sum(nil)
}

// number is a number below n that follows from the parts.
func (f *Faker) number(n uint64, purpose string, parts ...string) uint64 {
	return binary.BigEndian.Uint64(f.mac(purpose, parts...)) % n
}

// Surnames of the stand-ins: common ones, so that a list looks as lists do.
var surnames = []rune("王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高梁郑谢宋唐许韩邓冯曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金")

const (
	stems    = "甲乙丙丁戊己庚辛壬癸"
	branches = "子丑寅卯辰巳午未申酉戌亥"
)

// Name stands in for a name: 王某甲, 李某丙寅, as courts write people whom they do not name. of is whose it is: two people of one
// name get two; empty is for names that must be the same wherever they stand.
func (f *Faker) Name(name secret.Text, of string) secret.Text {
	v := name.Reveal()
	if v == "" {
		return name
	}
	f.known.add(dataclass.Name, v)
	n := f.number(1<<32, "name", of, v)
	if !strings.ContainsFunc(v, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		word := f.mac("latin", of, v)[:6]
		for i := range word {
			word[i] = 'a' + word[i]%26
		}
		return secret.New("Mou " + strings.ToUpper(string(word[:1])) + string(word[1:]))
	}
	st, br := []rune(stems), []rune(branches)
	out := string(surnames[n%uint64(len(surnames))]) + "某" + string(st[n/100%10])
	if n/1000%4 != 0 {
		out += string(br[n/10000%12])
	}
	return secret.New(out)
}

// nobodys are the beginnings of mobile numbers that no operator has: what begins so reaches nobody.
var nobodys = []string{"160", "161", "163", "164", "168", "169"}

const (
	tries   = 10_000
	shapely = 100 // candidates of the same shape
)

// Phone stands in for a mobile number, or for another phone by one of no area. Two numbers stay two.
func (f *Faker) Phone(ctx context.Context, phone secret.Text) (secret.Text, error) {
	v := phone.Reveal()
	if v == "" {
		return phone, nil
	}
	f.known.add(dataclass.Phone, v)
	return f.assign(ctx, "phone", v, func(n int) string {
		x := f.number(1e8*uint64(len(nobodys)), "phone", v, fmt.Sprint(n))
		if !mobile(v) {
			return fmt.Sprintf("000-%08d", x%1e8)
		}
		return fmt.Sprintf("%s%08d", nobodys[x/1e8], x%1e8)
	})
}

// Number stands in for a number or other name of the same shape: digits for digits, letters for letters; the first character
// stays, because it says what kind of number it is. Two stay two within a kind.
func (f *Faker) Number(ctx context.Context, kind string, number secret.Text) (secret.Text, error) {
	v := number.Reveal()
	if v == "" {
		return number, nil
	}
	f.known.add(dataclass.Number, v)
	return f.assign(ctx, "number "+kind, v, func(n int) string {
		rs := []rune(v)
		if n >= shapely { // too short for so many: a longer one
			return string(rs[0]) + hex.EncodeToString(f.mac("number "+kind, v, fmt.Sprint(n))[:8])
		}
		stream := f.stream("number "+kind, v, n, 2*len(rs))
		for i, r := range rs {
			x := int(stream[2*i])<<8 | int(stream[2*i+1])
			switch {
			case i == 0:
			case r >= '0' && r <= '9':
				rs[i] = '0' + rune(x%10)
			case r >= 'A' && r <= 'Z':
				rs[i] = 'A' + rune(x%26)
			case r >= 'a' && r <= 'z':
				rs[i] = 'a' + rune(x%26)
			case unicode.IsLetter(r):
				rs[i] = surnames[x%len(surnames)]
			}
		}
		return string(rs)
	})
}

// stream is n bytes that follow from a value and a count.
func (f *Faker) stream(purpose, v string, count, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		out = append(out, f.mac(purpose, v, fmt.Sprint(count), fmt.Sprint(i))...)
	}
	return out
}

// Provinces of GB/T 2260, and the county that none of them has.
var (
	provinces = strings.Fields("11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65")
	abroad    = strings.Fields("81 82 83") // Hong Kong, Macau, Taiwan
)

const nowhere = "9999"

// Resident stands in for an 18-digit number of GB 11643: of a county that is none, with the birth and the sex that the copy
// has of the person, and a right check digit (R63).
func (f *Faker) Resident(ctx context.Context, number secret.Text, birth clock.Date, male bool) (secret.Text, error) {
	v := number.Reveal()
	if len(v) != 18 {
		return f.Number(ctx, "document", number)
	}
	f.known.add(dataclass.Number, v)
	places := provinces
	if v[0] == '8' {
		places = abroad
	}
	y, m, d := birth.Parts()
	return f.assign(ctx, "resident", v, func(n int) string {
		x := f.number(uint64(len(places))*500, "resident", v, fmt.Sprint(n))
		order := 2 * (x % 500)
		if male {
			order++
		}
		return withCheck(fmt.Sprintf("%s%s%04d%02d%02d%03d", places[x/500], nowhere, y, int(m), d, order))
	})
}

// withCheck adds the check digit of ISO 7064 MOD 11-2.
func withCheck(n string) string {
	weight, sum := 2, 0
	for i := len(n) - 1; i >= 0; i-- {
		sum += int(n[i]-'0') * weight
		weight = weight * 2 % 11
	}
	return n + string("10X98765432"[sum%11])
}

// shift is the most days by which a birth moves.
const shift = 28

// earliest is before every birth that the product takes.
var earliest = clock.NewDate(1800, 2, 1)

// Birth moves a birth by 1 to 28 days to the past: who is old enough for something stays so, and nobody becomes a child for
// whom no guardian consented (R4, R55). of is whose it is.
func (f *Faker) Birth(d clock.Date, of string) clock.Date {
	return max(d.Add(-1-int(f.number(shift, "birth", of))), earliest)
}

// Mail stands in for a mail address: under a domain that never exists (RFC 2606).
func (f *Faker) Mail(ctx context.Context, mail secret.Text) (secret.Text, error) {
	v := mail.Reveal()
	if v == "" {
		return mail, nil
	}
	f.known.add(dataclass.Mail, v)
	return f.assign(ctx, "mail", v, func(n int) string {
		return "p" + hex.EncodeToString(f.mac("mail", v, fmt.Sprint(n))[:6]) + "@masked.invalid"
	})
}

// What stands in for words, the same for all of a class.
const (
	maskedText    = "（已脱敏）"
	maskedAddress = "（地址已脱敏）"
	maskedWord    = "masked"
)

// Text stands in for free words: nothing of them is kept but that there were some.
func (f *Faker) Text(s string) string {
	if strings.TrimSpace(s) == "" {
		return s
	}
	return maskedText
}

// Address stands in for a postal address.
func (f *Faker) Address(s string) string {
	if strings.TrimSpace(s) == "" {
		return s
	}
	return maskedAddress
}

// Opaque stands in for a number that only another system understands, and for hashes of secrets: hex of a keyed hash.
func (f *Faker) Opaque(kind, s string) string {
	if s == "" {
		return s
	}
	f.known.add(dataclass.Number, s)
	return "M" + hex.EncodeToString(f.mac("opaque "+kind, s)[:12])
}

// Code keeps a code and nothing else: reasons are codes, or an operator's words.
func (f *Faker) Code(s string) string {
	if codeText.MatchString(s) && !strings.ContainsFunc(s, unicode.IsUpper) && find(s, nil, false).none() {
		return s
	}
	return maskedWord
}

// Password is what all staff of the copy log in with.
func (f *Faker) Password() secret.Text {
	return secret.New("copy-" + strings.ToLower(base32.StdEncoding.EncodeToString(f.mac("password"))[:16]))
}

// TOTP is the one-time secret of all staff of the copy: 160 bits in base32.
func (f *Faker) TOTP() secret.Text {
	return secret.New(base32.StdEncoding.EncodeToString(f.mac("totp")[:20]))
}

// assign is the stand-in for a value: the one that it has, or the first candidate that no other value has. It is never the
// value itself.
func (f *Faker) assign(ctx context.Context, kind, v string, candidate func(n int) string) (secret.Text, error) {
	digest := f.mac("assign "+kind, v)
	stands, err := f.scratch.find(ctx, digest)
	if err != nil || stands != "" {
		return secret.New(stands), err
	}
	for n := range tries {
		c := candidate(n)
		if c == v {
			continue
		}
		took, err := f.scratch.take(ctx, kind, digest, c)
		if err != nil {
			return secret.Text{}, err
		}
		if took {
			return secret.New(c), nil
		}
	}
	return secret.Text{}, ErrNoRoom.Because("kind %s", kind)
}
