// Package fhirgen writes the FHIR bundles of an invented region in the shape that Synthea
// gives them: a batch of hospitals, a batch of practitioners with their roles, and
// transactions of patients with their visits. The same options give the same bytes.
// Tests use it; the names are made up.
package fhirgen

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// Options of a region.
type Options struct {
	Seed      uint64
	Hospitals int
	Doctors   int
	Patients  int
	Clinical  int  // Encounters and Observations of each patient, which an import skips
	Errors    bool // plant errors in the patients' file: Planted
	Renamed   bool // every tenth patient has another family name than in the region without it
}

// Planted are the refusals that Errors makes, in the order of the file.
var Planted = []struct{ Path, Code string }{
	{"Bundle.entry[0].resource.birthDate", "interop.birth_date"},
	{"Bundle.entry[1].resource.name", "interop.wrong_type"},
	{"Bundle.entry[2].resource.identifier", "interop.no_identifier"},
	{"Bundle.entry[3].resource.careProvider", "interop.fhir_version"},
	{"Bundle.entry[4].resource.resourceType", "interop.unknown_type"},
	{"Bundle.entry[5].resource.gender", "interop.wrong_value"},
	{"Bundle.entry[7].resource.identifier", "interop.identifier_twice"},
}

// Resources is how many resources the three files of a region have.
func (o Options) Resources() int {
	n := 2*o.Hospitals + 2*o.Doctors + o.Patients*(1+o.Clinical)
	if o.Errors {
		n += len(Planted) + 1
	}
	return n
}

const synthea = "https://github.com/synthetichealth/synthea"

var (
	families  = strings.Fields("Abbott Brekke Crist Dickens Emard Feest Gleason Hauck Jast Kling Lind Mraz Nolan Okuneva Price Quigley Rowe Stark Toy Upton")
	givens    = strings.Fields("Ada Bert Cora Dean Elsa Finn Gina Hugo Iris Joel Kara Liam Mina Noel Olga Paul Rita Saul Tina Ugo")
	cities    = strings.Fields("Apfeldorf Birkenau Cedarholm Dunmore Eastwick Fernhill Greenport Highgate")
	services  = strings.Split("General Practice,Cardiovascular Disease,Pediatrics,Dermatology,Orthopedics,Ophthalmology,Urgent Care,Psychiatry", ",")
	separator = ",\n"
)

// region draws from one seed.
type region struct {
	Options
	w   *bufio.Writer
	rnd *rand.Rand
	n   int
}

func begin(w io.Writer, o Options, part uint64, kind string) *region {
	r := &region{Options: o, w: bufio.NewWriter(w), rnd: rand.New(rand.NewPCG(o.Seed, part))}
	fmt.Fprintf(r.w, "{\n\"resourceType\": \"Bundle\",\n\"type\": %q,\n\"entry\": [\n", kind)
	return r
}

func (r *region) end() error {
	fmt.Fprint(r.w, "\n]\n}\n")
	return r.w.Flush()
}

// uuid is the n-th id of a sort.
func (o Options) uuid(sort string, n int) string {
	rnd := rand.New(rand.NewPCG(o.Seed, uint64(n)<<8|uint64(sort[0])))
	a, b := rnd.Uint64(), rnd.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

func (r *region) entry(kind, id, body string) {
	if r.n++; r.n > 1 {
		fmt.Fprint(r.w, separator)
	}
	fmt.Fprintf(r.w, `{"fullUrl": "urn:uuid:%s", "resource": {"resourceType": %q, "id": %q, %s}, "request": {"method": "POST", "url": %q}}`, id, kind, id, body, kind)
}

// Hospitals writes hospitalInformation: each institution with its place.
func Hospitals(w io.Writer, o Options) error {
	r := begin(w, o, 1, "batch")
	for n := range o.Hospitals {
		org, city := o.uuid("org", n), cities[r.rnd.IntN(len(cities))]
		reach := fmt.Sprintf(`"telecom": [{"system": "phone", "value": "555-010-%04d"}]`, n)
		address := fmt.Sprintf(`{"line": ["%d MAIN STREET"], "city": %q, "state": "MA", "postalCode": "%05d", "country": "US"}`, n+1, strings.ToUpper(city), 1000+n)
		name := fmt.Sprintf("%s HOSPITAL %d", strings.ToUpper(city), n+1)
		r.entry("Organization", org, fmt.Sprintf(`"identifier": [{"system": %q, "value": %q}], "active": true, "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "prov", "display": "Healthcare Provider"}], "text": "Healthcare Provider"}], "name": %q, %s, "address": [%s]`,
			synthea, org, name, reach, address))
		r.entry("Location", o.uuid("loc", n), fmt.Sprintf(`"identifier": [{"system": %q, "value": %q}], "status": "active", "name": %q, %s, "address": %s, "position": {"longitude": -71.5, "latitude": 42.25}, "managingOrganization": {"identifier": {"system": %q, "value": %q}, "display": %q}`,
			synthea, o.uuid("loc", n), name, reach, address, synthea, org, name))
	}
	return r.end()
}

// Practitioners writes practitionerInformation: each clinician with a role.
func Practitioners(w io.Writer, o Options) error {
	r := begin(w, o, 2, "batch")
	for n := range o.Doctors {
		npi, at := fmt.Sprintf("%010d", 9_990_000_000+n), r.rnd.IntN(o.Hospitals)
		family, given := families[r.rnd.IntN(len(families))], givens[r.rnd.IntN(len(givens))]
		r.entry("Practitioner", o.uuid("doc", n), fmt.Sprintf(`"identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": %q}], "active": true, "name": [{"family": "%s%d", "given": ["%s%d"], "prefix": ["Dr."]}], "gender": "female"`,
			npi, family, r.rnd.IntN(1000), given, r.rnd.IntN(1000)))
		service := services[r.rnd.IntN(len(services))]
		code := fmt.Sprintf(`[{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "208D00000X", "display": %q}], "text": %q}]`, service, service)
		r.entry("PractitionerRole", o.uuid("role", n), fmt.Sprintf(`"practitioner": {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|%s"}, "organization": {"reference": "Organization?identifier=%s|%s"}, "code": %s, "specialty": %s, "location": [{"reference": "Location?identifier=%s|%s"}], "telecom": [{"system": "email", "value": "a.b@example.com"}]`,
			npi, synthea, o.uuid("org", at), code, code, synthea, o.uuid("loc", at)))
	}
	return r.end()
}

// Patients writes the patients with their visits as one transaction.
func Patients(w io.Writer, o Options) error {
	r := begin(w, o, 3, "transaction")
	if o.Errors {
		r.planted()
	}
	for n := range o.Patients {
		r.patient(n)
		id := o.uuid("pat", n)
		for c := range o.Clinical {
			if c%4 == 0 {
				r.entry("Encounter", o.uuid("enc", n*1000+c), fmt.Sprintf(`"status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}, "subject": {"reference": "urn:uuid:%s"}, "period": {"start": "2019-03-0%dT09:00:00+01:00"}`, id, c%9+1))
				continue
			}
			r.entry("Observation", o.uuid("obs", n*1000+c), fmt.Sprintf(`"status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2", "display": "Body Height"}], "text": "Body Height"}, "subject": {"reference": "urn:uuid:%s"}, "effectiveDateTime": "2019-03-0%dT09:00:00+01:00", "valueQuantity": {"value": %d.5, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"}`, id, c%9+1, 100+r.rnd.IntN(100)))
		}
	}
	return r.end()
}

func (r *region) patient(n int) {
	family, given := families[r.rnd.IntN(len(families))], givens[r.rnd.IntN(len(givens))]
	a, b := r.rnd.IntN(1000), r.rnd.IntN(1000)
	if r.Renamed && n%10 == 0 {
		family = "Vonrueden"
	}
	year := 1940 + r.rnd.IntN(80)
	passport, contact := "", ""
	if year < 2000 {
		passport = fmt.Sprintf(`, {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PPN"}], "text": "Passport Number"}, "system": "http://standardhealthrecord.org/fhir/StructureDefinition/passportNumber", "value": "X%08dX"}`, n)
	}
	if year > 2005 {
		contact = fmt.Sprintf(`, "contact": [{"relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0131", "code": "C"}], "text": "guardian"}], "name": {"family": "%s%d", "given": ["Bea"]}, "telecom": [{"system": "phone", "value": "555-020-%04d"}]}]`, family, a, n%10000)
	}
	id := r.uuid("pat", n)
	r.entry("Patient", id, fmt.Sprintf(`"text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Generated</div>"}, "identifier": [{"system": %q, "value": %q}, {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}], "text": "Medical Record Number"}, "system": "http://hospital.example.org", "value": %q}, {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "SS"}]}, "system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-%02d-%04d"}%s], "name": [{"use": "official", "family": "%s%d", "given": ["%s%d"]}], "telecom": [{"system": "phone", "value": "555-%03d-%04d", "use": "home"}], "gender": %q, "birthDate": "%d-%02d-%02d", "address": [{"line": ["%d Mill Lane"], "city": %q, "state": "MA", "country": "US"}]%s, "multipleBirthBoolean": false`,
		synthea, id, id, n/10000, n%10000, passport, family, a, given, b, n%1000, n%10000, []string{"male", "female"}[n%2], year, 1+r.rnd.IntN(12), 1+r.rnd.IntN(28),
		1+r.rnd.IntN(900), cities[r.rnd.IntN(len(cities))], contact))
}

// planted writes the bad resources; the seventh is good, and the last has its identifier
// and is somebody else.
func (r *region) planted() {
	who := func(n int, rest string) string {
		return fmt.Sprintf(`"identifier": [{"system": "http://planted.example.org", "value": "P-%d"}], %s`, n, rest)
	}
	name := `"name": [{"family": "Secretname", "given": ["Peter"]}]`
	r.entry("Patient", r.uuid("bad", 0), who(0, name+`, "birthDate": "1990-02-30"`))
	r.entry("Patient", r.uuid("bad", 1), who(1, `"name": {"family": "Secretname"}, "birthDate": "1990-02-03"`))
	r.entry("Patient", r.uuid("bad", 2), name+`, "birthDate": "1990-02-03"`)
	r.entry("Patient", r.uuid("bad", 3), who(3, name+`, "birthDate": "1990-02-03", "careProvider": [{"reference": "Practitioner/1"}]`))
	r.entry("Patiant", r.uuid("bad", 4), who(4, name+`, "birthDate": "1990-02-03"`))
	r.entry("Patient", r.uuid("bad", 5), who(5, name+`, "birthDate": "1990-02-03", "gender": "Secretgender"`))
	r.entry("Patient", r.uuid("bad", 6), who(6, name+`, "birthDate": "1990-02-03"`))
	r.entry("Patient", r.uuid("bad", 7), who(6, `"name": [{"family": "Othersecret", "given": ["Paul"]}], "birthDate": "1971-12-03"`))
}
