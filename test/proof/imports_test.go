package proof

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/interop/fhirgen"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling/rotagen"
	"xinglin/test/rig"
)

// sent is an import as the console sees it.
type sent struct {
	ID        string     `json:"id"`
	State     string     `json:"state"`
	Bytes     int64      `json:"bytes"`
	ReadBytes int64      `json:"read_bytes"`
	EndedAt   *time.Time `json:"ended_at"`
	Report    struct {
		Problem struct{ Code string }
		Rota    struct {
			Rows   int
			Rules  struct{ New, Changed, Same int }
			Errors []struct {
				Sheet, Column string
				Line          int
			}
		}
		FHIR struct {
			Types   []map[string]any
			Refused []struct{ Code string }
		}
		ICD10 struct{ New, Same int }
	}
}

// TestImports: the operator sends the hospital's files to the console's door: workbooks,
// codes, half a gzip and more than 100 MB, which the process takes in bounded memory.
func TestImports(t *testing.T) {
	w := rig.NewWorld(t, rig.SQLite)
	totp := w.AddStaff(t, "main", operator, operator)
	p := w.Serve(t)
	c := rig.LoginStaff(t, p, "", operator, totp)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	load := func(kind string, file io.Reader) (v sent) {
		t.Helper()
		begin := clock.Mono()
		_, err := c.Do(ctx, "POST", "/imports?kind="+kind, file, &v, client.Key(client.NewKey()))
		must(t, err)
		if v.State != "running" {
			t.Errorf("%s begins as %s", kind, v.State)
		}
		arrived := clock.Mono().Sub(begin)
		must(t, client.Until(ctx, "the end of an import", func(ctx context.Context) (bool, error) {
			var now sent
			_, err := c.Do(ctx, "GET", "/imports/"+v.ID, nil, &now)
			v = now
			return v.State != "running", err
		}))
		t.Logf("%s: %d bytes here after %s, %s after %s, %d MiB of memory", kind, v.Bytes, arrived.Round(time.Millisecond), v.State, clock.Mono().Sub(begin).Round(time.Millisecond), rss(t, p)>>20)
		return v
	}
	bad, planted := rota(t, rotagen.Options{Seed: 7, Rows: 2000, Errors: true})
	got := load("rota", bytes.NewReader(rig.Workbook(t, bad)))
	if got.State != "refused" || got.Report.Problem.Code != "scheduling.import_rows" || len(got.Report.Rota.Errors) != len(planted) {
		t.Fatalf("%+v", got)
	}
	for i, x := range planted {
		if e := got.Report.Rota.Errors[i]; e.Sheet != "出诊表" || e.Line != x.Line || e.Column != x.Column {
			t.Errorf("%+v, planted %+v", e, x)
		}
	}
	good, _ := rota(t, rotagen.Options{Seed: 7, Rows: 2000})
	if got := load("rota", bytes.NewReader(rig.Workbook(t, good))); got.State != "done" || got.Report.Rota.Rows != 2000 || got.Report.Rota.Rules.New == 0 || got.ReadBytes != got.Bytes {
		t.Errorf("%+v", got)
	}
	if got := load("icd10", bytes.NewReader([]byte("A00.000 霍乱\nI10.x00 特发性高血压\n"))); got.State != "done" || got.Report.ICD10.New != 2 {
		t.Errorf("%+v", got)
	}
	var half bytes.Buffer
	z := gzip.NewWriter(&half)
	must(t, fhirgen.Hospitals(z, fhirgen.Options{Seed: 3, Hospitals: 40}))
	must(t, z.Close())
	if got := load("fhir", bytes.NewReader(half.Bytes()[:half.Len()/2])); got.State != "refused" || len(got.Report.FHIR.Refused) != 1 || got.Report.FHIR.Refused[0].Code != "interop.truncated" && got.Report.FHIR.Refused[0].Code != "interop.gzip" {
		t.Errorf("half a gzip: %+v", got)
	}
	r, to := io.Pipe()
	go func() {
		to.CloseWithError(fhirgen.Patients(to, fhirgen.Options{Seed: 5, Patients: 800, Clinical: 260}))
	}()
	got = load("fhir", r)
	if got.State != "done" || got.Bytes < 100<<20 {
		b, _ := json.Marshal(got)
		t.Errorf("%s", b)
	}
	if now := rss(t, p); now > rssBound {
		t.Errorf("%d MiB of memory", now>>20)
	}
	w.Verify(t)
}
