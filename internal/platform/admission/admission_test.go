package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit/apitest"
)

const (
	depA = "01900000-0000-7000-8000-0000000000d1"
	depB = "01900000-0000-7000-8000-0000000000d2"
	schA = "01900000-0000-7000-8000-0000000000e1"
	schB = "01900000-0000-7000-8000-0000000000e2"
)

// eight is a Monday, 8:00 in Shanghai.
var eight = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// house is a desk with its routes, a product's clock and a monotonic one.
type house struct {
	*apitest.Harness
	desk *Desk
	clk  *clock.Manual
	mono time.Time
}

func newHouse(t *testing.T, rules string, change ...func(*Options)) *house {
	t.Helper()
	h := &house{clk: clock.NewManual(eight), mono: clock.Mono()}
	o := Options{Key: []byte("a key of the installation........"), Clock: h.clk, Bits: 8}
	if rules != "" {
		var err error
		if o.Rules, err = ReadRules([]byte(rules)); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if h.desk, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.desk.mono = func() time.Time { return h.mono }
	h.Harness = apitest.With(t, httpx.Options{Clock: h.clk, Guard: h.desk.Guard, PerAccount: 1e6}, h.desk.Routes, func(a *httpx.API) {
		type in struct {
			Body struct {
				Department string `json:"department_id"`
				Schedule   string `json:"schedule_id"`
			}
		}
		httpx.Register(a, httpx.Op{ID: "seats.hold", Method: "POST", Path: "/hold", Status: 204, Class: httpx.ClassHold, Pass: true}, func(ctx context.Context, in *in) (*struct{}, error) {
			who, err := auth.From(ctx)
			if err != nil {
				return nil, err
			}
			leave, err := h.desk.Enter(ctx, Scope{who.Tenant, id.Must[id.Any](in.Body.Department), id.Must[id.Any](in.Body.Schedule)})
			if err == nil {
				leave(nil)
			}
			return nil, err
		})
	})
	return h
}

// step lets time go by and people in.
func (h *house) step(d time.Duration) {
	h.clk.Add(d)
	h.mono = h.mono.Add(d)
	for _, r := range h.desk.all() {
		r.pace(h.mono, r.rule.within(h.clk.Now()))
	}
}

func (h *house) take(t *testing.T, who auth.Principal, department, schedule, token string) placeBody {
	t.Helper()
	body := map[string]string{"department_id": department}
	if schedule != "" {
		body["schedule_id"] = schedule
	}
	if token != "" {
		body["token"] = token
	}
	var p placeBody
	h.Do(who, "POST", "/queue/places", body).Want(t, 201).JSON(t, &p)
	return p
}

func (h *house) look(t *testing.T, who auth.Principal, token string) placeBody {
	t.Helper()
	var p placeBody
	h.Do(who, "GET", "/queue/places/"+token, nil).Want(t, 200).JSON(t, &p)
	return p
}

func (h *house) hold(who auth.Principal, department, pass string) apitest.Response {
	return h.Do(who, "POST", "/hold", map[string]string{"department_id": department, "schedule_id": schA}, apitest.H(httpx.PassHeader, pass))
}

const oneRoom = `{"rooms":[{"name":"derma","departments":["` + depA + `"],"days":["mon"],"from":"07:50","to":"08:30","at_once":2,"per_second":10,"places":5,"pass_seconds":60}]}`

func TestRoomsOpenByDepartmentAndTime(t *testing.T) {
	h := newHouse(t, oneRoom)
	who := apitest.Patient(apitest.Main)
	for at, want := range map[string]State{"07:49": Open, "07:50": Waiting, "08:29": Waiting, "08:30": Open} {
		var hh, mm int
		_, _ = fmt.Sscanf(at, "%d:%d", &hh, &mm)
		h.clk.Set(eight.Add(time.Duration(hh-8)*time.Hour + time.Duration(mm)*time.Minute))
		if p := h.take(t, who, depA, "", ""); p.State != want {
			t.Errorf("%s: %s", at, p.State)
		}
		if p := h.take(t, who, depB, "", ""); p.State != Open {
			t.Errorf("%s, another department: %s", at, p.State)
		}
		status := 204
		if want == Waiting {
			status = 403
		}
		h.hold(who, depB, "").Want(t, 204)
		if r := h.hold(who, depA, ""); r.Status != status {
			t.Errorf("%s: hold %d %s", at, r.Status, r.Body)
		}
	}
	h.clk.Set(eight.AddDate(0, 0, 1))
	if p := h.take(t, who, depA, "", ""); p.State != Open {
		t.Errorf("Tuesday: %s", p.State)
	}
	h.hold(apitest.Staff(apitest.Main, auth.Registrar), depA, "").Want(t, 204)
}

// One account is one place, however often and from wherever it asks; people go in as they came.
func TestOnePlaceAnAccount(t *testing.T) {
	h := newHouse(t, oneRoom)
	var people []auth.Principal
	for i := range 4 {
		people = append(people, apitest.Patient(apitest.Main))
		if p := h.take(t, people[i], depA, schA, ""); p.Position != i+1 || p.State != Waiting {
			t.Fatalf("%d: %+v", i, p)
		}
		h.clk.Add(time.Millisecond)
	}
	bot := people[3]
	for range 100 {
		bot.Session = id.Random[auth.Session]()
		if p := h.take(t, bot, depA, schA, ""); p.Position != 4 {
			t.Fatalf("the bot stands at %d", p.Position)
		}
	}
	h.step(200 * time.Millisecond) // the credit of two
	for i, want := range []State{Admitted, Admitted, Waiting, Waiting} {
		p := h.take(t, people[i], depA, schA, "")
		if p.State != want {
			t.Fatalf("%d: %+v", i, p)
		}
		if want == Admitted && p.Pass == "" || want == Waiting && p.Position != i-1 {
			t.Errorf("%d: %+v", i, p)
		}
	}
	h.step(500 * time.Millisecond) // both inside: nobody follows
	if p := h.take(t, people[2], depA, schA, ""); p.State != Waiting {
		t.Fatalf("beyond at_once: %+v", p)
	}
	pass := h.take(t, people[0], depA, schA, "").Pass
	h.hold(people[0], depA, pass).Want(t, 204) // its end frees the place
	h.step(100 * time.Millisecond)
	if p := h.take(t, people[2], depA, schA, ""); p.State != Admitted {
		t.Fatalf("the third: %+v", p)
	}
	h.step(idlePass + time.Second) // who does nothing does not keep others out
	h.step(time.Second)
	if p := h.take(t, bot, depA, schA, ""); p.State != Admitted {
		t.Fatalf("the last: %+v", p)
	}
}

func TestTokens(t *testing.T) {
	h := newHouse(t, oneRoom)
	who, other := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
	p := h.take(t, who, depA, schA, "")
	moved := who
	moved.Session = id.Random[auth.Session]()
	foreign := who
	foreign.Tenant = apitest.Other
	flip := func(s string) string {
		b := []byte(s)
		if b[20] ^= 1; b[20] == s[20]^1 && !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(b[20])) {
			b[20] = 'A'
		}
		return string(b)
	}
	for name, tc := range map[string]struct {
		who    auth.Principal
		token  string
		status int
		code   string
	}{
		"forged":         {who, flip(p.Token), 400, "admission.token_forged"},
		"nonsense":       {who, "x", 400, "admission.token_forged"},
		"another's":      {other, p.Token, 403, "admission.token_shared"},
		"another login":  {moved, p.Token, 403, "admission.token_shared"},
		"another tenant": {foreign, p.Token, 403, "admission.token_shared"},
		"own":            {who, p.Token, 200, ""},
	} {
		if r := h.Do(tc.who, "GET", "/queue/places/"+tc.token, nil); r.Status != tc.status || r.Code != tc.code {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	h.Do(who, "GET", "/queue/places/"+strings.Repeat("A", 4000), nil).Refused(t, 422, "http.invalid")
	h.step(time.Second)
	pass := h.look(t, who, p.Token).Pass
	for name, tc := range map[string]struct {
		who  auth.Principal
		pass string
		code string
	}{
		"a place is no pass": {who, p.Token, "admission.token_forged"},
		"another's pass":     {other, pass, "admission.token_shared"},
		"forged":             {who, flip(pass), "admission.token_forged"},
		"none":               {who, "", "admission.pass_needed"},
		"a megabyte":         {who, strings.Repeat("A", 1<<20), "admission.token_forged"},
	} {
		if r := h.hold(tc.who, depA, tc.pass); r.Code != tc.code {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	h.hold(who, depA, pass).Want(t, 204)
	h.hold(who, depA, pass).Want(t, 204) // the family's second
	h.step(time.Minute)
	h.hold(who, depA, pass).Refused(t, 410, "admission.token_expired")
	if q := h.look(t, who, p.Token); q.State != Ended || q.Reason != ReasonPast {
		t.Errorf("afterwards: %+v", q)
	}
	h.clk.Add(tokenTime)
	h.Do(who, "GET", "/queue/places/"+p.Token, nil).Refused(t, 410, "admission.token_expired")
	// a pass of one room is none of another
	two := newHouse(t, `{"rooms":[{"name":"both","departments":["`+depA+`","`+depB+`"],"from":"00:00","to":"24:00"}]}`)
	two.take(t, who, depA, "", "")
	two.step(time.Second)
	pass = two.take(t, who, depA, "", "").Pass
	two.hold(who, depA, pass).Want(t, 204)
	two.hold(who, depB, pass).Refused(t, 403, "admission.pass_needed")
}

// A token of one process keeps its place in another; used up it buys no second early place.
func TestOtherProcess(t *testing.T) {
	a, b := newHouse(t, oneRoom), newHouse(t, oneRoom)
	early, late := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
	token := a.take(t, early, depA, schA, "").Token
	b.clk.Add(time.Second)
	b.take(t, late, depA, schA, "")
	if p := b.look(t, early, token); p.Position != 1 {
		t.Fatalf("who came first elsewhere stands at %d", p.Position)
	}
	if p := b.take(t, late, depA, schA, ""); p.Position != 2 {
		t.Fatalf("who came later stands at %d", p.Position)
	}
	b.step(150 * time.Millisecond)
	pass := b.look(t, early, token).Pass
	a.hold(early, depA, pass).Want(t, 204)
	b.step(61 * time.Second)
	if p := b.take(t, early, depA, schA, token); p.State != Waiting || p.Position == 0 {
		t.Fatalf("%+v", p)
	}
	third := apitest.Patient(apitest.Main)
	if p := b.take(t, third, depA, schA, ""); p.Position != 2 {
		t.Errorf("the old token counts again: the newcomer stands at %d", p.Position)
	}
}

func TestSoldOut(t *testing.T) {
	h := newHouse(t, oneRoom)
	one, two := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
	h.take(t, one, depA, schA, "")
	h.take(t, two, depA, schB, "")
	h.desk.SoldOut(apitest.Other, id.Must[id.Any](schA)) // another tenant's
	if p := h.take(t, one, depA, schA, ""); p.State != Waiting {
		t.Fatalf("%+v", p)
	}
	h.desk.SoldOut(apitest.Main, id.Must[id.Any](schA))
	if p := h.take(t, one, depA, schA, ""); p.State != Ended || p.Reason != ReasonSoldOut {
		t.Errorf("%+v", p)
	}
	if p := h.take(t, two, depA, schB, ""); p.State != Waiting || p.Position != 1 {
		t.Errorf("who waits for another session: %+v", p)
	}
	h.desk.Back(apitest.Main, id.Must[id.Any](schA))
	if p := h.take(t, one, depA, schA, ""); p.State != Waiting {
		t.Errorf("after a seat came back: %+v", p)
	}
	var none *Desk
	none.SoldOut(apitest.Main, Thing{})
	none.Back(apitest.Main, Thing{})
	if leave, err := none.Enter(t.Context(), Scope{}); err != nil {
		t.Error(err)
	} else {
		leave(nil)
	}
}

// The room is bounded; places that nobody looks at make room.
func TestRoomIsBounded(t *testing.T) {
	h := newHouse(t, oneRoom)
	for range 5 {
		h.take(t, apitest.Patient(apitest.Main), depA, "", "")
	}
	last := apitest.Patient(apitest.Main)
	r := h.Do(last, "POST", "/queue/places", map[string]string{"department_id": depA}).Refused(t, 503, "admission.room_full")
	if r.Header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
	}
	h.mono = h.mono.Add(keepAway + time.Second)
	if p := h.take(t, last, depA, "", ""); p.Position != 1 {
		t.Errorf("%+v", p)
	}
	// a million unknown departments make no room
	for range 1000 {
		if p := h.take(t, last, id.Random[id.Any]().String(), "", ""); p.State != Open {
			t.Fatalf("%+v", p)
		}
	}
	if n := len(h.desk.all()); n != 1 {
		t.Errorf("%d rooms", n)
	}
	h.Do(last, "POST", "/queue/places", map[string]string{"department_id": "x"}).Refused(t, 422, "http.invalid")
	h.Do(apitest.Nobody(apitest.Main), "POST", "/queue/places", map[string]string{"department_id": depA}).Refused(t, 401, "auth.required")
}

// The way in narrows while holds fail or are slow, and widens again.
func TestPaceFollowsGoodput(t *testing.T) {
	now := clock.Mono()
	r := newRoom(roomKey{}, Rule{AtOnce: 160, PerSecond: 1000, Places: 1000, PassSeconds: 60}, now)
	second := func(took time.Duration, err error) float64 {
		for range 20 {
			r.done(AccountID{}, took, err)
		}
		now = now.Add(sampleTime)
		r.pace(now, true)
		return r.width
	}
	if w := second(time.Millisecond, nil); w != 160 {
		t.Fatalf("width %v", w)
	}
	if w := second(2*time.Second, nil); w != 112 {
		t.Errorf("slow: %v", w)
	}
	for range 30 {
		second(time.Millisecond, httpx.ErrBusy.New())
	}
	if r.width != 10 {
		t.Errorf("a long failure: %v", r.width)
	}
	second(time.Millisecond, fault.Register(fault.Conflict, "test.taken", "满", "taken").New()) // a no is an answer
	if r.width != 20 {
		t.Errorf("afterwards: %v", r.width)
	}
	for range 30 {
		second(time.Millisecond, nil)
	}
	if r.width != 160 {
		t.Errorf("at last: %v", r.width)
	}
}

func TestRules(t *testing.T) {
	for text, want := range map[string]string{
		`{"rooms":[{"name":"a","from":"08:00","to":"08:30"}]}`:                                          "",
		`{"rooms":[{"name":"a","from":"08:00","to":"24:00","days":["Mon","sun"]}]}`:                     "",
		`{"rooms":[{"name":"a","from":"08:00","to":"08:00"}]}`:                                          "admission.rules",
		`{"rooms":[{"name":"a","from":"8","to":"09:00"}]}`:                                              "admission.rules",
		`{"rooms":[{"name":"a","from":"08:00","to":"24:01"}]}`:                                          "admission.rules",
		`{"rooms":[{"name":"","from":"08:00","to":"08:30"}]}`:                                           "admission.rules",
		`{"rooms":[{"name":"a","from":"08:00","to":"08:30"},{"name":"a","from":"08:00","to":"08:30"}]}`: "admission.rules",
		`{"rooms":[{"name":"a","from":"08:00","to":"08:30","days":["someday"]}]}`:                       "admission.rules",
		`{"rooms":[{"name":"a","from":"08:00","to":"08:30","at_once":-1}]}`:                             "admission.rules",
		`{"rooms":[{"name":"a","from":"08:00","to":"08:30","places":999999}]}`:                          "admission.rules",
		`{"rooms":[{"name":"a","from":"08:00","to":"08:30","capacity":1}]}`:                             "admission.rules",
		`[]`: "admission.rules",
	} {
		_, err := ReadRules([]byte(text))
		got := ""
		if err != nil {
			got = codeOf(err)
		}
		if got != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := LoadRules("/nowhere/rules.json"); !errors.Is(err, ErrRules) {
		t.Errorf("a file that is not there: %v", err)
	}
	if r, err := LoadRules(""); err != nil || r != nil {
		t.Errorf("no file: %v, %v", r, err)
	}
}
