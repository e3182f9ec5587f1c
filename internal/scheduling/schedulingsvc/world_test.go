package schedulingsvc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
	"xinglin/internal/platform/calendar"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	"xinglin/internal/scheduling"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// hm is a time of day.
func hm(h, m int) scheduling.Minute { return scheduling.Minute(h*60 + m) }

func day(s string) clock.Date {
	d, err := clock.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

var cal = calendar.Embedded()

// world is one process of the context with the other contexts played by fakes that keep
// the contracts.
type world struct {
	t        *testing.T
	s        *Service
	m        *module.Module
	base     module.Base
	clock    *clock.Manual
	runner   *job.Runner
	dir      *fakeDirectory
	patients *fakePatients
	payments *fakePayments
	tenant   scheduling.TenantID
	operator auth.Principal
	doctor   scheduling.PractitionerID
	dept     scheduling.DepartmentID
	campus   scheduling.CampusID
}

// eachWorld runs f on both engines.
func eachWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) { f(t, newWorld(t, d)) })
}

func newWorld(t *testing.T, d *dbtest.Database) *world {
	t.Helper()
	clk := testkit.Clock()
	srv := d.Open(t, dbtest.WithClock(clk))
	return worldOn(t, srv, clk)
}

func worldOn(t *testing.T, srv *db.Server, clk *clock.Manual) *world {
	t.Helper()
	w := &world{t: t, clock: clk, tenant: apitest.Main, dir: newFakeDirectory(), patients: newFakePatients(), payments: newFakePayments(clk)}
	w.base = testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
	w.s, w.m = New(w.base, fakeTenants{apitest.Main, apitest.Other}, w.dir, w.patients, w.payments, cal)
	var err error
	w.runner, err = job.NewRunner(job.Options{DB: w.base.DB, Handlers: w.m.Jobs, Clock: clk, Log: w.base.Log})
	if err != nil {
		t.Fatal(err)
	}
	w.operator = apitest.Staff(w.tenant, auth.Operator)
	w.campus, w.dept, w.doctor = w.dir.doctor("本部", "心内科", "张三", "110310000000001")
	return w
}

// as is a context of the principal.
func (w *world) as(p auth.Principal) context.Context { return testkit.As(context.Background(), p) }

// person is a fresh account with one linked person.
func (w *world) person() (auth.Principal, scheduling.PatientID) {
	p := apitest.Patient(w.tenant)
	v := id.New[patient.Patient](w.clock.Now())
	w.patients.link(p.Account, v)
	return p, v
}

// rota makes a rule for every day of the week and its schedules.
func (w *world) rota(fee money.Fen, seats, minutes int) scheduling.RotaRule {
	w.t.Helper()
	r := scheduling.RotaRule{
		Duty: scheduling.Duty{
			Campus: w.campus, Department: w.dept, Practitioner: w.doctor, Session: scheduling.Morning, Class: scheduling.Expert,
			Seats: seats, SlotMinutes: minutes, Fee: fee, Start: hm(8, 0), End: hm(12, 0), Location: "3层A区",
		},
		Recurrence: "FREQ=DAILY", From: day("2026-03-01"), Holidays: scheduling.HolidayWork,
	}
	r, err := w.s.createRota(w.as(w.operator), r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.due()
	return r
}

// due runs every job that is due and fails on dead ones.
func (w *world) due() {
	w.t.Helper()
	if _, err := w.runner.RunDue(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if n := w.number(`SELECT COUNT(*) FROM job WHERE tenant_id = $1 AND state = 'dead'`, w.tenant); n > 0 {
		w.t.Fatalf("%d dead jobs", n)
	}
}

// on is the session of the world's doctor on a day.
func (w *world) on(date string) scheduling.Schedule {
	w.t.Helper()
	d := day(date)
	all, err := w.s.Schedules(context.Background(), w.tenant, scheduling.ScheduleQuery{Practitioner: w.doctor, From: d, To: d})
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%d schedules on %s: %v", len(all), date, err)
	}
	return all[0]
}

func (w *world) slots(schedule id.ID[scheduling.Schedule]) []scheduling.Slot {
	w.t.Helper()
	out, err := w.s.Slots(context.Background(), w.tenant, schedule)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// ask is a request with a fresh key for any seat of a session.
func (w *world) ask(p scheduling.PatientID, schedule id.ID[scheduling.Schedule]) scheduling.HoldRequest {
	return scheduling.HoldRequest{ID: key(w.clock.Now()), Patient: p, Schedule: schedule, Any: true}
}

// key is a client's key of an instant.
func key(now time.Time) id.ID[scheduling.Appointment] {
	return testkit.KeyAt[scheduling.Appointment](now)
}

func (w *world) hold(p auth.Principal, r scheduling.HoldRequest) scheduling.Appointment {
	w.t.Helper()
	a, _, err := w.s.Hold(w.as(p), r)
	if err != nil {
		w.t.Fatalf("hold: %v", err)
	}
	w.heard(a)
	return a
}

// heard opens the payment of a hold, as payment does when it hears of it.
func (w *world) heard(a scheduling.Appointment) {
	w.t.Helper()
	if a.State == scheduling.Pending && !w.payments.down {
		w.s.openNow(context.Background(), w.tenant, a)
	}
}

// paid delivers the payment's event in the consumer's transaction.
func (w *world) paid(a scheduling.Appointment) error {
	w.t.Helper()
	w.heard(a)
	w.payments.pay(a.Payment)
	ctx := testkit.AsSystem(context.Background(), w.tenant, "consumer:scheduling")
	e := payment.PaidEvent{Payment: a.Payment, Purpose: payment.ForAppointment, Reference: id.As[id.Any](a.ID), Amount: a.Fee, PaidAt: w.clock.Now()}
	return w.base.DB.Write(ctx, w.tenant, func(ctx context.Context, tx db.Tx) error {
		return w.s.onPaid(ctx, tx, event.Meta{Tenant: w.tenant}, e)
	})
}

// booked is an appointment that was held and paid.
func (w *world) booked(p auth.Principal, r scheduling.HoldRequest) scheduling.Appointment {
	w.t.Helper()
	a := w.hold(p, r)
	if err := w.paid(a); err != nil {
		w.t.Fatalf("paid: %v", err)
	}
	return w.get(p, a.ID)
}

func (w *world) get(p auth.Principal, a id.ID[scheduling.Appointment]) scheduling.Appointment {
	w.t.Helper()
	v, err := w.s.Get(w.as(p), a)
	if err != nil {
		w.t.Fatalf("get: %v", err)
	}
	return v
}

// number reads one number.
func (w *world) number(query string, args ...any) (n int) {
	w.t.Helper()
	err := w.base.DB.Read(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, query, args...).Scan(&n)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// told counts the events of a name.
func (w *world) told(e event.Event) int {
	w.t.Helper()
	return w.number(`SELECT COUNT(*) FROM outbox WHERE tenant_id = $1 AND name = $2`, w.tenant, e.EventName())
}

// want fails unless err is this code.
func want(t *testing.T, err error, code *fault.Code) {
	t.Helper()
	if f := fault.Of(err); f == nil || f.Code != code {
		t.Fatalf("got %v, want %s", err, code.Name)
	}
}

// ---- the other contexts ----

type fakeTenants []scheduling.TenantID

func (f fakeTenants) ByHost(context.Context, string) (tenant.ID, error) { return f[0], nil }
func (f fakeTenants) Ensure(_ context.Context, t tenant.Tenant) (tenant.Tenant, error) {
	return t, nil
}

func (f fakeTenants) List(context.Context) (out []tenant.Tenant, err error) {
	for _, v := range f {
		out = append(out, tenant.Tenant{ID: v})
	}
	return out, nil
}

type fakeDirectory struct {
	directory.Service // what is not used here panics
	mu                sync.Mutex
	campuses          map[string]directory.CampusID
	departments       map[directory.RosterDepartmentKey]directory.DepartmentID
	doctors           map[string]directory.Practitioner // by licence
	writes            int
}

func newFakeDirectory() *fakeDirectory {
	return &fakeDirectory{
		campuses: map[string]directory.CampusID{}, departments: map[directory.RosterDepartmentKey]directory.DepartmentID{}, doctors: map[string]directory.Practitioner{},
	}
}

// doctor adds a doctor with department and campus.
func (f *fakeDirectory) doctor(campus, dept, name, licence string) (directory.CampusID, directory.DepartmentID, directory.PractitionerID) {
	p, err := f.Place(context.Background(), directory.Roster{Doctors: []directory.RosterDoctor{{Licence: licence, Name: name, Title: "主任医师", Campus: campus, Department: dept}}}, false)
	if err != nil {
		panic(err)
	}
	return p.Campuses[campus], p.Departments[directory.RosterDepartmentKey{Campus: campus, Name: dept}], p.Doctors[licence]
}

func (f *fakeDirectory) Place(_ context.Context, r directory.Roster, dry bool) (directory.Placed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := directory.Placed{Campuses: map[string]directory.CampusID{}, Departments: map[directory.RosterDepartmentKey]directory.DepartmentID{}, Doctors: map[string]directory.PractitionerID{}}
	for _, d := range r.Departments {
		r.Campuses = append(r.Campuses, d.Campus)
	}
	for _, d := range r.Doctors {
		r.Campuses = append(r.Campuses, d.Campus)
		r.Departments = append(r.Departments, directory.RosterDepartment{Campus: d.Campus, Name: d.Department})
		if k, ok := f.doctors[d.Licence]; ok && k.Name != d.Name {
			return directory.Placed{}, directory.ErrLicenceTaken.At("licence_no", d.Licence)
		}
	}
	for _, c := range r.Campuses {
		place(f.campuses, out.Campuses, c, "院区 "+c, &out.New)
	}
	for _, d := range r.Departments {
		k := directory.RosterDepartmentKey{Campus: d.Campus, Name: d.Name}
		place(f.departments, out.Departments, k, "科室 "+d.Campus+" "+d.Name, &out.New)
	}
	for _, d := range r.Doctors {
		ids := map[string]directory.PractitionerID{}
		if k, ok := f.doctors[d.Licence]; ok {
			ids[d.Licence] = k.ID
		}
		place(ids, out.Doctors, d.Licence, "医师 "+d.Licence, &out.New)
		if !dry {
			f.doctors[d.Licence] = directory.Practitioner{ID: out.Doctors[d.Licence], Licence: d.Licence, Name: d.Name, Title: d.Title}
		}
	}
	if !dry {
		for k, v := range out.Campuses {
			f.campuses[k] = v
		}
		for k, v := range out.Departments {
			f.departments[k] = v
		}
		if len(out.New) > 0 {
			f.writes++
		}
	}
	return out, nil
}

func place[K comparable, T any](known, out map[K]id.ID[T], k K, what string, fresh *[]string) {
	if _, done := out[k]; done {
		return
	}
	v, ok := known[k]
	if !ok {
		v = id.New[T](testkit.Start)
		*fresh = append(*fresh, what)
	}
	out[k] = v
}

func (f *fakeDirectory) Practitioners(_ context.Context, _ directory.TenantID, q directory.Query) (out page.Page[directory.Practitioner], err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.doctors {
		if p.Name == q.Text {
			out.Items = append(out.Items, p)
		}
	}
	return out, nil
}

func (f *fakeDirectory) Labels(_ context.Context, t directory.TenantID, ps []directory.PractitionerID, ds []directory.DepartmentID, cs []directory.CampusID) (directory.Labels, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := directory.Labels{Practitioners: map[directory.PractitionerID]directory.Label{}, Departments: map[directory.DepartmentID]directory.Label{}, Campuses: map[directory.CampusID]directory.Label{}}
	if len(ps) > maxBatch || len(ds) > maxBatch || len(cs) > maxBatch {
		return l, directory.ErrInvalid.New()
	}
	if t != apitest.Main {
		return l, nil
	}
	for _, p := range f.doctors {
		if slices.Contains(ps, p.ID) {
			l.Practitioners[p.ID] = directory.Label{Name: p.Name, Title: p.Title}
		}
	}
	for k, v := range f.departments {
		if slices.Contains(ds, v) {
			l.Departments[v] = directory.Label{Name: k.Name}
		}
	}
	for k, v := range f.campuses {
		if slices.Contains(cs, v) {
			l.Campuses[v] = directory.Label{Name: k}
		}
	}
	return l, nil
}

type fakePatients struct {
	patient.Service
	mu    sync.Mutex
	links map[string]bool
	of    map[scheduling.AccountID][]patient.Link
	birth map[patient.ID]clock.Date
}

func newFakePatients() *fakePatients {
	return &fakePatients{links: map[string]bool{}, of: map[scheduling.AccountID][]patient.Link{}, birth: map[patient.ID]clock.Date{}}
}

func (f *fakePatients) link(a scheduling.AccountID, p patient.ID) {
	f.linkAs(a, patient.Link{Patient: p})
}

func (f *fakePatients) linkAs(a scheduling.AccountID, l patient.Link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.links[a.String()+l.Patient.String()] = true
	f.of[a] = append(f.of[a], l)
}

func (f *fakePatients) Linked(_ context.Context, t patient.TenantID, a scheduling.AccountID) ([]patient.Link, error) {
	if t != apitest.Main {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.of[a]), nil
}

func (f *fakePatients) Booker(ctx context.Context, p patient.ID) (patient.Booker, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return patient.Booker{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.links[who.Account.String()+p.String()] {
		return patient.Booker{}, patient.ErrNotFound.New()
	}
	return patient.Booker{ID: p, Birth: f.birth[p], Verified: patient.Matched, Masked: "张*三"}, nil
}

func (f *fakePatients) MaskedNames(_ context.Context, _ patient.TenantID, ids []patient.ID) (map[patient.ID]string, error) {
	out := map[patient.ID]string{}
	for _, v := range ids {
		out[v] = "张*三"
	}
	return out, nil
}

// fakePayments keeps the contract of payment: one payment an id, refunds once by id and
// never above the payment.
type fakePayments struct {
	payment.Service
	clock   clock.Clock
	mu      sync.Mutex
	known   map[payment.ID]payment.Payment
	refunds map[payment.RefundID]payment.Refund
	asked   map[payment.RefundID]int
	down    bool
}

func newFakePayments(c clock.Clock) *fakePayments {
	return &fakePayments{clock: c, known: map[payment.ID]payment.Payment{}, refunds: map[payment.RefundID]payment.Refund{}, asked: map[payment.RefundID]int{}}
}

func (f *fakePayments) setDown(v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = v
}

func (f *fakePayments) Open(_ context.Context, r payment.Request) (payment.Payment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return payment.Payment{}, payment.ErrChannel.New()
	}
	if p, ok := f.known[r.ID]; ok {
		if p.Amount != r.Amount || p.Account != r.Account || !p.Deadline.Equal(r.Deadline) {
			return p, payment.ErrReused.New()
		}
		return p, nil
	}
	p := payment.Payment{ID: r.ID, Purpose: r.Purpose, Reference: r.Reference, Account: r.Account, Amount: r.Amount, State: payment.Open, Deadline: r.Deadline}
	f.known[r.ID] = p
	return p, nil
}

func (f *fakePayments) pay(p payment.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.known[p]
	if v.State == payment.Open || v.State == payment.Closed {
		v.State, v.PaidAt = payment.Paid, f.clock.Now()
		f.known[p] = v
	}
}

func (f *fakePayments) get(p payment.ID) payment.Payment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[p]
}

func (f *fakePayments) States(_ context.Context, _ payment.TenantID, ids []payment.ID) (map[payment.ID]payment.Payment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, payment.ErrChannel.New()
	}
	out := map[payment.ID]payment.Payment{}
	for _, v := range ids {
		if p, ok := f.known[v]; ok {
			out[v] = p
		}
	}
	return out, nil
}

func (f *fakePayments) Close(_ context.Context, _ payment.TenantID, p payment.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.known[p]
	if !ok {
		return payment.ErrNotFound.New()
	}
	if v.State == payment.Open {
		v.State = payment.Closed
		f.known[p] = v
	}
	return nil
}

func (f *fakePayments) Refund(_ context.Context, r payment.RefundRequest) (payment.Refund, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[r.ID]++
	if v, ok := f.refunds[r.ID]; ok {
		return v, nil
	}
	p, ok := f.known[r.Payment]
	switch {
	case !ok:
		return payment.Refund{}, payment.ErrNotFound.New()
	case p.State == payment.Open || p.State == payment.Closed:
		return payment.Refund{}, payment.ErrNotPaid.New()
	case p.Refunded+r.Amount > p.Amount:
		return payment.Refund{}, payment.ErrRefundExceeds.New()
	}
	p.Refunded += r.Amount
	p.State = payment.Refunded
	f.known[r.Payment] = p
	v := payment.Refund{ID: r.ID, Payment: r.Payment, Amount: r.Amount, Reason: r.Reason, State: payment.RefundDone}
	f.refunds[r.ID] = v
	return v, nil
}

// refunded is the sum of all refunds.
func (f *fakePayments) refunded() (sum money.Fen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.refunds {
		sum += v.Amount
	}
	return sum
}

// many runs n calls at once and gives their errors.
func many(n int, f func(i int) error) []error {
	out := make([]error, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			out[i] = f(i)
		})
	}
	start.Done()
	done.Wait()
	return out
}

// codes counts errors by code; nil is "ok".
func codes(errs []error) map[string]int {
	out := map[string]int{}
	for _, err := range errs {
		switch f := fault.Of(err); {
		case err == nil:
			out["ok"]++
		case f == nil:
			out[fmt.Sprint("internal: ", err)]++
		default:
			out[f.Code.Name]++
		}
	}
	return out
}

var minute = time.Minute

// clockMinutes is n as a factor of a minute.
func clockMinutes(n int) time.Duration { return time.Duration(n) }

// adult links one more person to the account.
func (w *world) adult(p auth.Principal) scheduling.PatientID {
	v := id.Random[patient.Patient]()
	w.patients.link(p.Account, v)
	w.patients.mu.Lock()
	defer w.patients.mu.Unlock()
	w.patients.birth[v] = day("1980-01-01")
	return v
}
