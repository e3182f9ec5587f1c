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
	"xinglin/internal/smssim/simserver"
	"xinglin/internal/testkit/apitest"
)

const opsPath = "/ops/deliveries"

func TestDeliveriesForOperators(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.phoneKnown()
		operator, admin := apitest.Staff(apitest.Main, auth.Operator), apitest.Staff(apitest.Main, auth.SystemAdmin)
		for _, who := range []auth.Principal{h.who, apitest.Staff(apitest.Main, auth.Doctor), apitest.Staff(apitest.Main, auth.AuditAdmin)} {
			h.Do(who, "GET", opsPath, nil).Refused(t, 403, "authz.denied")
			h.Do(who, "POST", opsPath+"/"+id.Random[id.Any]().String()+"/retry", nil).Refused(t, 403, "authz.denied")
		}
		h.Do(apitest.Nobody(apitest.Main), "GET", opsPath, nil).Refused(t, 401, "auth.required")
		h.sim.Fault(simserver.Fault{Kind: simserver.Refuse})
		for range 3 { // one fails, two are sent
			h.about("scheduling.expired")
			h.run()
			h.clk.Add(time.Second)
		}
		h.clk.Set(clock.NewDate(2026, 3, 2).At(23 * 60))
		h.about("scheduling.expired") // waits for the morning
		list := func(query string) []map[string]any {
			return h.Do(operator, "GET", opsPath+query, nil).Want(t, 200).Items(t)
		}
		for query, want := range map[string]string{
			"":                            "sms queued, in_app sent, sms sent, in_app sent, sms sent, in_app sent, sms failed, in_app sent",
			"?state=failed":               "sms failed",
			"?state=queued":               "sms queued",
			"?state=sent&channel=sms":     "sms sent, sms sent",
			"?channel=in_app":             "in_app sent, in_app sent, in_app sent, in_app sent",
			"?state=failed&channel=mail":  "",
			"?state=read":                 "",
			"?limit=2":                    "sms queued, in_app sent",
			"?state=queued&channel=queue": "422",
		} {
			if want == "422" {
				h.Do(operator, "GET", opsPath+query, nil).Want(t, 422)
				continue
			}
			var got []string
			for _, d := range list(query) {
				got = append(got, fmt.Sprint(d["channel"], " ", d["state"]))
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%s: %v, want %s", query, got, want)
			}
		}
		failed, waits := list("?state=failed")[0], list("?state=queued")[0]
		if failed["why"] != "refused" || failed["template"] != "scheduling.expired" || failed["sent_at"] != nil || waits["due_at"] != "2026-03-02T23:00:00Z" {
			t.Errorf("%v %v", failed, waits)
		}
		body := string(h.Do(admin, "GET", opsPath, nil).Want(t, 200).Body)
		for _, private := range []string{phone, "林知夏", h.who.Account.String(), "心血管"} {
			if strings.Contains(body, private) {
				t.Errorf("operators see %s", private)
			}
		}
		var all []string
		next := ""
		for range 10 {
			r := h.Do(operator, "GET", opsPath+"?limit=3&cursor="+next, nil).Want(t, 200)
			for _, d := range r.Items(t) {
				all = append(all, d["id"].(string))
			}
			if next = r.Map(t)["next"].(string); next == "" {
				break
			}
		}
		if len(all) != 8 {
			t.Errorf("%d in all pages", len(all))
		}
		if l := h.Do(apitest.Staff(apitest.Other, auth.Operator), "GET", opsPath, nil).Want(t, 200).Items(t); len(l) != 0 {
			t.Errorf("another tenant's: %v", l)
		}
	})
}

func TestRetryDelivery(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.phoneKnown()
		operator := apitest.Staff(apitest.Main, auth.Operator)
		h.sim.Fault(simserver.Fault{Kind: simserver.Refuse, Times: 3})
		h.about("scheduling.expired")
		h.run()
		failed := h.Do(operator, "GET", opsPath+"?state=failed", nil).Items(t)[0]["id"].(string)
		path := opsPath + "/" + failed + "/retry"
		h.Do(apitest.Staff(apitest.Other, auth.Operator), "POST", path, nil).Refused(t, 404, "notify.not_found")
		h.Do(apitest.Nobody(apitest.Main), "POST", path, nil).Refused(t, 401, "auth.required")
		h.Do(operator, "POST", opsPath+"/"+id.Random[id.Any]().String()+"/retry", nil).Refused(t, 404, "notify.not_found")
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if h.Do(operator, "POST", path, nil).Status == 204 {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d did it again", won.Load())
		}
		h.run() // refused again
		h.clk.Set(clock.NewDate(2026, 3, 2).At(22*60 + 30))
		h.Do(operator, "POST", path, nil).Want(t, 204)
		h.run()
		if got := h.states(); got != "in_app sent, sms queued" {
			t.Errorf("at night: %s", got)
		}
		h.clk.Set(clock.NewDate(2026, 3, 3).At(7 * 60))
		h.run() // the last refusal
		h.Do(operator, "POST", path, nil).Want(t, 204)
		h.run()
		if got := h.states(); got != "in_app sent, sms sent" || len(h.sim.Messages(0)) != 1 {
			t.Errorf("%s", got)
		}
		h.Do(operator, "POST", path, nil).Refused(t, 409, "notify.not_failed")
		notice := h.Do(operator, "GET", opsPath+"?channel=in_app", nil).Items(t)[0]["id"].(string)
		h.Do(operator, "POST", opsPath+"/"+notice+"/retry", nil).Refused(t, 409, "notify.not_failed")
		h.sim.Fault(simserver.Fault{Kind: simserver.Refuse})
		h.about("scheduling.expired")
		h.run()
		h.clk.Add(25 * time.Hour)
		over := h.Do(operator, "GET", opsPath+"?state=failed", nil).Items(t)[0]["id"].(string)
		h.Do(operator, "POST", opsPath+"/"+over+"/retry", nil).Refused(t, 409, "notify.over")
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}
