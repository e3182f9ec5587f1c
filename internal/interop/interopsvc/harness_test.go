package interopsvc

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// house is the context with the owners of the data faked.
type house struct {
	t   testing.TB
	s   *Service
	dir *fakeDirectory
	pat *fakePatients
}

func newHouse(t *testing.T) *house {
	t.Helper()
	srv := dbtest.Make(t, db.SQLite, testkit.Sets(Describe())).Open(t)
	h := &house{t: t, dir: &fakeDirectory{ids: map[string]id.ID[id.Any]{}, names: map[string]string{}}, pat: &fakePatients{seen: map[string]string{}}}
	h.s, _ = New(testkit.Base(t, srv, Describe()), h.dir, h.pat, nil, nil, t.TempDir())
	return h
}

// files is a request for texts, in their order.
func files(dryRun bool, texts ...string) interop.ImportRequest {
	n := 0
	return interop.ImportRequest{DryRun: dryRun, Next: func() (string, io.Reader, error) {
		if n == len(texts) {
			return "", nil, io.EOF
		}
		n++
		return fmt.Sprintf("f%d", n), strings.NewReader(texts[n-1]), nil
	}}
}

func (h *house) load(r interop.ImportRequest) (interop.Report, error) {
	return h.s.ImportFHIR(testkit.AsCLI(context.Background(), apitest.Main), r)
}

// lines is a report in short: "Patient 1 0 0 0 0" for taken, updated, unchanged, skipped,
// refused, and "f1 path code" for what was refused.
func lines(r interop.Report) string {
	var b strings.Builder
	for _, c := range r.Types {
		fmt.Fprintf(&b, "%s %d %d %d %d %d\n", c.Type, c.Taken, c.Updated, c.Unchanged, c.Skipped, c.Refused)
	}
	for _, x := range r.Refused {
		fmt.Fprintf(&b, "%s %s %s\n", x.File, x.Path, x.Code)
	}
	return b.String()
}

func bundle(entries ...string) string {
	return `{"resourceType": "Bundle", "type": "transaction", "entry": [` + strings.Join(entries, ",") + `]}`
}

// res is an entry with identifier KIND-ID.
func res(kind, id, body string) string {
	return fmt.Sprintf(`{"fullUrl": "urn:uuid:%s-%s", "resource": {"resourceType": %q, "id": %q, "identifier": [{"system": "s", "value": "%s-%s"}]%s}}`, kind, id, kind, id, kind, id, body)
}

func org(id, body string) string { return res("Organization", id, `, "name": "org `+id+`"`+body) }
func loc(id, body string) string { return res("Location", id, `, "name": "loc `+id+`"`+body) }
func prac(id, body string) string {
	return res("Practitioner", id, `, "name": [{"text": "doc `+id+`"}]`+body)
}

func pat(id, body string) string {
	return res("Patient", id, `, "name": [{"text": "Geheim"}], "birthDate": "1990-01-01"`+body)
}

func role(id, who, at string) string {
	return res("PractitionerRole", id, fmt.Sprintf(`, "practitioner": {"reference": %q}, %s, "code": [{"text": "GP"}]`, who, at))
}

func inOrg(ref string) string { return fmt.Sprintf(`"organization": {"reference": %q}`, ref) }

// fakeDirectory keeps entries by identifier; a value with "bad" in it is refused.
type fakeDirectory struct {
	directory.Service
	ids    map[string]id.ID[id.Any]
	writes int
	names  map[string]string // of campuses
}

func (f *fakeDirectory) Take(_ context.Context, in []directory.Incoming, dryRun bool) ([]directory.Taken, error) {
	out := make([]directory.Taken, 0, len(in))
	for _, e := range in {
		key, extra := f.key(e)
		v, ok := f.ids[key]
		t := directory.Taken{ID: v, Outcome: directory.Same, Place: directory.Same}
		switch {
		case e.Campus != nil && f.names[e.Campus.Name] != "" && f.names[e.Campus.Name] != key:
			t = directory.Taken{Outcome: directory.Refused, Err: directory.ErrNameTaken.At("name", "x")}
		case strings.HasSuffix(key, "-bad"):
			t = directory.Taken{Outcome: directory.Refused, Err: directory.ErrLicenceTaken.At("identifier", "x")}
		case !ok && e.Practitioner != nil && e.Practitioner.Name == "":
			t = directory.Taken{Outcome: directory.Refused, Err: directory.ErrNotFound.New()}
		case !ok:
			t.ID, t.Outcome = id.Random[id.Any](), directory.Created
			f.keep(dryRun, key, t.ID)
			if e.Campus != nil && !dryRun {
				f.names[e.Campus.Name] = key
			}
		}
		if _, ok := f.ids[extra]; !ok && extra != "" && t.Err == nil {
			t.Place = directory.Created
			f.keep(dryRun, extra, t.ID)
		}
		out = append(out, t)
	}
	return out, nil
}

func (f *fakeDirectory) keep(dryRun bool, key string, v id.ID[id.Any]) {
	if !dryRun {
		f.ids[key] = v
		f.writes++
	}
}

func (f *fakeDirectory) key(e directory.Incoming) (key, extra string) {
	switch {
	case e.Organization != nil:
		return "Organization " + e.Identifiers[0].Value, ""
	case e.Campus != nil:
		return "Campus " + e.Identifiers[0].Value, ""
	case e.Department != nil && len(e.Identifiers) > 0:
		return "Department " + e.Identifiers[0].Value, ""
	case e.Department != nil:
		return "Department " + e.Department.Campus.String() + e.Department.Name, ""
	}
	return "Practitioner " + e.Identifiers[0].Value, " in " + e.Practitioner.Department.String() + e.Identifiers[0].Value
}

func (f *fakeDirectory) Identified(_ context.Context, _ directory.TenantID, n directory.Noun, i directory.Identifier) (id.ID[id.Any], error) {
	if v, ok := f.ids[string(n)+" "+i.Value]; ok {
		return v, nil
	}
	return id.ID[id.Any]{}, directory.ErrNotFound.New()
}

func (f *fakeDirectory) Campuses(context.Context, directory.TenantID) ([]directory.Campus, error) {
	return nil, nil
}

// fakePatients keeps names by identifier.
type fakePatients struct {
	patient.Service
	seen   map[string]string
	writes int
	drop   bool // keep nothing: of the bench
}

func (f *fakePatients) Import(_ context.Context, in []patient.Imported, dryRun bool) ([]patient.ImportResult, error) {
	out := make([]patient.ImportResult, 0, len(in))
	for _, p := range in {
		key := p.External[0].Value.Reveal()
		was, ok := f.seen[key]
		r := patient.ImportResult{Outcome: patient.ImportSame}
		switch {
		case strings.HasSuffix(key, "-bad"):
			r = patient.ImportResult{Outcome: patient.ImportRefused, Err: patient.ErrAnother.At("identifier", "x")}
		case !ok:
			r.Outcome = patient.ImportCreated
		case was != p.Name.Reveal():
			r.Outcome = patient.ImportChanged
		}
		if r.Err == nil && r.Outcome != patient.ImportSame && !dryRun && !f.drop {
			f.seen[key] = p.Name.Reveal()
			f.writes++
		}
		out = append(out, r)
	}
	return out, nil
}
