package proof

import (
	"bytes"
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/interop/fhirgen"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling/rotagen"
	"xinglin/internal/testkit/brake"
	"xinglin/test/rig"
)

// TestImportKilled: imports of a rota and of FHIR files whose process gets kill -9 in the middle of a transaction, at rows that a
// seed names, by the command on the folder or database, by the command beside a process that serves, and through the
// console's door. After each kill `verify` finds nothing half; the import is begun again and killed further on; and when
// it comes to its end at last, everything is as where nobody was killed.
func TestImportKilled(t *testing.T) {
	for _, e := range rig.Engines {
		t.Run(string(e), func(t *testing.T) {
			f := newImportFiles(t)
			f.calm(t, e)
			rnd := rand.New(rand.NewPCG(20261130, 4))
			t.Run("command", func(t *testing.T) { f.command(t, e, rnd) })
			t.Run("beside", func(t *testing.T) { f.beside(t, e, rnd) })
			t.Run("console", func(t *testing.T) { f.console(t, e, rnd) })
		})
	}
}

// importFiles are the files, and how many rows they make where nothing happens: nothing, the rota, then FHIR too.
type importFiles struct {
	rota   string
	places []string // FHIR's files but for the patients'
	people string
	counts [3]map[string]int64
}

// The stages of counts.
const (
	_ = iota
	withRota
	withFHIR
)

// imported are the contexts that an import writes in.
var imported = []string{"directory", "patient", "scheduling"}

func newImportFiles(t *testing.T) *importFiles {
	t.Helper()
	dir := t.TempDir()
	f := &importFiles{rota: filepath.Join(dir, "rota.csv")}
	text, _ := rota(t, rotagen.Options{Seed: 9, Rows: 600})
	must(t, os.WriteFile(f.rota, []byte(text), 0o600))
	o := fhirgen.Options{Seed: 9, Hospitals: 12, Doctors: 40, Patients: 450, Clinical: 2}
	write := func(name string, write func(io.Writer, fhirgen.Options) error) string {
		var b bytes.Buffer
		must(t, write(&b, o))
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, b.Bytes(), 0o600))
		return file
	}
	f.places = []string{write("hospitals.json", fhirgen.Hospitals), write("practitioners.json", fhirgen.Practitioners)}
	f.people = write("patients.json", fhirgen.Patients)
	return f
}

// words are the command of a kind.
func (f *importFiles) words(w *rig.World, kind string) []string {
	words := append([]string{"import", kind}, w.Where()...)
	if kind == "rota" {
		return append(words, f.rota)
	}
	return append(append(words, f.places...), f.people)
}

// calm imports into an installation of its own, undisturbed, and counts.
func (f *importFiles) calm(t *testing.T, e rig.Engine) {
	t.Helper()
	w := rig.NewWorld(t, e)
	begin := clock.Mono()
	rig.Must(t, f.words(w, "rota")...)
	tenant := w.TenantID(t, "main")
	f.counts[withRota] = w.Rows(t, tenant, imported...)
	rig.Must(t, f.words(w, "fhir")...)
	f.counts[withFHIR] = w.Rows(t, tenant, imported...)
	w.Verify(t)
	t.Logf("undisturbed in %s: %v", clock.Mono().Sub(begin).Round(time.Millisecond), f.counts[withFHIR])
}

// at draws a row of a table that a stage makes, not one of the first after.
func (f *importFiles) at(t *testing.T, rnd *rand.Rand, stage int, owner, table string, after int64) brake.At {
	t.Helper()
	name := owner + "." + table
	from, to := f.counts[stage-1][name]+after, f.counts[stage][name]
	if to <= from {
		t.Fatalf("an import makes %d to %d rows of %s", from, to, name)
	}
	return brake.At{Context: owner, Table: table, Rows: int(from + 1 + rnd.Int64N(to-from))}
}

// same compares with the undisturbed installation.
func (f *importFiles) same(t *testing.T, w *rig.World, stage int) {
	t.Helper()
	if got := w.Rows(t, w.TenantID(t, "main"), imported...); !maps.Equal(got, f.counts[stage]) {
		for name, n := range f.counts[stage] {
			if got[name] != n {
				t.Errorf("%d rows of %s, undisturbed %d", got[name], name, n)
			}
		}
		t.Errorf("rows: %v", got)
	}
}

// something tells of rows that an import has made, changed or refused.
var something = regexp.MustCompile(`\b[1-9][0-9]* (new|changed|taken|updated|refused)\b`)

// finish imports undisturbed at last, looks, and imports once more, which must find all as it is in the file.
func (f *importFiles) finish(t *testing.T, w *rig.World, kind string, stage int) {
	t.Helper()
	report := rig.Must(t, f.words(w, kind)...)
	if !strings.Contains(report, ": imported") {
		t.Errorf("the last import says\n%s", report)
	}
	f.same(t, w, stage)
	if again := rig.Must(t, f.words(w, kind)...); something.MatchString(again) {
		t.Errorf("an import of the same files after it changes something:\n%s", again)
	}
	f.same(t, w, stage)
	w.Verify(t)
}

// command kills `xinglin import` where nobody serves the installation.
func (f *importFiles) command(t *testing.T, e rig.Engine, rnd *rand.Rand) {
	w := rig.NewWorld(t, e)
	for _, at := range []brake.At{
		f.at(t, rnd, withRota, "directory", "practitioner", 0),
		f.at(t, rnd, withRota, "scheduling", "rota_rule", 0),
		f.at(t, rnd, withRota, "scheduling", "schedule", 0),
	} {
		f.killed(t, w, "rota", at, nil)
	}
	f.finish(t, w, "rota", withRota)
	for _, at := range []brake.At{
		f.at(t, rnd, withFHIR, "patient", "patient", 100), // the second hundred at the earliest: some persons are in
		f.at(t, rnd, withFHIR, "directory", "department", 0),
		f.at(t, rnd, withFHIR, "directory", "practitioner", 0),
	} {
		f.killed(t, w, "fhir", at, nil)
	}
	f.finish(t, w, "fhir", withFHIR)
}

// beside kills the process that serves the folder, which imports for the command; then the command, whose import ends with it.
// On PostgreSQL the command imports itself, beside the process that serves.
func (f *importFiles) beside(t *testing.T, e rig.Engine, rnd *rand.Rand) {
	w := rig.NewWorld(t, e)
	p := w.Serve(t)
	serves := func() *rig.Process {
		if e == rig.Postgres {
			return nil
		}
		return p
	}
	restart := func() {
		if e == rig.SQLite {
			p = rig.Again(t, p)
		}
	}
	f.killed(t, w, "rota", f.at(t, rnd, withRota, "scheduling", "rota_exception", 0), serves())
	restart()
	f.killed(t, w, "rota", f.at(t, rnd, withRota, "scheduling", "schedule", 0), nil)
	f.finish(t, w, "rota", withRota)
	f.killed(t, w, "fhir", f.at(t, rnd, withFHIR, "patient", "patient", 100), serves())
	restart()
	f.killed(t, w, "fhir", f.at(t, rnd, withFHIR, "directory", "practitioner", 0), serves())
	restart()
	f.finish(t, w, "fhir", withFHIR)
}

// killed begins an import, and kills it at a row: the command, or the process that serves it.
func (f *importFiles) killed(t *testing.T, w *rig.World, kind string, at brake.At, serves *rig.Process) {
	t.Helper()
	if w.Engine == rig.SQLite {
		f.opened(t, w)
	}
	held := w.Brake(t, at)
	c := rig.Start(t, "import "+kind, f.words(w, kind)...)
	held.Reached(t)
	select {
	case <-c.Done():
		t.Fatalf("the import ended before it was killed:\n%s", c.Log())
	default:
	}
	if serves != nil {
		serves.Kill()
		<-c.Done()
		if strings.Contains(c.Log(), ": imported") {
			t.Errorf("the command says\n%s", c.Log())
		}
	} else {
		c.Kill()
	}
	held.Release(t)
	w.Verify(t)
	t.Logf("%s killed at row %d of %s.%s", kind, at.Rows, at.Context, at.Table)
}

// opened sees that the folder's files are there, with their tables.
func (f *importFiles) opened(t *testing.T, w *rig.World) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(w.Data(), "db")); os.IsNotExist(err) {
		w.AddStaff(t, "main", operator, operator)
	}
}

// console kills the process that has taken a rota and persons from the console in the middle of both. The list says soon that they
// were interrupted, and the files can be sent again.
func (f *importFiles) console(t *testing.T, e rig.Engine, rnd *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	w := rig.NewWorld(t, e)
	totp := w.AddStaff(t, "main", operator, operator)
	p := w.Serve(t)
	rest := p
	if e == rig.Postgres {
		rest = w.Serve(t)
	}
	c := rig.LoginStaff(t, p, "", operator, totp)
	d := door{c}
	for _, file := range f.places {
		d.done(ctx, t, d.send(ctx, t, "fhir", file))
	}
	tenant := w.TenantID(t, "main")
	before := w.Rows(t, tenant, imported...)
	atRule := f.at(t, rnd, withRota, "scheduling", "rota_rule", 0)
	atPerson := f.at(t, rnd, withFHIR, "patient", "patient", 100)
	rules, persons := w.Brake(t, atRule), w.Brake(t, atPerson)
	sent := map[string]string{"rota": d.send(ctx, t, "rota", f.rota), "fhir": d.send(ctx, t, "fhir", f.people)}
	rules.Reached(t)
	persons.Reached(t)
	for kind, id := range sent {
		if v := d.read(ctx, t, id); v.State != "running" {
			t.Fatalf("%s is %s before it was killed", kind, v.State)
		}
	}
	p.Kill()
	begin := clock.Mono()
	if left, err := os.ReadDir(filepath.Join(w.Data(), "imports")); e == rig.SQLite && (err != nil || len(left) > 0) {
		t.Errorf("of the dead process's files there are left %v, %v", left, err)
	}
	rules.Release(t)
	persons.Release(t)
	if e == rig.SQLite {
		rest = rig.Again(t, p)
	}
	d = door{c.At(rest.URL)}
	for kind, id := range sent {
		if v := d.ended(ctx, t, id); v.State != "interrupted" || v.EndedAt == nil || v.ReadBytes > v.Bytes {
			t.Errorf("%s of a dead process is %+v", kind, v)
		}
	}
	t.Logf("the list said so %s after the end of the process", clock.Mono().Sub(begin).Round(time.Millisecond))
	if now := w.Rows(t, tenant, imported...); now["scheduling.rota_rule"] != before["scheduling.rota_rule"] || now["patient.patient"] < 100 || now["patient.patient"] >= int64(atPerson.Rows) {
		t.Errorf("killed at %+v and %+v: %v", atRule, atPerson, now)
	}
	d.done(ctx, t, d.send(ctx, t, "rota", f.rota))
	d.done(ctx, t, d.send(ctx, t, "fhir", f.people))
	f.same(t, w, withFHIR)
	again := d.done(ctx, t, d.send(ctx, t, "rota", f.rota)).Report.Rota.Rules
	if again.New != 0 || again.Changed != 0 || again.Same == 0 {
		t.Errorf("the rota once more: %+v", again)
	}
	w.Verify(t)
}

// door is the console's, for imports.
type door struct{ *client.Client }

func (d door) send(ctx context.Context, t *testing.T, kind, file string) (id string) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	var v sent
	_, err = d.Do(ctx, "POST", "/imports?kind="+kind, bytes.NewReader(b), &v, client.Key(client.NewKey()))
	must(t, err)
	return v.ID
}

func (d door) read(ctx context.Context, t *testing.T, id string) (v sent) {
	t.Helper()
	_, err := d.Do(ctx, "GET", "/imports/"+id, nil, &v)
	must(t, err)
	return v
}

// ended waits until the list no longer has an import as running, and reads it.
func (d door) ended(ctx context.Context, t *testing.T, id string) sent {
	t.Helper()
	must(t, client.Until(ctx, "the end of an import", func(ctx context.Context) (bool, error) {
		var list struct{ Items []sent }
		_, err := d.Do(ctx, "GET", "/imports", nil, &list)
		for _, v := range list.Items {
			if v.ID == id {
				return v.State != "running", err
			}
		}
		return false, err
	}))
	return d.read(ctx, t, id)
}

func (d door) done(ctx context.Context, t *testing.T, id string) sent {
	t.Helper()
	v := d.ended(ctx, t, id)
	if v.State != "done" {
		t.Fatalf("an import ended as %+v", v)
	}
	return v
}
