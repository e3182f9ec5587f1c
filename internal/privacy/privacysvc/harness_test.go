package privacysvc

import (
	"context"
	"io"
	"regexp"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/verify"
	"xinglin/internal/privacy"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// house is the context on one engine, with the others faked.
type house struct {
	*testing.T
	s       *Service
	mod     *module.Module
	base    module.Base
	clk     *clock.Manual
	people  *people
	holder  *holder
	log     *logbook
	jobs    *job.Runner
	api     *apitest.Harness
	officer auth.Principal
}

func each(t *testing.T, f func(h *house)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		clk.Set(testkit.Start)
		h := &house{T: t, clk: clk, base: testkit.Base(t, srv, Describe(), testkit.WithClock(clk)), officer: apitest.Staff(apitest.Main, auth.PrivacyOfficer)}
		h.officer.Fresh = true
		h.people = &people{care: map[patient.ID]patient.Care{}, is: map[patient.ID]patient.Identity{}, closed: map[identity.AccountID]int{}, staff: map[identity.AccountID]identity.StaffName{}}
		h.holder, h.log = &holder{}, &logbook{}
		h.s, h.mod = New(h.base, h.people.accounts(), h.people, h.log, calendar.Embedded(), func(a string) authz.Words { return authz.Words{ZH: "做了 " + a} })
		h.s.UseHolders(h.holder, &holdings.Set{Context: "privacy", DB: h.base.DB, Ring: h.base.Crypt, Classes: data(), Tables: held()})
		h.api = apitest.New(t, h.mod.Routes)
		var err error
		if h.jobs, err = job.NewRunner(job.Options{DB: h.base.DB, Handlers: h.mod.Jobs, Clock: clk, Log: h.base.Log}); err != nil {
			t.Fatal(err)
		}
		f(h)
	}, dbtest.WithClock(clk))
}

func (h *house) as(p auth.Principal) context.Context { return testkit.As(context.Background(), p) }

// adult is somebody with an own account; child is one with a guardian's.
func (h *house) adult() (auth.Principal, patient.ID) { return h.person(patient.Self, false) }
func (h *house) child() (auth.Principal, patient.ID) { return h.person(patient.Child, true) }

func (h *house) person(rel patient.Relationship, child bool) (auth.Principal, patient.ID) {
	who := apitest.Patient(apitest.Main)
	who.Fresh = true
	p := id.New[patient.Patient](h.clk.Now())
	h.people.care[p] = patient.Care{Child: child, Carers: []patient.Carer{{Account: who.Account, Relationship: rel, Guardian: child}}}
	h.people.is[p] = patient.Identity{
		Name: secret.New("张小三"), DocumentType: patient.Passport, Document: secret.New("E1234567"), Birth: clock.NewDate(1990, 3, 7), Sex: "male",
	}
	return who, p
}

func (h *house) run() {
	h.Helper()
	if _, err := h.jobs.RunDue(context.Background()); err != nil {
		h.Fatal(err)
	}
}

// publish puts the next version of a purpose's text into force.
func (h *house) publish(purpose privacy.Purpose, after int) {
	h.Helper()
	w := privacy.Wording{Title: "研究", Body: "用于研究", Necessity: "需要真实数据", Effect: "不影响就诊"}
	if _, err := h.s.Publish(h.as(h.officer), privacy.TextSpec{Purpose: purpose, After: after, ZH: w, EN: w}); err != nil {
		h.Fatal(err)
	}
}

func (h *house) consented(p patient.ID, purpose privacy.Purpose) bool {
	h.Helper()
	ok, err := h.s.Consented(context.Background(), apitest.Main, p, purpose)
	if err != nil {
		h.Fatal(err)
	}
	return ok
}

func (h *house) number(query string, args ...any) (n int64) {
	h.Helper()
	err := h.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, query, append([]any{apitest.Main}, args...)...).Scan(&n)
	})
	if err != nil {
		h.Fatal(err)
	}
	return n
}

func (h *house) exec(query string, args ...any) {
	h.Helper()
	err := h.base.DB.Write(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, query, append([]any{apitest.Main}, args...)...)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

var idText = regexp.MustCompile(`id_text\(([a-z0-9_.]+)\)`)

// violations runs verify over the context and gives the broken lines.
func (h *house) violations() (out []string) {
	h.Helper()
	var cs []verify.Check
	for _, c := range h.mod.Checks {
		c.SQL, c.Grace = idText.ReplaceAllString(c.SQL, "CAST($1 AS TEXT)"), verify.NoGrace
		cs = append(cs, c)
	}
	var jobs []string
	for _, j := range h.mod.Jobs {
		jobs = append(jobs, j.Kind)
	}
	r, err := verify.Run(context.Background(), []verify.Unit{{Context: "privacy", DB: h.base.DB, Checks: cs, Jobs: jobs}}, nil, io.Discard)
	if err != nil {
		h.Fatal(err)
	}
	for _, l := range r.Lines {
		if l.Violations > 0 {
			out = append(out, l.Name)
		}
	}
	return out
}

func (h *house) clean() {
	h.Helper()
	if v := h.violations(); len(v) > 0 {
		h.Errorf("verify: %q", v)
	}
}

// people are patient and identity as this context uses them.
type people struct {
	patient.Service
	mu       sync.Mutex
	care     map[patient.ID]patient.Care
	is       map[patient.ID]patient.Identity
	closed   map[identity.AccountID]int
	staff    map[identity.AccountID]identity.StaffName
	shredded []patient.ID
	fixed    []patient.Correction
	refuse   error
}

func (p *people) Care(_ context.Context, t patient.TenantID, id patient.ID) (patient.Care, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.care[id]
	if !ok || t != apitest.Main {
		return c, patient.ErrNotFound.New()
	}
	return c, nil
}

func (p *people) Identify(_ context.Context, id patient.ID) (patient.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.is[id]
	if !ok {
		return v, patient.ErrNotFound.New()
	}
	return v, nil
}

func (p *people) Correct(_ context.Context, id patient.ID, c patient.Correction) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	v := p.is[id]
	if c.Name != nil {
		v.Name = *c.Name
	}
	p.is[id], p.fixed = v, append(p.fixed, c)
	return nil
}

func (p *people) Shred(_ context.Context, id patient.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	delete(p.care, id)
	delete(p.is, id)
	p.shredded = append(p.shredded, id)
	return nil
}

func (p *people) MaskedNames(_ context.Context, _ patient.TenantID, ids []patient.ID) (map[patient.ID]string, error) {
	out := map[patient.ID]string{}
	for _, v := range ids {
		if _, ok := p.is[v]; ok {
			out[v] = "张*三"
		}
	}
	return out, nil
}

type accounts struct {
	identity.Service
	p *people
}

func (p *people) accounts() identity.Service { return &accounts{p: p} }

func (a *accounts) Close(_ context.Context, id identity.AccountID) error {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.closed[id]++
	return nil
}

// holder is what another context holds.
type holder struct {
	waiting []holdings.Waiting
	keeps   []holdings.KeptRows
	erased  []holdings.Subject
	fail    error
	ids     []string
}

func (o *holder) IDs(context.Context, holdings.Subject) ([]string, error) { return o.ids, nil }

func (o *holder) Copy(_ context.Context, of holdings.Subject) ([]holdings.Section, error) {
	return []holdings.Section{{
		Context: "patient", Table: "patient", Title: holdings.Words{ZH: "就诊人信息", EN: "The person"}, Rows: []map[string]any{{"id": of.Patient.String(), "name": "张小三<b>"}},
	}}, nil
}

func (o *holder) Waiting(context.Context, holdings.Subject) ([]holdings.Waiting, error) {
	return o.waiting, nil
}

func (o *holder) Keeps(context.Context, holdings.Subject) ([]holdings.KeptRows, error) {
	return o.keeps, nil
}

func (o *holder) Erase(_ context.Context, of holdings.Subject, _, _ string) error {
	o.erased = append(o.erased, of)
	return o.fail
}

const day = 24 * time.Hour
