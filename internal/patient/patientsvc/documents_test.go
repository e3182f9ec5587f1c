package patientsvc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/patient"
)

var today = clock.NewDate(2026, time.March, 2)

func TestDocuments(t *testing.T) {
	good := residentID("19900307", 123)
	var withX string // a number whose check digit is X
	for order := 1; withX == ""; order++ {
		if n := residentID("19900307", order); n[17] == 'X' {
			withX = n
		}
	}
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, good[:17]) + good[17:]
	wrong := good[:17] + string('0'+(good[17]-'0'+1)%10)
	hmt := "810000199003071239" // check digit set below
	for _, c := range "0123456789X" {
		if _, _, ok := residentNumber(hmt[:17]+string(c), today); ok {
			hmt = hmt[:17] + string(c)
			break
		}
	}
	for name, c := range map[string]struct {
		docType patient.DocumentType
		in      string
		out     string // "" is refused
	}{
		"resident":             {patient.ResidentID, good, good},
		"GB 11643's example":   {patient.ResidentID, "11010519491231002X", "11010519491231002X"},
		"lower-case x":         {patient.ResidentID, strings.ToLower(withX), withX},
		"full-width digits":    {patient.ResidentID, wide, good},
		"spaces":               {patient.ResidentID, " " + good[:6] + " " + good[6:14] + "　" + good[14:], good},
		"zero-width space":     {patient.ResidentID, good[:6] + "\u200b" + good[6:], good},
		"wrong check digit":    {patient.ResidentID, wrong, ""},
		"two digits exchanged": {patient.ResidentID, good[:15] + string(good[16]) + string(good[15]) + good[17:], ""},
		"February 30":          {patient.ResidentID, residentID("19900230", 123), ""},
		"February 29, 1900":    {patient.ResidentID, residentID("19000229", 123), ""},
		"month 13":             {patient.ResidentID, residentID("19901307", 123), ""},
		"born tomorrow":        {patient.ResidentID, residentID("20260303", 123), ""},
		"born today":           {patient.ResidentID, residentID("20260302", 123), residentID("20260302", 123)},
		"older than anybody":   {patient.ResidentID, residentID("18010101", 123), ""},
		"15 digits":            {patient.ResidentID, "110105900307123", ""},
		"19 digits":            {patient.ResidentID, good + "1", ""},
		"letters":              {patient.ResidentID, "11010519900307ABCD", ""},
		"X inside":             {patient.ResidentID, "1101051990X307123X", ""},
		"empty":                {patient.ResidentID, "", ""},
		"resident as HMT":      {patient.HMTResidence, good, ""},
		"HMT residence":        {patient.HMTResidence, hmt, hmt},
		"HMT as resident":      {patient.ResidentID, hmt, ""},
		"permit of Hong Kong":  {patient.HMTPermit, "h12345678", "H12345678"},
		"permit of Taiwan":     {patient.HMTPermit, "12345678", "12345678"},
		"permit, too short":    {patient.HMTPermit, "H1234567", ""},
		"foreign PR of 2017":   {patient.ForeignPR, "usa110090030712", "USA110090030712"},
		"foreign PR of 2023":   {patient.ForeignPR, "911000199003071239", "911000199003071239"},
		"foreign PR, short":    {patient.ForeignPR, "USA1100900307", ""},
		"passport":             {patient.Passport, "e 1234 5678", "E12345678"},
		"passport, word":       {patient.Passport, "PASSPORT", ""},
		"passport, script":     {patient.Passport, "<b>12345</b>", ""},
		"birth certificate":    {patient.BirthCert, "t110012345", "T110012345"},
		"birth cert, digits":   {patient.BirthCert, "1100123456", ""},
		"internal":             {patient.Internal, "tmp-2026-001", "TMP-2026-001"},
		"internal, long":       {patient.Internal, strings.Repeat("A", 33), ""},
		"unknown type":         {"driving_licence", good, ""},
		"no type":              {"", good, ""},
	} {
		got, _, _, ok := document(c.docType, c.in, today)
		if ok != (c.out != "") || ok && got != c.out {
			t.Errorf("%s: %q %v, want %q", name, got, ok, c.out)
		}
	}
}

func TestResidentNumberSaysBirthAndSex(t *testing.T) {
	for _, c := range []struct {
		order int
		sex   string
	}{{123, "male"}, {124, "female"}, {1, "male"}, {990, "female"}} {
		birth, sex, ok := residentNumber(residentID("20000229", c.order), today)
		if !ok || sex != c.sex || birth != clock.NewDate(2000, time.February, 29) {
			t.Errorf("%d: %v %s %v", c.order, birth, sex, ok)
		}
	}
}

func TestCheck(t *testing.T) {
	d := func(y int, m time.Month, day int) *clock.Date { v := clock.NewDate(y, m, day); return &v }
	base := entry{name: " 张 小三 ", docType: patient.ResidentID, number: residentID("19900307", 123), rel: patient.Self, phone: "+86 138-0013-8000"}
	ofAge := func(birth string) entry {
		e := base
		e.number, e.rel, e.consent = residentID(birth, 123), patient.Child, true
		return e
	}
	for name, c := range map[string]struct {
		e    entry
		edit func(*entry)
		want error
	}{
		"good":                       {e: base},
		"same birth and sex":         {e: base, edit: func(e *entry) { e.birth, e.sex = d(1990, 3, 7), "male" }},
		"another birth":              {e: base, edit: func(e *entry) { e.birth = d(1990, 3, 8) }, want: patient.ErrDocument},
		"another birth, 1970":        {e: base, edit: func(e *entry) { e.birth = d(1970, 1, 1) }, want: patient.ErrDocument},
		"another sex":                {e: base, edit: func(e *entry) { e.sex = "female" }, want: patient.ErrDocument},
		"unknown sex, number knows":  {e: base, edit: func(e *entry) { e.sex = "unknown" }, want: patient.ErrDocument},
		"one-letter name":            {e: base, edit: func(e *entry) { e.name = "张" }, want: patient.ErrInvalid},
		"name of 61":                 {e: base, edit: func(e *entry) { e.name = strings.Repeat("张", 61) }, want: patient.ErrInvalid},
		"name of 60":                 {e: base, edit: func(e *entry) { e.name = strings.Repeat("张", 60) }},
		"name with a digit":          {e: base, edit: func(e *entry) { e.name = "张3" }, want: patient.ErrInvalid},
		"name with markup":           {e: base, edit: func(e *entry) { e.name = "<b>张三" }, want: patient.ErrInvalid},
		"name with a dot":            {e: base, edit: func(e *entry) { e.name = "买买提•艾力" }},
		"foreign name":               {e: base, edit: func(e *entry) { e.name = "José O’Neil-Smith Jr." }},
		"landline":                   {e: base, edit: func(e *entry) { e.phone = "01065123456" }, want: patient.ErrInvalid},
		"12x numbers are no mobiles": {e: base, edit: func(e *entry) { e.phone = "12800138000" }, want: patient.ErrInvalid},
		"no phone":                   {e: base, edit: func(e *entry) { e.phone = "" }},
		"unknown relationship":       {e: base, edit: func(e *entry) { e.rel = "aunt" }, want: patient.ErrInvalid},
		"passport without birth":     {e: base, edit: func(e *entry) { e.docType, e.number = patient.Passport, "E12345678" }, want: patient.ErrInvalid},
		"passport":                   {e: base, edit: func(e *entry) { e.docType, e.number, e.birth = patient.Passport, "E12345678", d(1970, 1, 1) }},
		"passport, born later":       {e: base, edit: func(e *entry) { e.docType, e.number, e.birth = patient.Passport, "E12345678", d(2027, 1, 1) }, want: patient.ErrInvalid},
		"child of 13":                {e: ofAge("20120303")},
		"child of 13, self":          {e: ofAge("20120303"), edit: func(e *entry) { e.rel = patient.Self }, want: patient.ErrGuardian},
		"child of 13, other":         {e: ofAge("20120303"), edit: func(e *entry) { e.rel = patient.Other }, want: patient.ErrGuardian},
		"child of 13, no consent":    {e: ofAge("20120303"), edit: func(e *entry) { e.consent = false }, want: patient.ErrGuardian},
		"14 today, self, alone":      {e: ofAge("20120302"), edit: func(e *entry) { e.rel, e.consent = patient.Self, false }},
		"child by passport, 13": {e: ofAge("20120303"), edit: func(e *entry) {
			e.docType, e.number, e.birth, e.rel = patient.Passport, "E12345678", d(2020, 1, 1), patient.Other
		}, want: patient.ErrGuardian},
		"wrong number before the age": {e: ofAge("20120303"), edit: func(e *entry) { e.number, e.consent = "1", false }, want: patient.ErrDocument},
	} {
		e := c.e
		if c.edit != nil {
			c.edit(&e)
		}
		_, err := check(e, today)
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), e.number) && len(e.number) > 3 || strings.Contains(err.Error(), "张")) {
			t.Errorf("%s: the refusal repeats the input", name)
		}
	}
	p, err := check(base, today)
	if err != nil || p.name.Reveal() != "张 小三" || p.phone.Reveal() != "13800138000" || p.sex != "male" || p.guardian {
		t.Errorf("normalised: %q %q %s %v", p.name.Reveal(), p.phone.Reveal(), p.sex, err)
	}
}

func TestMachines(t *testing.T) {
	if err := errors.Join(links.Check(), claims.Check()); err != nil {
		t.Error(err)
	}
	if !claims.IsFinal(claimProved) || claims.Can(claimProved, claimOpen) || links.Can(linkEnded, linkActive) {
		t.Error("a last state is left")
	}
}
