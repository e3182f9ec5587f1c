package notifysvc

import (
	"fmt"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// notice makes one refund notice of the account.
func (h *house) notice(who auth.Principal, amount string) {
	h.t.Helper()
	h.send(notify.Message{
		ID: id.New[id.Any](h.clk.Now()), Tenant: who.Tenant, Account: who.Account, Template: "payment.refunded",
		Params: map[string]secret.Text{"amount": secret.New(amount), "appointment": secret.New("x")}, Channels: []notify.Channel{notify.InApp},
	})
	h.clk.Add(time.Second)
}

func TestNotices(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		other := apitest.Patient(apitest.Main)
		theirs := apitest.Patient(apitest.Other)
		for i := range 7 {
			h.notice(h.who, fmt.Sprint(i))
			h.notice(other, "99")
		}
		h.send(h.code()) // a text message is no notice
		var got []string
		next, pages := "", 0
		for {
			r := h.Do(h.who, "GET", "/notices?limit=3&cursor="+next, nil).Want(t, 200)
			for _, n := range r.Items(t) {
				got = append(got, n["body"].(string)[len("¥"):len("¥")+1])
			}
			pages++
			if next = r.Map(t)["next"].(string); next == "" || pages > 5 {
				break
			}
			if pages == 1 {
				h.Do(theirs, "GET", "/notices?cursor="+next, nil).Refused(t, 400, "http.cursor")
				h.notice(h.who, "8") // comes before the first page
			}
		}
		if fmt.Sprint(got) != "[6 5 4 3 2 1 0]" || pages != 3 {
			t.Errorf("%v in %d pages", got, pages)
		}
		if l := h.Do(theirs, "GET", "/notices", nil).Want(t, 200).Items(t); len(l) != 0 {
			t.Errorf("another tenant's: %v", l)
		}
		h.Do(apitest.Nobody(apitest.Main), "GET", "/notices", nil).Refused(t, 401, "auth.required")
		h.Do(h.who, "GET", "/notices?cursor=x", nil).Refused(t, 400, "http.cursor")
		h.Do(h.who, "GET", "/notices?limit=101", nil).Refused(t, 422, "http.invalid")
	})
}

func TestReadMarks(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.notice(h.who, "1")
		n := h.Do(h.who, "GET", "/notices", nil).Items(t)[0]
		if _, ok := n["read_at"]; ok {
			t.Errorf("read at once: %v", n)
		}
		path := "/notices/" + n["id"].(string) + "/read"
		sameAccount := h.who
		sameAccount.Tenant = apitest.Other
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Patient(apitest.Other), sameAccount, apitest.Staff(apitest.Main, auth.Operator)} {
			h.Do(who, "POST", path, nil).Refused(t, 404, "notify.not_found")
		}
		h.Do(apitest.Nobody(apitest.Main), "POST", path, nil).Refused(t, 401, "auth.required")
		h.Do(h.who, "POST", "/notices/"+id.Random[id.Any]().String()+"/read", nil).Refused(t, 404, "notify.not_found")
		if n := h.Do(h.who, "GET", "/notices", nil).Items(t)[0]; n["read_at"] != nil {
			t.Errorf("read by somebody else: %v", n)
		}
		h.Do(h.who, "POST", path, nil).Want(t, 204)
		first := h.Do(h.who, "GET", "/notices", nil).Items(t)[0]["read_at"]
		h.clk.Add(time.Hour)
		h.Do(h.who, "POST", path, nil).Want(t, 204) // again is the same
		if again := h.Do(h.who, "GET", "/notices", nil).Items(t)[0]["read_at"]; first == nil || again != first {
			t.Errorf("%v, then %v", first, again)
		}
		sms := h.code()
		sms.Account = h.who.Account
		h.send(sms)
		if l := h.Do(h.who, "GET", "/notices", nil).Items(t); len(l) != 1 {
			t.Errorf("a code among the notices: %v", l)
		}
	})
}

// The inbox page exists in the demo only, whoever asks.
func TestDemoInbox(t *testing.T) {
	shown := func(int) []Shown { return []Shown{{Phone: phone, Text: "hi", At: testkit.Start}} }
	for _, tc := range []struct {
		demo  bool
		inbox Inbox
		want  int
	}{{true, shown, 200}, {false, shown, 404}, {true, nil, 404}, {false, nil, 404}} {
		clk := testkit.Clock()
		srv := dbtest.Make(t, db.SQLite, testkit.Sets(Describe())).Open(t, dbtest.WithClock(clk))
		opts := []testkit.Option{testkit.WithClock(clk)}
		if tc.demo {
			opts = append(opts, testkit.Demo())
		}
		_, mod := New(testkit.Base(t, srv, Describe(), opts...), dir, Ways{Inbox: tc.inbox})
		h := apitest.New(t, mod.Routes)
		for _, who := range []auth.Principal{apitest.Nobody(apitest.Main), apitest.Staff(apitest.Main, auth.SystemAdmin)} {
			r := h.Do(who, "GET", "/demo/inbox", nil).Want(t, tc.want)
			if tc.want == 200 && r.Items(t)[0]["phone"] != phone {
				t.Errorf("%s", r.Body)
			}
		}
		for _, op := range h.API.Ops() {
			if op.ID == "notify.demo_inbox" && tc.want != 200 {
				t.Error("the route is in the table")
			}
		}
	}
}
