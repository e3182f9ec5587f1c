package patientsvc

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
)

// Bounds of what the records may say of one person.
const (
	maxExternal = 20
	maxSystem   = 200 // letters
	maxValue    = 200
	maxProfile  = 32 << 10 // bytes of JSON
)

// checkImported judges a person of the records on a day: the rules of check, without
// those of an account. Records name people with figures, and a child's guardian is proved
// when an account claims the child (R4, R55).
func checkImported(in patient.Imported, today clock.Date) (person, secret.Text, error) {
	var wrong []fault.Detail
	bad := func(path, why string) {
		wrong = append(wrong, fault.Detail{Path: path, Code: patient.ErrInvalid.Name, Message: why})
	}
	p := person{docType: in.DocumentType, birth: in.Birth, sex: in.Sex}
	if len(in.External) == 0 || len(in.External) > maxExternal {
		bad("identifier", "want 1 to 20")
	}
	for _, e := range in.External {
		if n := utf8.RuneCountInString(e.Value.Reveal()); n == 0 || n > maxValue || utf8.RuneCountInString(e.System) > maxSystem {
			bad("identifier", "empty or too long")
		}
	}
	name, ok := lettersAndFigures(in.Name.Reveal())
	if !ok {
		bad("name", "want 1 to 60 letters")
	}
	p.name = secret.New(name)
	if !born(in.Birth, today) {
		bad("birthDate", "not a day of birth")
	}
	switch in.Sex {
	case "":
		p.sex = "unknown"
	case "male", "female", "unknown":
	default:
		bad("gender", "want male, female or unknown")
	}
	if phone, ok := phoneNumber(in.Phone.Reveal()); ok || in.Phone.Empty() {
		p.phone = secret.New(phone)
	} else {
		bad("telecom", "want a mobile number")
	}
	profile, err := json.Marshal(stored(in.Profile))
	if err != nil {
		return p, secret.Text{}, err
	}
	if len(profile) > maxProfile {
		bad("profile", "too long")
	}
	if len(wrong) > 0 {
		return p, secret.Text{}, patient.ErrInvalid.With(wrong...)
	}
	if p.docType == "" {
		p.docType, p.number = patient.Internal, internalNumber(in.External[0])
		return p, secret.New(string(profile)), nil
	}
	number, birth, sex, ok := document(in.DocumentType, in.Document.Reveal(), today)
	switch {
	case !ok:
		return p, secret.Text{}, patient.ErrDocument.At("identifier", "not a number of this document type")
	case sex != "" && birth != in.Birth: // the number says both (R63)
		return p, secret.Text{}, patient.ErrDocument.At("birthDate", "differs from the document number")
	case sex != "" && p.sex != "unknown" && p.sex != sex:
		return p, secret.Text{}, patient.ErrDocument.At("gender", "differs from the document number")
	case sex != "":
		p.sex = sex
	}
	p.number = secret.New(number)
	return p, secret.New(string(profile)), nil
}

// lettersAndFigures is personName for records, where test data and foreign systems put
// figures behind a name, and one letter may be all of it.
func lettersAndFigures(s string) (string, bool) {
	s = tidyName(s)
	plain := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
	if _, ok := personName(plain + "姓名"); !ok || utf8.RuneCountInString(s) > 60 {
		return "", false
	}
	return s, strings.ContainsFunc(plain, unicode.IsLetter)
}

// internalNumber is a 院内临时号 for who has no document in the records: always the same
// for the same identifier.
func internalNumber(e patient.External) secret.Text {
	sum := sha256.Sum256([]byte(e.System + "\x00" + e.Value.Reveal()))
	return secret.New("EXT-" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15]))
}

// The stored form of a profile. secret.Text does not print itself, so these are texts;
// they live for the sealing only.
type (
	storedProfile struct {
		Names     []string        `json:"names,omitempty"`
		Telecom   []storedTelecom `json:"telecom,omitempty"`
		Addresses []storedAddress `json:"addresses,omitempty"`
		Contacts  []storedContact `json:"contacts,omitempty"`
	}
	storedTelecom struct {
		System string `json:"system,omitempty"`
		Use    string `json:"use,omitempty"`
		Value  string `json:"value"`
	}
	storedAddress struct {
		Use        string   `json:"use,omitempty"`
		Text       string   `json:"text,omitempty"`
		Lines      []string `json:"lines,omitempty"`
		District   string   `json:"district,omitempty"`
		City       string   `json:"city,omitempty"`
		State      string   `json:"state,omitempty"`
		PostalCode string   `json:"postal_code,omitempty"`
		Country    string   `json:"country,omitempty"`
	}
	storedContact struct {
		Name         string          `json:"name,omitempty"`
		Relationship string          `json:"relationship,omitempty"`
		Telecom      []storedTelecom `json:"telecom,omitempty"`
	}
)

func stored(p patient.Profile) (out storedProfile) {
	out.Names, out.Telecom = reveal(p.Names), storedTelecoms(p.Telecom)
	for _, a := range p.Addresses {
		out.Addresses = append(out.Addresses, storedAddress{
			Use: a.Use, Text: a.Text.Reveal(), Lines: reveal(a.Lines), District: a.District.Reveal(), City: a.City.Reveal(), State: a.State.Reveal(),
			PostalCode: a.PostalCode, Country: a.Country,
		})
	}
	for _, c := range p.Contacts {
		out.Contacts = append(out.Contacts, storedContact{Name: c.Name.Reveal(), Relationship: c.Relationship, Telecom: storedTelecoms(c.Telecom)})
	}
	return out
}

func storedTelecoms(in []patient.Telecom) (out []storedTelecom) {
	for _, t := range in {
		out = append(out, storedTelecom{System: t.System, Use: t.Use, Value: t.Value.Reveal()})
	}
	return out
}

func reveal(in []secret.Text) (out []string) {
	for _, t := range in {
		out = append(out, t.Reveal())
	}
	return out
}
