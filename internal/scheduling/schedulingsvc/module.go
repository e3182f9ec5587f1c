package schedulingsvc

import (
	"embed"
	"io/fs"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/state"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
	"xinglin/internal/scheduling/schedulingsvc/columns"
	"xinglin/internal/scheduling/schedulingsvc/configured"
	"xinglin/internal/scheduling/schedulingsvc/invariants"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
	"xinglin/internal/scheduling/soldout"
	"xinglin/internal/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policy []byte

//go:embed policy.tests
var policyTests []byte

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{
		Name: "scheduling", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: columns.Classes(), Keys: columns.Keyed(), Masks: columns.Masks(),
		Events: []event.Event{
			scheduling.AppointmentHeld{},
			scheduling.AppointmentBooked{},
			scheduling.AppointmentCancelled{},
			scheduling.AppointmentExpired{},
			scheduling.AppointmentSettled{},
			scheduling.AppointmentMissed{},
			scheduling.LotteryDecided{},
			scheduling.SchedulePublished{},
			scheduling.ScheduleStopped{},
			scheduling.ScheduleResumed{},
		},
	}
}

// New builds the context. tenants is for the daily extension of every tenant's rota.
func New(base module.Base, tenants tenant.Service, dir directory.Service, patients patient.Service, payments payment.Service, cal *calendar.Calendar, opts ...Option) (*Service, *module.Module) {
	s := &Service{base: base, tenants: tenants, dir: dir, patients: patients, payments: payments, cal: cal, pick: randomPick}
	s.under = batch.Bound{Name: "scheduling.holds", Most: mostHolds, Metrics: base.Batches}
	s.kept, s.labels = newSessions(), labels.New(s.dir.Labels)
	s.kept.loads = batch.New(batch.Options{Name: "scheduling.sessions", Writers: 1, Max: maxAsked, Log: base.Log, Metrics: base.Batches}, s.loadSessions)
	s.store = store{db: base.DB, live: s.signalLive, free: s.signalFree, forget: s.forget}
	s.store.rotas = rotas.Store{DB: base.DB, Turn: s.store.takeRotaTurn, Follow: extendAfter, Lock: lockPlans, Halt: s.store.haltAll, Extend: s.store.foretell(cal)}
	s.marks = soldout.New(s.store.mark)
	s.marks.Log = base.Log
	s.marks.Gone = func(k soldout.Key) { base.Admission.SoldOut(k.Tenant, id.As[id.Any](k.Schedule)) }
	s.marks.Back = func(k soldout.Key) { base.Admission.Back(k.Tenant, id.As[id.Any](k.Schedule)) }
	c := newCombined(s.store, s.marks, batch.Options{Log: base.Log, Metrics: base.Batches})
	s.seats = c
	s.close = func() {
		c.combine.Close()
		s.kept.loads.Close()
	}
	for _, o := range opts {
		o(s)
	}
	s.fanOut()
	return s, &module.Module{
		Name:     "scheduling",
		Held:     columns.Held(),
		Routes:   s.routes,
		Hears:    []inbox.Handler{inbox.OnTogether(s.lockPaid, s.onPaid), inbox.OnTogether(s.lockCheckedIn, s.onCheckedIn), inbox.OnTogether(s.lockFinished, s.onFinished)},
		Jobs:     s.jobs(),
		Checks:   invariants.Checks(),
		Sets:     invariants.Sets(),
		Machines: []state.Diagram{appointments, lotteries},
		Facts:    s.sources(),
		Settings: configured.Sections(s.store.rules, s.SetRules),
		Start:    s.start,
	}
}

var _ scheduling.Service = (*Service)(nil)
