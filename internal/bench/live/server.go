package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/app"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
	"xinglin/internal/tenant"
)

const (
	departments = 20
	seats       = 240 // of a session, in 8 slots
	bookers     = 16  // sessions are booked by one of these in order
)

// house is the product, wired on a folder of its own with the routes of registration.
type house struct {
	*app.House
	tenant   tenant.ID
	metrics  *prometheus.Registry
	url      string
	sessions []scheduling.Schedule
	people   []booker
	undo     []func()
}

type booker struct {
	account scheduling.AccountID
	person  scheduling.PatientID
}

// Serve is the server's process: the product on SQLite in a temporary folder, behind its
// real door on a loopback port. It makes the bookings itself, through the context's
// service, so that the moment of each commit is known.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(bufio.NewReader(in))
	var order message
	if err := lines.Decode(&order); err != nil || order.Options == nil {
		return errors.Join(err, errors.New("no options"))
	}
	o := *order.Options
	h := &house{metrics: prometheus.NewRegistry()}
	defer h.close()
	if err := h.open(ctx, o); err != nil {
		return answer(out, message{}, err)
	}
	ready := message{URL: h.url}
	for _, s := range h.sessions {
		ready.Sessions = append(ready.Sessions, s.ID.String())
	}
	debug.FreeOSMemory() // what the preparation left is no cost of the viewers
	ready.RSS = residentKB()
	if err := answer(out, ready, nil); err != nil {
		return err
	}
	if err := lines.Decode(&order); err != nil {
		return err
	}
	made, err := h.book(ctx, o)
	if err := answer(out, message{Booked: made, RSS: residentKB(), Writes: h.counter("xinglin_scheduling_live_writes_total")}, err); err != nil {
		return err
	}
	if err := lines.Decode(&order); err != nil && !errors.Is(err, io.EOF) { // until the parent is done
		return err
	}
	return nil
}

func (h *house) later(f func()) { h.undo = append(h.undo, f) }

func (h *house) close() {
	for _, f := range slices.Backward(h.undo) {
		f()
	}
}

func (h *house) open(ctx context.Context, o Options) error {
	if err := filesFor(o.Viewers + 100); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "xinglin-bench-live-")
	if err != nil {
		return err
	}
	h.later(func() { _ = os.RemoveAll(dir) })
	if err := db.MigrateSQLite(ctx, dir, app.Sets()); err != nil {
		return err
	}
	srv, err := db.Open(ctx, db.Options{Dir: dir})
	if err != nil {
		return err
	}
	h.later(func() { _ = srv.Close() })
	store, err := srv.Context(ctx, "keys")
	if err != nil {
		return err
	}
	ring, err := crypt.Open(ctx, crypt.Options{DB: store, Keys: app.KeysOf(dir), Create: true})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	broker, err := bus.Embed(ctx, bus.EmbedOptions{Dir: filepath.Join(dir, "broker"), Log: log})
	if err != nil {
		return err
	}
	h.later(func() { _ = broker.Close() })
	h.House, err = app.Wire(ctx, app.Machines{DB: srv, Clock: clock.System{}, Crypt: ring, Log: log, Metrics: h.metrics, Signals: broker})
	if err != nil {
		return err
	}
	if err := h.hospital(ctx, o); err != nil {
		return err
	}
	return h.serve(log)
}

// serve opens the door of registration on a loopback port, with the server's time limits
// of the product.
func (h *house) serve(log *slog.Logger) error {
	api, err := httpx.New(httpx.Options{Tenants: h.Hosts, Auth: h.Auth, Log: log, Metrics: h.metrics, PerAddress: 1e6})
	if err != nil {
		return err
	}
	for _, m := range h.Modules {
		if m.Name != "scheduling" {
			continue
		}
		m.Routes(api)
		stop, err := m.Start()
		if err != nil {
			return err
		}
		h.later(stop)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	h.later(func() { _ = s.Close() })
	go func() { _ = s.Serve(l) }()
	h.url = l.Addr().String()
	return nil
}

// hospital makes a free session a doctor for tomorrow, and the people who will book.
func (h *house) hospital(ctx context.Context, o Options) error {
	t, err := h.Tenants.Ensure(auth.With(ctx, auth.Principal{Kind: auth.System, Name: "start"}), tenant.Tenant{Code: app.DefaultTenant, Name: "压测医院"})
	if err != nil {
		return err
	}
	h.tenant = t.ID
	ctx = auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: "bench"})
	r, version, err := h.Scheduling.Rules(ctx)
	if err != nil {
		return err
	}
	r.FirstDay, r.LastDay, r.Pauses, r.Caps = 0, 14, nil, nil
	if _, err := h.Scheduling.SetRules(ctx, r, version); err != nil {
		return err
	}
	day := clock.DateOf(clock.System{}.Now()).Add(1)
	var file strings.Builder
	file.WriteString("院区,科室,医生,执业证号,职称,星期/日期,时段,号别,号源数,每号分钟,挂号费,开始时间,类型\n")
	for i := range o.Sessions {
		fmt.Fprintf(&file, "本部,科室%02d,医生%04d,1103100000%05d,主任医师,%s,上午,普通,%d,1,0,08:00,加诊\n", i%departments, i, i, day, seats)
	}
	rep, err := h.Scheduling.Import(ctx, scheduling.ImportRequest{File: strings.NewReader(file.String()), From: day})
	for _, e := range rep.Errors {
		err = errors.Join(err, fmt.Errorf("row %d, %s: %s", e.Line, e.Column, e.ReasonEN))
	}
	if err != nil {
		return err
	}
	if err := h.find(ctx, day); err != nil {
		return err
	}
	if len(h.sessions) != o.Sessions {
		return fmt.Errorf("%d sessions were made, not %d", len(h.sessions), o.Sessions)
	}
	return h.invite(ctx, o.Rate*int(o.Time/time.Second+1)/min(departments, o.Sessions)+bookers)
}

func (h *house) find(ctx context.Context, day clock.Date) error {
	ds, err := h.Directory.Departments(ctx, h.tenant, scheduling.CampusID{})
	if err != nil {
		return err
	}
	for _, d := range ds {
		found, err := h.Scheduling.Schedules(ctx, h.tenant, scheduling.ScheduleQuery{Department: d.ID, From: day, To: day})
		if err != nil {
			return err
		}
		h.sessions = append(h.sessions, found...)
	}
	return nil
}

// invite makes n accounts with a person each.
func (h *house) invite(ctx context.Context, n int) error {
	for i := range n {
		a, err := h.Identity.EnsurePatient(ctx, secret.New(fmt.Sprintf("139%08d", i)))
		if err != nil {
			return err
		}
		own := auth.With(ctx, auth.Principal{Kind: auth.Patient, Tenant: h.tenant, Account: a, Factors: 1})
		p, _, err := h.Patients.Add(own, patient.New{
			Name: secret.New("张明远"), DocumentType: patient.Passport, Document: secret.New(fmt.Sprintf("E%08d", i)), Birth: clock.NewDate(1980, 1, 1),
			Relationship: patient.Self,
		})
		if err != nil {
			return err
		}
		h.people = append(h.people, booker{a, p.ID})
	}
	return nil
}

// book makes the bookings, evenly in time and over the sessions. A person books each
// department once.
func (h *house) book(ctx context.Context, o Options) ([]booked, error) {
	n := o.Rate * int(o.Time/time.Second)
	queues := make([]chan int, bookers)
	results := make([][]booked, bookers)
	errs := make([]error, bookers)
	next := make(map[scheduling.DepartmentID]int)
	who := make([]booker, n)
	for i := range n {
		d := h.sessions[i*7919%len(h.sessions)].Department
		if next[d] >= len(h.people) {
			return nil, errors.New("too few people for the bookings")
		}
		who[i] = h.people[next[d]]
		next[d]++
	}
	var running sync.WaitGroup
	for q := range queues {
		queues[q] = make(chan int, n)
		running.Go(func() {
			left := map[int]int{}
			for i := range queues[q] {
				if errs[q] != nil {
					continue
				}
				var b booked
				b, errs[q] = h.bookOne(ctx, i*7919%len(h.sessions), who[i], left)
				results[q] = append(results[q], b)
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(o.Rate))
	defer tick.Stop()
	for i := range n {
		<-tick.C
		queues[i*7919%len(h.sessions)%bookers] <- i
	}
	for _, q := range queues {
		close(q)
	}
	running.Wait()
	return slices.Concat(results...), errors.Join(errs...)
}

func (h *house) bookOne(ctx context.Context, session int, who booker, left map[int]int) (booked, error) {
	s := h.sessions[session]
	own := auth.With(ctx, auth.Principal{Kind: auth.Patient, Tenant: h.tenant, Account: who.account, Factors: 1})
	_, _, err := h.Scheduling.Hold(own, scheduling.HoldRequest{ID: id.New[scheduling.Appointment](clock.System{}.Now()), Patient: who.person, Schedule: s.ID, Any: true})
	at := clock.System{}.Now().UnixMicro() // a free number is booked when its commit is known, and nothing follows
	if err != nil {
		return booked{}, err
	}
	if _, known := left[session]; !known {
		left[session] = s.Remaining
	}
	left[session]--
	return booked{session, left[session], at}, nil
}

// counter reads one of the process's counters.
func (h *house) counter(name string) (sum int) {
	all, err := h.metrics.Gather()
	if err != nil {
		return 0
	}
	for _, f := range all {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += int(m.GetCounter().GetValue())
			}
		}
	}
	return sum
}

// residentKB is this process's memory in kB; 0 where the system does not tell.
func residentKB() int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err == nil {
				return n
			}
		}
	}
	return 0
}
