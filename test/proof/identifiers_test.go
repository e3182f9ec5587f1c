package proof

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/mask"
	"xinglin/test/rig"
)

// ask sends a row's request and keeps the answer.
func (s *Scene) ask(ctx context.Context, t *testing.T, r Route, op operation, who string, q request) client.Answer {
	t.Helper()
	a := r.send(ctx, t, op, s.Actors[who], q)
	s.seen = append(s.seen, shown{r.Op, who, a})
	return a
}

// mayName are the operations whose answers have whole names of patients, and why. Numbers and phones are masked in all.
var mayName = map[string]string{
	"patient.list":         "the family's own people",
	"patient.add":          "the family's own people",
	"patient.read":         "the family's own people",
	"patient.update":       "the family's own people",
	"patient.verify":       "the family's own people",
	"patient.prove":        "who has proved to be of the family",
	"privacy.read_request": "the officer who decides what the person asked for",
	"privacy.take_copy":    "the person's own copy",
	"clinic.reveal":        "who stands before the nurse, by an act that is audited",
}

// listKey is the key of the lists of these tests.
const listKey = "a key of no copy, for lists of invented people"

// lists are the raw values of everybody whom the scenes invented: numbers and phones, and names.
func lists(scenes ...*Scene) (numbers, names, all *mask.Known) {
	key := []byte(listKey)
	numbers, names, all = mask.NewKnown(key), mask.NewKnown(key), mask.NewKnown(key)
	number := func(class dataclass.Class, v string) { numbers.Add(class, v); all.Add(class, v) }
	name := func(v string) { names.Add(dataclass.Name, v); all.Add(dataclass.Name, v) }
	name("测窗口")
	name("测老人")
	for _, n := range []string{"E1234567", "E9876543", "E7654321"} {
		number(dataclass.Number, n)
	}
	for _, s := range scenes {
		for i := range 100 { // as many as newScene and play number
			number(dataclass.Phone, client.Phone(s.first+i))
			p := client.Adult(s.first*10+i, "self")
			name(p.Name)
			number(dataclass.Number, p.DocumentNumber)
		}
	}
	number(dataclass.Phone, "13900000001")
	return numbers, names, all
}

// looked counts what was looked through.
type looked struct{ places, texts, bytes int }

// in looks through a text; what must not be in it is an error that names the place.
func (l *looked) in(t *testing.T, place, text string, known *mask.Known) {
	t.Helper()
	l.texts, l.bytes = l.texts+1, l.bytes+len(text)
	for kind, n := range mask.Find(text, known) {
		if n > 0 {
			t.Errorf("%s: %d %ss", place, n, kind)
		}
	}
}

// identifiers looks through everything that came out of the program while the scenes played and all cases ran: answers by
// role, logs, metrics, rows and files with events and audit, the supervisor's bundle. What is planted is found.
func identifiers(ctx context.Context, t *testing.T, w *rig.World, p *rig.Process, scenes ...*Scene) {
	numbers, names, all := lists(scenes...)
	refusedInput(ctx, t, scenes[0])
	total := map[string]*looked{}
	of := func(what string) *looked {
		if total[what] == nil {
			total[what] = &looked{}
		}
		total[what].places++
		return total[what]
	}
	ops := map[string]bool{}
	for _, s := range scenes {
		for _, a := range s.seen {
			ops[a.op] = true
			known := all
			if mayName[a.op] != "" && a.answer.Status < 300 {
				known = numbers
			}
			of("answers").in(t, a.op+" to "+a.who, string(a.answer.Body)+"\n"+fmt.Sprint(a.answer.Header), known)
		}
	}
	named := false
	for _, a := range scenes[0].seen { // the lists are of these people: their own list has their names
		named = named || a.op == "patient.list" && mask.Find(string(a.answer.Body), names)[mask.KindKnown] > 0
	}
	if !named || len(ops) < 90 {
		t.Errorf("%d operations; the family sees its names: %v", len(ops), named)
	}
	of("logs").in(t, "log", p.Log(), all)
	of("metrics").in(t, "metrics", metrics(ctx, t, p), all)
	bundle := filepath.Join(t.TempDir(), "bundle.jsonl")
	var export string
	must(t, client.Until(ctx, "a head to export under", func(context.Context) (bool, error) {
		r := w.Command(t, "audit", "bundle", "--tenant", scenes[0].Code, "--out", bundle)
		if r.Code != 0 {
			_, err := scenes[0].Actors[auditor].Do(ctx, "POST", "/audit/heads", nil, nil) // nothing signed yet
			return false, ignore(err)
		}
		b, err := os.ReadFile(bundle)
		export = string(b)
		return len(b) > 0, err
	}))
	of("exports").in(t, "audit bundle", export, all)
	stored(t, w, of, all, scenes...)
	planted(t, w, all, scenes[0])
	for _, what := range []string{"answers", "logs", "metrics", "exports", "rows and files"} {
		l := total[what]
		if l == nil || l.bytes == 0 {
			t.Fatalf("%s: nothing was looked through", what)
		}
		t.Logf("%-15s %5d places %7d texts %9d bytes: 0 raw identifiers of %d", what, l.places, l.texts, l.bytes, all.Len())
	}
}

// refusedInput puts people where they do not belong: into wrong fields, broken bodies, paths, queries, headers and logins. Each is
// refused, and neither the answer nor the log repeats it.
func refusedInput(ctx context.Context, t *testing.T, s *Scene) {
	t.Helper()
	who, phone := client.Adult(s.first*10, "self"), client.Phone(s.first)
	for _, q := range []struct {
		who, method, path, body string
		header                  client.Header
	}{
		{who: nobody, method: "POST", path: "/auth/codes", body: `{"phone":"` + who.DocumentNumber + `"}`},
		{who: nobody, method: "POST", path: "/auth/codes", body: `{"phone":"` + phone + `"`},
		{who: nobody, method: "POST", path: "/auth/sessions", body: `{"challenge_id":"` + phone + `","code":"` + who.DocumentNumber + `"}`},
		{who: nobody, method: "POST", path: "/auth/staff/sessions", body: `{"username":"` + phone + `","password":"` + who.Name + `","totp":"000000"}`},
		{who: patient, method: "POST", path: "/patients", body: `{"name":"` + who.Name + `","document_type":"hmt_residence","document_number":"` + who.DocumentNumber + `","relationship":"other"}`},
		{who: patient, method: "POST", path: "/patients", body: `{"name":"` + phone + `","document_type":"passport","document_number":"E7654322","birth_date":"` + who.Name + `","sex":"male","relationship":"other"}`},
		{who: patient, method: "POST", path: "/patients", body: `{"` + who.Name + `":"` + who.DocumentNumber + `"}`},
		{who: patient, method: "POST", path: "/patients", body: `{"name":"` + who.Name + `"`},
		{who: patient, method: "GET", path: "/patients/" + phone},
		{who: patient, method: "GET", path: "/nothing/" + who.DocumentNumber + "?phone=" + phone},
		{who: patient, method: "GET", path: "/appointments?limit=" + phone},
		{who: patient, method: "GET", path: "/appointments?cursor=" + who.DocumentNumber},
		{who: desk, method: "GET", path: "/desk/appointments?patient_id=" + who.DocumentNumber},
		{who: desk, method: "POST", path: "/desk/patients/search", body: `{"phone":"` + phone + `","name":"` + who.Name + `","birth":"` + who.DocumentNumber + `"}`},
		{who: patient, method: "POST", path: "/appointments", body: `{"patient_id":"` + phone + `"}`, header: client.Header{Name: "Idempotency-Key", Value: who.DocumentNumber}},
		{who: patient, method: "PATCH", path: "/patients/" + s.Words["patient"], body: `{"phone":"1` + phone + `"}`, header: client.Header{Name: "If-Match", Value: `"` + phone + `"`}},
		{who: operator, method: "POST", path: "/imports?kind=rota&name=" + phone + ".csv", body: who.Name + "," + who.DocumentNumber},
	} {
		var body any
		if q.body != "" {
			body = q.body
		}
		c := s.Actors[q.who]
		a, err := c.Raw(ctx, q.method, q.path, body, q.header)
		must(t, err)
		if a.Status < 400 || a.Status >= 500 {
			t.Errorf("%s %s as %s: %d %s", q.method, q.path, q.who, a.Status, a.Code)
		}
		s.seen = append(s.seen, shown{"refused input", q.who, a})
	}
}

// ignore is for refusals that come again.
func ignore(error) error { return nil }

func metrics(ctx context.Context, t *testing.T, p *rig.Process) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Private+"/metrics", nil)
	must(t, err)
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return string(b)
}

// stored looks into the databases: events, audit rows, jobs, everything. On SQLite the program's own scan does, over the whole
// folder with the broker's stream; on PostgreSQL each row as a text.
func stored(t *testing.T, w *rig.World, of func(string) *looked, all *mask.Known, scenes ...*Scene) {
	t.Helper()
	l := of("rows and files")
	if w.Engine == rig.SQLite {
		r := scan(t, w.Data(), all)
		if r.Code != 0 {
			t.Errorf("the data folder: %s%s", r.Stdout, r.Stderr)
		}
		said := strings.TrimSpace(r.Stdout)
		var tables, rows int
		_, err := fmt.Sscanf(said[strings.LastIndexByte(said, '\n')+1:], "looked through %d files (%d bytes), %d tables, %d rows, %d values", &l.places, &l.bytes, &tables, &rows, &l.texts)
		must(t, err)
		if tables < 100 || rows < 1000 {
			t.Errorf("%d tables and %d rows only", tables, rows)
		}
		t.Logf("the data folder: %s", said)
		return
	}
	for _, owner := range rig.Contexts {
		for _, s := range scenes {
			for table, rows := range w.RowTexts(t, owner, s.tenant) {
				for _, text := range rows {
					l.in(t, owner+"."+table, text, all)
				}
			}
		}
	}
	r := scan(t, w.BrokerDir(), all)
	if r.Code != 0 {
		t.Errorf("the broker's folder: %s%s", r.Stdout, r.Stderr)
	}
}

// scan is `xinglin mask scan` with a list. The list's key is the test's.
func scan(t *testing.T, dir string, known *mask.Known) rig.Result {
	t.Helper()
	list, key := filepath.Join(t.TempDir(), "known"), filepath.Join(t.TempDir(), "key")
	var b bytes.Buffer
	_, err := known.WriteTo(&b)
	must(t, err)
	must(t, os.WriteFile(list, b.Bytes(), 0o600))
	must(t, os.WriteFile(key, []byte(listKey), 0o600))
	return rig.Run(t, "mask", "scan", dir, "--known", list, "--key", key)
}

// planted puts people where they must not be: each is found.
func planted(t *testing.T, w *rig.World, all *mask.Known, s *Scene) {
	t.Helper()
	who := client.Adult(s.first*10, "self")
	for place, text := range map[string]string{
		"a log line": `{"msg":"login","phone":"` + client.Phone(s.first) + `"}`, "an answer": `{"document":"` + who.DocumentNumber + `"}`, "a name": "患者" + who.Name + "来诊",
		"a stranger's number in a metric label": `x{phone="13712345678"} 1`,
	} {
		if total := mask.Find(text, all); total[mask.KindPhone]+total[mask.KindResident]+total[mask.KindKnown] == 0 {
			t.Errorf("%s was not found", place)
		}
	}
	s.w.Change(t, "scheduling", s.tenant, `UPDATE schedule SET location = $2 WHERE tenant_id = $1`, s.tenant, "找"+client.Phone(s.first))
	defer s.w.Change(t, "scheduling", s.tenant, `UPDATE schedule SET location = '' WHERE tenant_id = $1`, s.tenant)
	if w.Engine == rig.SQLite {
		if r := scan(t, w.Data(), all); r.Code != 1 || !strings.Contains(r.Stdout, "in scheduling.schedule.location") {
			t.Errorf("what is planted in a row was not found: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		return
	}
	found := 0
	for _, text := range w.RowTexts(t, "scheduling", s.tenant)["schedule"] {
		found += mask.Find(text, all)[mask.KindPhone]
	}
	if found == 0 {
		t.Error("what is planted in a row was not found")
	}
}
