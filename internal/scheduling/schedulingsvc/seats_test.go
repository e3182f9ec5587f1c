package schedulingsvc

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/module"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
	"xinglin/internal/scheduling/seatboard"
	"xinglin/internal/scheduling/seatview"
	"xinglin/internal/testkit/apitest"
)

type calendarBody struct {
	Items []struct {
		Practitioner string `json:"practitioner_id"`
		Name         string `json:"practitioner_name"`
		Department   string `json:"department_name"`
		Campus       string `json:"campus_name"`
		Days         string `json:"days"`
		Remaining    []int  `json:"remaining"`
	} `json:"items"`
}

func (w *world) calendar(q seatview.Query) (out calendarBody) {
	w.t.Helper()
	r, err := w.s.boards.Reply(context.Background(), w.tenant, q)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(r.Body, &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// start runs the process's machines until the test ends.
func (w *world) start() (stop func()) {
	w.t.Helper()
	stop, err := w.m.Start()
	if err != nil {
		w.t.Fatal(err)
	}
	return stop
}

// letters are what the calendar shows of a session.
var letters = map[scheduling.ScheduleState]byte{
	scheduling.ScheduleEnded: 'e', scheduling.ScheduleHalted: 's', scheduling.SchedulePlanned: 'p', scheduling.ScheduleFull: 'f', scheduling.ScheduleOpen: 'o',
}

// TestCalendarIsTheDatabase: after random bookings, returns, stops of sessions, new rules
// and restarts of the machines, the calendar is what the database says.
func TestCalendarIsTheDatabase(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 4, 60)
		stop := w.start()
		defer func() { stop() }()
		q := seatview.Query{From: day("2026-03-02"), To: day("2026-03-12")}
		w.calendar(q)
		type visit struct {
			who auth.Principal
			a   scheduling.Appointment
		}
		var held []visit
		rapid.Check(t, func(rt *rapid.T) {
			for range 4 {
				date := day("2026-03-03").Add(rapid.IntRange(0, 6).Draw(rt, "day"))
				switch rapid.SampledFrom([]string{"book", "book", "book", "cancel", "restart", "rules"}).Draw(rt, "do") {
				case "book":
					p, v := w.person()
					a, _, err := w.s.Hold(w.as(p), w.ask(v, w.on(date.String()).ID))
					if err == nil {
						held = append(held, visit{p, a})
					}
				case "cancel":
					if len(held) > 0 {
						x := held[len(held)-1]
						held = held[:len(held)-1]
						if _, err := w.s.Cancel(w.as(x.who), scheduling.CancelRequest{ID: x.a.ID, Version: x.a.Version}); err != nil {
							rt.Logf("cancel: %v", err)
						}
					}
				case "restart":
					stop()
					stop = w.start()
				case "rules":
					w.rules(func(r *scheduling.BookingRules) { r.LastDay = 7 + len(held)%7 })
				}
			}
			want := func() string {
				all, err := w.s.Schedules(context.Background(), w.tenant, scheduling.ScheduleQuery{Practitioner: w.doctor, From: q.From, To: q.To})
				if err != nil {
					rt.Fatal(err)
				}
				out := make([]string, q.To-q.From+1)
				for _, v := range all {
					out[v.Date-q.From] = fmt.Sprintf("%c%d", letters[v.State], v.Remaining)
				}
				return strings.Join(out, " ")
			}
			got := func() string {
				c := w.calendar(q)
				out := make([]string, q.To-q.From+1)
				for i, n := range c.Items[0].Remaining {
					if c.Items[0].Days[i] != '.' {
						out[i] = fmt.Sprintf("%c%d", c.Items[0].Days[i], n)
					}
				}
				return strings.Join(out, " ")
			}
			eventually(t, "the calendar: "+want(), func() bool { return got() == want() })
		})
		if _, differ, err := w.s.boards.Compare(context.Background(), w.tenant, q.From, q.To); differ != 0 || err != nil {
			t.Errorf("%d differences, %v", differ, err)
		}
	})
}

// TestCalendarFindsFaults: a number that differs at the same version is found and made good;
// so is a change that nobody signalled.
func TestCalendarFindsFaults(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 4, 60)
		stop := w.start()
		defer stop()
		q := seatview.Query{From: day("2026-03-04"), To: day("2026-03-04")}
		left := func(n int) func() bool {
			return func() bool { return slices.Equal(w.calendar(q).Items[0].Remaining, []int{n}) }
		}
		if !left(4)() {
			t.Fatal("not 4")
		}
		// What was signalled before may be read at this moment, so the comparison comes first only by and by.
		booked := 0 // of each slot
		flip := func(more string) (behind, differ int) {
			booked = 1 - booked
			w.plant(fmt.Sprintf(`UPDATE slot SET booked = %d%s WHERE capacity > 0 AND schedule_id = (SELECT id FROM schedule WHERE day = %d LIMIT 1)`, booked, more, q.From))
			behind, differ, err := w.s.boards.Compare(context.Background(), w.tenant, q.From, q.To)
			if err != nil || !left(4*(1-booked))() {
				t.Fatalf("not made good, %v", err)
			}
			return behind, differ
		}
		eventually(t, "the difference at the same version", func() bool { _, differ := flip(""); return differ == 1 })
		eventually(t, "the change that nobody signalled", func() bool {
			behind, differ := flip(", version = version + 1")
			if differ != 0 {
				t.Fatalf("%d differ", differ)
			}
			return behind == 1
		})
	})
}

// TestCalendarRoute: filters, names, gzip, ETag, refusals, another tenant.
func TestCalendarRoute(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		h := apitest.New(t, w.m.Routes)
		nobody := apitest.Nobody(w.tenant)
		const path = "/schedules/calendar?from=2026-03-04&to=2026-03-06"
		var c calendarBody
		r := h.Do(nobody, "GET", path, nil).Want(t, 200)
		if err := json.Unmarshal(r.Body, &c); err != nil {
			t.Fatal(err)
		}
		if len(c.Items) != 1 || c.Items[0].Name != "张三" || c.Items[0].Department != "心内科" || c.Items[0].Campus != "本部" || c.Items[0].Days != "ooo" || !slices.Equal(c.Items[0].Remaining, []int{10, 10, 10}) {
			t.Fatalf("%s", r.Body)
		}
		packed := h.Do(nobody, "GET", path, nil, apitest.H("Accept-Encoding", "gzip")).Want(t, 200)
		z, err := gzip.NewReader(strings.NewReader(string(packed.Body)))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(z); err != nil || !json.Valid(b) || packed.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%v %s", err, b)
		}
		for q, n := range map[string]int{
			"&department_id=" + w.dept.String(): 1, "&campus_id=" + w.campus.String(): 1,
			"&department_id=" + id.Random[scheduling.Slot]().String(): 0,
		} {
			if err := json.Unmarshal(h.Do(nobody, "GET", path+q, nil).Want(t, 200).Body, &c); err != nil || len(c.Items) != n {
				t.Errorf("%s: %d items, %v", q, len(c.Items), err)
			}
		}
		if err := json.Unmarshal(h.Do(apitest.Nobody(apitest.Other), "GET", path, nil).Want(t, 200).Body, &c); err != nil || len(c.Items) != 0 {
			t.Errorf("another tenant sees %v", c)
		}
		for _, bad := range []string{"from=2026-03-01", "from=2026-03-04&to=2026-03-03", "from=2026-03-04&to=2026-06-06", "from=x"} {
			h.Do(nobody, "GET", "/schedules/calendar?"+bad, nil).Refused(t, 422, "scheduling.input")
		}
		stop := w.start()
		defer stop()
		tag := h.Do(nobody, "GET", path, nil).Want(t, 200).Header.Get("ETag")
		if tag == "" {
			t.Fatal("no ETag")
		}
		h.Do(nobody, "GET", path, nil, apitest.H("If-None-Match", tag)).Want(t, http.StatusNotModified)
	})
}

// hospital is a board of doctors x days x 2 sessions.
func hospital(doctors, days int) (*seatboard.Boards, *boardMemory) {
	m := &boardMemory{}
	today := clock.DateOf(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))
	for range doctors {
		k := seatview.Row{Campus: id.Random[directory.Campus](), Department: id.Random[directory.Department](), Practitioner: id.Random[directory.Practitioner]()}
		for d := range days {
			for s := range 2 {
				at := today.Add(d).At(8*60 + s*300)
				m.all = append(m.all, seatview.Session{
					ID: someSession(), Day: today.Add(d), Row: k, Starts: at.UnixMicro(), Ends: at.Add(4 * time.Hour).UnixMicro(),
					Released: today.Add(d - 14).At(480).UnixMicro(), Version: 1, Remaining: 40,
				})
			}
		}
	}
	return seatboard.New(seatboard.Reads{Of: m.seatsOf, On: m.seatsOn}, labels.New(boardNames).Of, clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)), nil, nil), m
}

// boardMemory is a database in memory.
type boardMemory struct {
	mu  sync.Mutex
	all []seatview.Session
}

func (m *boardMemory) seatsOn(_ context.Context, _ scheduling.TenantID, from, to clock.Date, _ int) (out []seatview.Session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.all {
		if s.Day >= from && s.Day <= to {
			out = append(out, s)
		}
	}
	return out, nil
}

func (m *boardMemory) seatsOf(_ context.Context, _ scheduling.TenantID, ids []scheduleID) (out []seatview.Session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.all {
		if slices.Contains(ids, s.ID) {
			out = append(out, s)
		}
	}
	return out, nil
}

func boardNames(_ context.Context, _ scheduling.TenantID, ps []scheduling.PractitionerID, ds []scheduling.DepartmentID, cs []scheduling.CampusID) (directory.Labels, error) {
	out := directory.Labels{
		Practitioners: map[scheduling.PractitionerID]directory.Label{}, Departments: map[scheduling.DepartmentID]directory.Label{}, Campuses: map[scheduling.CampusID]directory.Label{},
	}
	for _, k := range ps {
		out.Practitioners[k] = directory.Label{Name: "张明远", Title: "副主任医师"}
	}
	for _, k := range ds {
		out.Departments[k] = directory.Label{Name: "心血管内科"}
	}
	for _, k := range cs {
		out.Campuses[k] = directory.Label{Name: "本部院区"}
	}
	return out, nil
}

// book takes a seat of one session and signals it.
func (m *boardMemory) book(b *seatboard.Boards, i int) {
	m.mu.Lock()
	s := &m.all[i%len(m.all)]
	s.Version++
	s.Remaining = (s.Remaining + 39) % 40
	k := s.ID
	m.mu.Unlock()
	b.Touch(apitest.Main, k)
}

// BenchmarkCalendar reads 500 doctors x 30 days x 2 sessions while 1,000 bookings a second
// change them: from memory, and over HTTP with gzip. p50 and p99 are of one request.
func BenchmarkCalendar(b *testing.B) {
	boards, m := hospital(500, 30)
	s := &Service{base: module.Base{Clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))}, boards: boards}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { boards.Run(ctx) })
	running.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i += 7 {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				m.book(boards, i)
			}
		}
	})
	defer running.Wait()
	defer cancel()
	q := seatview.Query{From: day("2026-03-02"), To: day("2026-03-31")}
	h := apitest.New(b, func(a *httpx.API) {
		httpx.Handle(a, httpx.Op{ID: "scheduling.read_calendar", Method: http.MethodGet, Path: "/schedules/calendar", Public: true}, s.getCalendar)
	})
	srv := h.Serve()
	for _, x := range []struct {
		name string
		do   func() (int, error)
	}{
		{"memory", func() (int, error) {
			r, err := s.boards.Reply(ctx, apitest.Main, q)
			if err != nil {
				return 0, err
			}
			return len(r.Body), nil
		}},
		{"http", func() (int, error) {
			r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/api/v1/schedules/calendar?from=2026-03-02&to=2026-03-31", nil)
			if err != nil {
				return 0, err
			}
			r.Host = apitest.Host(apitest.Main)
			r.Header.Set("Accept-Encoding", "gzip")
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				return 0, err
			}
			defer res.Body.Close()
			n, err := io.Copy(io.Discard, res.Body)
			return int(n), err
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			var took []time.Duration
			size := 0
			for b.Loop() {
				begin := clock.Mono()
				n, err := x.do()
				if err != nil || n < 1000 {
					b.Fatal(n, err)
				}
				took, size = append(took, clock.Mono().Sub(begin)), n
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(size)/1000, "kB")
		})
	}
}
