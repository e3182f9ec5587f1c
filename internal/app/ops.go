package app

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/process"
	"xinglin/internal/platform/trail"
)

//go:embed ops.cedar
var opsPolicy []byte

//go:embed ops.tests
var opsTests []byte

// ErrNoLetter is the refusal for a dead letter or job of another tenant, or of none.
var ErrNoLetter = fault.Register(fault.NotFound, "app.not_found", "没有找到", "There is no such dead letter or job")

// operator is the system administrator's door: what failed for good, and doing it again.
type operator struct {
	house     *House
	api       *httpx.API
	consumers map[string]*inbox.Consumer
	process   *db.DB
}

type letterBody struct {
	ID       id.ID[deadletter.Letter] `json:"id"`
	Context  string                   `json:"context"`
	Source   string                   `json:"source" enum:"outbox,inbox,job"`
	Kind     string                   `json:"kind"`
	Attempts int                      `json:"attempts"`
	Error    string                   `json:"error" doc:"Code or internal error, never personal data"`
	Number   string                   `json:"number"`
	Trace    string                   `json:"trace"`
	At       time.Time                `json:"at"`
}

type jobBody struct {
	ID       id.ID[job.Job] `json:"id"`
	Context  string         `json:"context"`
	Kind     string         `json:"kind"`
	Key      string         `json:"key"`
	State    string         `json:"state"`
	RunAt    time.Time      `json:"run_at"`
	Attempts int            `json:"attempts"`
	Max      int            `json:"max"`
	Error    string         `json:"error"`
	Number   string         `json:"number"`
}

type listBody[T any] struct {
	Body struct {
		Items []T    `json:"items"`
		Next  string `json:"next"`
	}
}

type opsIn struct {
	ID string `path:"id" format:"uuid"`
}

type jobsIn struct {
	State string `query:"state" enum:"ready,running,done,dead,cancelled" default:"dead"`
}

func (o *operator) routes(a *httpx.API) {
	o.api = a
	httpx.Register(a, httpx.Op{ID: "ops.list_dead_letters", Method: http.MethodGet, Path: "/ops/dead-letters", Summary: "Messages and jobs that failed for good, at most 100 a context"}, o.letters)
	httpx.Register(a, httpx.Op{ID: "ops.replay_dead_letter", Method: http.MethodPost, Path: "/ops/dead-letters/{id}/replay", Status: 204, Summary: "Do it again"}, o.replay)
	httpx.Register(a, httpx.Op{ID: "ops.list_jobs", Method: http.MethodGet, Path: "/ops/jobs", Summary: "Jobs in a state, at most 100 a context"}, o.jobs)
	httpx.Register(a, httpx.Op{ID: "ops.retry_job", Method: http.MethodPost, Path: "/ops/jobs/{id}/retry", Status: 204, Summary: "Run a dead job again"}, o.retry)
	httpx.Register(a, httpx.Op{ID: "ops.list_processes", Method: http.MethodGet, Path: "/ops/processes", Summary: "The serve processes of this installation"}, o.processes)
	httpx.Register(a, httpx.Op{ID: "ops.list_actions", Method: http.MethodGet, Path: "/access/actions", Summary: "What can be asked about with explain_access: every action that a policy decides"}, o.actions)
	httpx.Register(a, httpx.Op{ID: "ops.explain_access", Method: http.MethodGet, Path: "/access/explanation", Summary: "Why a member of the staff may or may not do something; the question is audited"}, o.explain)
}

func (o *operator) may(ctx context.Context, action string) (auth.Principal, authz.Decision, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, authz.Decision{}, err
	}
	d, err := o.house.Authz.Check(ctx, authz.Request{Action: action, Noun: "Operations", ID: who.Tenant.String()})
	return who, d, err
}

// mine hides other tenants' rows; rows of the installation (no tenant) are every system administrator's.
func mine(who auth.Principal, t id.ID[auth.Tenant]) bool { return t.IsZero() || t == who.Tenant }

func (o *operator) letters(ctx context.Context, _ *struct{}) (*listBody[letterBody], error) {
	who, _, err := o.may(ctx, "ops.list_dead_letters")
	if err != nil {
		return nil, err
	}
	out := &listBody[letterBody]{}
	out.Body.Items = []letterBody{}
	for _, m := range o.house.Modules {
		rows, err := deadletter.Open(ctx, o.house.DBs[m.Name])
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if mine(who, r.Tenant) {
				out.Body.Items = append(out.Body.Items, letterBody{r.ID, m.Name, r.Source, r.Kind, r.Attempts, r.Error, r.Number, r.Trace, r.At})
			}
		}
	}
	return out, nil
}

// find looks in which context an open letter of the caller's tenant lies.
func (o *operator) find(ctx context.Context, who auth.Principal, text, source string) (string, deadletter.Row, error) {
	lid, err := httpx.ID[deadletter.Letter](text)
	if err != nil {
		return "", deadletter.Row{}, err
	}
	for _, m := range o.house.Modules {
		for _, s := range []string{deadletter.Inbox, deadletter.Job} {
			if source != "" && s != source {
				continue
			}
			row, err := deadletter.Get(ctx, o.house.DBs[m.Name], s, lid)
			if err == nil && mine(who, row.Tenant) {
				return m.Name, row, nil
			}
			if err != nil && fault.KindOf(err) != fault.NotFound {
				return "", row, err
			}
		}
	}
	return "", deadletter.Row{}, ErrNoLetter.New()
}

func (o *operator) replay(ctx context.Context, in *opsIn) (*struct{}, error) {
	who, d, err := o.may(ctx, "ops.replay_dead_letter")
	if err != nil {
		return nil, err
	}
	owner, row, err := o.find(ctx, who, in.ID, "")
	if err != nil {
		return nil, err
	}
	return nil, o.again(ctx, who, d, owner, row, "ops.replay_dead_letter")
}

func (o *operator) retry(ctx context.Context, in *opsIn) (*struct{}, error) {
	who, d, err := o.may(ctx, "ops.retry_job")
	if err != nil {
		return nil, err
	}
	owner, row, err := o.find(ctx, who, in.ID, deadletter.Job)
	if err != nil {
		return nil, err
	}
	return nil, o.again(ctx, who, d, owner, row, "ops.retry_job")
}

// again writes the act first: what a replay does is then never without its audit row.
func (o *operator) again(ctx context.Context, who auth.Principal, d authz.Decision, owner string, row deadletter.Row, action string) error {
	own := o.house.DBs[owner]
	err := own.Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "DeadLetter", ID: row.ID.String(), Policy: d.Policy})
		return err
	})
	if err != nil {
		return err
	}
	if row.Source == deadletter.Job {
		return job.Retry(ctx, own, id.As[job.Job](row.ID))
	}
	c, ok := o.consumers[owner]
	if !ok {
		return ErrNoLetter.New()
	}
	return c.Replay(ctx, row.ID)
}

func (o *operator) jobs(ctx context.Context, in *jobsIn) (*listBody[jobBody], error) {
	who, _, err := o.may(ctx, "ops.list_jobs")
	if err != nil {
		return nil, err
	}
	out := &listBody[jobBody]{}
	out.Body.Items = []jobBody{}
	for _, m := range o.house.Modules {
		rows, err := job.List(ctx, o.house.DBs[m.Name], in.State)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if mine(who, r.Tenant) {
				out.Body.Items = append(out.Body.Items, jobBody{r.ID, m.Name, r.Kind, r.Key, r.State, r.RunAt, r.Attempts, r.Max, r.Error, r.Number})
			}
		}
	}
	return out, nil
}

func (o *operator) processes(ctx context.Context, _ *struct{}) (*listBody[process.Process], error) {
	if _, _, err := o.may(ctx, "ops.list_processes"); err != nil {
		return nil, err
	}
	ps, err := process.List(ctx, o.process)
	if err != nil {
		return nil, err
	}
	out := &listBody[process.Process]{}
	out.Body.Items = append([]process.Process{}, ps...)
	return out, nil
}
