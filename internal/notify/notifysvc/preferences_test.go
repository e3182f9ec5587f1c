package notifysvc

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/scheduling"
	"xinglin/internal/smssim/simserver"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestQuietHours: when a message that comes at a time leaves.
func TestQuietHours(t *testing.T) {
	day := clock.NewDate(2026, 3, 2)
	at := func(d, h, m int) time.Time { return day.Add(d).At(h*60 + m) }
	night := usual()
	nap := preferences{quiet: true, from: 12*60 + 30, to: 14 * 60}
	for name, tt := range map[string]struct {
		p           preferences
		now, before time.Time
		want        time.Time
	}{
		"by day":                             {p: night, now: at(0, 12, 0)},
		"the minute before":                  {p: night, now: at(0, 21, 59)},
		"the first minute":                   {p: night, now: at(0, 22, 0), want: at(1, 7, 0)},
		"before midnight":                    {p: night, now: at(0, 23, 59), want: at(1, 7, 0)},
		"midnight":                           {p: night, now: at(1, 0, 0), want: at(1, 7, 0)},
		"the last minute":                    {p: night, now: at(1, 6, 59), want: at(1, 7, 0)},
		"the end":                            {p: night, now: at(1, 7, 0)},
		"seconds of the last minute":         {p: night, now: at(1, 6, 59).Add(59 * time.Second), want: at(1, 7, 0)},
		"within one day":                     {p: nap, now: at(0, 13, 0), want: at(0, 14, 0)},
		"before it":                          {p: nap, now: at(0, 12, 29)},
		"after it":                           {p: nap, now: at(0, 14, 0)},
		"switched off":                       {p: preferences{from: 22 * 60, to: 7 * 60}, now: at(0, 23, 0)},
		"what begins early does not wait":    {p: night, now: at(0, 23, 0), before: at(1, 5, 0)},
		"what begins later does":             {p: night, now: at(0, 23, 0), before: at(1, 7, 0), want: at(1, 7, 0)},
		"what is long over waits no more":    {p: night, now: at(0, 23, 0), before: at(0, 5, 0)},
		"hours without a length are no rest": {p: preferences{quiet: true, from: 60, to: 60}, now: at(0, 1, 0)},
	} {
		if got := tt.p.due(tt.now, tt.before); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestWants: a topic's choice counts for its channels, the app and codes are never off.
func TestWants(t *testing.T) {
	p := usual()
	p.topics.Queue = choice{Push: true}
	p.topics.Payment = choice{}
	for _, tt := range []struct {
		topic   notify.Topic
		channel notify.Channel
		want    bool
	}{
		{notify.AboutVisit, notify.SMS, true},
		{notify.AboutQueue, notify.SMS, false},
		{notify.AboutQueue, notify.Push, true},
		{notify.AboutQueue, notify.Mail, false},
		{notify.AboutPayment, notify.InApp, true},
		{notify.AboutPayment, notify.Mail, false},
		{notify.AboutService, notify.Mail, true},
		{"", notify.SMS, true},
	} {
		if got := p.wants(tt.topic, tt.channel); got != tt.want {
			t.Errorf("%s by %s: %v", tt.topic, tt.channel, got)
		}
	}
}

type fields = map[string]any

// wish is a body of PUT /notice-preferences.
func wish(change ...func(fields)) fields {
	all := func() fields { return fields{"sms": true, "mail": true, "push": true} }
	b := fields{"topics": fields{"visit": all(), "queue": all(), "payment": all(), "service": all()}, "quiet": true, "quiet_from": "22:00", "quiet_to": "07:00"}
	for _, f := range change {
		f(b)
	}
	return b
}

func TestPreferenceRoutes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const path = "/notice-preferences"
		r := h.Do(h.who, "GET", path, nil).Want(t, 200)
		m := r.Map(t)
		if r.Header.Get("ETag") != `"0"` || m["quiet"] != true || m["quiet_from"] != "22:00" || m["quiet_to"] != "07:00" || m["mail_masked"] != "" || m["push_devices"] != 0.0 ||
			fmt.Sprint(m["topics"].(fields)["queue"]) != "map[mail:true push:true sms:true]" {
			t.Errorf("%s %s", r.Header.Get("ETag"), r.Body)
		}
		other := wish(func(b fields) {
			b["topics"].(fields)["visit"] = fields{"sms": false, "mail": true, "push": false}
			b["quiet_from"], b["quiet_to"] = "12:30", "14:05"
		})
		r = h.Do(h.who, "PUT", path, other, apitest.IfMatch(0)).Want(t, 200)
		if m := r.Map(t); r.Header.Get("ETag") != `"1"` || m["quiet_from"] != "12:30" || fmt.Sprint(m["topics"].(fields)["visit"]) != "map[mail:true push:false sms:false]" {
			t.Errorf("%s %s", r.Header.Get("ETag"), r.Body)
		}
		h.Do(h.who, "PUT", path, other, apitest.IfMatch(0)).Refused(t, 412, "notify.stale")
		h.Do(h.who, "PUT", path, other, apitest.IfMatch(7)).Refused(t, 412, "notify.stale")
		h.Do(h.who, "PUT", path, other).Refused(t, 400, "http.match_required")
		for name, change := range map[string]func(fields){
			"no such hour":    func(b fields) { b["quiet_from"] = "24:00" },
			"no such form":    func(b fields) { b["quiet_to"] = "7:00" },
			"no length":       func(b fields) { b["quiet_to"] = "22:00" },
			"a topic missing": func(b fields) { delete(b["topics"].(fields), "queue") },
			"an odd topic":    func(b fields) { b["topics"].(fields)["weather"] = fields{} },
			"no boolean":      func(b fields) { b["quiet"] = "yes" },
		} {
			if r := h.Do(h.who, "PUT", path, wish(change), apitest.IfMatch(1)); r.Status != 422 {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		off := wish(func(b fields) { b["quiet"], b["quiet_to"] = false, "22:00" })
		h.Do(h.who, "PUT", path, off, apitest.IfMatch(1)).Want(t, 200)
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Patient(apitest.Other), {Kind: h.who.Kind, Tenant: apitest.Other, Account: h.who.Account}} {
			if r := h.Do(who, "GET", path, nil).Want(t, 200); r.Header.Get("ETag") != `"0"` {
				t.Errorf("somebody else sees them: %s", r.Body)
			}
			h.Do(who, "PUT", path, wish(), apitest.IfMatch(2)).Refused(t, 412, "notify.stale")
		}
		h.Do(apitest.Nobody(apitest.Main), "GET", path, nil).Refused(t, 401, "auth.required")
		h.Do(apitest.Nobody(apitest.Main), "PUT", path, wish(), apitest.IfMatch(2)).Refused(t, 401, "auth.required")
	})
}

// Of several that change one version, one does.
func TestPreferencesRace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for version := range int64(2) {
			var won, stale atomic.Int32
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					switch r := h.Do(h.who, "PUT", "/notice-preferences", wish(), apitest.IfMatch(version)); r.Status {
					case 200:
						won.Add(1)
					case 412:
						stale.Add(1)
					default:
						t.Errorf("%d %s", r.Status, r.Body)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 || stale.Load() != 7 {
				t.Errorf("version %d: %d won, %d were stale", version, won.Load(), stale.Load())
			}
		}
	})
}

func TestUnreadAndReadAll(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		other := apitest.Patient(apitest.Main)
		for i := range 3 {
			h.notice(h.who, fmt.Sprint(i))
			h.notice(other, fmt.Sprint(i))
		}
		unread := func(who auth.Principal) any {
			return h.Do(who, "GET", "/notices?limit=1", nil).Want(t, 200).Map(t)["unread"]
		}
		first := h.Do(h.who, "GET", "/notices?limit=1", nil).Items(t)[0]["id"].(string)
		h.Do(h.who, "POST", "/notices/"+first+"/read", nil).Want(t, 204)
		if got := unread(h.who); got != 2.0 {
			t.Errorf("after one was read: %v", got)
		}
		h.Do(apitest.Nobody(apitest.Main), "POST", "/notices/read-all", nil).Refused(t, 401, "auth.required")
		theirs := h.who
		theirs.Tenant = apitest.Other
		h.Do(theirs, "POST", "/notices/read-all", nil).Want(t, 204)
		if got := unread(h.who); got != 2.0 {
			t.Errorf("the same account of another tenant read them: %v", got)
		}
		was := h.Do(h.who, "GET", "/notices?limit=1", nil).Items(t)[0]["read_at"]
		h.clk.Add(time.Minute)
		for range 2 {
			h.Do(h.who, "POST", "/notices/read-all", nil).Want(t, 204)
		}
		if got := unread(h.who); got != 0.0 {
			t.Errorf("after all were read: %v", got)
		}
		if now := h.Do(h.who, "GET", "/notices?limit=1", nil).Items(t)[0]["read_at"]; now != was {
			t.Errorf("what was read at %v is read at %v", was, now)
		}
		if got := unread(other); got != 3.0 {
			t.Errorf("somebody else's: %v", got)
		}
	})
}

// TestNightlySMS: a booking at night rings in the morning, a visit of the early morning at once, a code always,
// and what is over by the morning never.
func TestNightlySMS(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		night := clock.NewDate(2026, 3, 8).At(23 * 60)
		h.clk.Set(night)
		tell := func(starts time.Time, until time.Time) {
			v := visit(h.who.Account)
			v.StartsAt = starts
			err := h.s.compose(t.Context(), composeJob{
				Tenant: apitest.Main.String(), Message: id.New[id.Any](h.clk.Now()).String(), Template: "scheduling.cancelled", Visit: v, Until: until,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		tell(night.Add(20*time.Hour), time.Time{})
		tell(night.Add(20*time.Hour), night.Add(time.Hour))
		tell(night.Add(9*time.Hour), time.Time{})
		h.send(h.code())
		h.run()
		if n := len(h.sim.Messages(0)); n != 2 {
			t.Errorf("%d at night: %s", n, h.states())
		}
		h.clk.Set(clock.NewDate(2026, 3, 9).At(7*60 - 1))
		h.run()
		if n := len(h.sim.Messages(0)); n != 2 {
			t.Errorf("%d before seven", n)
		}
		h.clk.Add(time.Minute)
		h.run()
		if n, got := len(h.sim.Messages(0)), h.states(); n != 3 || !strings.Contains(got, "sms failed expired") || strings.Contains(got, "queued") {
			t.Errorf("%d in the morning: %s", n, got)
		}
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// TestRepeatIntoTheNight: a gateway that comes back at night does not wake anybody.
func TestRepeatIntoTheNight(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		h.clk.Set(clock.NewDate(2026, 3, 2).At(22*60 - 1))
		h.sim.Fault(simserver.Fault{Kind: simserver.Down, Times: 1})
		v := visit(h.who.Account)
		err := h.s.compose(t.Context(), composeJob{Tenant: apitest.Main.String(), Message: id.New[id.Any](h.clk.Now()).String(), Template: "scheduling.expired", Visit: v})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			h.run()
			h.clk.Add(time.Hour)
		}
		if n := len(h.sim.Messages(0)); n != 0 {
			t.Errorf("%d at night", n)
		}
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
		h.clk.Set(clock.NewDate(2026, 3, 3).At(7 * 60))
		h.run()
		if n := len(h.sim.Messages(0)); n != 1 {
			t.Errorf("%d in the morning: %s", n, h.states())
		}
	})
}

// TestChosenChannels: what is switched off is not sent, the app has it.
func TestChosenChannels(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		b := wish(func(b fields) { b["topics"].(fields)["visit"] = fields{"sms": false, "mail": false, "push": false} })
		h.Do(h.who, "PUT", "/notice-preferences", b, apitest.IfMatch(0)).Want(t, 200)
		v := visit(h.who.Account)
		c := composeJob{Tenant: apitest.Main.String(), Message: id.New[scheduling.Appointment](testkit.Start).String(), Template: "scheduling.expired", Visit: v}
		if err := h.s.compose(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		c.Template, c.Message = "payment.refunded", id.New[id.Any](testkit.Start).String()
		if err := h.s.compose(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := h.states(); got != "in_app sent, in_app sent, sms queued" {
			t.Errorf("%s", got)
		}
	})
}
