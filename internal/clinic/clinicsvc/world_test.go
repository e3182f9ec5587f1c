package clinicsvc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

var (
	campusID = id.Must[directory.Campus]("01900000-0000-7000-8000-0000000000c1")
	heartID  = id.Must[directory.Department]("01900000-0000-7000-8000-0000000000c2")
	boneID   = id.Must[directory.Department]("01900000-0000-7000-8000-0000000000c3")
	linID    = id.Must[directory.Practitioner]("01900000-0000-7000-8000-0000000000c4")
	zhouID   = id.Must[directory.Practitioner]("01900000-0000-7000-8000-0000000000c5")
)

// fakeDirectory has one campus with two departments and two doctors.
type fakeDirectory struct{ directory.Service }

func (fakeDirectory) Labels(_ context.Context, _ directory.TenantID, ps []directory.PractitionerID, ds []directory.DepartmentID, cs []directory.CampusID) (directory.Labels, error) {
	all := directory.Labels{
		Practitioners: map[directory.PractitionerID]directory.Label{linID: {Name: "林知夏"}, zhouID: {Name: "周宁"}},
		Departments:   map[directory.DepartmentID]directory.Label{heartID: {Name: "心内科", Location: "2层"}, boneID: {Name: "骨科", Location: "3层"}},
		Campuses:      map[directory.CampusID]directory.Label{campusID: {Name: "本部"}},
	}
	maps.DeleteFunc(all.Practitioners, func(k directory.PractitionerID, _ directory.Label) bool { return !slices.Contains(ps, k) })
	maps.DeleteFunc(all.Departments, func(k directory.DepartmentID, _ directory.Label) bool { return !slices.Contains(ds, k) })
	maps.DeleteFunc(all.Campuses, func(k directory.CampusID, _ directory.Label) bool { return !slices.Contains(cs, k) })
	return all, nil
}

func (fakeDirectory) Departments(_ context.Context, t directory.TenantID, c directory.CampusID) ([]directory.Department, error) {
	if t != apitest.Main || c != campusID {
		return nil, nil
	}
	return []directory.Department{{ID: heartID, Campus: campusID}, {ID: boneID, Campus: campusID}}, nil
}

// fakePatients names everybody after the last figures of the id.
type fakePatients struct {
	patient.Service
	links map[id.ID[auth.Account]][]patient.Link
}

func (f fakePatients) Linked(_ context.Context, _ patient.TenantID, a id.ID[auth.Account]) ([]patient.Link, error) {
	return f.links[a], nil
}

func (fakePatients) MaskedNames(_ context.Context, _ patient.TenantID, ids []patient.ID) (map[patient.ID]string, error) {
	if len(ids) > 200 {
		return nil, patient.ErrInvalid.New()
	}
	out := map[patient.ID]string{}
	for _, p := range ids {
		out[p] = "张*" + p.String()[34:]
	}
	return out, nil
}

func (fakePatients) Person(ctx context.Context, p patient.ID) (patient.Person, error) {
	return patient.Person{Name: secret.New("张大" + p.String()[34:]), Sex: "male", Birth: clock.NewDate(1980, 1, 2)}, nil
}

// fakeBookings is scheduling with the sessions that a test makes.
type fakeBookings struct {
	scheduling.Service
	w        *world
	sessions map[scheduleID]scheduling.Schedule
	slots    map[scheduleID][]scheduling.Slot
	visits   map[appointmentID]scheduling.Appointment
	asked    atomic.Int64
}

func (f *fakeBookings) Schedules(_ context.Context, t scheduling.TenantID, q scheduling.ScheduleQuery) (out []scheduling.Schedule, err error) {
	f.asked.Add(1)
	for _, v := range f.sessions {
		if t == f.w.tenant && v.Department == q.Department && v.Date >= q.From && v.Date <= q.To {
			out = append(out, v)
		}
	}
	return out, nil
}

func (f *fakeBookings) Slots(_ context.Context, _ scheduling.TenantID, s scheduleID) ([]scheduling.Slot, error) {
	return f.slots[s], nil
}

func (f *fakeBookings) Get(ctx context.Context, a appointmentID) (scheduling.Appointment, error) {
	who, err := auth.From(ctx)
	v, ok := f.visits[a]
	if err != nil || !ok || who.Kind == auth.Patient && who.Account != v.Account {
		return v, scheduling.ErrNotFound.New()
	}
	return v, nil
}

// world is one process of the context; its clock begins on Monday at 9:00.
type world struct {
	*apitest.Harness
	t        *testing.T
	s        *Service
	m        *module.Module
	base     module.Base
	clock    *clock.Manual
	tenant   clinic.TenantID
	bookings *fakeBookings
	patients fakePatients

	doctor, other, nurse, desk, operator auth.Principal
}

func eachWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		clk := testkit.Clock()
		f(t, worldOn(t, d.Open(t, dbtest.WithClock(clk)), clk, nil))
	})
}

func worldOn(t *testing.T, srv *db.Server, clk *clock.Manual, signals module.Signals) *world {
	t.Helper()
	w := &world{t: t, clock: clk, tenant: apitest.Main}
	w.bookings = &fakeBookings{w: w, sessions: map[scheduleID]scheduling.Schedule{}, slots: map[scheduleID][]scheduling.Slot{}, visits: map[appointmentID]scheduling.Appointment{}}
	w.base = testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
	if signals != nil {
		w.base.Signals = signals
	}
	w.patients = fakePatients{links: map[id.ID[auth.Account]][]patient.Link{}}
	w.s, w.m = New(w.base, fakeDirectory{}, w.patients, w.bookings)
	w.Harness = apitest.New(t, w.m.Routes)
	w.doctor, w.other = apitest.Staff(w.tenant, auth.Doctor), apitest.Staff(w.tenant, auth.Doctor)
	w.doctor.Practitioner, w.other.Practitioner = id.As[id.Any](linID), id.As[id.Any](zhouID)
	w.nurse, w.desk, w.operator = apitest.Staff(w.tenant, auth.Nurse), apitest.Staff(w.tenant, auth.Registrar), apitest.Staff(w.tenant, auth.Operator)
	return w
}

// run begins the live streams.
func (w *world) run() {
	w.t.Helper()
	stop, err := w.m.Start()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(stop)
}

func (w *world) as(p auth.Principal) context.Context { return testkit.As(context.Background(), p) }

func (w *world) key() clinic.Key { return testkit.KeyAt[id.Any](w.clock.Now()) }

// hear gives what happened at scheduling to the context: one message, in the transaction of its consumer.
func hear[E event.Event](w *world, on func(context.Context, db.Tx, event.Meta, E) error, e E) {
	w.t.Helper()
	hearAll(w, func(ctx context.Context, tx db.Tx, m event.Meta, all []E) error { return on(ctx, tx, m, all[0]) }, e)
}

func hearAll[E event.Event](w *world, on func(context.Context, db.Tx, event.Meta, []E) error, all ...E) {
	w.t.Helper()
	ctx := testkit.AsSystem(context.Background(), w.tenant, "consumer:clinic")
	err := w.base.DB.Write(ctx, w.tenant, func(ctx context.Context, tx db.Tx) error {
		return on(ctx, tx, event.Meta{Tenant: w.tenant, Name: all[0].EventName()}, all)
	})
	if err != nil {
		w.t.Fatalf("%s: %v", all[0].EventName(), err)
	}
}

// session plans one of doctor 林 at the heart department today: six people an hour, two a
// period, from 9:00 for so many hours.
func (w *world) session(hours int) scheduleID {
	return w.sessionOf(linID, heartID, clock.DateOf(w.clock.Now()), 9*60, hours)
}

func (w *world) sessionOf(p directory.PractitionerID, d directory.DepartmentID, day clock.Date, minute, hours int) scheduleID {
	w.t.Helper()
	v := scheduling.Schedule{
		ID: id.New[scheduling.Schedule](w.clock.Now()), Date: day, Session: scheduling.Morning, Campus: campusID, Department: d, Practitioner: p,
		StartsAt: day.At(minute), EndsAt: day.At(minute + hours*60), Location: "301 诊室", State: scheduling.ScheduleOpen,
	}
	w.bookings.sessions[v.ID] = v
	for i := range hours * 3 {
		at := day.At(minute + 20*i)
		w.bookings.slots[v.ID] = append(w.bookings.slots[v.ID], scheduling.Slot{Schedule: v.ID, StartsAt: at, EndsAt: at.Add(20 * time.Minute), First: 2*i + 1, Capacity: 2})
	}
	hearAll(w, w.s.onPublished, scheduling.SchedulePublished{Schedule: v.ID, Campus: campusID, Department: d, Practitioner: p, Date: day, Session: v.Session})
	return v.ID
}

// visitor is somebody with a booking.
type visitor struct {
	auth.Principal
	turn  appointmentID
	event scheduling.AppointmentBooked
}

// visit is a booking that the context has not heard of.
func (w *world) visit(line scheduleID, number int) visitor {
	v := w.bookings.sessions[line]
	p := apitest.Patient(w.tenant)
	e := scheduling.AppointmentBooked{Number: number, Visit: scheduling.Visit{
		Appointment: id.New[scheduling.Appointment](w.clock.Now()), Account: p.Account, Patient: id.Random[patient.Patient](), Schedule: line,
		Campus: v.Campus, Department: v.Department, Practitioner: v.Practitioner, Date: v.Date, Session: v.Session,
		StartsAt: w.bookings.slots[line][(number-1)/2].StartsAt,
	}}
	w.bookings.visits[e.Appointment] = scheduling.Appointment{
		ID: e.Appointment, Account: e.Account, Patient: e.Patient, Schedule: line, Campus: v.Campus, Department: v.Department, Practitioner: v.Practitioner,
		Date: v.Date, Session: v.Session, StartsAt: e.StartsAt, Number: number, State: scheduling.Booked,
	}
	return visitor{p, e.Appointment, e}
}

// book makes bookings with the numbers 1..n.
func (w *world) book(line scheduleID, n int) []visitor {
	w.t.Helper()
	var out []visitor
	var events []scheduling.AppointmentBooked
	for i := range n {
		v := w.visit(line, i+1)
		out, events = append(out, v), append(events, v.event)
	}
	hearAll(w, w.s.onBooked, events...)
	return out
}

// checkIn checks people in at the desk.
func (w *world) checkIn(vs ...visitor) {
	w.t.Helper()
	for _, v := range vs {
		if _, _, err := w.s.CheckInAtDesk(w.as(w.desk), v.turn, w.key()); err != nil {
			w.t.Fatalf("check-in of %d: %v", v.event.Number, err)
		}
	}
}

func (w *world) queue(line scheduleID) clinic.Queue {
	w.t.Helper()
	q, err := w.s.Queue(w.as(w.nurse), line)
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// next presses the doctor's key and gives the number that is called.
func (w *world) next(line scheduleID) int {
	w.t.Helper()
	q, _, err := w.s.CallNext(w.as(w.doctor), line, w.queue(line).Version, w.key())
	if err != nil {
		w.t.Fatalf("call next: %v", err)
	}
	return q.Current.Number
}

// shape writes a queue as "called 1, waiting 2 3, missed 4".
func shape(q clinic.Queue) string {
	var parts []string
	last := clinic.State("")
	for _, v := range q.Turns {
		if v.State != last {
			parts, last = append(parts, string(v.State)), v.State
		}
		parts[len(parts)-1] += fmt.Sprintf(" %d", v.Number)
	}
	return strings.Join(parts, ", ")
}

func (w *world) want(line scheduleID, want string) {
	w.t.Helper()
	if got := shape(w.queue(line)); got != want {
		w.t.Errorf("the queue is %q, want %q", got, want)
	}
}

// count is a number from the database.
func (w *world) count(sql string, args ...any) (n int64) {
	w.t.Helper()
	err := w.base.DB.Read(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, sql, append([]any{w.tenant}, args...)...).Scan(&n)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// told counts events in the outbox.
func (w *world) told(e event.Event) int64 {
	return w.count(`SELECT COUNT(*) FROM outbox WHERE tenant_id = $1 AND name = $2`, e.EventName())
}
