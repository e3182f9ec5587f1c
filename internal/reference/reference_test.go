package reference

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/state"
	"xinglin/internal/platform/verify"
)

// Seat is a noun.
type Seat struct{}

// Colour is one of few.
type Colour string

// The colours.
const (
	Red  Colour = "red"
	Blue Colour = "blue"
)

// Part is shared.
type Part struct {
	Seat id.ID[Seat] `json:"seat"` // the seat
}

// Taken tells that a seat is taken.
type Taken struct {
	Part
	Day    clock.Date `json:"day"`
	At     time.Time  `json:"at,omitzero"`
	Fee    money.Fen  `json:"fee_fen"`
	Colour Colour     `json:"colour"`
	Others []Part     `json:"others"`
	secret string
}

// EventName implements event.Event.
func (t Taken) EventName() string { return "seats.seat.taken.v1" + t.secret }

const initSQL = `-- +goose Up

-- Seats of a session.
CREATE TABLE seat (
    tenant_id {{uuid}} NOT NULL,
    id        {{uuid}} NOT NULL, -- the client's key
    -- how many
    held      {{int}} NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    PRIMARY KEY (tenant_id, id),
    CHECK ((held = 1) = (id IS NOT NULL))
){{strict}};
{{rls "seat"}}
CREATE INDEX seat_held ON seat (tenant_id, held) WHERE held = 1;

-- +goose Down
DROP TABLE seat;
`

// repository is a small one. The events of this test are declared in this package, so
// its source stands there as reflection names it.
func repository(t *testing.T) fstest.MapFS {
	t.Helper()
	self, err := os.ReadFile("reference_test.go")
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"internal/reference/x.go":                       &fstest.MapFile{Data: self},
		"internal/seats/seats.go":                       text("// Package seats is about seats. It has more.\npackage seats\n"),
		"internal/seats/README.md":                      text("# seats\n\nWords.\n\n" + openMark + "\nold\n" + closeMark + "\n\nEnd.\n"),
		"internal/seats/seatssvc/store_claim_pg.go":     text("package seatssvc\n\n// Rows are locked.\n"),
		"internal/seats/seatssvc/store_claim_sqlite.go": text("package seatssvc\n\n// One writer | no locks.\n"),
		"internal/seats/seatssvc/job_expire.go": text("package seatssvc\n\nconst (\n\tkindExpire = \"seats.expire\"\n\tat = \"03:10\"\n)\n\nfunc jobs(s *S) []job.Handler {\n\treturn []job.Handler{\n" +
			"\t\tjob.InTx(kindExpire, s.expire),\n\t\tjob.Every(\"seats.plan\", job.Cron{At: at}, plan),\n\t}\n}\n\n// expire frees a seat. Then more.\nfunc (s *S) expire() {}\n\n// plan plans.\nfunc plan() {}\n"),
		"internal/seats/seatssvc/metrics.go": text("package seatssvc\n\nvar _ = prometheus.NewGauge(prometheus.GaugeOpts{Name: \"y_seconds\"})\n\nvar _ = job.Call(name+\".sweep\", sweep)\n\n// sweep sweeps.\nfunc sweep() {}\n"),
		"internal/purse/purse.go":            text("// Package purse pays.\npackage purse\n"),
		"web/package-lock.json":              text(`{"lockfileVersion":3,"packages":{"node_modules/vue":{"version":"3.5.0","license":"MIT","integrity":"sha512-AA=="}}}`),
	}
}

type flags struct {
	Data string `help:"Folder." env:"X_DATA"`
	DB   struct {
		MaxConns int `help:"Connections." default:"4" env:"X_MAX"`
	} `embed:"" prefix:"db-"`
	Level string `help:"How loud." enum:"low,high" default:"low"`
	File  string `arg:"" help:"What to read."`
}

type tree struct {
	Load struct {
		Rota struct {
			Dry bool `help:"Show only." required:""`
		} `cmd:"" help:"Loads a rota."`
	} `cmd:""`
}

func input(t *testing.T) Input {
	t.Helper()
	life := state.Machine[Colour]{Noun: "Seat", Initial: Red, Steps: []state.Step[Colour]{{From: Red, To: Blue, By: "paint"}}}
	return Input{
		OpenAPI: []byte("openapi: 3.1.0\n"),
		Ops: []httpx.Op{
			{ID: "seats.take", Method: "POST", Path: "/api/v1/seats", Summary: "Take", Module: "seats", Status: 201, Idempotent: true, MaxBody: 64 << 10},
			{ID: "seats.list", Method: "GET", Path: "/api/v1/seats", Summary: "List", Module: "seats", Status: 200, Public: true, MaxBody: 1 << 20},
		},
		Codes: []*fault.Code{{Kind: fault.Conflict, Name: "seats.taken", ZH: "已占", EN: "Taken"}, {Kind: fault.NotFound, Name: "purse.none", ZH: "无", EN: "None"}},
		Modules: []Described{
			{
				Description: module.Description{
					Name: "seats", Migrations: fstest.MapFS{"0001_init.sql": {Data: []byte(initSQL)}}, Events: []event.Event{Taken{}},
					Data: dataclass.Schema{"seat": {dataclass.ID: "tenant_id id", dataclass.Fact: "held"}},
				},
				Machines: []state.Diagram{life}, Jobs: []string{"seats.plan", "seats.expire", "seats.sweep"},
				Checks: []verify.Check{{Name: "seats: never oversold"}, {Name: "seats: known", Grace: time.Nanosecond}},
				Sets:   []verify.Set{{Name: "seats: paid"}},
			},
			{Description: module.Description{Name: "purse"}, Hears: []string{"seats.seat.taken.v1"}},
		},
		Frame:       db.FrameFS(),
		FrameData:   db.FrameData(),
		Permissions: []authz.Permission{{Context: "seats", Action: "seats.take", Policy: "seats.own", Text: "permit (principal, action, resource);", Words: authz.Words{ZH: "本人", EN: "One's own"}, StepUp: true}},
		Policies:    seatPolicies(t),
		Facts:       map[string]authz.Source{"seats.take": {Placed: true}},
		Contexts:    []Context{{Name: "seats", Calls: []string{"purse"}}, {Name: "purse", Hears: []string{"seats"}}},
		Subsets:     []verify.Subset{{Name: "each paid seat has its payment", Left: "seats: paid", Right: "purse: payments"}},
		Metrics:     []MetricFamily{{Name: "x_total", Type: "counter", Help: "Things.", Labels: []string{"kind"}}, {Name: "y_seconds", Help: "Age."}},
		Config:      []Command{{Name: "serve", Help: "Serves.", Flags: &flags{}}, {Name: "version"}, {Flags: &tree{}}},
		Root:        repository(t),
	}
}

func seatPolicies(t *testing.T) *authz.Engine {
	t.Helper()
	e, err := authz.New(authz.Policies{Context: "seats", Text: []byte(`
@id("seats.own") permit (principal is Person, action == Action::"seats.take", resource) when { resource.account == principal.account || resource.proven };
@id("seats.desk") permit (principal is Staff, action == Action::"seats.take", resource) when { principal.roles.contains("nurse") };
@id("seats.line") permit (principal is Staff, action == Action::"seats.take", resource) when { principal.roles.contains("doctor") && resource.own };
@id("seats.grant") permit (principal is Staff, action == Action::"seats.take", resource)
when { principal.roles.contains("security_admin") && resource.account != principal.account };`)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func render(t *testing.T, in Input) map[string][]byte {
	t.Helper()
	files, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPages(t *testing.T) {
	t.Parallel()
	files := render(t, input(t))
	want := map[string][]string{
		"internal/reference/sbom/web.json": {`"name": "vue"`, `"licence": "MIT"`},
		"api/openapi.yaml":                 {"openapi: 3.1.0"},
		"docs/reference/api.md": {
			"| GET | `/api/v1/seats` | `seats.list` | List | everyone |  | 200 | 1 MiB |\n| POST | `/api/v1/seats` | `seats.take` | Take | session | key | 201 | 64 KiB |",
		},
		"docs/reference/errors.md": {"## purse\n", "| `seats.taken` | 409 | conflict | 已占 | Taken |", "| conflict | 409 | conflict |"},
		"docs/reference/events.md": {
			"### seats.seat.taken.v1\n\nTaken tells that a seat is taken.\n\nHeard by: purse.", "| `seat` | UUID of reference.Seat | the seat |",
			"| `day` | date, YYYY-MM-DD |", "| `at` | instant, RFC 3339 UTC, may be missing |", "| `fee_fen` | integer, fen |",
			"| `colour` | string: `red`, `blue` |", "| `others[].seat` | UUID of reference.Seat |",
		},
		"docs/reference/tables.md": {
			"### outbox\n", "### seat\n\nSeats of a session.", "| `id` | uuid | id | `NOT NULL` | the client's key |",
			"| `held` | int | fact | `NOT NULL DEFAULT 0 CHECK (held IN (0, 1))` | how many |",
			"- `PRIMARY KEY (tenant_id, id)`\n- `CHECK ((held = 1) = (id IS NOT NULL))`\n- `CREATE INDEX seat_held ON seat (tenant_id, held) WHERE held = 1`",
		},
		"docs/reference/config.md": {
			"| `--data` | `X_DATA` |  | Folder. |", "| `--db-max-conns` | `X_MAX` | `4` | Connections. |", "| `--level` |  | `low` | How loud. One of `low`, `high`. |",
			"`FILE`: What to read.", "## xinglin version",
			"## xinglin load rota\n\nLoads a rota.\n", "| `--dry` |  |  | Show only. Required. |",
		},
		"docs/reference/metrics.md":     {"| `x_total` | counter | `kind` | Things. |", "| `y_seconds` | gauge |  | Age. |"},
		"docs/reference/permissions.md": {"| `seats.take` | `seats.own` |  | `seats.own` |", "| `seats.own` | 本人 | One's own |", "permit (principal, action, resource);"},
		"docs/reference/permission-matrix.md": {
			"| GET `/api/v1/seats` | `seats.list` | everyone | everyone |",
			"| POST `/api/v1/seats` | `seats.take` | own, family | own session | own campus | – | – | – | – | others' |",
		},
		"docs/reference/states.md":   {"### Seat\n\n```mermaid\nstateDiagram-v2\n    [*] --> red\n    red --> blue: paint\n"},
		"docs/reference/contexts.md": {"    seats --> purse\n", "    seats -.-> purse\n", "| seats | about seats. | purse |  |", "| purse | pays. |  | seats |"},
		"docs/reference/dialect.md":  {`| internal/seats/seatssvc | claim | Rows are locked. | One writer \| no locks. |`},
		"docs/reference/jobs.md": {
			"| `seats.expire` | in the transaction | expire frees a seat. | internal/seats/seatssvc/job_expire.go |", "| `seats.plan` | by the calendar: at 03:10 | plan plans. |", "| `seats.sweep` | call | sweep sweeps. |",
		},
		"docs/reference/verify.md": {"| seats: never oversold | 2m0s |\n| seats: known | none |", "- seats: paid", "| each paid seat has its payment | seats: paid | purse: payments | 2m0s |"},
		"internal/seats/README.md": {"Words.\n\n" + openMark + "\n\n## Routes", "- `seats.seat.taken.v1`, heard by purse", "- `seat`: Seats of a session.", "`seats.taken`", closeMark + "\n\nEnd.\n"},
		"internal/purse/README.md": {"# purse\n\nPackage purse pays.\n\n" + openMark},
	}
	for name, texts := range want {
		for _, w := range texts {
			if !strings.Contains(string(files[name]), w) {
				t.Errorf("%s lacks\n%s\nit is\n%s", name, w, files[name])
			}
		}
	}
	if len(files) != len(want) {
		t.Errorf("%d files, want %d: %v", len(files), len(want), sortedKeys(files))
	}
	if s := string(files["docs/reference/tables.md"]); strings.Contains(s, "DROP") || strings.Contains(s, "Without row-level") {
		t.Error("the way down is told, or a lock is not seen")
	}
	if s := string(files["internal/seats/README.md"]); strings.Contains(s, "old") {
		t.Error("the old block is still there")
	}
	if s := string(files["internal/purse/README.md"]); strings.Contains(s, "## Routes") {
		t.Error("an empty section is shown")
	}
}

func TestSameInputSameBytes(t *testing.T) {
	t.Parallel()
	a := input(t)
	b := input(t)
	slices.Reverse(b.Modules)
	slices.Reverse(b.Ops)
	slices.Reverse(b.Codes)
	slices.Reverse(b.Contexts)
	if d := cmp.Diff(render(t, a), render(t, b)); d != "" {
		t.Error(d)
	}
}

// A README that the rendering has written is a fixed point.
func TestRenderTwice(t *testing.T) {
	t.Parallel()
	in := input(t)
	root := in.Root.(fstest.MapFS)
	first := render(t, in)
	for name, b := range first {
		root[name] = &fstest.MapFile{Data: b}
	}
	if d := cmp.Diff(first, render(t, in)); d != "" {
		t.Error(d)
	}
	root["internal/seats/README.md"] = &fstest.MapFile{Data: []byte("x\n" + openMark + "\n")}
	if _, err := Render(in); err == nil {
		t.Error("a block without an end is taken")
	}
}

func TestWriteAndCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string][]byte{"docs/reference/a.md": []byte("one\ntwo\n"), "api/openapi.yaml": []byte("x\n")}
	check := func(want ...string) {
		t.Helper()
		got, err := Check(dir, files)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	check("api/openapi.yaml: missing", "docs/reference/a.md: missing")
	if err := Write(dir, files); err != nil {
		t.Fatal(err)
	}
	check()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("docs/reference/a.md", "one\n2\n")
	put("docs/reference/old.md", "gone\n")
	put("api/openapi.yaml", "x\nmore\n")
	check("api/openapi.yaml:2: is: more; generated: ", "docs/reference/a.md:2: is: 2; generated: two", "docs/reference/old.md: no longer generated")
	if err := Write(dir, files); err != nil {
		t.Fatal(err)
	}
	check()
	if _, err := os.Stat(filepath.Join(dir, "docs/reference/old.md")); err == nil {
		t.Error("a file that is no longer generated stays")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "x_seconds", Help: `How "long".`}, []string{"op", "status"})
	size := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x_size_bytes", Help: "Size."})
	reg.MustRegister(seconds, size, prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_made_up", Help: "Runtime."}))
	got, err := Metrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	want := []MetricFamily{
		{Name: "x_seconds", Help: `How "long".`, Labels: []string{"op", "status"}},
		{Name: "x_size_bytes", Type: "gauge", Help: "Size."},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// An unknown word in a migration is an error, so the legend of types is complete.
func TestUnknownType(t *testing.T) {
	t.Parallel()
	in := input(t)
	in.Modules[0].Migrations = fstest.MapFS{"0001_x.sql": {Data: []byte("CREATE TABLE x (a {{money}});")}}
	if _, err := Render(in); err == nil {
		t.Error("an unknown type is taken")
	}
}

// A column without a class, one that is not there, and a class of a table that is not there are errors (K5).
func TestEveryColumnHasAClass(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Input){
		"table seat: column held has no class":       func(in *Input) { in.Modules[0].Data = dataclass.Schema{"seat": {dataclass.ID: "tenant_id id"}} },
		"table seat: column colour has no class":     func(in *Input) { in.Modules[0].Migrations = withColumn("colour") },
		"table seat: column held has two classes":    func(in *Input) { in.Modules[0].Data["seat"][dataclass.Text] = "held" },
		"names the column none, which is not there":  func(in *Input) { in.Modules[0].Data["seat"][dataclass.Text] = "none" },
		"classes of a table bed, which is not there": func(in *Input) { in.Modules[0].Data["bed"] = dataclass.Table{} },
		"frame: table outbox: column ":               func(in *Input) { in.FrameData = dataclass.Schema{} },
	} {
		in := input(t)
		change(&in)
		if _, err := Render(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// withColumn is the migrations of seats with one that adds a column.
func withColumn(name string) fstest.MapFS {
	return fstest.MapFS{
		"0001_init.sql": {Data: []byte(initSQL)},
		"0002_more.sql": {Data: []byte("-- +goose Up\nALTER TABLE seat ADD COLUMN " + name + " {{text}} NOT NULL DEFAULT '';\n")},
	}
}

// Every table of the frame is found with its columns.
func TestFrameTables(t *testing.T) {
	t.Parallel()
	tables, err := readTables(Input{Frame: db.FrameFS(), FrameData: db.FrameData()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := fs.ReadFile(db.FrameFS(), "0001_frame.sql")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(tables[frameName]), strings.Count(string(b), "CREATE TABLE"); got != want {
		t.Errorf("%d tables, want %d", got, want)
	}
	for _, tb := range tables[frameName] {
		if len(tb.columns) < 3 || tb.columns[0].name != "tenant_id" || !tb.locked || tb.what == "" || !strings.HasPrefix(tb.rules[0], "PRIMARY KEY") {
			t.Errorf("%+v", tb)
		}
	}
}
