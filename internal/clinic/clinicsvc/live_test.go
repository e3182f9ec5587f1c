package clinicsvc

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// stream reads the events of a URL; each is "event data".
type stream struct {
	t      *testing.T
	lines  chan string
	status int
}

func (w *world) stream(server *httptest.Server, p auth.Principal, path string, headers ...apitest.Header) *stream {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1"+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = apitest.Host(w.tenant)
	if p.Kind != "" {
		r.Header.Set("Authorization", "Bearer "+w.Token(p))
	}
	for _, h := range headers {
		r.Header.Set(h.Name, h.Value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &stream{t: w.t, lines: make(chan string, 100), status: res.StatusCode}
	go func() {
		defer res.Body.Close()
		defer close(s.lines)
		var name string
		in := bufio.NewScanner(res.Body)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			if v, ok := strings.CutPrefix(in.Text(), "event: "); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				s.lines <- name + " " + v
			}
		}
	}()
	return s
}

// until reads events until one holds; ended tells that the stream has ended before.
func (s *stream) until(what string, f func(event string) bool) (ended bool) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-s.lines:
			if !ok {
				return true
			}
			if f(e) {
				return false
			}
		case <-deadline:
			s.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// TestLive: what one process changes is seen in the streams of another: the staff's, the
// person's and the wall's.
func TestLive(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		clk := testkit.Clock()
		signals := testkit.Signals()
		near := worldOn(t, d.Open(t, dbtest.WithClock(clk)), clk, signals)
		far := near
		if d.Dir == "" { // PostgreSQL: a process of its own
			far = worldOn(t, d.Open(t, dbtest.WithClock(clk)), clk, signals)
			far.bookings, far.s.bookings = near.bookings, near.bookings
			far.run()
		}
		far.s.beat = 100 * time.Millisecond
		near.run()
		line := near.session(3)
		vs := near.book(line, 3)
		token := near.Do(near.operator, "POST", "/clinic/displays", map[string]any{"name": "大厅", "campus_id": campusID}).Want(t, 201).Map(t)["token"].(string)
		server := far.Serve()
		display := apitest.H("Authorization", "Display "+token)
		for path, x := range map[string]struct {
			who    auth.Principal
			status int
		}{
			"/clinic/sessions/" + line.String() + "/events":    {far.other, 403},
			"/visits/" + vs[0].turn.String() + "/turn/events":  {vs[1].Principal, 404},
			"/visits/" + vs[1].turn.String() + "/turn/events ": {apitest.Nobody(far.tenant), 401},
		} {
			if s := far.stream(server, x.who, strings.TrimSpace(path)); s.status != x.status {
				t.Errorf("%s: %d, want %d", path, s.status, x.status)
			}
		}
		queue := far.stream(server, far.doctor, "/clinic/sessions/"+line.String()+"/events")
		mine := far.stream(server, vs[0].Principal, "/visits/"+vs[0].turn.String()+"/turn/events")
		wall := far.stream(server, apitest.Nobody(far.tenant), "/wall/events", display)
		before := near.queue(line).Version
		first := fmt.Sprintf(`{"version":%d}`, before)
		queue.until("the first version", func(e string) bool { return e == "queue "+first })
		mine.until("the first version", func(e string) bool { return e == "turn "+first })
		wall.until("the first board", func(e string) bool {
			return strings.HasPrefix(e, "board {") && strings.Contains(e, `"calls":[]`) && strings.Contains(e, `"state":"running"`)
		})
		near.checkIn(vs[0])
		near.next(line)
		now := fmt.Sprintf(`{"version":%d}`, near.queue(line).Version)
		queue.until("the call", func(e string) bool { return e == "queue "+now })
		mine.until("the call", func(e string) bool { return e == "turn "+now })
		wall.until("the call", func(e string) bool { return strings.Contains(e, `"calling":"A001"`) })
		if now == first || before < 1 {
			t.Errorf("the version stays %s", now)
		}
		list, err := near.s.displays(near.as(near.operator))
		if err != nil || len(list) != 1 || list[0].LastSeenAt.IsZero() {
			t.Fatalf("%v %v", list, err)
		}
		if err := near.s.removeDisplay(near.as(near.operator), list[0].ID); err != nil {
			t.Fatal(err)
		}
		if !wall.until("the end of the revoked wall", func(string) bool { return false }) {
			t.Error("a revoked wall goes on")
		}
	})
}

// TestBoardVersion: a board grows with each change of its lines and each minute.
func TestBoardVersion(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		line := w.session(3)
		vs := w.book(line, 2)
		d, _, err := w.s.addDisplay(w.as(w.operator), clinic.Display{Name: "大厅", Campus: campusID})
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		grows := func(what string) {
			t.Helper()
			found, ahead, err := w.s.store.walls(context.Background(), w.tenant, []clinic.DisplayID{d.ID}, w.s.ask, w.clock.Now())
			if err != nil || len(found) != 1 {
				t.Fatalf("%v %v", found, err)
			}
			if v := (wallSource{w.s}).version(ahead[0]); v <= last {
				t.Errorf("%s: %d after %d", what, v, last)
			} else {
				last = v
			}
		}
		grows("at first")
		w.checkIn(vs[0])
		grows("a check-in")
		w.next(line)
		grows("a call")
		w.clock.Add(time.Minute)
		grows("a minute")
		w.clock.Set(w.clock.Now().Add(24 * time.Hour)) // no line any more
		grows("a day")
	})
}
