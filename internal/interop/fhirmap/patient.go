package fhirmap

import (
	"crypto/sha256"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
)

// Person is a Patient. Print is a digest of all that was read of it.
type Person struct {
	Identifiers []directory.Identifier
	In          patient.Imported
	Print       [sha256.Size]byte
}

// documents are words that Chinese systems write into Identifier.type.
var documents = []struct {
	words string
	kind  patient.DocumentType
}{
	{"居民身份证", patient.ResidentID},
	{"港澳台居民居住证", patient.HMTResidence},
	{"来往内地通行证", patient.HMTPermit},
	{"永久居留", patient.ForeignPR},
	{"护照", patient.Passport},
	{"出生医学证明", patient.BirthCert},
}

// residentOID is the numbering of 居民身份证 in HL7 China.
const residentOID = "2.16.156.10011.1.3"

var (
	wholeDate = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	mobile    = regexp.MustCompile(`^(?:\+?86|0086)?(1[3-9]\d{9})$`)
)

// ReadPatient reads a Patient.
func ReadPatient(s Source) (p Person, skip Skipped, err error) {
	n, err := begin(s, "careProvider", "animal") // DSTU2, STU3
	if err != nil {
		return p, "", err
	}
	if n.get("deceasedDateTime").there() {
		skip = Deceased
	}
	if n.yes("deceasedBoolean", false) {
		skip = Deceased
	}
	for _, l := range n.list("link") {
		if l.str("type") == "replaced-by" {
			skip = Replaced
		}
	}
	if !n.yes("active", true) {
		skip = Inactive
	}
	if *n.bad != nil || skip != "" {
		return p, skip, *n.bad
	}
	p.Identifiers = n.identifiers(s)
	for _, i := range p.Identifiers {
		p.In.External = append(p.In.External, patient.External{System: i.System, Value: secret.New(i.Value)})
	}
	p.In.Birth = n.birth()
	n.document(&p.In)
	n.gender(&p.In)
	names := n.list("name")
	if len(names) == 0 {
		n.get("name").refuse(interop.ErrMissing)
	} else {
		shown := best(names).humanName()
		p.In.Name = secret.New(shown)
		for _, h := range names {
			if t := h.humanName(); t != "" && t != shown {
				p.In.Profile.Names = append(p.In.Profile.Names, secret.New(t))
			}
		}
		if shown == "" {
			n.get("name").refuse(interop.ErrMissing)
		}
	}
	n.reach(&p.In)
	for _, c := range n.list("contact") {
		p.In.Profile.Contacts = append(p.In.Profile.Contacts, c.contact())
	}
	p.Print = digest(p.In, p.Identifiers)
	return p, "", *n.bad
}

func (n node) birth() (d clock.Date) {
	at := n.get("birthDate")
	text := at.text()
	if text == "" {
		return 0
	}
	d, err := clock.ParseDate(text)
	if !wholeDate.MatchString(text) || err != nil {
		at.refuse(interop.ErrDate)
	}
	return d
}

// document takes the identifier that is an identity document, and where a resident
// number is all that says the birth, the birth from it.
func (n node) document(p *patient.Imported) {
	order := []patient.DocumentType{patient.ResidentID, patient.HMTResidence, patient.ForeignPR, patient.HMTPermit, patient.Passport, patient.BirthCert}
	best := len(order)
	for _, i := range n.list("identifier") {
		kind := documentType(i)
		if at := slices.Index(order, kind); at >= 0 && at < best && i.str("value") != "" && i.str("use") != "old" {
			best = at
			p.DocumentType, p.Document = kind, secret.New(i.str("value"))
		}
	}
	at := n.get("birthDate")
	if at.there() {
		return
	}
	if v := p.Document.Reveal(); (p.DocumentType == patient.ResidentID || p.DocumentType == patient.HMTResidence) && len(v) == 18 {
		if d, err := clock.ParseDate(v[6:10] + "-" + v[10:12] + "-" + v[12:14]); err == nil {
			p.Birth = d
			return
		}
	}
	at.refuse(interop.ErrMissing)
}

func documentType(i node) patient.DocumentType {
	code, words := i.get("type").concept()
	for _, d := range documents {
		if strings.Contains(words, d.words) {
			return d.kind
		}
	}
	switch {
	case strings.Contains(i.str("system"), residentOID), code == "NNCHN":
		return patient.ResidentID
	case code == "PPN":
		return patient.Passport
	}
	return ""
}

func (n node) gender(p *patient.Imported) {
	at := n.get("gender")
	switch at.text() {
	case "male", "female":
		p.Sex = at.text()
	case "other", "unknown", "":
		p.Sex = ""
	default:
		at.refuse(interop.ErrValue)
	}
}

// reach reads telecom and addresses; the first mobile number of the mainland is the phone.
func (n node) reach(p *patient.Imported) {
	p.Profile.Telecom = n.telecom()
	for _, t := range p.Profile.Telecom {
		m := mobile.FindStringSubmatch(strings.NewReplacer(" ", "", "-", "").Replace(t.Value.Reveal()))
		if t.System == "phone" && m != nil && (p.Phone.Empty() || t.Use == "mobile") {
			p.Phone = secret.New(m[1])
		}
	}
	for _, a := range n.list("address") {
		v := patient.Address{
			Use: a.str("use"), Country: a.str("country"), PostalCode: a.str("postalCode"), Text: secret.New(a.str("text")),
			State: secret.New(a.str("state")), City: secret.New(a.str("city")), District: secret.New(a.str("district")),
		}
		for _, l := range a.list("line") {
			v.Lines = append(v.Lines, secret.New(l.text()))
		}
		p.Profile.Addresses = append(p.Profile.Addresses, v)
	}
}

func (n node) telecom() (out []patient.Telecom) {
	for _, t := range n.list("telecom") {
		if v := t.str("value"); v != "" {
			out = append(out, patient.Telecom{System: t.str("system"), Use: t.str("use"), Value: secret.New(v)})
		}
	}
	return out
}

// contact reads a guardian or next of kin.
func (n node) contact() (c patient.Contact) {
	for _, r := range n.list("relationship") {
		if code, words := r.concept(); c.Relationship == "" {
			if c.Relationship = code; code == "" {
				c.Relationship = words
			}
		}
	}
	if h := n.get("name"); h.there() {
		c.Name = secret.New(h.humanName())
	}
	c.Telecom = n.telecom()
	return c
}

// digest is over the values themselves: secret.Text hides them from every encoder.
func digest(p patient.Imported, ids []directory.Identifier) [sha256.Size]byte {
	all := []string{p.Name.Reveal(), string(p.DocumentType), p.Document.Reveal(), p.Birth.String(), p.Sex, p.Phone.Reveal()}
	for _, i := range ids {
		all = append(all, i.System, i.Value)
	}
	texts := func(ts ...secret.Text) {
		all = append(all, "[")
		for _, t := range ts {
			all = append(all, t.Reveal())
		}
	}
	telecom := func(ts []patient.Telecom) {
		for _, t := range ts {
			all = append(all, "t", t.System, t.Use, t.Value.Reveal())
		}
	}
	texts(p.Profile.Names...)
	telecom(p.Profile.Telecom)
	for _, a := range p.Profile.Addresses {
		all = append(all, "a", a.Use, a.Country, a.PostalCode)
		texts(append(a.Lines, a.Text, a.State, a.City, a.District)...)
	}
	for _, c := range p.Profile.Contacts {
		all = append(all, "c", c.Relationship, c.Name.Reveal())
		telecom(c.Telecom)
	}
	b, _ := json.Marshal(all) // texts always marshal
	return sha256.Sum256(b)
}
