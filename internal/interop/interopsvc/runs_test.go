package interopsvc

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/verify"
	"xinglin/internal/scheduling"
	"xinglin/internal/terminology"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// desk is the door with the owners of the data faked.
type desk struct {
	*apitest.Harness
	t      *testing.T
	s      *Service
	mod    *module.Module
	base   module.Base
	clk    *clock.Manual
	rotas  *fakeRotas
	folder string
	op     auth.Principal
}

// fakeRotas and fakeTerms read the file and do what the test wants.
type fakeRotas struct {
	scheduling.Service
	do func(ctx context.Context, r scheduling.ImportRequest, text string) (scheduling.ImportReport, error)
}

func (f *fakeRotas) Import(ctx context.Context, r scheduling.ImportRequest) (scheduling.ImportReport, error) {
	b, err := io.ReadAll(r.File)
	if err != nil {
		return scheduling.ImportReport{}, err
	}
	return f.do(ctx, r, string(b))
}

type fakeTerms struct{ terminology.Service }

func (fakeTerms) Import(_ context.Context, r terminology.ImportRequest) (terminology.ImportReport, error) {
	b, err := io.ReadAll(r.File)
	return terminology.ImportReport{System: r.System, Rows: bytes.Count(b, []byte("\n")), DryRun: r.DryRun}, err
}

func desks(t *testing.T, f func(t *testing.T, d *desk)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		clk.Set(testkit.Start)
		d := &desk{t: t, clk: clk, rotas: &fakeRotas{}, folder: t.TempDir() + "/imports", op: apitest.Staff(apitest.Main, auth.Operator)}
		d.base = testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
		dir := &fakeDirectory{ids: map[string]id.ID[id.Any]{}, names: map[string]string{}}
		d.s, d.mod = New(d.base, dir, &fakePatients{seen: map[string]string{}}, d.rotas, fakeTerms{}, d.folder)
		d.s.runs.tick = time.Hour // only who looks at the progress wants it
		d.Harness = apitest.New(t, d.mod.Routes)
		d.rotas.do = func(context.Context, scheduling.ImportRequest, string) (scheduling.ImportReport, error) {
			return scheduling.ImportReport{Encoding: "utf-8", Rows: 7, Rules: scheduling.Change{New: 7}}, nil
		}
		t.Cleanup(d.s.runs.stop)
		f(t, d)
	}, dbtest.WithClock(clk))
}

func (d *desk) key() id.ID[interop.Import] { return testkit.KeyAt[interop.Import](d.clk.Now()) }

func (d *desk) send(who auth.Principal, query string, key id.ID[interop.Import], file string) apitest.Response {
	return d.Do(who, "POST", "/imports?"+query, file, apitest.Key(key), apitest.H("Content-Type", "application/octet-stream"))
}

func (d *desk) get(key id.ID[interop.Import]) map[string]any {
	d.t.Helper()
	return d.Do(d.op, "GET", "/imports/"+key.String(), nil).Want(d.t, 200).Map(d.t)
}

func (d *desk) count(query string) (n int) {
	d.t.Helper()
	err := d.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, query, apitest.Main).Scan(&n)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// held makes rotas wait until the test lets them go.
func (d *desk) held() (begun <-chan struct{}, letGo func()) {
	in, out := make(chan struct{}, 16), make(chan struct{})
	d.rotas.do = func(ctx context.Context, _ scheduling.ImportRequest, _ string) (scheduling.ImportReport, error) {
		in <- struct{}{}
		select {
		case <-out:
			return scheduling.ImportReport{Rows: 1}, nil
		case <-ctx.Done():
			return scheduling.ImportReport{}, ctx.Err()
		}
	}
	return in, sync.OnceFunc(func() { close(out) })
}

func TestImportRoutes(t *testing.T) {
	desks(t, func(t *testing.T, d *desk) {
		key := d.key()
		r := d.send(d.op, "kind=rota&name=C%3A%5Cmy%5Crota.xlsx", key, "the file").Want(t, 202)
		if m := r.Map(t); m["id"] != key.String() || m["state"] != "running" || m["kind"] != "rota" || m["name"] != "rota.xlsx" || m["bytes"] != 8.0 || m["report"] != nil || r.Header.Get("Idempotency-Hit") != "" {
			t.Errorf("%v", m)
		}
		d.s.runs.all.Wait()
		m := d.get(key)
		report := m["report"].(map[string]any)["rota"].(map[string]any)
		if m["state"] != "done" || m["read_bytes"] != 8.0 || m["ended_at"] == nil || report["rows"] != 7.0 || report["rules"].(map[string]any)["new"] != 7.0 {
			t.Errorf("%v", m)
		}
		again := d.send(d.op, "kind=rota&name=rota.xlsx", key, "the file").Want(t, 202)
		if again.Map(t)["state"] != "done" || again.Header.Get("Idempotency-Hit") != "true" {
			t.Errorf("%v %v", again.Map(t), again.Header)
		}
		d.send(d.op, "kind=rota&name=rota.xlsx", key, "other file").Refused(t, 422, "idem.key_reused")
		d.send(d.op, "kind=icd10&name=rota.xlsx", key, "the file").Refused(t, 422, "idem.key_reused")
		d.send(apitest.Staff(apitest.Main, auth.Operator), "kind=rota&name=rota.xlsx", key, "the file").Refused(t, 422, "idem.key_reused")

		for _, q := range []string{"kind=icd10&dry_run=true&name=x", "kind=fhir"} {
			body := "a\nb\n"
			if strings.Contains(q, "fhir") {
				body = bundle(org("1", ""))
			}
			d.clk.Add(time.Second)
			k := d.key()
			d.send(d.op, q, k, body).Want(t, 202)
			d.s.runs.all.Wait()
			if m := d.get(k); m["state"] != "done" || m["report"] == nil {
				t.Errorf("%s: %v", q, m)
			}
		}
		first := d.Do(d.op, "GET", "/imports?limit=2", nil).Want(t, 200)
		items, next := first.Items(t), first.Map(t)["next"].(string)
		if len(items) != 2 || items[0]["kind"] != "fhir" || items[1]["kind"] != "icd10" || items[1]["dry_run"] != true || items[0]["report"] != nil || next == "" {
			t.Errorf("%v %q", items, next)
		}
		last := d.Do(d.op, "GET", "/imports?limit=2&cursor="+next, nil).Want(t, 200)
		if items := last.Items(t); len(items) != 1 || items[0]["id"] != key.String() || last.Map(t)["next"] != "" {
			t.Errorf("%v", items)
		}
		if n := d.count(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'interop.start_import'`); n != 6 {
			t.Errorf("%d audit rows for the beginnings and ends of three imports", n)
		}
		d.consent()
		d.refusals(key)
		if left, err := os.ReadDir(d.folder); err != nil || len(left) != 0 {
			t.Errorf("%v %v", left, err)
		}
		d.clean()
	})
}

// consent to stops reaches the rota's owner, belongs to the request, and is of rotas alone.
func (d *desk) consent() {
	t := d.t
	var asked []bool
	was := d.rotas.do
	d.rotas.do = func(_ context.Context, r scheduling.ImportRequest, _ string) (scheduling.ImportReport, error) {
		asked = append(asked, r.StopVisits)
		return scheduling.ImportReport{Rows: 1, StopCount: 60, StopVisits: 2, Stops: []scheduling.StoppedSession{
			{Date: clock.NewDate(2026, time.March, 5), Session: scheduling.Morning, Department: "内科", Doctor: "张三", Visits: 2},
		}}, nil
	}
	d.clk.Add(time.Second)
	first := d.key()
	d.send(d.op, "kind=rota&stop_visits=true", first, "the file").Want(t, 202)
	d.s.runs.all.Wait()
	d.send(d.op, "kind=rota", first, "the file").Refused(t, 422, "idem.key_reused")
	r := d.Do(d.op, "GET", "/imports/"+first.String(), nil).Want(t, 200)
	const row = `{"date":"2026-03-05","session":"morning","department_name":"内科","practitioner_name":"张三","visits":2}`
	if m := r.Map(t); m["stop_visits"] != true || !bytes.Contains(r.Body, []byte(row)) || !bytes.Contains(r.Body, []byte(`"stop_count":60,"stop_visits":2`)) {
		t.Errorf("%s", r.Body)
	}
	if n := d.count(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'interop.start_import' AND why = 'rota, visits may be stopped'`); n != 2 {
		t.Errorf("%d audit rows say that there was consent", n)
	}
	d.clk.Add(time.Second)
	d.send(d.op, "kind=rota", d.key(), "the file").Want(t, 202)
	d.s.runs.all.Wait()
	if len(asked) != 2 || !asked[0] || asked[1] {
		t.Errorf("%v", asked)
	}
	d.clk.Add(time.Second)
	if m := d.send(d.op, "kind=icd10&stop_visits=true", d.key(), "a\nb\n").Want(t, 202).Map(t); m["stop_visits"] != false {
		t.Errorf("%v", m)
	}
	d.s.runs.all.Wait()
	d.rotas.do = was
}

// refusals are those of callers who may not, and of requests that cannot be.
func (d *desk) refusals(known id.ID[interop.Import]) {
	t, key := d.t, d.key()
	other := apitest.Staff(apitest.Other, auth.Operator)
	before := d.count(`SELECT COUNT(*) FROM import_run WHERE tenant_id = $1`)
	for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Staff(apitest.Main, auth.Doctor), apitest.Staff(apitest.Main, auth.AuditAdmin)} {
		d.send(who, "kind=rota", key, "x").Refused(t, 403, "authz.denied")
		d.Do(who, "GET", "/imports", nil).Refused(t, 403, "authz.denied")
		d.Do(who, "GET", "/imports/"+known.String(), nil).Refused(t, 403, "authz.denied")
	}
	d.send(apitest.Nobody(apitest.Main), "kind=rota", key, "x").Refused(t, 401, "auth.required")
	d.Do(other, "GET", "/imports/"+known.String(), nil).Refused(t, 404, "interop.not_found")
	if got := d.Do(other, "GET", "/imports", nil).Want(t, 200).Items(t); len(got) != 0 {
		t.Errorf("another tenant's: %v", got)
	}
	d.Do(d.op, "GET", "/imports/"+id.Random[id.Any]().String(), nil).Refused(t, 404, "interop.not_found")
	d.Do(d.op, "POST", "/imports?kind=rota", "x").Refused(t, 400, "http.key_required")
	d.send(d.op, "kind=video", key, "x").Refused(t, 422, "http.invalid")
	d.send(d.op, "", key, "x").Refused(t, 422, "http.invalid")
	d.send(d.op, "kind=rota", key, "").Refused(t, 400, "interop.upload_cut")
	d.send(d.op, "kind=rota", testkit.KeyAt[interop.Import](d.clk.Now().Add(-25*time.Hour)), "x").Refused(t, 422, "interop.key_time")
	for name, file := range map[string]string{
		"a picture": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a program": "\x7fELF\x02\x01\x01\x00\x00", "a PDF": "%PDF-1.7\n1 0 obj", "a photo": "\xff\xd8\xff\xe0\x00\x10JFIF",
		"an archive": "Rar!\x1a\x07\x00", "zeros": "campus,\x00\x00",
	} {
		for _, kind := range []string{"rota", "fhir", "icd10"} {
			if r := d.send(d.op, "kind="+kind+"&name=rota.csv", key, file); r.Status != 422 || r.Code != "interop.upload_type" {
				t.Errorf("%s as %s: %d %s", name, kind, r.Status, r.Body)
			}
		}
	}
	d.send(d.op, "kind=fhir", key, "PK\x03\x04").Refused(t, 422, "interop.upload_type")
	big := d.Request(d.op, "POST", "/imports?kind=rota", "x", apitest.Key(key))
	big.ContentLength = maxUpload + 1
	d.refused(big, 413, "http.too_large")
	cut := d.Request(d.op, "POST", "/imports?kind=rota", "x", apitest.Key(key))
	cut.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{}))
	d.refused(cut, 400, "interop.upload_cut")
	if n := d.count(`SELECT COUNT(*) FROM import_run WHERE tenant_id = $1`); n != before {
		t.Errorf("refusals made %d rows", n-before)
	}
}

func (d *desk) refused(r *http.Request, status int, code string) {
	d.t.Helper()
	w := &recorder{header: http.Header{}}
	d.API.ServeHTTP(w, r)
	if w.status != status || !strings.Contains(w.body.String(), code) {
		d.t.Errorf("%d %s, want %d %s", w.status, w.body.String(), status, code)
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

type failing struct{}

// Read implements io.Reader.
func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (d *desk) clean() {
	d.t.Helper()
	if br := d.broken(); len(br) != 0 {
		d.t.Errorf("verify: %v", br)
	}
}

func (d *desk) broken() map[string]int {
	d.t.Helper()
	var acts []string
	for _, p := range d.base.Authz.Permissions() {
		acts = append(acts, p.Action)
	}
	var text strings.Builder
	rep, err := verify.Run(context.Background(), []verify.Unit{{Context: "interop", DB: d.base.DB, Checks: d.mod.Checks, Events: []string{}, Actions: acts, Jobs: []string{watchJob}}}, nil, &text)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, text.String())
	}
	out := map[string]int{}
	for _, l := range rep.Lines {
		if n := l.Violations + l.InFlight; n > 0 {
			out[l.Name] = n
		}
	}
	return out
}

// TestEnds: what the owner of the data says becomes the import's state, report and problem.
func TestEnds(t *testing.T) {
	desks(t, func(t *testing.T, d *desk) {
		for name, x := range map[string]struct {
			rep     scheduling.ImportReport
			err     error
			panics  bool
			state   string
			problem string
		}{
			"bad rows": {scheduling.ImportReport{Rows: 2, ErrorCount: 1, Errors: []scheduling.RowError{{Line: 3, Column: "时段", ReasonZH: "z", ReasonEN: "e"}}}, scheduling.ErrImportRows.At("line 3", "x"), false, "refused", "scheduling.import_rows"},
			"stops":    {scheduling.ImportReport{Rows: 2, StopCount: 1, StopVisits: 1, Stops: []scheduling.StoppedSession{{Doctor: "张三", Visits: 1}}}, scheduling.ErrImportStops.At("2026-03-05 morning", "x"), false, "refused", "scheduling.import_stops"},
			"internal": {scheduling.ImportReport{}, errors.New("secret of the database"), false, "failed", "interop.internal"},
			"panic":    {scheduling.ImportReport{}, nil, true, "failed", "interop.internal"},
		} {
			d.rotas.do = func(context.Context, scheduling.ImportRequest, string) (scheduling.ImportReport, error) {
				if x.panics {
					panic("secret")
				}
				return x.rep, x.err
			}
			d.clk.Add(time.Second)
			key := d.key()
			d.send(d.op, "kind=rota", key, "x").Want(t, 202)
			d.s.runs.all.Wait()
			r := d.Do(d.op, "GET", "/imports/"+key.String(), nil).Want(t, 200)
			m := r.Map(t)
			if m["state"] != x.state || m["report"].(map[string]any)["problem"].(map[string]any)["code"] != x.problem || bytes.Contains(r.Body, []byte("secret")) {
				t.Errorf("%s: %s", name, r.Body)
			}
			if name == "stops" && !bytes.Contains(r.Body, []byte(`"practitioner_name":"张三","visits":1`)) {
				t.Errorf("%s: %s", name, r.Body)
			}
			if name == "bad rows" && !bytes.Contains(r.Body, []byte(`"line":3,"column":"时段"`)) {
				t.Errorf("%s: %s", name, r.Body)
			}
		}
		var half bytes.Buffer
		z := gzip.NewWriter(&half)
		if _, err := z.Write([]byte(bundle(org("1", ""), org("2", "")))); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		key := d.key()
		d.send(d.op, "kind=fhir&name=cut.json.gz", key, half.String()[:half.Len()-12]).Want(t, 202)
		d.s.runs.all.Wait()
		if m := d.get(key); m["state"] != "refused" || m["report"].(map[string]any)["fhir"].(map[string]any)["refused_count"] != 1.0 {
			t.Errorf("half a gzip: %v", m)
		}
		d.clean()
	})
}

// TestOneAtATime: of many at once one runs; another kind and another tenant are free.
func TestOneAtATime(t *testing.T) {
	desks(t, func(t *testing.T, d *desk) {
		begun, letGo := d.held()
		defer letGo()
		var taken, busy atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				switch r := d.send(d.op, "kind=rota", d.key(), "x"); {
				case r.Status == 202:
					taken.Add(1)
				case r.Code == "interop.busy":
					busy.Add(1)
				default:
					t.Errorf("%d %s", r.Status, r.Body)
				}
			})
		}
		wg.Wait()
		<-begun
		if taken.Load() != 1 || busy.Load() != 2 {
			t.Errorf("%d taken, %d busy", taken.Load(), busy.Load())
		}
		d.send(d.op, "kind=icd10", d.key(), "x\n").Want(t, 202)
		d.send(apitest.Staff(apitest.Other, auth.Operator), "kind=rota", d.key(), "x").Want(t, 202)
		<-begun
		letGo()
		d.s.runs.all.Wait()
		d.send(d.op, "kind=rota", d.key(), "x").Want(t, 202)
		d.s.runs.all.Wait()
		if n := d.count(`SELECT COUNT(*) FROM import_run WHERE tenant_id = $1 AND state = 'done'`); n != 3 {
			t.Errorf("%d done", n)
		}
		d.clean()
	})
}

// TestPlaces: a process takes in no more files than it has places for, and gives them back.
func TestPlaces(t *testing.T) {
	desks(t, func(t *testing.T, d *desk) {
		for range maxRunning {
			d.s.runs.places <- struct{}{}
		}
		d.send(d.op, "kind=rota", d.key(), "x").Refused(t, 409, "interop.busy")
		<-d.s.runs.places
		for range maxRunning { // refusals give their place back
			d.send(d.op, "kind=rota", d.key(), "").Refused(t, 400, "interop.upload_cut")
		}
		d.send(d.op, "kind=rota", d.key(), "x").Want(t, 202)
		d.s.runs.all.Wait()
		if len(d.s.runs.places) != maxRunning-1 {
			t.Errorf("%d places are taken", len(d.s.runs.places))
		}
	})
}

// TestDeadProcess: the lease of an import ends with its process; the job that looks then, or
// the next import of the kind, says so. Who comes back too late changes nothing.
func TestDeadProcess(t *testing.T) {
	desks(t, func(t *testing.T, d *desk) {
		jobs, err := job.NewRunner(job.Options{DB: d.base.DB, Handlers: d.mod.Jobs, Clock: d.clk, Log: d.base.Log})
		if err != nil {
			t.Fatal(err)
		}
		leases := func() {
			d.clk.Add(leaseTime + time.Second)
			if _, err := jobs.RunDue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		begun, letGo := d.held()
		defer letGo()
		late := d.key()
		d.send(d.op, "kind=rota", late, "x").Want(t, 202)
		<-begun
		d.clk.Add(leaseTime / 2)
		if ok, err := d.s.store.progress(t.Context(), d.base.DB, apitest.Main, late, 1); !ok || err != nil {
			t.Fatal(ok, err)
		}
		d.clk.Add(leaseTime/2 + time.Second)
		if n, err := jobs.RunDue(t.Context()); n != 1 || err != nil || d.get(late)["state"] != "running" {
			t.Fatalf("looked %d times, %v: %v", n, err, d.get(late))
		}
		leases()
		if m := d.get(late); m["state"] != "interrupted" || m["ended_at"] == nil {
			t.Errorf("%v", m)
		}
		d.clk.Add(time.Second)
		second := d.key()
		d.send(d.op, "kind=rota", second, "x").Want(t, 202)
		<-begun
		d.clk.Add(leaseTime + time.Second)
		third := d.key()
		d.send(d.op, "kind=rota", third, "x").Want(t, 202)
		<-begun
		if m := d.get(second); m["state"] != "interrupted" {
			t.Errorf("%v", m)
		}
		letGo()
		d.s.runs.all.Wait()
		for key, want := range map[id.ID[interop.Import]]string{late: "interrupted", second: "interrupted", third: "done"} {
			if m := d.get(key); m["state"] != want {
				t.Errorf("%v, want %s", m, want)
			}
		}
		leases()
		if n := d.count(`SELECT COUNT(*) FROM job WHERE tenant_id = $1 AND kind = 'interop.watch_import' AND state IN ('ready', 'running')`); n != 0 {
			t.Errorf("%d imports are still watched", n)
		}
		d.clean()
	})
}

// TestProgress: what has been read shows while the import runs, an import that lost its
// lease stops, and the end of the process ends an import.
func TestProgress(t *testing.T) {
	desks(t, func(t *testing.T, d *desk) {
		d.s.runs.tick = time.Millisecond
		begun, letGo := d.held()
		defer letGo()
		key := d.key()
		d.send(d.op, "kind=rota", key, "12345").Want(t, 202)
		<-begun
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for d.get(key)["read_bytes"] != 5.0 {
			if ctx.Err() != nil {
				t.Fatalf("%v", d.get(key))
			}
		}
		d.change(`UPDATE import_run SET state = 'interrupted', ended_at = started_at WHERE tenant_id = $1`)
		d.s.runs.all.Wait() // it found out by itself
		second := d.key()
		d.send(d.op, "kind=rota", second, "x").Want(t, 202)
		<-begun
		d.s.runs.stop()
		if m := d.get(second); m["state"] != "interrupted" || m["report"] == nil {
			t.Errorf("%v", m)
		}
		d.clean()
	})
}

// TestVerify plants what each check looks for.
func TestVerify(t *testing.T) {
	desks(t, func(t *testing.T, d *desk) {
		d.send(d.op, "kind=rota", d.key(), "x").Want(t, 202)
		d.s.runs.all.Wait()
		d.clk.Add(time.Hour)
		for name, sql := range map[string][2]string{
			"interop: an import that was done has read its file to the end": {`UPDATE import_run SET read_bytes = 0 WHERE tenant_id = $1`, `UPDATE import_run SET read_bytes = bytes WHERE tenant_id = $1`},
			"interop: an import that runs is watched": {
				`UPDATE import_run SET state = 'running', ended_at = NULL, started_at = started_at - 3600000000 WHERE tenant_id = $1`, `UPDATE import_run SET state = 'done', ended_at = started_at WHERE tenant_id = $1`,
			},
		} {
			if strings.Contains(name, "watched") {
				d.change(`DELETE FROM job WHERE tenant_id = $1`)
			}
			d.change(sql[0])
			if got := d.broken(); len(got) != 1 || got[name] != 1 {
				t.Errorf("%s: %v", name, got)
			}
			d.change(sql[1])
		}
		d.clean()
	})
}

func (d *desk) change(query string) {
	d.t.Helper()
	err := d.base.DB.Write(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, query, apitest.Main)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
}
