package interopsvc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/terminology"
)

// The kinds of imports.
const (
	kindRota  = "rota"
	kindFHIR  = "fhir"
	kindICD10 = "icd10"
)

// importRun is one import with its progress.
type importRun struct {
	ID         id.ID[interop.Import]
	Kind       string
	Name       string // of the file, for people
	State      runState
	DryRun     bool
	StopVisits bool // consent: a rota may stop sessions that people have booked
	Actor      string
	Hash       []byte // of the file and what was asked
	Bytes      int64
	ReadBytes  int64
	StartedAt  time.Time
	EndedAt    time.Time // zero while it runs
	Report     outcomeBody
}

// problem is why an import was refused or failed.
type problem struct {
	Code    string         `json:"code"`
	ZH      string         `json:"title"`
	EN      string         `json:"title_en"`
	Details []fault.Detail `json:"details"`
}

// outcomeBody is what an import came to: one of the reports, by kind, and the problem when there is one.
type outcomeBody struct {
	Problem *problem     `json:"problem,omitempty"`
	Rota    *rotaReport  `json:"rota,omitempty"`
	FHIR    *fhirReport  `json:"fhir,omitempty"`
	ICD10   *codesReport `json:"icd10,omitempty"`
}

// The other reports are on the wire as their contracts have them.
type (
	fhirReport  interop.Report
	codesReport terminology.ImportReport
)

// Times of an import.
const (
	leaseTime   = 15 * time.Second // a killed process's import counts as running for so long
	leaseEach   = 3 * time.Second  // and is renewed so often
	progressAt  = time.Second
	longest     = 6 * time.Hour
	watchEach   = time.Minute
	patience    = 10 * time.Second // with the database, at the end
	maxRunning  = 4                // in one process
	maxFileName = 120
)

// runs are the imports of this process.
type runs struct {
	folder string // for the files; empty: the system's
	places chan struct{}
	ctx    context.Context // ends with the process
	cut    context.CancelFunc
	all    sync.WaitGroup
	tick   time.Duration // of progress
}

func newRuns(folder string) *runs {
	r := &runs{folder: folder, places: make(chan struct{}, maxRunning), tick: progressAt}
	r.ctx, r.cut = context.WithCancel(context.Background())
	return r
}

// stop ends the imports of this process and waits until their rows say so.
func (r *runs) stop() {
	r.cut()
	r.all.Wait()
}

// mayImport asks the policies about an act on imports.
func (s *Service) mayImport(ctx context.Context, action, item string) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Import", ID: item})
	return who, d.Policy, err
}

// start takes a file in and begins its import in this process; the answer is there before
// the import has ended. The same request again gives the import that it began, hit = true.
// Codes: interop.busy, interop.upload_cut, idem.key_reused.
func (s *Service) start(ctx context.Context, v importRun, file io.Reader) (out importRun, hit bool, err error) {
	who, policy, err := s.mayImport(ctx, "interop.start_import", v.ID.String())
	if err != nil {
		return out, false, err
	}
	select {
	case s.runs.places <- struct{}{}:
	default:
		return out, false, interop.ErrBusy.After(10 * time.Second)
	}
	free := func() { <-s.runs.places }
	up, err := s.receive(ctx, who.Tenant, v, file)
	if err != nil {
		free()
		return out, false, err
	}
	v.Hash, v.Bytes, v.Actor, v.State = up.hash, up.size, who.Actor(), stateRunning
	out, hit, err = s.store.begin(ctx, s.base.DB, who.Tenant, v, policy)
	if err == nil && hit && (!bytes.Equal(out.Hash, v.Hash) || out.Actor != v.Actor) {
		err = idem.ErrReused.New()
	}
	if err != nil || hit {
		up.close()
		free()
		return out, hit, err
	}
	s.runs.all.Go(func() {
		defer free()
		defer up.close()
		s.run(context.WithoutCancel(ctx), who.Tenant, out, policy, up)
	})
	return out, false, nil
}

// receive takes the file in; not in vain while another import of the kind runs, though
// the index decides in the end. A repeated request brings its file again, to be compared.
func (s *Service) receive(ctx context.Context, tenant id.ID[auth.Tenant], v importRun, file io.Reader) (*upload, error) {
	_, err := s.store.find(ctx, s.base.DB, tenant, v.ID)
	if errors.Is(err, interop.ErrNoImport) {
		err = s.store.free(ctx, s.base.DB, tenant, v.Kind)
	}
	if err != nil {
		return nil, err
	}
	return s.runs.receive(file, v)
}

// run is an import from its first byte to its last row.
func (s *Service) run(ctx context.Context, tenant id.ID[auth.Tenant], v importRun, policy string, up *upload) {
	work, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	defer context.AfterFunc(s.runs.ctx, cancel)()
	beat := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() { s.keep(work, cancel, tenant, v.ID, up, beat) })
	rep, err := s.guarded(work, v, up)
	close(beat)
	beats.Wait()
	v.State, v.Report, v.ReadBytes = ended(ctx, err), rep, up.read.Load()
	switch {
	case v.State == stateDone:
		v.ReadBytes = v.Bytes
	case v.State == stateFailed && work.Err() != nil && s.runs.ctx.Err() != nil:
		v.State, v.Report.Problem = stateInterrupted, nil
	case err != nil:
		v.Report.Problem = explained(err)
	}
	last, end := context.WithTimeout(ctx, patience)
	defer end()
	if err := s.store.finish(last, s.base.DB, tenant, v, policy); err != nil {
		obs.Log(ctx).Error("the end of an import", "import", v.ID.String(), "error", err.Error()) // its lease will run out
	}
}

// keep renews the lease and writes the progress. Who has lost the lease stops.
func (s *Service) keep(ctx context.Context, cancel context.CancelFunc, tenant id.ID[auth.Tenant], run id.ID[interop.Import], up *upload, end <-chan struct{}) {
	t := time.NewTicker(s.runs.tick)
	defer t.Stop()
	written, beats := int64(0), 0
	each := int(leaseEach / progressAt)
	for {
		select {
		case <-end:
			return
		case <-ctx.Done():
			return
		case <-t.C:
		}
		beats++
		read := min(up.read.Load(), up.size)
		if read == written && beats%each != 0 {
			continue
		}
		switch ok, err := s.store.progress(ctx, s.base.DB, tenant, run, read); {
		case err != nil:
			obs.Log(ctx).Warn("progress of an import", "error", err.Error())
		case !ok:
			obs.Log(ctx).Error("an import lost its lease and stops", "import", run.String())
			cancel()
			return
		default:
			written = read
		}
	}
}

// guarded imports; a panic is one failed import.
func (s *Service) guarded(ctx context.Context, v importRun, up *upload) (rep outcomeBody, err error) {
	defer func() {
		if recover() != nil {
			obs.Log(ctx).Error("panic in an import", "stack", string(debug.Stack())) // not the value: it may hold personal data
			err = errPanic
		}
	}()
	switch v.Kind {
	case kindRota:
		r, err := s.rotas.Import(ctx, scheduling.ImportRequest{File: up, DryRun: v.DryRun, StopVisits: v.StopVisits})
		return outcomeBody{Rota: rotaOut(r)}, err
	case kindICD10:
		r, err := s.terms.Import(ctx, terminology.ImportRequest{System: terminology.ICD10, File: up, DryRun: v.DryRun})
		return outcomeBody{ICD10: (*codesReport)(&r)}, err
	}
	given := false
	r, err := s.ImportFHIR(ctx, interop.ImportRequest{DryRun: v.DryRun, Next: func() (string, io.Reader, error) {
		if given {
			return "", nil, io.EOF
		}
		given = true
		return v.Name, up, nil
	}})
	return outcomeBody{FHIR: (*fhirReport)(&r)}, err
}

var errPanic = errors.New("interop: a panic")

// ended is what an import's error makes of it.
func ended(ctx context.Context, err error) runState {
	switch {
	case err == nil:
		return stateDone
	case refusal(err):
		return stateRefused
	}
	obs.Log(ctx).Error("import", "error", err.Error())
	return stateFailed
}

// explained is an error for the operator; internal ones only say that they are.
func explained(err error) *problem {
	f := fault.Of(err)
	if f == nil {
		f = interop.ErrInternal.New()
	}
	details := f.Details
	if details == nil {
		details = []fault.Detail{}
	}
	return &problem{Code: f.Code.Name, ZH: f.Code.ZH, EN: f.Code.EN, Details: details}
}

// readImport reads one import.
func (s *Service) readImport(ctx context.Context, run id.ID[interop.Import]) (importRun, error) {
	who, _, err := s.mayImport(ctx, "interop.read_import", run.String())
	if err != nil {
		return importRun{}, err
	}
	return s.store.find(ctx, s.base.DB, who.Tenant, run)
}

// listImports are the tenant's, the latest first; without their reports.
func (s *Service) listImports(ctx context.Context, p page.Request) (page.Page[importRun], error) {
	who, _, err := s.mayImport(ctx, "interop.list_imports", "")
	if err != nil {
		return page.Page[importRun]{}, err
	}
	return s.store.list(ctx, s.base.DB, who.Tenant, p)
}

// rotaReport is scheduling's report on the wire.
type rotaReport struct {
	Encoding    string     `json:"encoding"`
	Rows        int        `json:"rows"`
	Skipped     []sheetRow `json:"skipped"`
	Campuses    changes    `json:"campuses"`
	Departments changes    `json:"departments"`
	Doctors     changes    `json:"doctors"`
	Rules       changes    `json:"rules"`
	Exceptions  changes    `json:"exceptions"`
	Schedules   changes    `json:"schedules"`
	Errors      []rowError `json:"errors"`
	ErrorCount  int        `json:"error_count"`
	Stops       []stopRow  `json:"stops" doc:"The first 50 sessions that stop, most visits first"`
	StopCount   int        `json:"stop_count" doc:"All sessions that stop; of a dry run and of a refusal: that would"`
	StopVisits  int        `json:"stop_visits" doc:"Visits in them, which are cancelled, refunded and told"`
}

// stopRow is a session that an import stops.
type stopRow struct {
	Date       clock.Date `json:"date"`
	Session    string     `json:"session"`
	Department string     `json:"department_name"`
	Doctor     string     `json:"practitioner_name"`
	Visits     int        `json:"visits"`
}

type changes struct {
	New     int `json:"new"`
	Changed int `json:"changed"`
	Same    int `json:"same"`
}

type sheetRow struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

type rowError struct {
	Sheet    string `json:"sheet,omitempty"`
	Line     int    `json:"line"`
	Column   string `json:"column"`
	ReasonZH string `json:"reason_zh"`
	ReasonEN string `json:"reason_en"`
}

func rotaOut(r scheduling.ImportReport) *rotaReport {
	out := &rotaReport{
		Encoding: r.Encoding, Rows: r.Rows, Skipped: []sheetRow{}, Campuses: changes(r.Campuses), Departments: changes(r.Departments), Doctors: changes(r.Doctors),
		Rules: changes(r.Rules), Exceptions: changes(r.Exceptions), Schedules: changes(r.Schedules), Errors: []rowError{}, ErrorCount: r.ErrorCount,
		Stops: []stopRow{}, StopCount: r.StopCount, StopVisits: r.StopVisits,
	}
	for _, v := range r.Stops {
		out.Stops = append(out.Stops, stopRow{v.Date, string(v.Session), v.Department, v.Doctor, v.Visits})
	}
	for _, s := range r.Skipped {
		out.Skipped = append(out.Skipped, sheetRow(s))
	}
	for _, e := range r.Errors {
		out.Errors = append(out.Errors, rowError{e.Sheet, e.Line, e.Column, e.ReasonZH, e.ReasonEN})
	}
	return out
}
