package auditsvc

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/trail"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestSearch: by person, actor, action, item and time, page after page; what was asked for
// is in the trail and in no address.
func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 24)
		account, patient := id.New[id.Any](testkit.Start), id.New[id.Any](testkit.Start)
		for i := range mine {
			switch i % 4 {
			case 0:
				mine[i].Actor = "staff:" + account.String()
			case 1:
				mine[i].Noun, mine[i].Object, mine[i].Action = "Patient", patient.String(), "patient.read"
			}
		}
		b.collect(mine)
		b.collect(rows(apitest.Other, 24))
		at := func(i int) string { return testkit.Start.Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano) }
		for name, c := range map[string]struct {
			body map[string]any
			keep func(i int, r trail.Row) bool
		}{
			"all":     {map[string]any{}, func(int, trail.Row) bool { return true }},
			"account": {map[string]any{"person": account.String()}, func(i int, _ trail.Row) bool { return i%4 == 0 }},
			"patient": {map[string]any{"person": patient.String()}, func(i int, _ trail.Row) bool { return i%4 == 1 }},
			"nobody":  {map[string]any{"person": id.Random[id.Any]().String()}, func(int, trail.Row) bool { return false }},
			"actor":   {map[string]any{"actor": "staff:1"}, func(_ int, r trail.Row) bool { return r.Actor == "staff:1" }},
			"action":  {map[string]any{"action": "patient.read", "noun": "Patient"}, func(i int, _ trail.Row) bool { return i%4 == 1 }},
			"object":  {map[string]any{"object": "o-2"}, func(_ int, r trail.Row) bool { return r.Object == "o-2" }},
			"time":    {map[string]any{"from": at(5), "to": at(9)}, func(i int, _ trail.Row) bool { return i >= 5 && i < 9 }},
			"both":    {map[string]any{"person": patient.String(), "from": at(9)}, func(i int, _ trail.Row) bool { return i%4 == 1 && i >= 9 }},
		} {
			var want, got []string
			for i := len(mine) - 1; i >= 0; i-- {
				if c.keep(i, mine[i]) {
					want = append(want, mine[i].ID.String())
				}
			}
			c.body["limit"] = 5
			for range 20 {
				r := b.Do(b.boss, "POST", "/audit/search", c.body).Want(t, 200)
				for _, e := range r.Items(t) {
					got = append(got, e["id"].(string))
				}
				next := r.Map(t)["next"].(string)
				if next == "" {
					break
				}
				c.body["cursor"] = next
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %d rows, want %d", name, len(got), len(want))
			}
		}
		b.Do(b.boss, "POST", "/audit/search", map[string]any{"person": patient.String()}).Want(t, 200)
		if got := b.lastAct(); got != "audit.search_events "+patient.String() {
			t.Errorf("the act: %s", got)
		}
		before := b.count("trail", apitest.Main)
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Staff(apitest.Main, auth.SystemAdmin, auth.SecurityAdmin, auth.Operator, auth.Doctor)} {
			b.Do(who, "POST", "/audit/search", map[string]any{}).Refused(t, 403, "authz.denied")
		}
		b.Do(apitest.Nobody(apitest.Main), "POST", "/audit/search", map[string]any{}).Refused(t, 401, "auth.required")
		for _, bad := range []map[string]any{{"person": "x"}, {"limit": 101}, {"from": "yesterday"}, {"cursor": "x"}, {"more": 1}, {"actor": strings.Repeat("x", 81)}} {
			if r := b.Do(b.boss, "POST", "/audit/search", bad); r.Status < 400 || r.Status > 422 {
				t.Errorf("%v: %d", bad, r.Status)
			}
		}
		if n := b.count("trail", apitest.Main); n != before {
			t.Errorf("refusals left rows: %d, %d", before, n)
		}
		theirs := apitest.Staff(apitest.Other, auth.AuditAdmin)
		if got := b.Do(theirs, "POST", "/audit/search", map[string]any{"person": patient.String()}).Want(t, 200).Items(t); len(got) != 0 {
			t.Errorf("another tenant's: %v", got)
		}
	})
}

// TestConsistencyRoute: two heads of one log belong together, in either order, and the
// file holds without a database.
func TestConsistencyRoute(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 30)
		for _, n := range []int{4, 17, 30} {
			b.collect(mine[:n])
			b.sign()
		}
		trust := tlog.Trust{Keys: b.keys()[:1]}
		for _, q := range []string{"earlier=1&later=3", "earlier=3&later=1", "earlier=2&later=2"} {
			r := b.Do(b.boss, "GET", "/audit/consistency?"+q, nil).Want(t, 200)
			c, err := tlog.ReadConsistency(bytes.NewReader(r.Body))
			if err != nil || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
				t.Fatal(err, r.Header)
			}
			if earlier, later, err := c.Verify(trust); err != nil || earlier.Number > later.Number {
				t.Errorf("%s: %v", q, err)
			}
		}
		b.Do(b.boss, "GET", "/audit/consistency?earlier=1&later=4", nil).Refused(t, 404, "audit.head_not_found")
		for _, q := range []string{"", "earlier=0&later=1", "earlier=1", "earlier=x&later=1"} {
			if r := b.Do(b.boss, "GET", "/audit/consistency?"+q, nil); r.Status < 400 || r.Status > 422 {
				t.Errorf("%q: %d", q, r.Status)
			}
		}
		b.Do(apitest.Nobody(apitest.Main), "GET", "/audit/consistency?earlier=1&later=2", nil).Refused(t, 401, "auth.required")
		b.Do(apitest.Staff(apitest.Main, auth.SecurityAdmin), "GET", "/audit/consistency?earlier=1&later=2", nil).Refused(t, 403, "authz.denied")
		b.Do(apitest.Staff(apitest.Other, auth.AuditAdmin), "GET", "/audit/consistency?earlier=1&later=2", nil).Refused(t, 404, "audit.head_not_found")
		// A tree that was changed below its heads proves nothing.
		b.do("UPDATE log_head SET note = replace(note, 'number 2', 'number 7') WHERE tenant_id = $1 AND number = 2")
		b.Do(b.boss, "GET", "/audit/consistency?earlier=1&later=2", nil).Refused(t, 409, "audit.log_broken")
	})
}

// TestBundleRoute: the auditor takes a bundle away after a fresh proof of who it is; it is
// an act, and larger ones are for the command line.
func TestBundleRoute(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.Do(b.boss, "GET", "/audit/bundle", nil).Refused(t, 404, "audit.no_log")
		b.collect(rows(apitest.Main, 600))
		b.sign()
		before := b.count("trail", apitest.Main)
		r := b.Do(b.boss, "GET", "/audit/bundle?from=10&to=550", nil).Want(t, 200)
		rep, err := tlog.VerifyBundle(bytes.NewReader(r.Body), tlog.Trust{Keys: b.keys()[:1]}, nil)
		if err != nil || rep.From != 10 || rep.To != 550 || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%+v %v %v", rep, err, r.Header)
		}
		if n := b.count("trail", apitest.Main); n != before+1 {
			t.Errorf("%d acts", n-before)
		}
		for _, q := range []string{"from=5&to=5", "from=x", "from=-1", "to=601", "from=0&to=20001"} {
			b.Do(b.boss, "GET", "/audit/bundle?"+q, nil).Refused(t, 422, "audit.range_invalid")
		}
		stale := apitest.Stale(b.boss)
		b.Do(stale, "GET", "/audit/bundle", nil).Refused(t, http.StatusForbidden, "auth.step_up")
		b.Do(apitest.Nobody(apitest.Main), "GET", "/audit/bundle", nil).Refused(t, 401, "auth.required")
		b.Do(apitest.Staff(apitest.Main, auth.SystemAdmin), "GET", "/audit/bundle", nil).Refused(t, 403, "authz.denied")
		b.Do(apitest.Staff(apitest.Other, auth.AuditAdmin), "GET", "/audit/bundle", nil).Refused(t, 404, "audit.no_log")
	})
}
