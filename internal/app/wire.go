package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/audit"
	"xinglin/internal/audit/auditsvc"
	"xinglin/internal/clinic"
	"xinglin/internal/clinic/clinicsvc"
	"xinglin/internal/directory"
	"xinglin/internal/directory/directorysvc"
	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc"
	"xinglin/internal/interop"
	"xinglin/internal/interop/interopsvc"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/ledger"
	"xinglin/internal/ledger/ledgersvc"
	"xinglin/internal/notify"
	"xinglin/internal/notify/notifysvc"
	"xinglin/internal/patient"
	"xinglin/internal/patient/patientsvc"
	"xinglin/internal/payment"
	"xinglin/internal/payment/paymentsvc"
	"xinglin/internal/platform/admission"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/mask"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/process"
	"xinglin/internal/platform/settings"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
	"xinglin/internal/privacy/privacysvc"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/schedulingsvc"
	"xinglin/internal/tenant"
	"xinglin/internal/tenant/tenantsvc"
	"xinglin/internal/terminology"
	"xinglin/internal/terminology/terminologysvc"
)

// Descriptions lists every context without running it.
func Descriptions() []module.Description {
	return []module.Description{
		tenantsvc.Describe(), directorysvc.Describe(), auditsvc.Describe(), ledgersvc.Describe(), notifysvc.Describe(),
		identitysvc.Describe(), patientsvc.Describe(), paymentsvc.Describe(), schedulingsvc.Describe(), clinicsvc.Describe(), terminologysvc.Describe(),
		interopsvc.Describe(), privacysvc.Describe(),
	}
}

// frameDescriptions are of what has tables and is no context.
func frameDescriptions() []module.Description {
	drop := func(tables ...string) (out []mask.Rule) {
		for _, t := range tables {
			out = append(out, mask.Rule{Table: t, Drop: true})
		}
		return out
	}
	return []module.Description{
		{Name: "keys", Migrations: crypt.Migrations().FS, Data: crypt.Data(), Masks: drop("root_check", "tenant_key", "person_key")},
		{Name: "process", Migrations: process.Set().FS, Data: process.Data(), Masks: drop("process")},
	}
}

// Sets lists every schema of the product: the platform's own and the contexts'.
func Sets() []db.Set {
	var out []db.Set
	for _, d := range append(frameDescriptions(), Descriptions()...) {
		out = append(out, d.Set())
	}
	return out
}

// Machines are what every context shares in this process.
type Machines struct {
	DB      *db.Server
	Clock   clock.Clock
	Crypt   *crypt.Ring
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Signals module.Signals
	Demo    bool
	Uploads string // folder for files that are being imported; empty: the system's
	Outside Outside
	Seats   []schedulingsvc.Option // of the bench: another way to take a seat
	// Admission of this process; nil admits everybody.
	Admission *admission.Desk
}

// House is the product, wired: every context's service and what the process runs of it.
type House struct {
	Tenants     tenant.Service
	Directory   directory.Service
	Identity    identity.Service
	Patients    patient.Service
	Interop     interop.Service
	Terminology terminology.Service
	Privacy     privacy.Service
	Scheduling  scheduling.Service
	Clinic      clinic.Service
	Payments    payment.Service
	Ledger      ledger.Service
	Notify      notify.Service
	Audit       audit.Service

	Hosts   httpx.Tenants
	Auth    httpx.Authenticator
	Demo    identity.Demo
	Authz   *authz.Engine
	Modules []*module.Module
	// Configuration is the tenants' service with what only the doors of the configuration ask.
	Configuration *tenantsvc.Service
	DBs           map[string]*db.DB

	ring  *crypt.Ring
	clock clock.Clock
	// processes is the register; nil where nobody can be in it.
	processes *db.DB
	trails    *auditsvc.Service
	facts     map[string]authz.Source // by action: where its decision takes its facts
}

// collectEach is how often trail rows move to the audit context.
const collectEach = 5 * time.Second

// Wire builds every context, one constructor line each. It does no I/O but opening the
// SQLite files.
func Wire(ctx context.Context, m Machines) (*House, error) {
	engine, err := policies()
	if err != nil {
		return nil, err
	}
	h := &House{Authz: engine, DBs: map[string]*db.DB{}, ring: m.Crypt, clock: m.Clock}
	for _, d := range Descriptions() {
		if h.DBs[d.Name], err = m.DB.Context(ctx, d.Name); err != nil {
			return nil, err
		}
	}
	if m.DB.Engine() == db.Postgres {
		if h.processes, err = m.DB.Context(ctx, "process"); err != nil {
			return nil, err
		}
	}
	batches, err := batch.NewMetrics(m.Metrics)
	if err != nil {
		return nil, err
	}
	base := func(name string) module.Base {
		return module.Base{
			DB: h.DBs[name], Clock: m.Clock, Authz: engine, Crypt: m.Crypt, Log: m.Log.With("context", name),
			Metrics: m.Metrics, Signals: m.Signals, Demo: m.Demo, Admission: m.Admission, Batches: batches,
		}
	}
	tenants, tenantMod := tenantsvc.New(base("tenant"))
	dir, dirMod := directorysvc.New(base("directory"))
	trails, auditMod := auditsvc.New(base("audit"))
	trails.UseOutside(m.Outside.Anchors, m.Outside.Cosigner)
	books, ledgerMod := ledgersvc.New(base("ledger"))
	notices, notifyMod := notifysvc.New(base("notify"), dir, m.Outside.Notices)
	accounts, identityMod := identitysvc.New(base("identity"), tenants, notices)
	patients, patientMod := patientsvc.New(base("patient"), accounts, m.Outside.RealName)
	payments, paymentMod := paymentsvc.New(base("payment"), books, m.Outside.Pay)
	bookings, schedulingMod := schedulingsvc.New(base("scheduling"), tenants, dir, patients, payments, calendar.Embedded(), m.Seats...)
	lines, clinicMod := clinicsvc.New(base("clinic"), dir, patients, bookings)
	bookings.UseWitness(m.Outside.Witness)
	rights, privacyMod := privacysvc.New(base("privacy"), accounts, patients, trails, calendar.Embedded(), calledWords)
	terms, terminologyMod := terminologysvc.New(base("terminology"))
	exchange, interopMod := interopsvc.New(base("interop"), dir, patients, bookings, terms, m.Uploads)

	h.Tenants, h.Directory, h.Audit, h.Ledger, h.Notify = tenants, dir, trails, books, notices
	h.Identity, h.Patients, h.Interop, h.Payments, h.Scheduling, h.Clinic = accounts, patients, exchange, payments, bookings, lines
	h.Terminology, h.trails, h.Privacy, h.Configuration = terms, trails, rights, tenants
	h.Hosts, h.Auth, h.Demo = tenants, accounts, accounts
	h.Modules = []*module.Module{
		tenantMod, dirMod, auditMod, ledgerMod, notifyMod, identityMod, patientMod, paymentMod, schedulingMod, clinicMod, terminologyMod, interopMod,
		privacyMod,
	}
	h.handOver(rights)
	if h.facts, err = sources(h.Modules); err != nil {
		return nil, err
	}

	if err := h.rekey(m); err != nil {
		return nil, err
	}
	collector := &trail.Collector{Sink: trails}
	for _, mod := range h.Modules {
		own := h.DBs[mod.Name]
		collector.DBs = append(collector.DBs, own)
		mod.Jobs = append(mod.Jobs, job.Every(mod.Name+".sweep_keys", job.Cron{At: "03:40"}, func(ctx context.Context) error {
			_, err := idem.Sweep(ctx, own, m.Clock.Now())
			return err
		}))
	}
	auditMod.Jobs = append(auditMod.Jobs, job.Every("audit.collect", job.Cron{Every: collectEach}, collector.Collect))
	return h, nil
}

// holders are what all contexts hold of persons; the person itself first, as a copy tells it.
func (h *House) holders() (out []privacysvc.Holder) {
	classes := map[string]module.Description{}
	for _, d := range Descriptions() {
		classes[d.Name] = d
	}
	for _, first := range []bool{true, false} {
		for _, m := range h.Modules {
			if len(m.Held) > 0 && (m.Name == "patient") == first {
				out = append(out, &holdings.Set{Context: m.Name, DB: h.DBs[m.Name], Ring: h.ring, Classes: classes[m.Name].Data, Tables: m.Held})
			}
		}
	}
	return out
}

// handOver gives two contexts what all of them declare.
func (h *House) handOver(rights *privacysvc.Service) {
	rights.UseHolders(h.holders()...)
	h.Configuration.UseSections(h.sections())
}

// sections are those of all contexts, in the order of the modules: what others refer to comes first.
func (h *House) sections() (out []settings.Section) {
	for _, m := range h.Modules {
		out = append(out, m.Settings...)
	}
	return out
}

// policies compiles the Cedar texts of every context and of the operator's doors.
func policies() (*authz.Engine, error) {
	sets := []authz.Policies{{Context: "ops", Text: opsPolicy}}
	for _, d := range Descriptions() {
		sets = append(sets, authz.Policies{Context: d.Name, Text: d.Policies})
	}
	e, err := authz.New(sets...)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	return e, nil
}
