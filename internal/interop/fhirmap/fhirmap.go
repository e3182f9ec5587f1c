// Package fhirmap says what a FHIR R4 resource means in the words of the contexts. It
// looks nothing up: references stay as they are written, for the import to follow.
package fhirmap

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/kernel/fault"
)

// Source is a resource with what stands around it.
type Source struct {
	Type, ID, FullURL string
	Raw               []byte
}

// Skipped is why a resource that could be read is not for the contexts.
type Skipped string

// The reasons.
const (
	Inactive     Skipped = "inactive"
	Deceased     Skipped = "deceased"
	Replaced     Skipped = "replaced"
	PartOfPlace  Skipped = "part_of_place"
	NotAProvider Skipped = "not_a_provider"
)

// Ref is a reference as it is written. Identifier is set for a conditional or logical one.
type Ref struct {
	Path       string               `json:"path"`
	Type       string               `json:"type"`
	Text       string               `json:"text"`
	Identifier directory.Identifier `json:"identifier"`
}

// None reports whether there is no reference.
func (r Ref) None() bool { return r.Text == "" && r.Identifier.Value == "" }

// Organization is an institution, or a department of one.
type Organization struct {
	Identifiers []directory.Identifier
	Name        string
	Department  bool
	PartOf      Ref
	Phone       string
	Address     string
	City        string
}

// Location is a campus.
type Location struct {
	Identifiers  []directory.Identifier
	Name         string
	Organization Ref
	Phone        string
	Address      string
	City         string
}

// Practitioner is a clinician; where and as what is in the roles.
type Practitioner struct {
	Identifiers []directory.Identifier
	Licence     string
	Name        string
}

// Role is where a practitioner works.
type Role struct {
	Practitioner Ref
	Organization Ref
	Locations    []Ref
	Title        string
	Department   string
	Specialty    string
}

// begin reads a resource and refuses what only other versions of FHIR have.
func begin(s Source, foreign ...string) (node, error) {
	n, err := parse(s.Raw)
	if err != nil {
		return n, err
	}
	for _, key := range foreign {
		if at := n.get(key); at.there() {
			at.refuse(interop.ErrVersion)
		}
	}
	if s.Type == "Practitioner" || s.Type == "Patient" {
		for _, h := range n.list("name") {
			if _, ok := h.get("family").v.([]any); ok { // DSTU2
				h.get("family").refuse(interop.ErrVersion)
			}
		}
	}
	return n, *n.bad
}

// ReadOrganization reads an Organization.
func ReadOrganization(s Source) (o Organization, skip Skipped, err error) {
	n, err := begin(s, "description", "qualification") // R5
	if err != nil {
		return o, "", err
	}
	o.Name, o.PartOf = n.str("name"), n.get("partOf").ref("Organization")
	o.Phone, o.Address = phoneOf(n), addressOf(n.list("address"))
	if all := n.list("address"); len(all) > 0 {
		o.City = all[0].str("city")
	}
	kinds := n.codes("type")
	provider := slices.Contains(kinds, "prov")
	o.Department = slices.Contains(kinds, "dept") || slices.Contains(kinds, "team") || !o.PartOf.None() && !provider
	other := slices.ContainsFunc(kinds, func(k string) bool {
		return slices.Contains([]string{"ins", "pay", "govt", "edu", "reli", "crs", "cg", "bus"}, k)
	})
	switch {
	case *n.bad != nil:
		return o, "", *n.bad
	case !n.yes("active", true):
		return o, Inactive, *n.bad
	case other && !provider:
		return o, NotAProvider, nil
	case o.Department && o.PartOf.None():
		n.get("partOf").refuse(interop.ErrMissing)
	case o.Name == "":
		n.get("name").refuse(interop.ErrMissing)
	}
	o.Identifiers = n.identifiers(s)
	return o, "", *n.bad
}

// ReadLocation reads a Location.
func ReadLocation(s Source) (l Location, skip Skipped, err error) {
	n, err := begin(s, "form", "characteristic", "virtualService", "contact") // R5
	if err != nil {
		return l, "", err
	}
	l.Name, l.Organization = n.str("name"), n.get("managingOrganization").ref("Organization")
	l.Phone = phoneOf(n)
	if a := n.get("address"); a.there() {
		l.Address, l.City = addressOf([]node{a}), a.str("city")
	}
	status := n.str("status")
	switch {
	case *n.bad != nil:
		return l, "", *n.bad
	case status == "suspended" || status == "inactive" || n.str("mode") == "kind":
		return l, Inactive, *n.bad
	case n.get("partOf").there():
		return l, PartOfPlace, nil
	case l.Name == "":
		n.get("name").refuse(interop.ErrMissing)
	}
	l.Identifiers = n.identifiers(s)
	return l, "", *n.bad
}

// licenceTypes are codes of v2-0203 for a licence to practise.
var licenceTypes = []string{"MD", "LN", "NPI", "PRN", "DN", "RPH"}

// ReadPractitioner reads a Practitioner.
func ReadPractitioner(s Source) (p Practitioner, skip Skipped, err error) {
	n, err := begin(s, "practitionerRole", "deceasedBoolean", "deceasedDateTime") // DSTU2, R5
	if err != nil {
		return p, "", err
	}
	names := n.list("name")
	if len(names) > 0 {
		p.Name = best(names).humanName()
	}
	for _, c := range n.list("communication") {
		if c.get("language").there() { // R5
			c.get("language").refuse(interop.ErrVersion)
		}
	}
	switch {
	case *n.bad != nil:
		return p, "", *n.bad
	case !n.yes("active", true):
		return p, Inactive, *n.bad
	case p.Name == "":
		n.get("name").refuse(interop.ErrMissing)
	}
	p.Identifiers = n.identifiers(s)
	if len(p.Identifiers) > 0 {
		p.Licence = p.Identifiers[0].Value
	}
	for _, i := range slices.Backward(n.list("identifier")) { // the first of a licence wins
		code, words := i.get("type").concept()
		system := strings.ToLower(i.str("system"))
		if slices.Contains(licenceTypes, code) || strings.Contains(system, "licen") || strings.HasSuffix(system, "us-npi") || strings.Contains(words, "执业") {
			p.Licence = i.str("value")
		}
	}
	return p, "", *n.bad
}

// ReadRole reads a PractitionerRole.
func ReadRole(s Source) (r Role, skip Skipped, err error) {
	n, err := begin(s, "contact", "availability", "characteristic", "communication") // R5
	if err != nil {
		return r, "", err
	}
	r.Practitioner, r.Organization = n.get("practitioner").ref("Practitioner"), n.get("organization").ref("Organization")
	for _, l := range n.list("location") {
		r.Locations = append(r.Locations, l.ref("Location"))
	}
	for _, c := range n.list("code") {
		if _, words := c.concept(); r.Title == "" {
			r.Title = words
		}
	}
	var specialties []string
	for _, c := range n.list("specialty") {
		if _, words := c.concept(); words != "" && !slices.Contains(specialties, words) {
			specialties = append(specialties, words)
		}
	}
	r.Specialty = strings.Join(specialties, " ")
	if r.Department = r.Title; len(specialties) > 0 {
		r.Department = specialties[0]
	}
	switch {
	case *n.bad != nil:
		return r, "", *n.bad
	case !n.yes("active", true):
		return r, Inactive, *n.bad
	case r.Practitioner.None():
		n.get("practitioner").refuse(interop.ErrMissing)
	case r.Organization.None() && len(r.Locations) == 0:
		n.get("organization").refuse(interop.ErrMissing)
	}
	return r, "", *n.bad
}

// ref reads a Reference to a resource of the type.
func (n node) ref(want string) Ref {
	r := Ref{Path: n.path, Type: want, Text: n.str("reference")}
	switch {
	case strings.HasPrefix(r.Text, "#"):
		n.get("reference").refuse(interop.ErrContained)
	case r.Text == "":
		if i := n.get("identifier"); i.there() {
			r.Identifier = directory.Identifier{System: i.str("system"), Value: i.str("value")}
		}
	}
	if kind, query, ok := strings.Cut(r.Text, "?"); ok {
		q, err := url.ParseQuery(query)
		system, value, two := strings.Cut(q.Get("identifier"), "|")
		if !two {
			system, value = "", system
		}
		if err != nil || len(q) != 1 || value == "" || kind[strings.LastIndexByte(kind, '/')+1:] != want {
			n.get("reference").refuse(interop.ErrReference)
			return r
		}
		r.Identifier = directory.Identifier{System: system, Value: value}
	}
	return r
}

// shared are types of identifiers (v2-0203) that are not one person's or one entry's own:
// insurance members, accounts, visits.
var shared = []string{"MB", "MCN", "SN", "AN", "VN", "ANON", "ANC", "AND"}

// identifiers are what finds the resource again: its own, or the address that a server
// gives it.
func (n node) identifiers(s Source) (out []directory.Identifier) {
	for _, i := range n.list("identifier") {
		code, _ := i.get("type").concept()
		v := directory.Identifier{System: i.str("system"), Value: i.str("value")}
		if v.Value == "" || i.str("use") == "old" || slices.Contains(shared, code) || slices.Contains(out, v) {
			continue
		}
		out = append(out, v)
	}
	if len(out) > 0 {
		return out
	}
	base, ok := strings.CutSuffix(s.FullURL, "/"+s.ID)
	if ok && s.ID != "" && (strings.HasPrefix(base, "http://") || strings.HasPrefix(base, "https://")) {
		return []directory.Identifier{{System: base, Value: s.ID}}
	}
	n.get("identifier").refuse(interop.ErrNoID)
	return nil
}

// best is the name to show: official, else usual, else the first.
func best(names []node) node {
	for _, use := range []string{"official", "usual"} {
		for _, h := range names {
			if h.str("use") == use {
				return h
			}
		}
	}
	return names[0]
}

// humanName writes a name as its people do: 张三, but Ada Lovelace.
func (n node) humanName() string {
	if t := n.str("text"); t != "" {
		return t
	}
	family := n.str("family")
	var given []string
	for _, g := range n.list("given") {
		if t := g.text(); t != "" {
			given = append(given, t)
		}
	}
	if strings.ContainsFunc(family, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return family + strings.Join(given, "")
	}
	return strings.TrimSpace(strings.Join(given, " ") + " " + family)
}

// phoneOf is the first phone number.
func phoneOf(n node) string {
	for _, t := range n.list("telecom") {
		if t.str("system") == "phone" && t.str("value") != "" {
			return t.str("value")
		}
	}
	return ""
}

// addressOf is the first address as one line.
func addressOf(all []node) string {
	if len(all) == 0 {
		return ""
	}
	a := all[0]
	if t := a.str("text"); t != "" {
		return t
	}
	var lines []string
	for _, l := range a.list("line") {
		lines = append(lines, l.text())
	}
	state, city, district := a.str("state"), a.str("city"), a.str("district")
	if strings.ContainsFunc(state+city+district, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return state + city + district + strings.Join(lines, "")
	}
	var parts []string
	for _, p := range append(lines, district, city, strings.TrimSpace(state+" "+a.str("postalCode"))) {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

// Where is the path of a refusal below the resource, and its code.
func Where(err error) (path string, code *fault.Code) {
	f := fault.Of(err)
	if f == nil {
		return "", nil
	}
	if len(f.Details) > 0 {
		path = f.Details[0].Path
	}
	return path, f.Code
}
