package notifysvc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/pushsim"
	"xinglin/internal/testkit/apitest"
)

const subs = "/push/subscriptions"

// browser is a new one that knows the hospital's key, as a body of POST /push/subscriptions.
func (h *house) browser(who auth.Principal, label string) fields {
	h.t.Helper()
	key := h.Do(who, "GET", "/push/key", nil).Want(h.t, 200).Map(h.t)["key"].(string)
	d, err := h.air.Subscribe(key)
	if err != nil {
		h.t.Fatal(err)
	}
	return fields{"endpoint": d.Endpoint, "p256dh": d.P256dh, "auth": d.Auth, "label": label}
}

func (h *house) device(who auth.Principal, label string) (path string) {
	h.t.Helper()
	return subs + "/" + h.Do(who, "POST", subs, h.browser(who, label)).Want(h.t, 201).Map(h.t)["id"].(string)
}

func TestDeviceRoutes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key := h.Do(h.who, "GET", "/push/key", nil).Want(t, 200).Map(t)["key"]
		if again := h.Do(apitest.Patient(apitest.Main), "GET", "/push/key", nil).Map(t)["key"]; key != again || len(key.(string)) != 87 {
			t.Errorf("%v, then %v", key, again)
		}
		if theirs := h.Do(apitest.Patient(apitest.Other), "GET", "/push/key", nil).Map(t)["key"]; key == theirs {
			t.Error("another tenant has the same key")
		}
		b := h.browser(h.who, "华为手机")
		first := h.Do(h.who, "POST", subs, b).Want(t, 201).Map(t)
		if again := h.Do(h.who, "POST", subs, b).Want(t, 201).Map(t); again["id"] != first["id"] {
			t.Errorf("%v, then %v", first, again)
		}
		list := h.Do(h.who, "GET", subs, nil).Want(t, 200).Items(t)
		if len(list) != 1 || list[0]["label"] != "华为手机" || list[0]["id"] != first["id"] || list[0]["endpoint"] != nil {
			t.Errorf("%v", list)
		}
		if n := h.Do(h.who, "GET", "/notice-preferences", nil).Map(t)["push_devices"]; n != 1.0 {
			t.Errorf("%v devices", n)
		}
		path := subs + "/" + first["id"].(string)
		sameAccount := h.who
		sameAccount.Tenant = apitest.Other
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), sameAccount} {
			if l := h.Do(who, "GET", subs, nil).Want(t, 200).Items(t); len(l) != 0 {
				t.Errorf("somebody else's: %v", l)
			}
			h.Do(who, "DELETE", path, nil).Refused(t, 404, "notify.not_found")
		}
		nobody := apitest.Nobody(apitest.Main)
		h.Do(nobody, "GET", "/push/key", nil).Refused(t, 401, "auth.required")
		h.Do(nobody, "GET", subs, nil).Refused(t, 401, "auth.required")
		h.Do(nobody, "POST", subs, b).Refused(t, 401, "auth.required")
		h.Do(nobody, "DELETE", path, nil).Refused(t, 401, "auth.required")
		for name, change := range map[string]func(fields){
			"no endpoint":     func(b fields) { b["endpoint"] = "" },
			"no https":        func(b fields) { b["endpoint"] = "ftp://push.example.com/x" },
			"no key":          func(b fields) { b["p256dh"] = "AAAA" },
			"no secret":       func(b fields) { b["auth"] = "AAAA" },
			"a label to long": func(b fields) { b["label"] = strings.Repeat("长", 61) },
		} {
			bad := h.browser(h.who, "x")
			change(bad)
			if r := h.Do(h.who, "POST", subs, bad); r.Status != 422 {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		all := h.bytesOf()
		for _, plain := range []string{"华为", b["endpoint"].(string), b["auth"].(string)} {
			if bytes.Contains(all, []byte(plain)) {
				t.Errorf("%s is readable in the tables", plain)
			}
		}
		other := apitest.Patient(apitest.Main) // signs in on the same browser
		h.Do(other, "POST", subs, b).Want(t, 201)
		if l := h.Do(h.who, "GET", subs, nil).Items(t); len(l) != 0 {
			t.Errorf("it is still the former account's: %v", l)
		}
		h.Do(other, "DELETE", path, nil).Want(t, 204)
		h.Do(other, "DELETE", path, nil).Refused(t, 404, "notify.not_found")
	})
}

// Of many browsers the newest ten stay.
func TestManyDevices(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for i := range maxDevices + 3 {
			h.device(h.who, fmt.Sprint(i))
			h.clk.Add(time.Second)
		}
		list := h.Do(h.who, "GET", subs, nil).Items(t)
		if len(list) != maxDevices || list[0]["label"] != "12" || list[maxDevices-1]["label"] != "3" {
			t.Errorf("%v", list)
		}
	})
}

// Everybody who asks at once gets the same key.
func TestPushKeyRace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var mu sync.Mutex
		got := map[any]int{}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				r := h.Do(h.who, "GET", "/push/key", nil)
				var m map[string]any
				if err := json.Unmarshal(r.Body, &m); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[m["key"]]++
			})
		}
		wg.Wait()
		if len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestWithoutPush(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser(h.who, "x")
		h.s.ways.Push = nil
		h.Do(h.who, "GET", "/push/key", nil).Refused(t, 503, "notify.push_off")
		h.Do(h.who, "POST", subs, b).Refused(t, 503, "notify.push_off")
	})
}

// What the push service does, and what becomes of the delivery and the devices.
func TestPushDeliveries(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		off := wish(func(b fields) { b["topics"].(fields)["visit"] = fields{"sms": false, "mail": false, "push": true} })
		h.Do(h.who, "PUT", "/notice-preferences", off, apitest.IfMatch(0)).Want(t, 200)
		for _, tt := range []struct {
			name    string
			devices int
			faults  []pushsim.Kind
			first   string
			last    string
			pushed  int
			left    int // devices
		}{
			{"good", 1, nil, "push sent", "push sent", 1, 1},
			{"two browsers", 2, nil, "push sent", "push sent", 2, 2},
			{"down, then up", 1, []pushsim.Kind{pushsim.Down, pushsim.Limited}, "push queued", "push sent", 1, 1},
			{"one of two is down for a while", 2, []pushsim.Kind{pushsim.Down}, "push queued", "push sent", 2, 2},
			{"one of two has gone", 2, []pushsim.Kind{pushsim.Gone}, "push sent", "push sent", 1, 1},
			{"gone", 1, []pushsim.Kind{pushsim.NotFound}, "push failed no_device, sms sent", "push failed no_device, sms sent", 0, 0},
			{"refused", 1, []pushsim.Kind{pushsim.Rejected}, "push failed refused, sms sent", "push failed refused, sms sent", 0, 1},
			{"broken off after", 1, []pushsim.Kind{pushsim.Lost}, "push queued", "push sent", 2, 1}, // the same Topic and tag: it replaces the first
		} {
			h.clk.Set(clock.NewDate(2026, 3, 3).At(12 * 60))
			for _, d := range h.Do(h.who, "GET", subs, nil).Items(t) {
				h.Do(h.who, "DELETE", subs+"/"+d["id"].(string), nil).Want(t, 204)
			}
			for i := range tt.devices {
				h.device(h.who, fmt.Sprint(i))
			}
			for _, k := range tt.faults {
				h.air.Fault(k, 1)
			}
			before, seen := h.states(), len(h.air.Messages(0))
			h.about("scheduling.cancelled")
			h.run()
			h.run() // the text message that goes instead
			if got := h.tail(before); got != "in_app sent, "+tt.first {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.first)
			}
			for range 6 {
				h.clk.Add(30 * time.Minute)
				h.run()
			}
			got := h.air.Messages(0)
			got = got[:len(got)-seen]
			if last := h.tail(before); last != "in_app sent, "+tt.last || len(got) != tt.pushed {
				t.Errorf("%s in the end: %q and %d messages, want %q and %d", tt.name, last, len(got), tt.last, tt.pushed)
			}
			for _, m := range got {
				var p map[string]string
				if err := json.Unmarshal(m.Payload, &p); err != nil || p["title"] != "预约已取消" || p["title_en"] != "Cancelled" || !strings.HasPrefix(p["link"], "/m/visits/") || p["tag"] == "" || len(p) != 4 {
					t.Errorf("%s: %s", tt.name, m.Payload)
				}
				if m.Topic == "" || m.Topic != got[0].Topic {
					t.Errorf("%s: topic %q, then %q", tt.name, got[0].Topic, m.Topic)
				}
			}
			if l := h.Do(h.who, "GET", subs, nil).Items(t); len(l) != tt.left {
				t.Errorf("%s: %d devices left, want %d", tt.name, len(l), tt.left)
			}
			if br := h.broken(); len(br) != 0 {
				t.Errorf("%s: verify: %v", tt.name, br)
			}
		}
	})
}

// A push service that stays away: one device of two is enough in the end, none is a text
// message.
func TestPushGivesUp(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		off := wish(func(b fields) {
			b["topics"].(fields)["visit"] = fields{"sms": false, "mail": false, "push": true}
			b["quiet"] = false
		})
		h.Do(h.who, "PUT", "/notice-preferences", off, apitest.IfMatch(0)).Want(t, 200)
		h.device(h.who, "a")
		h.air.Fault(pushsim.Down, tries)
		h.about("scheduling.cancelled")
		for range tries + 1 {
			h.run()
			h.clk.Add(11 * time.Minute)
		}
		if got := h.states(); got != "in_app sent, push failed gave_up, sms sent" {
			t.Errorf("%s", got)
		}
		before := h.states()
		h.device(h.who, "b")
		h.air.Fault(pushsim.Down, 1)
		h.about("scheduling.cancelled")
		h.run() // one has it
		h.air.Fault(pushsim.Down, tries)
		for range tries {
			h.clk.Add(11 * time.Minute)
			h.run()
		}
		if got := h.tail(before); got != "in_app sent, push sent" {
			t.Errorf("%s", got)
		}
		if n := len(h.sim.Messages(0)); n != 1 {
			t.Errorf("%d text messages", n)
		}
	})
}

// TestSweep: notes and codes go when they are old, and not before.
func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		h.device(h.who, "a")
		h.about("scheduling.cancelled")
		h.prove(h.who, address)
		rows := func(table string) (n int) {
			err := h.base.DB.Read(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
				return tx.QueryRow(ctx, map[string]string{
					"pushed":      `SELECT COUNT(*) FROM pushed WHERE tenant_id = $1`,
					"mail_budget": `SELECT COUNT(*) FROM mail_budget WHERE tenant_id = $1`,
					"mail_proof":  `SELECT COUNT(*) FROM mail_proof WHERE tenant_id = $1`,
				}[table], apitest.Main).Scan(&n)
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		h.run()
		for _, step := range []struct {
			after                   time.Duration
			pushed, budgets, proofs int
		}{{0, 1, 2, 1}, {day, 1, 2, 0}, {2 * day, 1, 0, 0}, {30 * day, 0, 0, 0}, {40 * day, 0, 0, 0}} {
			h.clk.Add(step.after)
			h.run()
			if p, b, c := rows("pushed"), rows("mail_budget"), rows("mail_proof"); p != step.pushed || b != step.budgets || c != step.proofs {
				t.Errorf("after %s: %d %d %d", step.after, p, b, c)
			}
		}
		if n := h.run(); n != 0 { // nothing is left to come again for
			t.Errorf("%d jobs", n)
		}
	})
}
