package admission

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit/apitest"
)

// stream opens the place's events; what comes are its frames, closed at the end.
func (h *house) stream(t *testing.T, base string, who auth.Principal, token string) (retry int, frames <-chan placeBody) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", base+httpx.Prefix+"/queue/places/"+token+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = apitest.Host(who.Tenant)
	r.Header.Set("Authorization", "Bearer "+h.Token(who))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Scan()
	retry, _ = strconv.Atoi(strings.TrimPrefix(lines.Text(), "retry: "))
	out := make(chan placeBody, 100)
	go func() {
		defer close(out)
		defer res.Body.Close()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var p placeBody
				if json.Unmarshal([]byte(data), &p) == nil {
					out <- p
				}
			}
		}
	}()
	return retry, out
}

func next(t *testing.T, frames <-chan placeBody) placeBody {
	t.Helper()
	select {
	case p, ok := <-frames:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return p
	case <-time.After(20 * time.Second):
		t.Fatal("no frame")
	}
	return placeBody{}
}

// The stream tells the position, the turn and the end, keeps the place over a
// reconnect, and asks every browser to come back at a time of its own.
func TestPlaceStream(t *testing.T) {
	h := newHouse(t, oneRoom)
	srv := h.Serve()
	first, second := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
	tokens := map[auth.Kind]string{}
	h.take(t, first, depA, schA, "")
	tokens["second"] = h.take(t, second, depA, schB, "").Token
	retries := map[int]bool{}
	var frames <-chan placeBody
	for range 6 {
		var retry int
		retry, frames = h.stream(t, srv.URL, second, tokens["second"])
		if p := next(t, frames); p.Position != 2 || p.State != Waiting {
			t.Fatalf("after a reconnect: %+v", p)
		}
		if retry < 3000 || retry > 10000 {
			t.Errorf("retry %d", retry)
		}
		retries[retry] = true
	}
	if len(retries) < 3 {
		t.Errorf("everybody comes back at the same time: %v", retries)
	}
	h.step(200 * time.Millisecond)
	p := next(t, frames)
	for p.State == Waiting {
		p = next(t, frames)
	}
	if p.State != Admitted || p.Pass == "" || p.Until == nil {
		t.Fatalf("%+v", p)
	}
	if _, more := <-frames; more {
		t.Error("the stream goes on after the turn")
	}
	h.hold(second, depA, p.Pass).Want(t, 204)

	third := apitest.Patient(apitest.Main)
	token := h.take(t, third, depA, schA, "").Token
	_, frames = h.stream(t, srv.URL, third, token)
	next(t, frames)
	h.desk.SoldOut(apitest.Main, id.Must[id.Any](schA))
	p = next(t, frames)
	for p.State == Waiting {
		p = next(t, frames)
	}
	if p.State != Ended || p.Reason != ReasonSoldOut {
		t.Errorf("%+v", p)
	}
}

// The estimate is how fast people were let in, and absent before anybody was.
func TestEstimate(t *testing.T) {
	h := newHouse(t, strings.Replace(oneRoom, `"at_once":2`, `"at_once":100`, 1))
	h.desk.opt.Rules[0].Places, h.desk.opt.Rules[0].PerSecond = 1000, 10
	var last string
	who := apitest.Patient(apitest.Main)
	for i := range 101 {
		p := apitest.Patient(apitest.Main)
		if i == 100 {
			p = who
		}
		b := h.take(t, p, depA, "", "")
		if b.Estimate != nil {
			t.Fatalf("an estimate before anybody went in: %+v", b)
		}
		last = b.Token
		h.clk.Add(time.Microsecond)
	}
	for range 30 {
		h.step(100 * time.Millisecond)
	}
	b := h.look(t, who, last)
	if b.Position < 65 || b.Position > 80 || b.Estimate == nil || *b.Estimate < b.Position/12 || *b.Estimate > b.Position/7 {
		t.Errorf("%+v, estimate %v", b, *b.Estimate)
	}
}

func TestPositionsAreToldRarelyFarBack(t *testing.T) {
	for position, most := range map[int]time.Duration{1: 3 * time.Second, 500: 9 * time.Second, 5000: 24 * time.Second} {
		for range 100 {
			if d := nextLook(position); d < most/3 || d > most {
				t.Fatalf("%d: %s", position, d)
			}
		}
	}
}
