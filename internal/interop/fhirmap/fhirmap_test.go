package fhirmap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
)

func source(kind, body string) Source {
	return Source{Type: kind, ID: "1", FullURL: "urn:uuid:1", Raw: []byte(`{"resourceType": "` + kind + `", ` + body + `}`)}
}

const ident = `"identifier": [{"system": "http://a.example", "value": "7"}]`

var same = []directory.Identifier{{System: "http://a.example", Value: "7"}}

func TestPatient(t *testing.T) {
	full := source("Patient", `"identifier": [
			{"system": "http://hospital.example", "value": " MR-1 ", "type": {"coding": [{"code": "MR"}]}},
			{"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519900307123X"},
			{"value": "E12345678", "type": {"text": "护照号码"}},
			{"system": "http://insurer.example", "value": "family-9", "type": {"coding": [{"code": "MB"}]}},
			{"system": "http://old.example", "value": "gone", "use": "old"}],
		"name": [{"family": "Zhang", "given": ["San"]}, {"use": "official", "family": "张", "given": ["小三"]}],
		"gender": "other", "birthDate": "1990-03-07", "active": true,
		"telecom": [{"system": "phone", "value": "010-1234"}, {"system": "phone", "value": "+86 138-0013-8000", "use": "mobile"}, {"system": "email", "value": "a@b.example"}],
		"address": [{"use": "home", "text": "北京市春风路1号", "city": "北京市", "line": ["春风路1号"], "country": "CN"}],
		"contact": [{"relationship": [{"coding": [{"code": "N"}], "text": "父亲"}], "name": {"text": "张三"}, "telecom": [{"system": "phone", "value": "139"}]}]`)
	p, skip, err := ReadPatient(full)
	if err != nil || skip != "" {
		t.Fatal(skip, err)
	}
	want := patient.Imported{
		External: []patient.External{
			{System: "http://hospital.example", Value: secret.New("MR-1")},
			{System: "urn:oid:2.16.156.10011.1.3", Value: secret.New("11010519900307123X")},
			{Value: secret.New("E12345678")},
		},
		Name: secret.New("张小三"), DocumentType: patient.ResidentID, Document: secret.New("11010519900307123X"),
		Birth: clock.NewDate(1990, 3, 7), Phone: secret.New("13800138000"),
		Profile: patient.Profile{
			Names: []secret.Text{secret.New("San Zhang")},
			Telecom: []patient.Telecom{
				{System: "phone", Value: secret.New("010-1234")},
				{System: "phone", Use: "mobile", Value: secret.New("+86 138-0013-8000")},
				{System: "email", Value: secret.New("a@b.example")},
			},
			Addresses: []patient.Address{{Use: "home", Country: "CN", Text: secret.New("北京市春风路1号"), City: secret.New("北京市"), Lines: []secret.Text{secret.New("春风路1号")}}},
			Contacts:  []patient.Contact{{Name: secret.New("张三"), Relationship: "N", Telecom: []patient.Telecom{{System: "phone", Value: secret.New("139")}}}},
		},
	}
	if d := cmp.Diff(want, p.In, cmp.Comparer(func(a, b secret.Text) bool { return a.Equal(b) })); d != "" {
		t.Error(d)
	}
	again, _, _ := ReadPatient(full)
	other, _, _ := ReadPatient(Source{Type: "Patient", Raw: []byte(strings.Replace(string(full.Raw), "a@b", "c@d", 1))})
	if p.Print != again.Print || p.Print == other.Print {
		t.Error("the digest is not of the content")
	}
	if strings.Contains(fmt.Sprintf("%v %+v", p.In, p.In), "张") {
		t.Error("a person prints itself")
	}
}

// TestRefusals: each is named by its place and its code, and no value is in it.
func TestRefusals(t *testing.T) {
	name := `"name": [{"family": "Geheim", "given": ["Peter"]}], `
	for _, c := range []struct{ kind, body, want string }{
		{"Patient", ident + `, "birthDate": "1990-02-03"`, "name interop.missing"},
		{"Patient", name + ident, "birthDate interop.missing"},
		{"Patient", name + ident + `, "birthDate": "1990"`, "birthDate interop.birth_date"},
		{"Patient", name + ident + `, "birthDate": "1990-02-30"`, "birthDate interop.birth_date"},
		{"Patient", name + ident + `, "birthDate": "03.02.1990"`, "birthDate interop.birth_date"},
		{"Patient", name + ident + `, "birthDate": 1990`, "birthDate interop.wrong_type"},
		{"Patient", name + ident + `, "birthDate": "1990-02-03", "gender": "Geheim"`, "gender interop.wrong_value"},
		{"Patient", name + ident + `, "birthDate": "1990-02-03", "active": "yes"`, "active interop.wrong_type"},
		{"Patient", name + ident + `, "birthDate": "1990-02-03", "telecom": {"value": "Geheim"}`, "telecom interop.wrong_type"},
		{"Patient", name + ident + `, "birthDate": "1990-02-03", "address": [{"line": "Geheim"}]`, "address[0].line interop.wrong_type"},
		{"Patient", name + ident + `, "birthDate": "1990-02-03", "contact": [{"name": ["Geheim"]}]`, "contact[0].name interop.wrong_type"},
		{"Patient", name + `"birthDate": "1990-02-03"`, "identifier interop.no_identifier"},
		{"Patient", name + `"birthDate": "1990-02-03", "identifier": [{"system": "http://a.example"}]`, "identifier interop.no_identifier"},
		{"Patient", name + ident + `, "careProvider": []`, "careProvider interop.fhir_version"},
		{"Patient", `"name": [{"family": ["Geheim"]}], ` + ident, "name[0].family interop.fhir_version"},
		{"Practitioner", `"name": {"family": ["Geheim"]}, ` + ident, "name interop.wrong_type"},
		{"Practitioner", name + ident + `, "practitionerRole": []`, "practitionerRole interop.fhir_version"},
		{"Practitioner", name + ident + `, "communication": [{"language": {}}]`, "communication[0].language interop.fhir_version"},
		{"Practitioner", ident, "name interop.missing"},
		{"Organization", ident, "name interop.missing"},
		{"Organization", `"name": "A", "qualification": [], ` + ident, "qualification interop.fhir_version"},
		{"Organization", `"name": "A", "type": [{"coding": [{"code": "dept"}]}], ` + ident, "partOf interop.missing"},
		{"Location", `"name": "A", "form": {}, ` + ident, "form interop.fhir_version"},
		{"Location", `"name": "A", "managingOrganization": {"reference": "#o"}, ` + ident, "managingOrganization.reference interop.contained"},
		{"PractitionerRole", `"organization": {"reference": "Organization/1"}`, "practitioner interop.missing"},
		{"PractitionerRole", `"practitioner": {"reference": "Practitioner/1"}`, "organization interop.missing"},
		{"PractitionerRole", `"practitioner": {"reference": "Practitioner?name=Geheim"}`, "practitioner.reference interop.reference_missing"},
		{"PractitionerRole", `"practitioner": {"reference": "Patient?identifier=a|b"}`, "practitioner.reference interop.reference_missing"},
		{"PractitionerRole", `"availability": []`, "availability interop.fhir_version"},
	} {
		err := read(source(c.kind, c.body))
		path, code := Where(err)
		if code == nil {
			t.Errorf("%s %s: %v, want %s", c.kind, c.body, err, c.want)
			continue
		}
		if got := path + " " + code.Name; got != c.want {
			t.Errorf("%s %s: %s, want %s", c.kind, c.body, got, c.want)
		}
		if strings.Contains(fmt.Sprintf("%+v %v", err, err), "Geheim") {
			t.Errorf("%s tells %v", c.body, err)
		}
	}
}

func read(s Source) (err error) {
	switch s.Type {
	case "Patient":
		_, _, err = ReadPatient(s)
	case "Practitioner":
		_, _, err = ReadPractitioner(s)
	case "Organization":
		_, _, err = ReadOrganization(s)
	case "Location":
		_, _, err = ReadLocation(s)
	default:
		_, _, err = ReadRole(s)
	}
	return err
}

func TestSkips(t *testing.T) {
	for body, want := range map[string]Skipped{
		`"active": false`:                                      Inactive,
		`"deceasedBoolean": true`:                              Deceased,
		`"deceasedDateTime": "2019-03-02T09:00:00Z"`:           Deceased,
		`"link": [{"type": "replaced-by", "other": {}}]`:       Replaced,
		`"link": [{"type": "seealso", "other": {}}], ` + ident: "",
	} {
		_, skip, _ := ReadPatient(source("Patient", body))
		if skip != want {
			t.Errorf("%s: %q", body, skip)
		}
	}
	if _, skip, err := ReadLocation(source("Location", `"partOf": {"reference": "Location/1"}`)); skip != PartOfPlace || err != nil {
		t.Error(skip, err)
	}
	if _, skip, err := ReadOrganization(source("Organization", `"type": [{"coding": [{"code": "ins"}]}]`)); skip != NotAProvider || err != nil {
		t.Error(skip, err)
	}
}

func TestDirectory(t *testing.T) {
	o, _, err := ReadOrganization(source("Organization", ident+`, "name": "心内科", "partOf": {"reference": "Organization/9"}`))
	if want := (Organization{Identifiers: same, Name: "心内科", Department: true, PartOf: Ref{Path: "partOf", Type: "Organization", Text: "Organization/9"}}); err != nil || cmp.Diff(want, o) != "" {
		t.Error(err, cmp.Diff(want, o))
	}
	l, _, err := ReadLocation(source("Location", ident+`, "name": "Main", "telecom": [{"system": "phone", "value": "555"}], "address": {"line": ["1 Main St"], "city": "X", "state": "MA", "postalCode": "01"},
		"managingOrganization": {"identifier": {"system": "s", "value": "v"}}`))
	want := Location{Identifiers: same, Name: "Main", Phone: "555", Address: "1 Main St, X, MA 01", City: "X", Organization: Ref{Path: "managingOrganization", Type: "Organization", Identifier: directory.Identifier{System: "s", Value: "v"}}}
	if err != nil || cmp.Diff(want, l) != "" {
		t.Error(err, cmp.Diff(want, l))
	}
	p, _, err := ReadPractitioner(source("Practitioner", `"identifier": [{"value": "staff-1"}, {"system": "http://hl7.org/fhir/sid/us-npi", "value": "99"}], "name": [{"family": "李", "given": ["时珍"]}]`))
	if err != nil || p.Licence != "99" || p.Name != "李时珍" || len(p.Identifiers) != 2 {
		t.Errorf("%+v %v", p, err)
	}
	r, _, err := ReadRole(source("PractitionerRole", `"practitioner": {"reference": "Practitioner?identifier=http://n|99"}, "location": [{"reference": "Location/1"}],
		"code": [{"text": "主任医师"}], "specialty": [{"coding": [{"display": "心血管内科"}]}, {"text": "高血压"}]`))
	if err != nil || r.Practitioner.Identifier != (directory.Identifier{System: "http://n", Value: "99"}) || r.Title != "主任医师" || r.Department != "心血管内科" || r.Specialty != "心血管内科 高血压" {
		t.Errorf("%+v %v", r, err)
	}
	// A server's own address is an identifier when there is no other.
	s := Source{Type: "Organization", ID: "5", FullURL: "https://fhir.example/r4/Organization/5", Raw: []byte(`{"name": "A"}`)}
	o, _, err = ReadOrganization(s)
	if err != nil || len(o.Identifiers) != 1 || o.Identifiers[0] != (directory.Identifier{System: "https://fhir.example/r4/Organization", Value: "5"}) {
		t.Errorf("%+v %v", o, err)
	}
}
