package interopsvc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/httpx"
)

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{
		ID: "interop.start_import", Method: http.MethodPost, Path: "/imports", Status: http.StatusAccepted, Idempotent: true, Upload: true, MaxBody: maxUpload,
		Summary: "Send a file and import it: a rota (all or nothing), FHIR R4, or codes of ICD-10; plain or gzip. One of a kind at a time; the answer comes before it has ended",
	}, s.postImport)
	httpx.Register(a, httpx.Op{ID: "interop.list_imports", Method: http.MethodGet, Path: "/imports", Summary: "Imports, the latest first, without their reports"},
		func(ctx context.Context, in *listImportsIn) (*importsOut, error) { return s.getImports(ctx, a, in) })
	httpx.Register(a, httpx.Op{ID: "interop.read_import", Method: http.MethodGet, Path: "/imports/{id}", Summary: "An import with its progress and, at the end, its report"}, s.getImport)
}

type importBody struct {
	ID        id.ID[interop.Import] `json:"id"`
	Kind      string                `json:"kind" enum:"rota,fhir,icd10"`
	Name      string                `json:"name" doc:"Of the file"`
	State     string                `json:"state" enum:"running,done,refused,failed,interrupted"`
	DryRun    bool                  `json:"dry_run"`
	Stops     bool                  `json:"stop_visits" doc:"There was consent that a rota stops sessions which people have booked"`
	Bytes     int64                 `json:"bytes"`
	ReadBytes int64                 `json:"read_bytes" doc:"Of the file, so far"`
	StartedAt time.Time             `json:"started_at"`
	EndedAt   *time.Time            `json:"ended_at,omitempty"`
	Report    *outcomeBody          `json:"report,omitempty" doc:"At the end: the member of its kind, and the problem when it was refused or failed"`
}

func importOut(v importRun) importBody {
	b := importBody{
		ID: v.ID, Kind: v.Kind, Name: v.Name, State: string(v.State), DryRun: v.DryRun, Stops: v.StopVisits, Bytes: v.Bytes, ReadBytes: v.ReadBytes, StartedAt: v.StartedAt,
	}
	if !v.EndedAt.IsZero() {
		b.EndedAt = &v.EndedAt
	}
	if v.Report != (outcomeBody{}) {
		b.Report = &v.Report
	}
	return b
}

type startIn struct {
	Kind   string `query:"kind" required:"true" enum:"rota,fhir,icd10"`
	DryRun bool   `query:"dry_run" doc:"Say what would be and write nothing"`
	Stops  bool   `query:"stop_visits" doc:"Consent that a rota stops sessions which people have booked: their visits are cancelled, refunded and told. Without it such a rota is refused: scheduling.import_stops"`
	Name   string `query:"name" maxLength:"255" doc:"Of the file, for the list"`
	Key    string `header:"Idempotency-Key" doc:"A UUIDv7 of the last day; it becomes the import's id"`

	file io.Reader
}

// How long a file may take to arrive, and how long nothing may come.
const (
	arriveTime  = 15 * time.Minute
	arriveQuiet = 30 * time.Second
)

// Resolve takes the body as it comes: a file is not read into memory.
func (in *startIn) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	in.file = &arriving{from: r.Body, rc: http.NewResponseController(w), end: clock.Mono().Add(arriveTime)}
	return nil
}

// arriving reads a body under deadlines of its own, since those of the server are for short requests.
type arriving struct {
	from io.Reader
	rc   *http.ResponseController
	end  time.Time
}

// Read implements io.Reader.
func (a *arriving) Read(b []byte) (int, error) {
	now := clock.Mono()
	quiet := now.Add(arriveQuiet)
	if quiet.After(a.end) {
		quiet = a.end
	}
	_, _ = a.rc.SetReadDeadline(quiet), a.rc.SetWriteDeadline(a.end.Add(arriveQuiet)) // recorders of tests have none
	n, err := a.from.Read(b)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = interop.ErrUploadLarge.Wrap(err)
	}
	return n, err
}

type startOut struct {
	Hit  string `header:"Idempotency-Hit"`
	Body importBody
}

const keyAge = 24 * time.Hour

func (s *Service) postImport(ctx context.Context, in *startIn) (*startOut, error) {
	key, err := httpx.Key[interop.Import](in.Key)
	if err != nil {
		return nil, err
	}
	if off := s.base.Clock.Now().Sub(key.Time()); off > keyAge || off < -keyAge {
		return nil, interop.ErrKeyTime.At("header.Idempotency-Key", "its time is more than a day away")
	}
	v, hit, err := s.start(ctx, importRun{ID: key, Kind: in.Kind, Name: fileName(in.Name), DryRun: in.DryRun, StopVisits: in.Stops && in.Kind == kindRota}, in.file)
	if err != nil {
		return nil, err
	}
	out := &startOut{Body: importOut(v)}
	if hit {
		out.Hit = "true"
	}
	return out, nil
}

// fileName is the last part of a name, whatever system it is of, without what does not print.
func fileName(s string) string {
	s = path.Base(strings.ReplaceAll(strings.ToValidUTF8(s, ""), `\`, "/"))
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s))
	if r := []rune(s); len(r) > maxFileName {
		s = string(r[:maxFileName])
	}
	if s == "." || s == "/" {
		return ""
	}
	return s
}

type listImportsIn struct {
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type importsOut struct {
	Body struct {
		Items []importBody `json:"items"`
		Next  string       `json:"next" doc:"Cursor of the next page, empty on the last"`
	}
}

func (s *Service) getImports(ctx context.Context, a *httpx.API, in *listImportsIn) (*importsOut, error) {
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := s.listImports(ctx, page.Request{Cursor: cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &importsOut{}
	out.Body.Items, out.Body.Next = []importBody{}, a.Seal(ctx, found.Next)
	for _, v := range found.Items {
		out.Body.Items = append(out.Body.Items, importOut(v))
	}
	return out, nil
}

type importIn struct {
	ID string `path:"id" format:"uuid"`
}

type importOne struct{ Body importBody }

func (s *Service) getImport(ctx context.Context, in *importIn) (*importOne, error) {
	key, err := httpx.ID[interop.Import](in.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.readImport(ctx, key)
	if err != nil {
		return nil, err
	}
	return &importOne{importOut(v)}, nil
}
