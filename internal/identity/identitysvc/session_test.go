package identitysvc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/module"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

func pageOf(cursor string, limit int) page.Request { return page.Request{Cursor: cursor, Limit: limit} }

func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		one := b.login(t, phone)
		b.clk.Add(codeGap)
		two := b.login(t, phone)
		other := b.login(t, "13900000000")
		items := b.do("GET", "/auth/sessions", nil, two).Want(t, 200).Items(t)
		if len(items) != 2 || items[0]["current"] != true || items[1]["current"] != false || items[0]["device"] != "WeChat, Android" {
			t.Fatalf("%v", items)
		}
		path := "/auth/sessions/" + items[1]["id"].(string)
		// Another person's session does not exist; neither does one on another tenant.
		b.do("DELETE", path, nil, other).Refused(t, 404, "identity.not_found")
		b.do("DELETE", path, nil).Refused(t, 401, "auth.required")
		b.do("DELETE", "/auth/sessions/00000000-0000-0000-0000-000000000000", nil, two).Refused(t, 404, "identity.not_found")
		b.api.Do(apitest.Nobody(apitest.Other), "GET", "/auth/me", nil, two).Refused(t, 401, "identity.session_ended")
		b.do("GET", "/auth/me", nil, one).Want(t, 200)
		b.do("DELETE", path, nil, two).Want(t, 204)
		b.do("GET", "/auth/me", nil, one).Refused(t, 401, "identity.session_ended")
		b.do("DELETE", path, nil, two).Refused(t, 404, "identity.not_found")
		if n := len(b.do("GET", "/auth/sessions", nil, two).Want(t, 200).Items(t)); n != 1 {
			t.Fatalf("%d sessions", n)
		}
		// A write with a cookie needs the origin.
		b.api.Do(apitest.Nobody(apitest.Main), "DELETE", "/auth/sessions/current", nil, two).Refused(t, 403, "http.origin")
		r := b.do("DELETE", "/auth/sessions/current", nil, two).Want(t, 204)
		if c := r.Header.Get("Set-Cookie"); !strings.Contains(c, "Max-Age=0") {
			t.Fatalf("cookie %q", c)
		}
		b.do("GET", "/auth/me", nil, two).Refused(t, 401, "identity.session_ended")
		b.do("GET", "/auth/me", nil, other).Want(t, 200)
		if n := b.count(t, `SELECT COUNT(*) FROM outbox WHERE name = 'identity.session.revoked.v1'`); n != 2 {
			t.Fatalf("%d events", n)
		}
	})
}

func TestNonsenseCredentials(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		in := b.login(t, phone)
		token := strings.TrimPrefix(in.Value, "xinglin_session=")
		for name, h := range map[string]apitest.Header{
			"a cookie as bearer": apitest.H("Authorization", "Bearer "+token),
			"another cookie":     apitest.H("Cookie", "xinglin_session="+strings.Repeat("A", 43)),
			"a huge cookie":      apitest.H("Cookie", "xinglin_session="+strings.Repeat("A", 4000)),
			"an empty bearer":    apitest.H("Authorization", "Bearer "),
		} {
			if r := b.api.Do(apitest.Nobody(apitest.Main), "GET", "/auth/me", nil, h); r.Status != 401 {
				t.Errorf("%s: %d", name, r.Status)
			}
		}
	})
}

// Sessions end at their idle and absolute times; use moves the idle one on, every five minutes.
func TestSessionTimes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		live := func(h apitest.Header, want int) {
			t.Helper()
			clear(b.cache.m)
			if r := b.do("GET", "/auth/me", nil, h); r.Status != want {
				t.Fatalf("%s: %d, want %d", b.clk.Now(), r.Status, want)
			}
		}
		a := b.employ(t, "zhang.san")
		staff := b.loginAs(t, "zhang.san", a)
		start := b.clk.Now()
		writes := func() int {
			return b.count(t, fmt.Sprintf(`SELECT COUNT(*) FROM session WHERE last_seen_at = %d`, b.clk.Now().UnixMicro()))
		}
		b.clk.Add(seenEvery - time.Second)
		live(staff, 200)
		if writes() != 0 {
			t.Fatal("written too early")
		}
		b.clk.Add(time.Second)
		live(staff, 200)
		if writes() != 1 {
			t.Fatal("last_seen_at was not moved on")
		}
		for b.clk.Now().Add(50 * time.Minute).Before(start.Add(config.StaffSession)) {
			b.clk.Add(50 * time.Minute)
			live(staff, 200)
		}
		b.clk.Set(start.Add(config.StaffSession))
		live(staff, 401)

		b.clk.Add(time.Hour)
		staff = b.loginAs(t, "zhang.san", a)
		b.clk.Add(staffIdle)
		live(staff, 401)

		in := b.login(t, phone)
		start = b.clk.Now()
		b.clk.Add(patientIdle - time.Second)
		live(in, 200)
		b.clk.Add(patientIdle - time.Second)
		live(in, 200)
		b.clk.Set(start.Add(config.SessionTime))
		live(in, 401)
	})
}

// A session that two processes know ends in both within a second when one revokes it:
// at once by the signal, and after half a second where the signal got lost.
func TestRevocationSeenByOtherProcess(t *testing.T) {
	clk := testkit.Clock()
	for name, signals := range map[string]func() (module.Signals, module.Signals){
		"signal": func() (module.Signals, module.Signals) { s := testkit.Signals(); return s, s },
		"lost":   func() (module.Signals, module.Signals) { return testkit.Signals(), testkit.Signals() },
	} {
		t.Run(name, func(t *testing.T) {
			d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
			sa, sb := signals()
			a := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk, testkit.WithSignals(sa))
			b := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk, testkit.WithSignals(sb))
			// The second process's cache stands still until the test moves it.
			mono, mu := clock.Mono(), sync.Mutex{}
			b.cache.mono = func() time.Time { mu.Lock(); defer mu.Unlock(); return mono }
			for _, how := range []string{"session", "account", "disabled", "grants"} {
				staff := b.employ(t, "user."+how, auth.Doctor)
				in := a.loginAs(t, "user."+how, staff)
				who := b.do("GET", "/auth/me", nil, in).Want(t, 200).Map(t)
				sec := testkit.As(t.Context(), apitest.Staff(apitest.Main, auth.SecurityAdmin))
				var err error
				switch how {
				case "session":
					err = a.Revoke(sec, staff.ID, id.Must[auth.Session](who["session_id"].(string)))
				case "account":
					err = a.Revoke(sec, staff.ID, identity.SessionID{})
				case "disabled":
					_, err = a.disableStaff(sec, staff.ID)
				case "grants":
					_, err = a.putGrants(sec, staff.ID, nil, nil, 1)
				}
				if err != nil {
					t.Fatal(how, err)
				}
				if name == "lost" {
					mu.Lock()
					mono = mono.Add(cacheTime)
					mu.Unlock()
				}
				p, err := b.authenticate(t.Context(), apitest.Main, cookie, strings.TrimPrefix(in.Value, "xinglin_session="))
				if how == "grants" {
					if err != nil || p.Has(auth.Doctor) {
						t.Fatalf("%s: %v %v", how, p.Grants, err)
					}
				} else if !errors.Is(err, identity.ErrSession) {
					t.Fatalf("%s: %v", how, err)
				}
			}
		})
	}
}

// The same with the machine's own time: no knob of the test, a second at most.
func TestRevocationWithinASecond(t *testing.T) {
	clk := testkit.Clock()
	d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	a := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk)
	b := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk) // hears no signal of a
	in := a.login(t, phone)
	b.do("GET", "/auth/me", nil, in).Want(t, 200)
	a.do("DELETE", "/auth/sessions/current", nil, in).Want(t, 204)
	ended := clock.Mono()
	wait(t, "the end of the session", func() bool {
		asked := clock.Mono().Sub(ended)
		if b.do("GET", "/auth/me", nil, in).Status == 401 {
			return true
		}
		if asked > time.Second { // judged by when it was asked: a slow machine is no fault
			t.Fatalf("alive %s after the revocation", asked)
		}
		return false
	})
}

func TestRevokeOthers(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		in := b.login(t, phone)
		a := id.Must[auth.Account](b.do("GET", "/auth/me", nil, in).Map(t)["account_id"].(string))
		if err := b.Revoke(testkit.As(t.Context(), apitest.Patient(apitest.Main)), a, identity.SessionID{}); !errors.Is(err, identity.ErrNotFound) {
			t.Fatalf("another patient: %v", err)
		}
		if err := b.Revoke(testkit.As(t.Context(), apitest.Staff(apitest.Main, auth.Doctor)), a, identity.SessionID{}); err == nil {
			t.Fatal("a doctor may")
		}
		b.do("GET", "/auth/me", nil, in).Want(t, 200)
		if err := b.Revoke(testkit.AsCLI(t.Context(), apitest.Main), a, identity.SessionID{}); err != nil {
			t.Fatal(err)
		}
		b.do("GET", "/auth/me", nil, in).Refused(t, 401, "identity.session_ended")
		if err := b.Revoke(testkit.AsCLI(t.Context(), apitest.Main), a, identity.SessionID{}); err != nil {
			t.Fatalf("repeat: %v", err)
		}
	})
}

func TestCrowdedOut(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		acc, err := b.EnsurePatient(testkit.AsCLI(t.Context(), apitest.Main), b.mobile(phone))
		if err != nil {
			t.Fatal(err)
		}
		first := ""
		for i := range maxSessions + 1 {
			o, ts := b.begin(account{id: acc, kind: auth.Patient}, door{method: byCode, device: "x"})
			if i == 0 {
				first = o.cookie.Reveal()
			}
			if err := b.saveSession(t, o, ts); err != nil {
				t.Fatal(err)
			}
			b.clk.Add(time.Second)
		}
		if _, err := b.authenticate(t.Context(), apitest.Main, cookie, first); !errors.Is(err, identity.ErrSession) {
			t.Fatalf("the oldest lives: %v", err)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM session WHERE ended_at IS NULL`); n != maxSessions {
			t.Fatalf("%d live", n)
		}
	})
}

func TestTokens(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ch, code := b.sendCode(t, phone)
		tokens := func(body map[string]any) apitest.Response { return b.do("POST", "/auth/tokens", body) }
		first := tokens(map[string]any{"grant": "code", "challenge_id": ch, "code": code}).Want(t, 201).Map(t)
		if first["expires_in_s"] != 600.0 {
			t.Fatalf("%v", first)
		}
		bearer := func(m map[string]any) apitest.Header {
			return apitest.H("Authorization", "Bearer "+m["access_token"].(string))
		}
		me := func(h apitest.Header) apitest.Response {
			return b.api.Do(apitest.Nobody(apitest.Main), "GET", "/auth/me", nil, h)
		}
		me(bearer(first)).Want(t, 200)
		// A refresh token opens nothing, and nothing but its kind refreshes.
		me(apitest.H("Authorization", "Bearer "+first["refresh_token"].(string))).Refused(t, 401, "identity.session_ended")
		tokens(map[string]any{"grant": "refresh", "refresh_token": first["access_token"]}).Refused(t, 401, "identity.session_ended")
		tokens(map[string]any{"grant": "refresh"}).Refused(t, 401, "identity.session_ended")
		tokens(map[string]any{"grant": "magic"}).Refused(t, 422, "http.invalid")
		b.api.Do(apitest.Nobody(apitest.Other), "POST", "/auth/tokens",
			map[string]any{"grant": "refresh", "refresh_token": first["refresh_token"]}).Refused(t, 401, "identity.session_ended")

		b.clk.Add(accessTime)
		me(bearer(first)).Refused(t, 401, "identity.session_ended")
		second := tokens(map[string]any{"grant": "refresh", "refresh_token": first["refresh_token"]}).Want(t, 201).Map(t)
		me(bearer(second)).Want(t, 200)
		// The reuse of the old one ends the family.
		tokens(map[string]any{"grant": "refresh", "refresh_token": first["refresh_token"]}).Refused(t, 401, "identity.refresh_reused")
		me(bearer(second)).Refused(t, 401, "identity.session_ended")
		tokens(map[string]any{"grant": "refresh", "refresh_token": second["refresh_token"]}).Refused(t, 401, "identity.session_ended")

		staff := b.employ(t, "zhang.san", auth.Doctor)
		third := tokens(map[string]any{"grant": "password", "username": "zhang.san", "password": strong, "totp": b.totp(staff)}).Want(t, 201).Map(t)
		if m := me(bearer(third)).Want(t, 200).Map(t); m["factors"] != 2.0 {
			t.Fatalf("%v", m)
		}
		b.clk.Add(staffIdle)
		tokens(map[string]any{"grant": "refresh", "refresh_token": third["refresh_token"]}).Refused(t, 401, "identity.session_ended")
	})
}

// Two refreshes at the same moment: one wins, the other is a reuse.
func TestRefreshRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		ch, code := b.sendCode(t, phone)
		first := b.do("POST", "/auth/tokens", map[string]any{"grant": "code", "challenge_id": ch, "code": code}).Want(t, 201).Map(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/tokens", map[string]any{"grant": "refresh", "refresh_token": first["refresh_token"]})
				mu.Lock()
				got[fmt.Sprint(r.Status, r.Code)]++
				mu.Unlock()
			}()
		}
		wg.Wait()
		if got["201"] != 1 || got["401identity.refresh_reused"] != 7 {
			t.Fatalf("%v", got)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM session WHERE end_reason = 'identity.refresh_reused'`); n != 1 {
			t.Fatalf("the family lives")
		}
	})
}

func TestDevices(t *testing.T) {
	for agent, want := range map[string]string{
		"": "Program", "curl/8.5": "Program",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605 Version/17.0 Mobile Safari/604": "Safari, iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/120 Safari/537 Edg/120":                 "Edge, Windows",
		"Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko Firefox/120.0":                                         "Firefox, Linux",
	} {
		if got := deviceOf(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}
