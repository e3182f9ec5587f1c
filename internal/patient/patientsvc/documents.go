package patientsvc

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
)

// Ages, in years of life completed in Shanghai.
const (
	childAge = 14 // below it a guardian adds the person, with consent (R4, R55; PIPL art. 31)
	adultAge = 18 // a guardian's age (民法典 art. 17)
	maxAge   = 150
)

// entry is a person as somebody typed it in.
type entry struct {
	name    string
	docType patient.DocumentType
	number  string
	birth   *clock.Date
	sex     string
	phone   string
	rel     patient.Relationship
	consent bool
}

// person is a checked and normalised entry.
type person struct {
	name     secret.Text
	docType  patient.DocumentType
	number   secret.Text
	birth    clock.Date
	sex      string
	phone    secret.Text // may be empty
	rel      patient.Relationship
	consent  bool
	guardian bool // under childAge
}

// formats are the numbers of the types that carry no check digit, after normalisation.
var formats = map[patient.DocumentType]*regexp.Regexp{
	patient.HMTPermit: regexp.MustCompile(`^(?:[HM][0-9]{8}(?:[0-9]{2})?|[0-9]{8}(?:[0-9]{2})?)$`),
	patient.ForeignPR: regexp.MustCompile(`^(?:[A-Z]{3}[0-9]{12}|9[0-9]{16}[0-9X])$`),
	patient.Passport:  regexp.MustCompile(`^[A-Z]{0,3}[0-9][A-Z0-9]{3,19}$`),
	patient.BirthCert: regexp.MustCompile(`^[A-Z][0-9]{9}$`),
	patient.Internal:  regexp.MustCompile(`^[A-Z0-9][A-Z0-9-]{3,31}$`),
}

var (
	resident = regexp.MustCompile(`^[1-9][0-9]{16}[0-9X]$`)
	mobile   = regexp.MustCompile(`^1[3-9][0-9]{9}$`)
)

// check judges an entry on a day. Refusals: patient.document_invalid, patient.invalid
// (with the fields), patient.guardian_required.
func check(e entry, today clock.Date) (person, error) {
	p := person{docType: e.docType, rel: e.rel, consent: e.consent, sex: e.sex}
	number, birth, sex, ok := document(e.docType, e.number, today)
	if !ok {
		return p, patient.ErrDocument.At("document_number", "not a number of this document type")
	}
	p.number = secret.New(number)
	var wrong []fault.Detail
	bad := func(path, why string) {
		wrong = append(wrong, fault.Detail{Path: path, Code: patient.ErrInvalid.Name, Message: why})
	}
	if sex != "" { // the number says both (R63)
		if e.birth != nil && *e.birth != birth {
			return p, patient.ErrDocument.At("birth_date", "differs from the document number")
		}
		if e.sex != "" && e.sex != sex {
			return p, patient.ErrDocument.At("sex", "differs from the document number")
		}
		p.birth, p.sex = birth, sex
	} else if e.birth == nil {
		bad("birth_date", "needed with this document type")
	} else if p.birth = *e.birth; !born(p.birth, today) {
		bad("birth_date", "not a day of birth")
	}
	switch p.sex {
	case "":
		p.sex = "unknown"
	case "male", "female", "unknown":
	default:
		bad("sex", "want male, female or unknown")
	}
	if name, ok := personName(e.name); ok {
		p.name = secret.New(name)
	} else {
		bad("name", "want 2 to 60 letters")
	}
	if phone, ok := phoneNumber(e.phone); ok || e.phone == "" {
		p.phone = secret.New(phone)
	} else {
		bad("phone", "want a mobile number")
	}
	if !known(e.rel) {
		bad("relationship", "want self, child, parent, spouse or other")
	}
	if len(wrong) > 0 {
		return p, patient.ErrInvalid.With(wrong...)
	}
	p.guardian = p.birth.Age(today) < childAge
	if p.guardian && (p.rel != patient.Child || !p.consent) {
		return p, patient.ErrGuardian.At("guardian_consent", "under 14: relationship child, with consent")
	}
	return p, nil
}

func known(r patient.Relationship) bool {
	switch r {
	case patient.Self, patient.Child, patient.Parent, patient.Spouse, patient.Other:
		return true
	}
	return false
}

// document normalises a number and judges it by its type. birth and sex are set, sex
// not empty, where the number says them.
func document(t patient.DocumentType, text string, today clock.Date) (number string, birth clock.Date, sex string, ok bool) {
	number = strings.ToUpper(strings.ReplaceAll(narrow(text), " ", ""))
	switch t {
	case patient.ResidentID, patient.HMTResidence:
		if birth, sex, ok = residentNumber(number, today); !ok {
			return number, 0, "", false
		}
		// 81 Hong Kong, 82 Macau, 83 Taiwan.
		hmt := number[0] == '8' && number[1] >= '1' && number[1] <= '3'
		return number, birth, sex, hmt == (t == patient.HMTResidence)
	}
	form := formats[t]
	return number, 0, "", form != nil && form.MatchString(number)
}

// residentNumber reads an 18-digit number of GB 11643-1999: region, birth, order (odd
// for men), check digit ISO 7064 MOD 11-2 (R63).
func residentNumber(n string, today clock.Date) (birth clock.Date, sex string, ok bool) {
	if !resident.MatchString(n) {
		return 0, "", false
	}
	weight, sum := 1, 0
	for i := 17; i >= 0; i-- {
		v := int(n[i] - '0')
		if n[i] == 'X' {
			v = 10
		}
		sum += v * weight
		weight = weight * 2 % 11
	}
	if sum%11 != 1 {
		return 0, "", false
	}
	birth, err := clock.ParseDate(n[6:10] + "-" + n[10:12] + "-" + n[12:14])
	if err != nil || !born(birth, today) {
		return 0, "", false
	}
	if (n[16]-'0')%2 == 1 {
		return birth, "male", true
	}
	return birth, "female", true
}

func born(d, today clock.Date) bool {
	return d <= today && d >= clock.NewDate(1800, time.January, 1) && d.Age(today) <= maxAge
}

// narrow turns full-width digits, letters and spaces into plain ones and drops what
// does not show.
func narrow(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～': // U+FF01 to U+FF5E
			return r - '！' + '!'
		case unicode.IsSpace(r): // the ideographic and the no-break space too
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s))
}

// personName trims a name and makes its dots and spaces uniform.
func personName(s string) (string, bool) {
	s = tidyName(s)
	if n := utf8.RuneCountInString(s); n < 2 || n > 60 || !utf8.ValidString(s) {
		return "", false
	}
	letters := 0
	for _, r := range s {
		switch {
		case unicode.IsLetter(r):
			letters++
		case unicode.IsMark(r), strings.ContainsRune(" ·.'’-()", r):
		default:
			return "", false
		}
	}
	return s, letters >= 2
}

func tidyName(s string) string {
	s = strings.Join(strings.Fields(narrow(s)), " ")
	return strings.NewReplacer("•", "·", "・", "·", "‧", "·", "∙", "·", "●", "·", "．", "·").Replace(s)
}

// phoneNumber is the eleven digits of a mainland mobile number.
func phoneNumber(s string) (string, bool) {
	s = strings.NewReplacer(" ", "", "-", "").Replace(narrow(s))
	if rest, ok := strings.CutPrefix(s, "+86"); ok {
		s = rest
	} else if rest, ok := strings.CutPrefix(s, "0086"); ok {
		s = rest
	}
	if !mobile.MatchString(s) {
		return "", false
	}
	return s, true
}
