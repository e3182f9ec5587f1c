package interopsvc

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"xinglin/internal/interop"
	"xinglin/internal/interop/fhirfile"
	"xinglin/internal/interop/fhirgen"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/module"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestReferences: every way to point to something, in the hardest order: what points
// comes first, from another file.
func TestReferences(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want string
	}{
		"conditional, across files": {
			[]string{
				bundle(role("1", "Practitioner?identifier=s|Practitioner-1", inOrg("Organization?identifier=s|Organization-1"))),
				bundle(prac("1", "")), bundle(org("1", "")),
			},
			"Organization 1 0 0 0 0\nPractitioner 1 0 0 0 0\nPractitionerRole 1 0 0 0 0\n",
		},
		"urn:uuid":                 {[]string{bundle(role("1", "urn:uuid:Practitioner-1", inOrg("urn:uuid:Organization-1")), prac("1", ""), org("1", ""))}, "Organization 1 0 0 0 0\nPractitioner 1 0 0 0 0\nPractitionerRole 1 0 0 0 0\n"},
		"relative, with a version": {[]string{bundle(role("1", "Practitioner/1", inOrg("Organization/1/_history/3")), prac("1", "")), bundle(org("1", ""))}, "Organization 1 0 0 0 0\nPractitioner 1 0 0 0 0\nPractitionerRole 1 0 0 0 0\n"},
		"the nearer file first": {
			[]string{
				bundle(prac("1", ""), org("1", ""), role("1", "Practitioner/1", inOrg("Organization/1"))),
				bundle(strings.ReplaceAll(prac("1", ""), "Practitioner-1", "Practitioner-2"), strings.ReplaceAll(role("1", "Practitioner/1", inOrg("Organization/1")), "Role-1", "Role-2")),
			},
			"Organization 1 0 0 0 0\nPractitioner 2 0 0 0 0\nPractitionerRole 2 0 0 0 0\n",
		},
		"ambiguous": {
			[]string{
				bundle(prac("1", "")), bundle(strings.ReplaceAll(prac("1", ""), "Practitioner-1", "Practitioner-2")),
				bundle(org("1", ""), role("1", "Practitioner/1", inOrg("Organization/1"))),
			},
			"Organization 1 0 0 0 0\nPractitioner 0 0 0 0 2\nPractitionerRole 0 0 0 0 1\nf3 Bundle.entry[1].resource.practitioner interop.reference_ambiguous\nf1 Bundle.entry[0].resource interop.no_role\nf2 Bundle.entry[0].resource interop.no_role\n",
		},
		"missing":         {[]string{bundle(prac("1", ""), role("1", "Practitioner/1", inOrg("Organization/7")))}, "Practitioner 0 0 0 0 1\nPractitionerRole 0 0 0 0 1\nf1 Bundle.entry[1].resource.organization interop.reference_missing\nf1 Bundle.entry[0].resource interop.no_role\n"},
		"of another type": {[]string{bundle(org("1", ""), role("1", "Organization/1", inOrg("Organization/1")))}, "Organization 1 0 0 0 0\nPractitionerRole 0 0 0 0 1\nf1 Bundle.entry[1].resource.practitioner interop.reference_missing\n"},
		"contained":       {[]string{bundle(role("1", "#p", inOrg("Organization/1")))}, "PractitionerRole 0 0 0 0 1\nf1 Bundle.entry[0].resource.practitioner.reference interop.contained\n"},
		"to the refused": {
			[]string{bundle(res("Organization", "1", ""), prac("1", ""), role("1", "Practitioner/1", inOrg("Organization/1")))},
			"Organization 0 0 0 0 1\nPractitioner 0 0 0 0 1\nPractitionerRole 0 0 0 0 1\nf1 Bundle.entry[0].resource.name interop.missing\nf1 Bundle.entry[2].resource.organization interop.reference_refused\nf1 Bundle.entry[1].resource interop.no_role\n",
		},
		"a practitioner whom the directory refuses": {
			[]string{bundle(org("1", ""), prac("bad", ""), role("1", "Practitioner/bad", inOrg("Organization/1")))},
			"Organization 1 0 0 0 0\nPractitioner 0 0 0 0 1\nPractitionerRole 0 0 0 0 1\nf1 Bundle.entry[1].resource.identifier directory.licence_taken\nf1 Bundle.entry[2].resource.practitioner interop.reference_refused\n",
		},
		"departments by hierarchy, rooms skipped": {
			[]string{bundle(
				role("1", "Practitioner/1", inOrg("Organization/d2")+`, "location": [{"reference": "Location/r"}]`), prac("1", ""),
				org("d2", `, "partOf": {"reference": "Organization/d1"}`), org("d1", `, "partOf": {"reference": "Organization/h"}`), org("h", ""),
				loc("m", `, "managingOrganization": {"reference": "Organization/h"}`), loc("r", `, "partOf": {"reference": "Location/m"}`),
			)},
			"Location 1 0 0 1 0\nOrganization 3 0 0 0 0\nPractitioner 1 0 0 0 0\nPractitionerRole 1 0 0 0 0\n",
		},
		"two places and a second role": {
			[]string{bundle(
				prac("1", ""), org("1", ""), loc("a", ""), loc("b", ""),
				role("1", "Practitioner/1", `"location": [{"reference": "Location/a"}, {"reference": "Location/b"}]`), role("2", "Practitioner/1", inOrg("Organization/1")),
			)},
			"Location 2 0 0 0 0\nOrganization 1 0 0 0 0\nPractitioner 1 0 0 0 0\nPractitionerRole 2 0 0 0 0\n",
		},
		"a chain's name": {
			[]string{bundle(
				org("1", ""), org("2", ""), loc("1", `, "managingOrganization": {"reference": "Organization/1"}`),
				strings.Replace(loc("2", `, "address": {"city": "X"}, "managingOrganization": {"reference": "Organization/2"}`), "loc 2", "loc 1", 1),
				strings.Replace(loc("3", `, "managingOrganization": {"reference": "Organization/2"}`), "loc 3", "loc 4", 1),
			)},
			"Location 3 0 0 0 0\nOrganization 2 0 0 0 0\n",
		},
		"the same resource in two files": {
			[]string{bundle(org("1", "")), bundle(org("1", ""), pat("1", "")), bundle(pat("1", ""))},
			"Organization 1 0 1 0 0\nPatient 1 0 1 0 0\n",
		},
		"one identifier, two meanings": {
			[]string{bundle(org("1", ""), strings.Replace(org("1", ""), "org 1", "org 2", 1), pat("1", ""), pat("1", `, "gender": "male"`))},
			"Organization 1 0 0 0 1\nPatient 1 0 0 0 1\nf1 Bundle.entry[1].resource.identifier interop.identifier_twice\nf1 Bundle.entry[3].resource.identifier interop.identifier_twice\n",
		},
		"whom patient refuses, and what nobody uses": {
			[]string{bundle(pat("bad", ""), pat("2", ""), res("Encounter", "1", ""), `{"request": {"method": "GET"}}`, pat("3", `, "deceasedBoolean": true`))},
			"- 0 0 0 1 0\nEncounter 0 0 0 1 0\nPatient 1 0 0 1 1\nf1 Bundle.entry[0].resource.identifier patient.another_person\n",
		},
		"a file that breaks off": {
			[]string{bundle(pat("1", ""), pat("2", ""))[:300], bundle(pat("3", ""))},
			"Patient 2 0 0 0 0\nf1 Bundle.entry[1] interop.truncated\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			dry, err := h.load(files(true, c.in...))
			if got := lines(dry); got != c.want {
				t.Errorf("dry run:\n%swant\n%s", got, c.want)
			}
			if h.dir.writes+h.pat.writes > 0 {
				t.Error("a dry run wrote")
			}
			refused := strings.Contains(c.want, "f1 ") || strings.Contains(c.want, "f3 ")
			if errors.Is(err, interop.ErrRefused) != refused {
				t.Errorf("dry run: %v", err)
			}
			rep, err := h.load(files(false, c.in...))
			if got := lines(rep); got != c.want || errors.Is(err, interop.ErrRefused) != refused {
				t.Errorf("got (%v)\n%swant\n%s", err, got, c.want)
			}
			wrote := h.dir.writes + h.pat.writes
			again, _ := h.load(files(false, c.in...))
			for _, x := range again.Types {
				if x.Taken+x.Updated > 0 {
					t.Errorf("the second run: %+v", x)
				}
			}
			if h.dir.writes+h.pat.writes != wrote {
				t.Error("the second run wrote")
			}
		})
	}
}

// TestRegion: the bundles of an invented region, in all orders of the files.
func TestRegion(t *testing.T) {
	o := fhirgen.Options{Seed: 3, Hospitals: 12, Doctors: 250, Patients: 230, Clinical: 3, Errors: true}
	parts := map[byte]string{}
	for k, write := range map[byte]func(io.Writer, fhirgen.Options) error{'h': fhirgen.Hospitals, 'd': fhirgen.Practitioners, 'p': fhirgen.Patients} {
		var b strings.Builder
		if err := write(&b, o); err != nil {
			t.Fatal(err)
		}
		parts[k] = b.String()
	}
	for _, order := range []string{"hdp", "phd", "dph"} {
		h := newHouse(t)
		var in []string
		for _, k := range []byte(order) {
			in = append(in, parts[k])
		}
		rep, err := h.load(files(false, in...))
		if !errors.Is(err, interop.ErrRefused) || rep.Resources != o.Resources() || rep.RefusedCount != len(fhirgen.Planted) {
			t.Fatalf("%s: %v, %d resources, %d refused: %s", order, err, rep.Resources, rep.RefusedCount, lines(rep))
		}
		for n, p := range fhirgen.Planted {
			if rep.Refused[n].Path != p.Path || rep.Refused[n].Code != p.Code {
				t.Errorf("%s: %+v, want %+v", order, rep.Refused[n], p)
			}
		}
		want := "- 0 0 0 0 1\nEncounter 0 0 0 230 0\nLocation 12 0 0 0 0\nObservation 0 0 0 460 0\nOrganization 12 0 0 0 0\nPatient 231 0 0 0 6\nPractitioner 250 0 0 0 0\nPractitionerRole 250 0 0 0 0\n"
		if got := lines(rep); !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n%swant\n%s", order, got, want)
		}
	}
}

func TestDoors(t *testing.T) {
	h := newHouse(t)
	if _, err := h.s.ImportFHIR(testkit.As(context.Background(), apitest.Patient(apitest.Main)), files(false)); err == nil {
		t.Error("a patient imported")
	}
	mine := errors.New("the disk")
	_, err := h.load(interop.ImportRequest{Next: func() (string, io.Reader, error) { return "", nil, mine }})
	if !errors.Is(err, mine) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(testkit.AsCLI(context.Background(), apitest.Main))
	cancel()
	if _, err := h.s.ImportFHIR(ctx, files(false, bundle(pat("1", "")))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// BenchmarkImport reads one transaction of 100 MB and says how much memory it took at
// most: go test -bench . -benchtime 1x ./internal/interop/interopsvc
func BenchmarkImport(b *testing.B) {
	engine, err := authz.New(authz.Policies{Context: "interop", Text: policy})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, _ := New(module.Base{Authz: engine}, &fakeDirectory{}, &fakePatients{drop: true, seen: map[string]string{}}, nil, nil, "")
		s.limits = fhirfile.Options{}
		r, w := io.Pipe()
		go func() {
			w.CloseWithError(fhirgen.Patients(w, fhirgen.Options{Seed: 1, Patients: 20_000, Clinical: 10}))
		}()
		var peak atomic.Uint64
		read := false
		rep, err := s.ImportFHIR(testkit.AsCLI(context.Background(), apitest.Main), interop.ImportRequest{Next: func() (string, io.Reader, error) {
			if read {
				return "", nil, io.EOF
			}
			read = true
			return "f", &watched{r: r, peak: &peak}, nil
		}})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(rep.Bytes)
		b.ReportMetric(float64(rep.Bytes)/(1<<20), "MiB-file")
		b.ReportMetric(float64(peak.Load())/(1<<20), "MiB-heap-peak")
		b.ReportMetric(float64(rep.Resources), "resources")
	}
}

// watched looks at the heap after every mebibyte.
type watched struct {
	r    io.Reader
	n    int
	peak *atomic.Uint64
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if w.n += n; w.n > 1<<20 {
		w.n = 0
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak.Store(max(w.peak.Load(), m.HeapAlloc))
	}
	return n, err
}
