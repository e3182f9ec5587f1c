package identitysvc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

func TestPatientLogin(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ch, code := b.sendCode(t, " +86 138-0000-0000")
		m := b.out.last()
		if m.ID.String() != ch || m.Template != "identity.code" || m.Phone.Reveal() != phone || !m.Expires.Equal(testkit.Start.Add(codeTime)) {
			t.Fatalf("message %+v", m)
		}
		r := b.do("POST", "/auth/sessions", map[string]any{"challenge_id": ch, "code": code}, browser).Want(t, 201)
		me := r.Map(t)
		if me["kind"] != "patient" || me["phone_masked"] != "138****0000" || me["name"] != "" || me["factors"] != 1.0 || me["demo"] != false {
			t.Fatalf("me %v", me)
		}
		if strings.Contains(string(r.Body), code) || strings.Contains(string(r.Body), phone) {
			t.Fatal("the answer tells too much")
		}
		in := cookieOf(t, r)
		if got := b.do("GET", "/auth/me", nil, in).Want(t, 200).Map(t); fmt.Sprint(got) != fmt.Sprint(me) {
			t.Fatalf("%v, want %v", got, me)
		}
		// The code is used up.
		b.do("POST", "/auth/sessions", map[string]any{"challenge_id": ch, "code": code}).Refused(t, 401, "identity.code_expired")
		// The same phone is the same account.
		b.clk.Add(codeGap)
		again := b.login(t, phone)
		if got := b.do("GET", "/auth/me", nil, again).Want(t, 200).Map(t); got["account_id"] != me["account_id"] {
			t.Fatalf("another account: %v", got)
		}
		want := []string{"system send_code login", "patient login_patient", "system login_patient identity.code_expired", "system send_code login", "patient login_patient"}
		if got := b.trailOf(t); !slices.Equal(got, want) {
			t.Fatalf("trail %q, want %q", got, want)
		}
		// notify learns the phone of the new account, by a job.
		if n := b.count(t, `SELECT COUNT(*) FROM job WHERE kind = 'identity.set_contact'`); n != 1 {
			t.Fatalf("%d contact jobs", n)
		}
	})
}

func TestCodeRefusals(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ch, code := b.sendCode(t, phone)
		use := func(challenge, code string) apitest.Response {
			return b.do("POST", "/auth/sessions", map[string]any{"challenge_id": challenge, "code": code})
		}
		wrong := "000000"
		if code == wrong {
			wrong = "000001"
		}
		use("01900000-0000-7000-8000-000000000001", code).Refused(t, 401, "identity.code_expired")
		use(ch, "12").Refused(t, 422, "http.invalid")
		use("no id", code).Refused(t, 422, "http.invalid")
		// Of another tenant: there is no such challenge, and no try is lost.
		b.api.Do(apitest.Nobody(apitest.Other), "POST", "/auth/sessions", map[string]any{"challenge_id": ch, "code": code}).Refused(t, 401, "identity.code_expired")
		// For another purpose.
		if _, err := b.UseCode(t.Context(), apitest.Main, b.lastChallenge(t), identity.Proof, code); !errors.Is(err, identity.ErrCodeExpired) {
			t.Fatalf("other purpose: %v", err)
		}
		for range codeTries - 1 {
			use(ch, wrong).Refused(t, 401, "identity.code_wrong")
		}
		use(ch, code).Want(t, 201) // the fifth try is right
		b.clk.Add(codeGap)
		ch, code = b.sendCode(t, phone)
		for range codeTries {
			use(ch, flip(code)).Refused(t, 401, "identity.code_wrong")
		}
		use(ch, code).Refused(t, 401, "identity.code_expired")
		b.clk.Add(codeGap)
		ch, code = b.sendCode(t, phone)
		b.clk.Add(codeTime)
		use(ch, code).Refused(t, 401, "identity.code_expired")
		for _, bad := range []string{"", "1380000000", "23800000000", "138000000000", "1380000000a"} {
			b.do("POST", "/auth/codes", map[string]any{"phone": bad}).Refused(t, 422, "identity.phone_invalid")
		}
		b.do("POST", "/auth/codes", map[string]any{"phone": phone, "tenant": "x"}).Refused(t, 422, "http.invalid")
		b.api.Do(apitest.Nobody(apitest.Main), "POST", "/auth/codes", map[string]any{"phone": phone}, apitest.H("Origin", "http://evil.example")).Refused(t, 403, "http.origin")
	})
}

func flip(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return "9" + code[1:]
}

func (b *bench) lastChallenge(t *testing.T) identity.ChallengeID {
	t.Helper()
	return identity.ChallengeID(b.out.last().ID)
}

func TestCodeRates(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		send := func(number string) apitest.Response {
			return b.do("POST", "/auth/codes", map[string]any{"phone": number})
		}
		send(phone).Want(t, 202)
		b.clk.Add(codeGap - time.Second)
		if r := send(phone).Refused(t, 429, "identity.code_too_often"); r.Header.Get("Retry-After") != "1" {
			t.Fatalf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		send("13900000000").Want(t, 202) // another phone may
		for range codesADay - 1 {
			b.clk.Add(codeGap)
			send(phone).Want(t, 202)
		}
		b.clk.Add(codeGap)
		r := send(phone).Refused(t, 429, "identity.code_too_often")
		if r.Header.Get("Retry-After") == "60" || r.Header.Get("Retry-After") == "1" {
			t.Fatalf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		b.clk.Set(testkit.Start.Add(24 * time.Hour))
		send(phone).Want(t, 202)
	})
}

// A caller that does not know whether its text has left asks again with its own id:
// one text, one code, no budget, also within the minute.
func TestCodeOfOwnID(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		own := id.New[identity.Challenge](b.clk.Now())
		phone := secret.New("13912340000")
		for range 2 {
			c, err := b.SendCode(t.Context(), apitest.Main, own, phone, identity.Proof)
			if err != nil || c.ID != own {
				t.Fatal(c, err)
			}
		}
		code := b.out.last().Params["code"].Reveal()
		for _, m := range b.out.messages {
			if m.ID != id.As[id.Any](own) || m.Params["code"].Reveal() != code {
				t.Fatal("another message than the first")
			}
		}
		if got, err := b.UseCode(t.Context(), apitest.Main, own, identity.Proof, code); err != nil || !got.Equal(phone) {
			t.Fatal(err)
		}
		if _, err := b.SendCode(t.Context(), apitest.Main, identity.ChallengeID{}, phone, identity.Proof); !errors.Is(err, identity.ErrCodeTooOften) {
			t.Fatal(err)
		}
	})
}

func TestCodesPerAddress(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ask := func(origin string, n int) error {
			ctx := obs.WithOrigin(t.Context(), origin)
			_, err := b.SendCode(ctx, apitest.Main, identity.ChallengeID{}, secret.New(fmt.Sprintf("139%08d", n)), identity.Login)
			return err
		}
		for i := range codesAnHour {
			if err := ask("http 192.0.2.7", i); err != nil {
				t.Fatal(err)
			}
		}
		if err := ask("http 192.0.2.7", 100); !errors.Is(err, identity.ErrAddressTooOften) {
			t.Fatal(err)
		}
		if err := ask("http 192.0.2.8", 100); err != nil {
			t.Fatal(err)
		}
		for i := range codesAnHour {
			if err := ask(fmt.Sprintf("http 2001:db8:1:2::%x", i+1), 200+i); err != nil {
				t.Fatal(err)
			}
		}
		if err := ask("http 2001:db8:1:2:ffff::1", 300); !errors.Is(err, identity.ErrAddressTooOften) {
			t.Fatalf("one household: %v", err)
		}
		b.clk.Add(time.Hour)
		if err := ask("http 192.0.2.7", 101); err != nil {
			t.Fatal(err)
		}
	})
}

// Nothing in the tables tells a phone or a code.
func TestNoPersonalDataInTables(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.login(t, phone)
		code := b.out.last().Params["code"].Reveal()
		if n := b.count(t, `SELECT COUNT(*) FROM trail WHERE CAST(changed AS TEXT) LIKE '%`+phone+`%' OR object LIKE '%`+phone+`%' OR why LIKE '%`+code+`%'`); n != 0 {
			t.Fatal("the trail has personal data")
		}
		if n := b.count(t, `SELECT COUNT(*) FROM job WHERE CAST(payload AS TEXT) LIKE '%`+phone+`%'`); n != 0 {
			t.Fatal("a job has personal data")
		}
		a, err := b.EnsurePatient(testkit.AsCLI(t.Context(), apitest.Main), secret.New(phone))
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Phone(t.Context(), apitest.Main, a)
		if err != nil || got.Reveal() != phone {
			t.Fatal(got.Reveal(), err)
		}
		if _, err := b.Phone(t.Context(), apitest.Other, a); !errors.Is(err, identity.ErrNotFound) {
			t.Fatalf("other tenant: %v", err)
		}
		if err := b.setContact(testkit.AsSystem(t.Context(), apitest.Main, "job"), contactJob{apitest.Main, a}); err != nil || b.out.contacts[a].Reveal() != phone {
			t.Fatal(err)
		}
	})
}

func TestEnsurePatient(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := testkit.AsCLI(t.Context(), apitest.Main)
		one, err := b.EnsurePatient(ctx, secret.New(phone))
		if err != nil {
			t.Fatal(err)
		}
		two, err := b.EnsurePatient(ctx, secret.New(phone))
		if err != nil || one != two {
			t.Fatal(one, two, err)
		}
		other, err := b.EnsurePatient(testkit.AsCLI(t.Context(), apitest.Other), secret.New(phone))
		if err != nil || other == one {
			t.Fatal("the other tenant has its own account", err)
		}
		if _, err := b.EnsurePatient(testkit.As(t.Context(), apitest.Patient(apitest.Main)), secret.New(phone)); err == nil {
			t.Fatal("a patient may not")
		}
	})
}

// Two uses of one code at the same moment: one wins.
func TestCodeRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		ch, code := b.sendCode(t, phone)
		var mu sync.Mutex
		got := map[int]int{}
		var wg sync.WaitGroup
		for range 12 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/sessions", map[string]any{"challenge_id": ch, "code": code})
				mu.Lock()
				got[r.Status]++
				mu.Unlock()
			}()
		}
		wg.Wait()
		if got[201] != 1 || got[401] != 11 {
			t.Fatalf("%v", got)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM session`); n != 1 {
			t.Fatalf("%d sessions", n)
		}
	})
}

// Wrong guesses at the same moment get five tries in all.
func TestGuessRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		ch, code := b.sendCode(t, phone)
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for range 20 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/sessions", map[string]any{"challenge_id": ch, "code": flip(code)})
				mu.Lock()
				got[r.Code]++
				mu.Unlock()
			}()
		}
		wg.Wait()
		if got["identity.code_wrong"] != codeTries || got["identity.code_expired"] != 15 {
			t.Fatalf("%v", got)
		}
	})
}

// Many askers for one phone at the same moment: one code.
func TestRateRace(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for range 12 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := b.do("POST", "/auth/codes", map[string]any{"phone": phone})
				mu.Lock()
				got[r.Status]++
				mu.Unlock()
			}()
		}
		wg.Wait()
		if got[202] != 1 || got[429] != 11 {
			t.Fatalf("%v", got)
		}
	})
}

func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.login(t, phone)
		for _, step := range []struct {
			after                               time.Duration
			challenges, budgets, tokens, logins int
		}{
			{time.Hour, 1, 2, 1, 1},
			{25 * time.Hour, 0, 2, 1, 1},
			{49 * time.Hour, 0, 0, 1, 1},
			{30*24*time.Hour + 25*time.Hour, 0, 0, 0, 1},
			{60*24*time.Hour + time.Hour, 0, 0, 0, 0},
		} {
			b.clk.Set(testkit.Start.Add(step.after))
			if err := b.sweep(testkit.AsSystem(t.Context(), auth.Principal{}.Tenant, "sweep")); err != nil {
				t.Fatal(err)
			}
			got := []int{
				b.count(t, `SELECT COUNT(*) FROM challenge`), b.count(t, `SELECT COUNT(*) FROM budget`),
				b.count(t, `SELECT COUNT(*) FROM token`), b.count(t, `SELECT COUNT(*) FROM session`),
			}
			if want := []int{step.challenges, step.budgets, step.tokens, step.logins}; !slices.Equal(got, want) {
				t.Fatalf("after %s: %v, want %v", step.after, got, want)
			}
		}
	})
}

// The second lock: without a tenant's own transaction there is nothing to see.
func TestOtherTenantSeesNothing(t *testing.T) {
	onPostgres(t, func(t *testing.T, b *bench) {
		b.login(t, phone)
		var n int
		err := b.store.db.Read(t.Context(), apitest.Other, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, `-- global: a test of the second lock
SELECT (SELECT COUNT(*) FROM account) + (SELECT COUNT(*) FROM session) + (SELECT COUNT(*) FROM token) + (SELECT COUNT(*) FROM challenge)`).Scan(&n)
		})
		if err != nil || n != 0 {
			t.Fatal(n, err)
		}
	})
}
