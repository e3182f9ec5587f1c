package identitysvc

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/testkit/apitest"
)

// An act that its permission marks is refused five minutes after the last proof, and goes on after the next.
func TestStepUp(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "guard", auth.SecurityAdmin)
		sec := b.loginAs(t, "guard", a)
		make := func(name string) apitest.Response {
			return b.do("POST", "/staff/accounts", map[string]any{"username": name, "name": "李四", "initial_password": strong}, sec)
		}
		make("li.si").Want(t, 201)
		b.clk.Add(freshTime - time.Millisecond)
		make("li.wu").Want(t, 201)
		b.clk.Add(time.Millisecond)
		make("li.liu").Refused(t, 403, "auth.step_up")
		b.do("POST", "/clients", map[string]any{"name": "x", "accounts": "staff", "grants": []string{"authorization_code"}, "redirect_uris": []string{"https://x.example/cb"}}, sec).Refused(t, 403, "auth.step_up")
		b.do("GET", "/staff/accounts", nil, sec).Want(t, 200) // the session is good for everything else

		o := b.do("POST", "/auth/step-up/options", nil, sec).Want(t, 200).Map(t)
		if fmt.Sprint(o["methods"]) != "[totp]" || o["passkey"] != nil {
			t.Fatalf("%v", o)
		}
		b.do("POST", "/auth/step-up", map[string]any{}, sec).Refused(t, 422, "identity.step_up_way")
		b.do("POST", "/auth/step-up", map[string]any{"totp": "1", "code": "2"}, sec).Refused(t, 422, "identity.step_up_way")
		b.do("POST", "/auth/step-up", map[string]any{"code": "123456"}, sec).Refused(t, 422, "identity.step_up_way")
		b.do("POST", "/auth/step-up/codes", nil, sec).Refused(t, 422, "identity.step_up_way")
		b.do("POST", "/auth/step-up", map[string]any{"totp": flip(b.totp(a))}, sec).Refused(t, 401, "identity.step_up_wrong")
		make("li.liu").Refused(t, 403, "auth.step_up")
		code := b.totp(a)
		until := b.do("POST", "/auth/step-up", map[string]any{"totp": code}, sec).Want(t, 200).Map(t)["fresh_until"]
		if until != stamp(b.now().Add(freshTime)) {
			t.Fatalf("until %v", until)
		}
		b.do("POST", "/auth/step-up", map[string]any{"totp": code}, sec).Refused(t, 401, "identity.step_up_wrong") // a code works once
		make("li.liu").Want(t, 201)
		b.do("POST", "/auth/step-up", map[string]any{"totp": code}).Refused(t, 401, "auth.required")

		// By a passkey too; another session of the account is none the fresher for it.
		k := newSoftKey(t)
		b.addKey(t, k, sec).Want(t, 201)
		other := cookieOf(t, b.enter(t, "staff", k.Sign).Want(t, 201))
		b.clk.Add(freshTime)
		o = b.do("POST", "/auth/step-up/options", nil, sec).Want(t, 200).Map(t)
		if fmt.Sprint(o["methods"]) != "[passkey totp]" {
			t.Fatalf("%v", o)
		}
		q := o["passkey"].(map[string]any)
		if allow := publicKey(t, q)["allowCredentials"].([]any); len(allow) != 1 {
			t.Fatalf("%v", q)
		}
		b.do("POST", "/auth/step-up", map[string]any{"handle": q["handle"], "credential": k.Sign(publicKey(t, q))}, sec).Want(t, 200)
		make("li.qi").Want(t, 201)
		b.do("DELETE", "/auth/passkeys/00000000-0000-0000-0000-0000000000aa", nil, other).Refused(t, 403, "auth.step_up")
		b.do("POST", "/auth/passkeys/options", nil, other).Refused(t, 403, "auth.step_up")

		got := b.trailOf(t)
		got = slices.DeleteFunc(got, func(x string) bool { return !strings.Contains(x, "step_up") })
		want := []string{"staff step_up identity.step_up_wrong", "staff step_up totp", "staff step_up identity.step_up_wrong", "staff step_up passkey"}
		if !slices.Equal(got, want) {
			t.Fatalf("trail %q, want %q", got, want)
		}
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// Five tries lock the step-up of an account for fifteen minutes, not its session; a success gives them back.
func TestStepUpTries(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "guard", auth.SecurityAdmin)
		sec := b.loginAs(t, "guard", a)
		b.clk.Add(freshTime)
		for range stepUpTries {
			b.do("POST", "/auth/step-up", map[string]any{"totp": flip(b.totp(a))}, sec).Refused(t, 401, "identity.step_up_wrong")
		}
		r := b.do("POST", "/auth/step-up", map[string]any{"totp": b.totp(a)}, sec).Refused(t, 429, "identity.step_up_tries")
		if r.Header.Get("Retry-After") != "900" {
			t.Fatalf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		b.do("GET", "/auth/me", nil, sec).Want(t, 200)
		b.clk.Add(lockTime)
		b.do("POST", "/auth/step-up", map[string]any{"totp": b.totp(a)}, sec).Want(t, 200)
		b.do("POST", "/auth/step-up", map[string]any{"totp": flip(b.totp(a))}, sec).Refused(t, 401, "identity.step_up_wrong")
	})
}

// A patient proves it by a code to the own phone: no other phone's, no login's.
func TestStepUpOfPatients(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		in, other := b.login(t, phone), b.login(t, "13900000000")
		b.clk.Add(freshTime)
		k := newSoftKey(t)
		b.do("POST", "/auth/passkeys/options", nil, in).Refused(t, 403, "auth.step_up")
		o := b.do("POST", "/auth/step-up/options", nil, in).Want(t, 200).Map(t)
		if fmt.Sprint(o["methods"]) != "[code]" || o["phone_masked"] != "138****0000" {
			t.Fatalf("%v", o)
		}
		send := func(who apitest.Header) (string, string) {
			ch := b.do("POST", "/auth/step-up/codes", nil, who).Want(t, 202).Map(t)["challenge_id"].(string)
			return ch, b.out.last().Params["code"].Reveal()
		}
		theirs, code := send(other)
		b.do("POST", "/auth/step-up", map[string]any{"challenge_id": theirs, "code": code}, in).Refused(t, 401, "identity.code_expired")
		ch, code := send(in)
		if m := b.out.last(); m.Phone.Reveal() != phone {
			t.Fatal("to another phone")
		}
		b.do("POST", "/auth/step-up/codes", nil, in).Refused(t, 429, "identity.code_too_often")
		b.do("POST", "/auth/sessions", map[string]any{"challenge_id": ch, "code": code}).Refused(t, 401, "identity.code_expired") // no login's
		b.do("POST", "/auth/step-up", map[string]any{"challenge_id": ch, "code": flip(code)}, in).Refused(t, 401, "identity.code_wrong")
		b.do("POST", "/auth/step-up", map[string]any{"challenge_id": ch, "code": code}, in).Want(t, 200)
		b.do("POST", "/auth/step-up", map[string]any{"challenge_id": ch, "code": code}, in).Refused(t, 401, "identity.code_expired")
		b.addKey(t, k, in).Want(t, 201)
		b.do("POST", "/auth/step-up", map[string]any{"totp": "123456"}, in).Refused(t, 422, "identity.step_up_way")
		b.clk.Add(codeGap)
		lch, lcode := b.sendCode(t, phone)
		b.do("POST", "/auth/step-up", map[string]any{"challenge_id": lch, "code": lcode}, in).Refused(t, 401, "identity.code_expired")
		b.do("POST", "/auth/totp/options", nil, in).Refused(t, 403, "authz.denied")
	})
}

// A proof is seen by the other processes within half a second, by signal at once.
func TestStepUpElsewhere(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "guard", auth.SecurityAdmin)
		sec := b.loginAs(t, "guard", a)
		b.clk.Add(freshTime)
		b.do("GET", "/staff/accounts", nil, sec).Want(t, 200) // cached
		heard := 0
		stop, err := b.signals.OnSignal(revokedTopic, func([]byte) { heard++ })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		b.do("POST", "/auth/step-up", map[string]any{"totp": b.totp(a)}, sec).Want(t, 200)
		b.do("POST", "/staff/accounts", map[string]any{"username": "li.si", "name": "李四", "initial_password": strong}, sec).Want(t, 201)
		wait(t, "the signal", func() bool { return heard > 0 })
	})
}

func TestReplaceTOTP(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		in, other := b.loginAs(t, "zhang.san", a), b.loginAs(t, "li.si", b.employ(t, "li.si"))
		first := b.do("POST", "/auth/totp/options", nil, in).Want(t, 201).Map(t)
		o := b.do("POST", "/auth/totp/options", nil, in).Want(t, 201).Map(t)
		next := a
		next.TOTP = b.mobile(o["totp_secret"].(string))
		if !strings.HasPrefix(o["totp_uri"].(string), "otpauth://totp/Xinglin:zhang.san?") || next.TOTP.Reveal() == a.TOTP.Reveal() {
			t.Fatalf("%v", o)
		}
		put := func(handle any, code string, who apitest.Header) apitest.Response {
			return b.do("POST", "/auth/totp", map[string]any{"handle": handle, "totp": code}, who)
		}
		put(first["handle"], b.totp(next), in).Refused(t, 401, "identity.passkey_expired") // the later one counts
		put(o["handle"], b.totp(next), other).Refused(t, 401, "identity.passkey_expired")
		put(o["handle"], flip(b.totp(next)), in).Refused(t, 422, "identity.totp_wrong")
		put(o["handle"], b.totp(next), in).Want(t, 204)
		put(o["handle"], b.totp(next), in).Refused(t, 401, "identity.passkey_expired")
		b.clk.Add(time.Minute)
		b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": strong, "totp": b.totp(a)}).Refused(t, 401, "identity.login_wrong")
		b.loginAs(t, "zhang.san", next)
		b.clk.Add(freshTime)
		b.do("POST", "/auth/totp/options", nil, in).Refused(t, 403, "auth.step_up")
	})
}

func TestLogins(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": "wrong", "totp": b.totp(a)}, browser).Refused(t, 401, "identity.login_wrong")
		b.clk.Add(time.Minute)
		gone := b.loginAs(t, "zhang.san", a)
		b.do("DELETE", "/auth/sessions/current", nil, gone).Want(t, 204)
		b.clk.Add(time.Minute)
		in := b.loginAs(t, "zhang.san", a)
		pat := b.login(t, phone)
		list := b.do("GET", "/auth/logins", nil, in).Want(t, 200).Items(t)
		if len(list) != 3 || list[0]["current"] != true || list[0]["method"] != "password" || list[1]["ended_at"] == nil ||
			list[2]["result"] != "refused" || list[2]["device"] != "WeChat, Android" {
			t.Fatalf("%v", list)
		}
		page := b.do("GET", "/auth/logins?limit=2", nil, in).Want(t, 200).Map(t)
		rest := b.do("GET", "/auth/logins?limit=2&cursor="+page["next"].(string), nil, in).Want(t, 200).Items(t)
		if len(rest) != 1 || rest[0]["result"] != "refused" {
			t.Fatalf("%v", rest)
		}
		if l := b.do("GET", "/auth/logins", nil, pat).Want(t, 200).Items(t); len(l) != 1 || l[0]["method"] != "code" {
			t.Fatalf("%v", l)
		}
		b.do("GET", "/auth/logins", nil).Refused(t, 401, "auth.required")
		// Thirty days later it is gone.
		b.clk.Add(31 * 24 * time.Hour)
		if err := b.Service.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM refused_login`); n != 0 {
			t.Fatalf("%d refused logins", n)
		}
	})
}

// from is the network that a request comes from.
func (b *bench) from(address, method, path string, body any) apitest.Response {
	r := b.api.Request(visitorOf(apitest.Main), method, path, body, origin)
	r.RemoteAddr = address + ":1"
	return b.api.Send(r)
}

// Fifty refusals lock a network out of passwords for a quarter of an hour; its people still come in by passkey, and the others
// do as before.
func TestNetworkLock(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		k := newSoftKey(t)
		b.addKey(t, k, b.loginAs(t, "zhang.san", a)).Want(t, 201)
		b.clk.Add(time.Minute)
		login := func(address, user, password string) apitest.Response {
			return b.from(address, "POST", "/auth/staff/sessions", map[string]any{"username": user, "password": password, "totp": b.totp(a)})
		}
		for i := range failuresOnce {
			login("203.0.113.7", fmt.Sprintf("user%d", i), "wrong").Refused(t, 401, "identity.login_wrong")
		}
		r := login("203.0.113.7", "zhang.san", strong).Refused(t, 429, "identity.network_locked")
		if r.Header.Get("Retry-After") != "900" {
			t.Fatalf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		login("203.0.113.8", "zhang.san", strong).Want(t, 201)
		q := b.from("203.0.113.7", "POST", "/auth/passkeys/challenge", nil).Want(t, 200).Map(t)
		b.from("203.0.113.7", "POST", "/auth/passkeys/sessions", map[string]any{"kind": "staff", "handle": q["handle"], "credential": k.Sign(publicKey(t, q))}).Want(t, 201)
		b.clk.Add(failureTime)
		login("203.0.113.7", "zhang.san", strong).Want(t, 201)

		// Passkeys have the same limit of their own: beyond it there is no work and no row.
		for range failuresOnce {
			b.from("203.0.113.9", "POST", "/auth/passkeys/sessions", map[string]any{"kind": "staff", "handle": "x", "credential": k.Sign(publicKey(t, q))}).
				Refused(t, 401, "identity.passkey_expired")
		}
		b.from("203.0.113.9", "POST", "/auth/passkeys/challenge", nil).Refused(t, 429, "identity.passkey_too_often")
		before := len(b.trailOf(t))
		b.from("203.0.113.9", "POST", "/auth/passkeys/sessions", map[string]any{"kind": "staff", "handle": "x", "credential": k.Sign(publicKey(t, q))}).
			Refused(t, 429, "identity.passkey_too_often")
		if after := len(b.trailOf(t)); after != before {
			t.Fatalf("%d rows for a refused network", after-before)
		}
		login("203.0.113.9", "zhang.san", strong).Refused(t, 401, "identity.login_wrong") // this step's code was used
	})
}

// Ten thousand bad logins on one name from as many networks: five are tried, the rest costs no hash and leaves no row, memory
// stays where it was, and the right person comes in by another way.
func TestTenThousandBadLogins(t *testing.T) {
	onSQLite(t, func(t *testing.T, b *bench) {
		a := b.employ(t, "zhang.san")
		k := newSoftKey(t)
		b.addKey(t, k, b.loginAs(t, "zhang.san", a)).Want(t, 201)
		rows := func() int {
			return b.count(t, `SELECT (SELECT COUNT(*) FROM trail) + (SELECT COUNT(*) FROM budget) + (SELECT COUNT(*) FROM refused_login)`)
		}
		before, heap := rows(), inUse()
		got := map[string]int{}
		for i := range 10_000 {
			r := b.from(fmt.Sprintf("10.%d.%d.%d", 1+i>>16, i>>8&255, i&255), "POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": "wrong", "totp": "000000"})
			got[r.Code]++
		}
		if got["identity.login_wrong"] != loginTries || got["identity.locked"] != 10_000-loginTries {
			t.Fatalf("%v", got)
		}
		// Five tries: a row in the trail, one for the owner, and one of the network each, and the name's own.
		if n := rows() - before; n > 3*loginTries+1 {
			t.Errorf("%d rows came of it", n)
		}
		if more := inUse() - heap; more > 8<<20 {
			t.Errorf("%d bytes of memory came of it", more)
		}
		b.do("POST", "/auth/staff/sessions", map[string]any{"username": "zhang.san", "password": strong, "totp": b.totp(a)}).Refused(t, 429, "identity.locked")
		b.enter(t, "staff", k.Sign).Want(t, 201)
		if n := b.count(t, `SELECT COUNT(*) FROM refused_login`); n != loginTries {
			t.Errorf("the owner sees %d refused logins", n)
		}
	})
}

// inUse is the memory that is in use after a collection.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
