package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/testkit"
	"xinglin/test/rig"
)

// The bad input's scale: a part of a minute in make test, the full numbers of the issue
// with XINGLIN_SOAK=1.
type badScale struct{ unknown, slow, silent, tokens int }

func scaleOfBad() badScale {
	if os.Getenv("XINGLIN_SOAK") != "" {
		return badScale{unknown: 1_000_000, slow: 2000, silent: 10_000, tokens: 100_000}
	}
	return badScale{unknown: 3000, slow: 120, silent: 400, tokens: 600}
}

const (
	closedRoom = "01900000-0000-7000-8000-0000000000d1" // a department with a waiting room and nothing else
	rssBound   = 350 << 20
	patience   = 5 * time.Second // of one request of a paying client
	cutAfter   = 40 * time.Second
)

// TestBadInput: forged and shared tokens, unknown schedules, slow bodies, connections
// that never read, keys of a megabyte, other people's patients and yesterday's clock get
// coded refusals from bounded memory, and people who pay notice nothing.
func TestBadInput(t *testing.T) {
	w := rig.NewWorld(t, rig.SQLite)
	w.Import(t, rig.Rota(rig.Clinic{Doctor: 1, Day: rig.InDays(3), Seats: 100, Fee: "25"}))
	rules := filepath.Join(t.TempDir(), "rooms.json")
	must(t, os.WriteFile(rules, []byte(`{"rooms":[{"name":"shut","departments":["`+closedRoom+`"],"from":"00:00","to":"24:00","at_once":1,"per_second":1,"places":500}]}`), 0o600))
	p := w.Serve(t, "--waiting-rooms", rules)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	payers := w.People(t, p, "", 0, 4, 10)
	bad := w.People(t, p, "", 100, 3, 1)
	b := &badInput{w: w, p: p, bad: bad, schedule: rig.FindSchedules(t, payers[0].Client, "测试科", rig.InDays(3))[0].ID, scale: scaleOfBad()}
	stop := b.pay(ctx, t, payers)
	before := rss(t, p)
	for _, part := range []struct {
		name string
		f    func(context.Context, *testing.T)
	}{
		{"tokens", b.tokens},
		{"unknown schedules", b.unknown},
		{"large keys", b.keys},
		{"foreign patients", b.foreign},
		{"yesterday", b.yesterday},
		{"slow senders", b.slow},
		{"silent readers", b.silent},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.f(ctx, t)
			if now := rss(t, p); now > rssBound {
				t.Errorf("%d MiB of memory", now>>20)
			}
		})
	}
	paid, slowest := stop()
	t.Logf("memory %d -> %d MiB; %d people paid meanwhile, the slowest request took %s", before>>20, rss(t, p)>>20, paid, slowest.Round(time.Millisecond))
	w.Verify(t)
}

type badInput struct {
	w        *rig.World
	p        *rig.Process
	bad      []rig.Booker
	schedule string
	scale    badScale
}

// pay lets people book and pay one after the other until stop: each request must
// succeed within patience.
func (b *badInput) pay(ctx context.Context, t *testing.T, payers []rig.Booker) (stop func() (paid int, slowest time.Duration)) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	paid, slowest := 0, time.Duration(0)
	timed := func(what string, f func() error) bool {
		begin := clock.Mono()
		err := f()
		took := clock.Mono().Sub(begin)
		slowest = max(slowest, took)
		if ctx.Err() != nil {
			return false
		}
		if err != nil || took > patience {
			t.Errorf("a paying client, %s: %s, %v", what, took, err)
		}
		return err == nil
	}
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			who := payers[i/10%len(payers)]
			if i >= 10*len(payers) { // everybody has a seat: they go on looking
				timed("list", func() error { _, err := who.Slots(ctx, b.schedule); return err })
				pause(ctx, 50*time.Millisecond)
				continue
			}
			var a client.Appointment
			ok := timed("hold", func() (err error) {
				a, _, err = who.Hold(ctx, client.NewKey(), client.Wish{PatientID: who.Patients[i%10].ID, ScheduleID: b.schedule, Any: true})
				return err
			})
			ok = ok && timed("prepay", func() error { _, err := who.Prepay(ctx, a.PaymentID); return err })
			if ok && timed("pay", func() error { return b.w.Pay.Pay(ctx, a.PaymentID) }) {
				paid++
			}
			pause(ctx, 200*time.Millisecond)
		}
	})
	return func() (int, time.Duration) {
		cancel()
		wg.Wait()
		if paid == 0 {
			t.Error("nobody paid")
		}
		return paid, slowest
	}
}

// expect sends requests at once and counts their codes; others than those allowed fail.
func expect(t *testing.T, n int, send func(i int) (client.Answer, error), allowed ...string) map[string]int {
	t.Helper()
	var mu sync.Mutex
	got := map[string]int{}
	rig.Each(t, 16, n, func(i int) error {
		a, err := send(i)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		got[fmt.Sprintf("%d %s", a.Status, a.Code)]++
		return nil
	})
	for code := range got {
		ok := false
		for _, x := range allowed {
			ok = ok || x == code
		}
		if !ok {
			t.Errorf("%d times %s", got[code], code)
		}
	}
	t.Logf("%v", got)
	return got
}

func (b *badInput) tokens(ctx context.Context, t *testing.T) {
	type place struct {
		State    string
		Token    string
		Position int
	}
	take := func(who rig.Booker) (v place) {
		_, err := who.Do(ctx, "POST", "/queue/places", map[string]string{"department_id": closedRoom}, &v)
		must(t, err)
		return v
	}
	first := take(b.bad[0]) // it may be let in: the others wait
	mine, theirs := take(b.bad[1]), take(b.bad[2])
	if first.Token == "" || mine.Token == "" || theirs.State != "waiting" {
		t.Fatalf("%+v %+v %+v", first, mine, theirs)
	}
	if again := take(b.bad[1]); again.Position > mine.Position {
		t.Errorf("the same account again stands at %d, before at %d", again.Position, mine.Position)
	}
	got := expect(t, b.scale.tokens, func(i int) (client.Answer, error) {
		token := theirs.Token
		if i%2 == 0 {
			flip := []byte(mine.Token)
			at := i / 2 % (len(flip) - 1)
			flip[at] = "AB"[map[bool]int{true: 1, false: 0}[flip[at] == 'A']]
			token = string(flip)
		}
		return b.bad[1].Raw(ctx, "GET", "/queue/places/"+token, nil)
	}, "400 admission.token_forged", "403 admission.token_shared")
	if len(got) != 2 {
		t.Errorf("%v", got)
	}
	a, err := b.bad[1].Raw(ctx, "GET", "/queue/places/"+mine.Token, nil)
	if err != nil || a.Status != 200 {
		t.Errorf("its own: %d, %v", a.Status, err)
	}
	a, err = b.bad[1].Head(ctx, "/queue/places/"+mine.Token+"/events")
	if err != nil || a.Status != 200 || !bytes.Contains(a.Body, []byte("retry: ")) {
		t.Errorf("events: %d %s, %v", a.Status, a.Body, err)
	}
}

func wishBody(patient, schedule string) map[string]any {
	return map[string]any{"patient_id": patient, "schedule_id": schedule, "any": true}
}

// unknown asks for sessions that do not exist: an account's budget ends before the
// database is asked, and looking costs one read.
func (b *badInput) unknown(ctx context.Context, t *testing.T) {
	who := b.bad[0]
	got := expect(t, b.scale.unknown/2, func(int) (client.Answer, error) {
		return who.Raw(ctx, "POST", "/appointments", wishBody(who.Patients[0].ID, id.Random[id.Any]().String()), client.Key(client.NewKey()))
	}, "404 scheduling.not_found", "429 http.account_rate")
	if got["429 http.account_rate"] == 0 {
		t.Error("the account has no budget")
	}
	expect(t, b.scale.unknown/2, func(int) (client.Answer, error) {
		return who.Raw(ctx, "GET", "/schedules/"+id.Random[id.Any]().String()+"/slots", nil)
	}, "404 scheduling.not_found")
}

func (b *badInput) keys(ctx context.Context, t *testing.T) {
	who := b.bad[1]
	expect(t, 20, func(i int) (client.Answer, error) {
		return who.Raw(ctx, "POST", "/appointments", wishBody(who.Patients[0].ID, b.schedule), client.Key(strings.Repeat("k", 20_000)))
	}, "400 http.key_required")
	expect(t, 20, func(i int) (client.Answer, error) {
		a, err := who.Raw(ctx, "POST", "/appointments", wishBody(who.Patients[0].ID, b.schedule), client.Key(strings.Repeat("k", 1<<20)))
		var reset *net.OpError
		if errors.As(err, &reset) { // refused while it still sends
			return client.Answer{Status: http.StatusRequestHeaderFieldsTooLarge}, nil
		}
		return a, err
	}, "431 ")
	expect(t, 20, func(i int) (client.Answer, error) {
		return who.Raw(ctx, "POST", "/appointments", strings.NewReader(`{"x":"`+strings.Repeat("b", 1<<20)+`"}`), client.Key(client.NewKey()))
	}, "413 http.too_large")
}

func (b *badInput) foreign(ctx context.Context, t *testing.T) {
	who := b.bad[1]
	expect(t, 20, func(i int) (client.Answer, error) {
		patient := id.Random[id.Any]().String()
		if i%2 == 0 {
			patient = b.bad[2].Patients[0].ID
		}
		return who.Raw(ctx, "POST", "/appointments", wishBody(patient, b.schedule), client.Key(client.NewKey()))
	}, "404 scheduling.patient_not_yours")
}

func (b *badInput) yesterday(ctx context.Context, t *testing.T) {
	who := b.bad[2]
	expect(t, 20, func(i int) (client.Answer, error) {
		off := 25 * time.Hour
		if i%2 == 0 {
			off = -off
		}
		return who.Raw(ctx, "POST", "/appointments", wishBody(who.Patients[0].ID, b.schedule), client.Key(testkit.KeyAt[id.Any](clock.System{}.Now().Add(off)).String()))
	}, "422 scheduling.key_clock")
}

// open dials n times and sends the text.
func (b *badInput) open(t *testing.T, n int, text string) []net.Conn {
	t.Helper()
	var mu sync.Mutex
	var out []net.Conn
	rig.Each(t, 32, n, func(int) error {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(b.p.URL, "http://"), 30*time.Second)
		if err != nil {
			return err
		}
		mu.Lock()
		out = append(out, c)
		mu.Unlock()
		_, err = io.WriteString(c, text)
		return err
	})
	t.Cleanup(func() {
		for _, c := range out {
			_ = c.Close()
		}
	})
	return out
}

// slow sends the beginning of a header, or of a body, and then a byte now and then. The
// server cuts each off.
func (b *badInput) slow(ctx context.Context, t *testing.T) {
	head := b.open(t, b.scale.slow/2, "POST /api/v1/appointments HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	body := b.open(t, b.scale.slow/2, "POST /api/v1/appointments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
	begin := clock.Mono()
	rig.Each(t, 4000, len(head)+len(body), func(i int) error {
		c := append(head[:len(head):len(head)], body...)[i]
		var wg sync.WaitGroup
		defer wg.Wait()
		done, cancel := context.WithCancel(ctx)
		defer cancel()
		wg.Go(func() {
			for done.Err() == nil {
				pause(done, time.Second)
				if _, err := c.Write([]byte("a")); err != nil {
					return
				}
			}
		})
		_ = c.SetReadDeadline(clock.Mono().Add(cutAfter))
		_, err := io.Copy(io.Discard, c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("slow sender %d is still there after %s", i, cutAfter)
		}
		return nil
	})
	t.Logf("%d slow senders were cut off within %s", len(head)+len(body), clock.Mono().Sub(begin).Round(time.Second))
}

// silent connections ask for a stream, or for much, and never read.
func (b *badInput) silent(ctx context.Context, t *testing.T) {
	before := rss(t, b.p)
	host := strings.TrimPrefix(b.p.URL, "http://")
	streams := b.open(t, b.scale.silent/2, "GET /api/v1/schedules/live?ids="+b.schedule+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	greedy := b.open(t, b.scale.silent/2, strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 20))
	must(t, client.Until(ctx, "the connections in the metrics", func(ctx context.Context) (bool, error) {
		n, err := gauge(ctx, b.p, "xinglin_connections_open")
		return n >= b.scale.silent, err
	}))
	now := rss(t, b.p)
	each := (now - before) / int64(len(streams)+len(greedy)) >> 10
	t.Logf("%d connections that never read: %d KiB each", len(streams)+len(greedy), each)
	if each > 200 && now-before > 64<<20 {
		t.Errorf("%d KiB a silent connection", each)
	}
}

// gauge reads one metric of a process.
func gauge(ctx context.Context, p *rig.Process, name string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Private+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			return int(f), err
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

var rssLine = regexp.MustCompile(`VmRSS:\s+([0-9]+) kB`)

// rss is the process's memory, in bytes.
func rss(t *testing.T, p *rig.Process) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	must(t, err)
	m := rssLine.FindSubmatch(b)
	if m == nil {
		t.Fatal("no VmRSS")
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	must(t, err)
	return n << 10
}
