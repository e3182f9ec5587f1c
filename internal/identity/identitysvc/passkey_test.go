package identitysvc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/softkey"
)

// newKey is an authenticator at the main tenant's site.
func newSoftKey(t *testing.T) *softkey.Key {
	return softkey.New(t, "http://"+apitest.Host(apitest.Main), apitest.Host(apitest.Main))
}

func publicKey(t *testing.T, m map[string]any) map[string]any {
	t.Helper()
	p, ok := m["public_key"].(map[string]any)
	if !ok {
		t.Fatalf("no public_key in %v", m)
	}
	return p
}

// addKey registers the key for the session.
func (b *bench) addKey(t *testing.T, k *softkey.Key, in apitest.Header) apitest.Response {
	t.Helper()
	o := b.do("POST", "/auth/passkeys/options", nil, in).Want(t, 200).Map(t)
	return b.do("POST", "/auth/passkeys", map[string]any{"handle": o["handle"], "name": "我的手机", "credential": k.Make(publicKey(t, o))}, in)
}

// enter asks for a challenge and answers it by sign.
func (b *bench) enter(t *testing.T, kind string, sign func(map[string]any) map[string]any) apitest.Response {
	t.Helper()
	q := b.do("POST", "/auth/passkeys/challenge", nil).Want(t, 200).Map(t)
	return b.do("POST", "/auth/passkeys/sessions", map[string]any{"kind": kind, "handle": q["handle"], "credential": sign(publicKey(t, q))}, browser)
}

func TestPasskeys(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san", auth.Doctor)
		in := b.loginAs(t, "zhang.san", a)
		pat := b.login(t, phone)
		k, other := newSoftKey(t), newSoftKey(t)

		o := b.do("POST", "/auth/passkeys/options", nil, in).Want(t, 200).Map(t)
		p := publicKey(t, o)
		user := p["user"].(map[string]any)
		if p["attestation"] != "none" || p["rp"].(map[string]any)["id"] != apitest.Host(apitest.Main) || user["name"] != "zhang.san" || len(user["id"].(string)) != 43 {
			t.Fatalf("options %v", p)
		}
		for _, h := range []string{"张三", a.ID.String()} {
			if raw, _ := json.Marshal(o); strings.Contains(string(raw), h) {
				t.Fatalf("the options tell %s", h)
			}
		}
		b.do("POST", "/auth/passkeys", map[string]any{"handle": o["handle"], "name": " ", "credential": k.Make(p)}, in).Refused(t, 422, "identity.passkey_invalid")
		made := b.addKey(t, k, in).Want(t, 201).Map(t)
		if made["name"] != "我的手机" || made["synced"] != false || made["blocked"] != false || made["host"] != apitest.Host(apitest.Main) {
			t.Fatalf("%v", made)
		}
		b.addKey(t, k, in).Refused(t, 409, "identity.passkey_taken")
		b.addKey(t, other, pat).Want(t, 201)
		o = b.do("POST", "/auth/passkeys/options", nil, in).Want(t, 200).Map(t)
		if ex := publicKey(t, o)["excludeCredentials"].([]any); len(ex) != 1 {
			t.Fatalf("exclude %v", ex)
		}

		// In by the key alone, for both sorts of people: two factors.
		r := b.enter(t, "staff", k.Sign).Want(t, 201)
		me := r.Map(t)
		if me["account_id"] != a.ID.String() || me["factors"] != 2.0 || me["kind"] != "staff" {
			t.Fatalf("me %v", me)
		}
		by := cookieOf(t, r)
		his := b.relying(t, func(s *identity.ClientSpec) { s.Accounts, s.FirstParty = identity.StaffAccounts, true })
		if _, c := b.claims(t, his.tokens(t, by).ID); c["acr"] != "urn:xinglin:acr:2" || fmt.Sprint(c["amr"]) != "[pop user mfa]" {
			t.Fatalf("claims %v", c)
		}
		pr := b.enter(t, "patient", other.Sign).Want(t, 201)
		if m := pr.Map(t); m["kind"] != "patient" || m["factors"] != 2.0 || m["phone_masked"] != "138****0000" {
			t.Fatalf("me %v", m)
		}
		b.enter(t, "patient", k.Sign).Refused(t, 403, "identity.passkey_door")
		if s := b.do("GET", "/auth/sessions", nil, by).Want(t, 200).Items(t); s[0]["method"] != "passkey" || s[1]["method"] != "password" {
			t.Fatalf("%v", s)
		}

		// List, rename, remove: the own ones only.
		list := b.do("GET", "/auth/passkeys", nil, in).Want(t, 200).Items(t)
		if len(list) != 1 || list[0]["used_at"] == nil {
			t.Fatalf("%v", list)
		}
		path := "/auth/passkeys/" + made["id"].(string)
		b.do("PUT", path, map[string]any{"name": "旧手机"}, pat).Refused(t, 404, "identity.passkey_not_found")
		b.do("DELETE", path, nil, pat).Refused(t, 404, "identity.passkey_not_found")
		b.do("GET", "/auth/passkeys", nil).Refused(t, 401, "auth.required")
		b.do("DELETE", "/auth/passkeys/00000000-0000-0000-0000-000000000000", nil, in).Refused(t, 404, "identity.passkey_not_found")
		b.do("PUT", path, map[string]any{"name": "旧手机"}, in).Want(t, 204)
		b.do("PUT", path, map[string]any{"name": "旧手机"}, in).Want(t, 204)
		if l := b.do("GET", "/auth/passkeys", nil, in).Items(t); l[0]["name"] != "旧手机" {
			t.Fatalf("%v", l)
		}
		b.do("DELETE", path, nil, in).Want(t, 204)
		b.do("DELETE", path, nil, in).Refused(t, 404, "identity.passkey_not_found")
		b.enter(t, "staff", k.Sign).Refused(t, 401, "identity.passkey_wrong")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// What comes of a stolen session, of a foreign page and of a copied key.
func TestPasskeyAttacks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san", auth.Doctor)
		in := b.loginAs(t, "zhang.san", a)
		pat := b.login(t, phone)
		k, theirs := newSoftKey(t), newSoftKey(t)
		b.addKey(t, k, in).Want(t, 201)
		b.addKey(t, theirs, pat).Want(t, 201)
		last := func() string {
			trail := b.trailOf(t)
			return trail[len(trail)-1]
		}
		refused := func(name string, r apitest.Response, status int, code, trail string) {
			t.Helper()
			if r.Status != status || r.Code != code {
				t.Errorf("%s: %d %s, want %d %s", name, r.Status, r.Code, status, code)
			}
			if got := last(); got != trail {
				t.Errorf("%s: the trail says %q, want %q", name, got, trail)
			}
		}
		const login = "system login_passkey identity.passkey_wrong "
		lie := func(change func(*softkey.Key)) func(map[string]any) map[string]any {
			c := k.Clone()
			change(c)
			return func(p map[string]any) map[string]any {
				out := c.Sign(p)
				k.Count = c.Count
				return out
			}
		}

		refused("foreign origin", b.enter(t, "staff", lie(func(k *softkey.Key) { k.Origin = "http://evil.test" })), 401, "identity.passkey_wrong", login+"origin")
		refused("wrong rp id", b.enter(t, "staff", lie(func(k *softkey.Key) { k.Host = "evil.test" })), 401, "identity.passkey_wrong", login+"host")
		refused("no user verification", b.enter(t, "staff", lie(func(k *softkey.Key) { k.Deaf = true })), 401, "identity.passkey_wrong", login+"unverified")
		refused("unknown key", b.enter(t, "staff", func(p map[string]any) map[string]any {
			u := newSoftKey(t)
			u.UserHandle = k.UserHandle
			return u.Sign(p)
		}), 401, "identity.passkey_wrong", login+"unknown")
		refused("another's user handle", b.enter(t, "staff", lie(func(k *softkey.Key) { k.UserHandle = theirs.UserHandle })), 401, "identity.passkey_wrong", login+"user")
		refused("another's id over an own signature", b.enter(t, "staff", func(p map[string]any) map[string]any {
			c := theirs.Clone()
			c.ID, c.UserHandle, c.Count = k.ID, k.UserHandle, 50
			return c.Sign(p)
		}), 401, "identity.passkey_wrong", login+"signature")
		refused("another challenge", b.enter(t, "staff", func(p map[string]any) map[string]any {
			p["challenge"] = strings.Repeat("A", 43)
			return k.Sign(p)
		}), 401, "identity.passkey_wrong", login+"challenge")
		refused("a registration's signature", b.enter(t, "staff", func(p map[string]any) map[string]any {
			s := k.Sign(p)
			s["response"].(map[string]any)["signature"] = ""
			return s
		}), 401, "identity.passkey_wrong", login+"signature")

		// A challenge is good once, whatever came of it; for five minutes; on its host and for its purpose.
		q := b.do("POST", "/auth/passkeys/challenge", nil).Want(t, 200).Map(t)
		once := map[string]any{"kind": "staff", "handle": q["handle"], "credential": k.Sign(publicKey(t, q))}
		by := cookieOf(t, b.do("POST", "/auth/passkeys/sessions", once).Want(t, 201))
		refused("a replayed answer", b.do("POST", "/auth/passkeys/sessions", once), 401, "identity.passkey_expired", "system login_passkey identity.passkey_expired")
		q = b.do("POST", "/auth/passkeys/challenge", nil).Want(t, 200).Map(t)
		late := map[string]any{"kind": "staff", "handle": q["handle"], "credential": k.Sign(publicKey(t, q))}
		b.clk.Add(5 * time.Minute)
		refused("a late answer", b.do("POST", "/auth/passkeys/sessions", late), 401, "identity.passkey_expired", "system login_passkey identity.passkey_expired")
		o := b.do("POST", "/auth/step-up/options", nil, by).Want(t, 200).Map(t)["passkey"].(map[string]any)
		refused("a step-up's challenge", b.do("POST", "/auth/passkeys/sessions", map[string]any{"kind": "staff", "handle": o["handle"], "credential": k.Sign(publicKey(t, o))}),
			401, "identity.passkey_expired", "system login_passkey identity.passkey_expired")
		q = b.do("POST", "/auth/passkeys/challenge", nil).Want(t, 200).Map(t)
		if r := b.api.Do(apitest.Nobody(apitest.Other), "POST", "/auth/passkeys/sessions",
			map[string]any{"kind": "staff", "handle": q["handle"], "credential": k.Sign(publicKey(t, q))}); r.Code != "identity.passkey_expired" {
			t.Errorf("another tenant: %d %s", r.Status, r.Code)
		}

		// Another account's key proves nothing.
		o = b.do("POST", "/auth/step-up/options", nil, by).Want(t, 200).Map(t)["passkey"].(map[string]any)
		refused("another account's key", b.do("POST", "/auth/step-up", map[string]any{"handle": o["handle"], "credential": theirs.Sign(publicKey(t, o))}, by),
			401, "identity.passkey_wrong", "staff step_up identity.passkey_wrong account")

		// Registrations that lie.
		b.do("POST", "/auth/step-up", map[string]any{"totp": b.totp(a)}, by).Want(t, 200)
		register := func(change func(*softkey.Key), and func(map[string]any)) apitest.Response {
			o := b.do("POST", "/auth/passkeys/options", nil, by).Want(t, 200).Map(t)
			n := newSoftKey(t)
			if change != nil {
				change(n)
			}
			c := n.Make(publicKey(t, o))
			if and != nil {
				and(c)
			}
			return b.do("POST", "/auth/passkeys", map[string]any{"handle": o["handle"], "name": "x", "credential": c}, by)
		}
		const added = "staff add_passkey identity.passkey_invalid "
		refused("none algorithm", register(func(k *softkey.Key) { k.Alg = 0 }, nil), 422, "identity.passkey_invalid", added+"algorithm")
		refused("an algorithm not offered", register(func(k *softkey.Key) { k.Alg = -35 }, nil), 422, "identity.passkey_invalid", added+"algorithm")
		refused("a foreign page", register(func(k *softkey.Key) { k.Origin = "http://evil.test" }, nil), 422, "identity.passkey_invalid", added+"origin")
		refused("another host", register(func(k *softkey.Key) { k.Host = "evil.test" }, nil), 422, "identity.passkey_invalid", added+"host")
		refused("nobody recognised", register(func(k *softkey.Key) { k.Deaf = true }, nil), 422, "identity.passkey_invalid", added+"unverified")
		refused("no CBOR", register(nil, func(c map[string]any) { c["response"].(map[string]any)["attestationObject"] = "AAAA" }), 422, "identity.passkey_invalid", added+"form")

		// A copy: the key that comes second has a counter that went back, and is blocked from then on.
		copied := k.Clone()
		b.enter(t, "staff", k.Sign).Want(t, 201)
		refused("the copy", b.enter(t, "staff", copied.Sign), 401, "identity.passkey_blocked", "system login_passkey identity.passkey_blocked counter")
		refused("the true one", b.enter(t, "staff", k.Sign), 401, "identity.passkey_blocked", "system login_passkey identity.passkey_blocked")
		if l := b.do("GET", "/auth/passkeys", nil, by).Want(t, 200).Items(t); l[0]["blocked"] != true {
			t.Fatalf("%v", l)
		}
		// The owner sees what was refused.
		seen := b.do("GET", "/auth/logins?limit=100", nil, by).Want(t, 200).Items(t)
		if n := slices.IndexFunc(seen, func(x map[string]any) bool { return x["result"] == "refused" && x["method"] == "passkey" }); n != 0 {
			t.Fatalf("%v", seen)
		}
		// A disabled account.
		sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
		m := b.employ(t, "li.si")
		mk := newSoftKey(t)
		b.addKey(t, mk, b.loginAs(t, "li.si", m)).Want(t, 201)
		b.do("POST", "/staff/accounts/"+m.ID.String()+"/disable", nil, sec).Want(t, 200)
		refused("a disabled account", b.enter(t, "staff", mk.Sign), 401, "identity.passkey_wrong", login+"disabled")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// Questions are counted by network, and the rows of those that nobody answered go.
func TestPasskeyQuestions(t *testing.T) {
	onSQLite(t, func(t *testing.T, b *bench) {
		for range asksAnHour {
			b.from("203.0.113.7", "POST", "/auth/passkeys/challenge", nil).Want(t, 200)
		}
		r := b.from("203.0.113.7", "POST", "/auth/passkeys/challenge", nil).Refused(t, 429, "identity.passkey_too_often")
		if r.Header.Get("Retry-After") != "3600" {
			t.Fatalf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		b.from("203.0.113.8", "POST", "/auth/passkeys/challenge", nil).Want(t, 200)
		if n := b.count(t, `SELECT COUNT(*) FROM ceremony`); n != asksAnHour+1 {
			t.Fatalf("%d questions", n)
		}
		b.clk.Add(5*time.Minute + time.Second)
		if err := b.Service.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM ceremony`); n != 0 {
			t.Fatalf("%d questions stay", n)
		}
		b.clk.Add(time.Hour)
		b.from("203.0.113.7", "POST", "/auth/passkeys/challenge", nil).Want(t, 200)
	})
}

// A synced key counts nothing, and an account has twenty.
func TestPasskeyLimits(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		in := b.loginAs(t, "zhang.san", a)
		b.clk.Add(time.Second)
		s := newSoftKey(t)
		s.Synced = true
		if m := b.addKey(t, s, in).Want(t, 201).Map(t); m["synced"] != true {
			t.Fatalf("%v", m)
		}
		for range 3 {
			b.enter(t, "staff", s.Sign).Want(t, 201)
		}
		for range 18 {
			b.addKey(t, newSoftKey(t), in).Want(t, 201)
		}
		// Of several at the same moment one gets the last place.
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		var bodies []map[string]any
		for range 4 {
			o := b.do("POST", "/auth/passkeys/options", nil, in).Want(t, 200).Map(t)
			bodies = append(bodies, map[string]any{"handle": o["handle"], "name": "x", "credential": newSoftKey(t).Make(publicKey(t, o))})
		}
		for _, body := range bodies {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/passkeys", body, in)
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprint(r.Status, r.Code)]++
			}()
		}
		wg.Wait()
		if got["201"] != 1 || got["409identity.too_many_passkeys"] != 3 {
			t.Fatalf("%v", got)
		}
		b.do("POST", "/auth/passkeys/options", nil, in).Refused(t, 409, "identity.too_many_passkeys")
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// One answer at the same moment opens one session.
func TestPasskeyRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		in := b.loginAs(t, "zhang.san", b.employ(t, "zhang.san"))
		k := newSoftKey(t)
		b.addKey(t, k, in).Want(t, 201)
		q := b.do("POST", "/auth/passkeys/challenge", nil).Want(t, 200).Map(t)
		body := map[string]any{"kind": "staff", "handle": q["handle"], "credential": k.Sign(publicKey(t, q))}
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/passkeys/sessions", body)
				mu.Lock()
				defer mu.Unlock()
				got[r.Code]++
			}()
		}
		wg.Wait()
		if got[""] != 1 || got["identity.passkey_expired"] != 7 {
			t.Fatalf("%v", got)
		}
	})
}
