package identitysvc

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/module"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
	"xinglin/internal/testkit/pgcluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if c, err := pgcluster.Shared(); err == nil && os.Getenv(pgcluster.Env) == "" {
		_ = c.Stop()
	}
	os.Exit(code)
}

// outbound is a notify that keeps what it was asked to send.
type outbound struct {
	mu       sync.Mutex
	messages []notify.Message
	contacts map[notify.AccountID]secret.Text
	err      error
}

func (o *outbound) Send(_ context.Context, m notify.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages = append(o.messages, m)
	return o.err
}

func (o *outbound) SetContact(_ context.Context, _ notify.TenantID, a notify.AccountID, p secret.Text) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.contacts[a] = p
	return nil
}

func (o *outbound) last() notify.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.messages[len(o.messages)-1]
}

// operators is a tenant registry of two.
type operators struct{ tenant.Service }

func (operators) List(context.Context) ([]tenant.Tenant, error) {
	return []tenant.Tenant{{ID: apitest.Main}, {ID: apitest.Other}}, nil
}

// bench is one process: the service, its door and what it sends.
type bench struct {
	*Service
	t   *testing.T
	mod *module.Module
	clk *clock.Manual
	out *outbound
	api *apitest.Harness
}

func newBench(t *testing.T, srv *db.Server, clk *clock.Manual, opts ...testkit.Option) *bench {
	t.Helper()
	b := &bench{t: t, clk: clk, out: &outbound{contacts: map[notify.AccountID]secret.Text{}}}
	b.Service, b.mod = New(testkit.Base(t, srv, Describe(), append(opts, testkit.WithClock(clk))...), operators{}, b.out)
	b.api = apitest.With(t, httpx.Options{Auth: b.Service, Clock: clk}, b.mod.Routes)
	stop, err := b.mod.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return b
}

// each runs the test on both engines.
func each(t *testing.T, f func(t *testing.T, b *bench), opts ...testkit.Option) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		clk.Set(testkit.Start)
		f(t, newBench(t, srv, clk, opts...))
	}, dbtest.WithClock(clk))
}

// onPostgres runs the test where serial writers hide nothing.
func onPostgres(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	clk := testkit.Clock()
	d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	f(t, newBench(t, d.Open(t, dbtest.WithClock(clk)), clk))
}

// onSQLite runs the test where a write costs least.
func onSQLite(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	clk := testkit.Clock()
	d := dbtest.Make(t, db.SQLite, testkit.Sets(Describe()))
	f(t, newBench(t, d.Open(t, dbtest.WithClock(clk)), clk))
}

const phone = "13800000000"

var (
	visitorOf = apitest.Nobody
	browser   = apitest.H("User-Agent", "Mozilla/5.0 (Linux; Android 14) AppleWebKit MicroMessenger/8.0")
)

// sendCode asks for a code over HTTP and returns the challenge and the code that went out.
func (b *bench) sendCode(t *testing.T, number string) (challenge, code string) {
	t.Helper()
	m := b.api.Do(visitorOf(apitest.Main), "POST", "/auth/codes", map[string]any{"phone": number}).Want(t, 202).Map(t)
	return m["challenge_id"].(string), b.out.last().Params["code"].Reveal()
}

// login opens a browser's session for a phone and returns its cookie.
func (b *bench) login(t *testing.T, number string) apitest.Header {
	t.Helper()
	ch, code := b.sendCode(t, number)
	r := b.api.Do(visitorOf(apitest.Main), "POST", "/auth/sessions", map[string]any{"challenge_id": ch, "code": code}, browser).Want(t, 201)
	return cookieOf(t, r)
}

func cookieOf(t *testing.T, r apitest.Response) apitest.Header {
	t.Helper()
	c, err := http.ParseSetCookie(r.Header.Get("Set-Cookie"))
	if err != nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Value == "" {
		t.Fatalf("cookie %+v %v", c, err)
	}
	return apitest.H("Cookie", httpx.CookieName+"="+c.Value)
}

// origin is what a browser sends with a write.
var origin = apitest.H("Origin", "http://"+apitest.Host(apitest.Main))

func (b *bench) do(method, path string, body any, headers ...apitest.Header) apitest.Response {
	b.t.Helper()
	return b.api.Do(visitorOf(apitest.Main), method, path, body, append(headers, origin)...)
}

const strong = "a long enough pass phrase"

// employ makes a member of staff with these roles.
func (b *bench) employ(t *testing.T, username string, roles ...auth.Role) identity.StaffAccount {
	t.Helper()
	spec := identity.StaffSpec{Username: username, Name: "张三", Password: secret.New(strong)}
	for _, r := range roles {
		spec.Grants = append(spec.Grants, auth.Grant{Role: r})
	}
	a, err := b.EnsureStaff(testkit.AsCLI(t.Context(), apitest.Main), spec)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (b *bench) totp(a identity.StaffAccount) string { return b.codeNow(a.TOTP) }

// loginAs logs a member of staff in and returns the cookie.
func (b *bench) loginAs(t *testing.T, username string, a identity.StaffAccount) apitest.Header {
	t.Helper()
	r := b.do("POST", "/auth/staff/sessions", map[string]any{"username": username, "password": strong, "totp": b.totp(a)}).Want(t, 201)
	return cookieOf(t, r)
}

// trailOf lists the audit rows: actor action why.
func (b *bench) trailOf(t *testing.T) []string {
	t.Helper()
	var out []string
	err := b.store.db.Read(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		out = nil
		rows, err := tx.Query(ctx, `SELECT actor, action, why, policy FROM trail WHERE tenant_id = $1 ORDER BY id`, apitest.Main)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var actor, action, why, policy string
			if err := rows.Scan(&actor, &action, &why, &policy); err != nil {
				return err
			}
			if policy == "" {
				t.Errorf("%s has no policy", action)
			}
			kind, _, _ := strings.Cut(actor, ":")
			out = append(out, strings.TrimSpace(kind+" "+strings.TrimPrefix(action, "identity.")+" "+why))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// count runs a query that gives one number.
func (b *bench) count(t *testing.T, sql string) (n int) {
	t.Helper()
	err := b.store.db.Read(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, sql).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	end := clock.Mono().Add(10 * time.Second)
	for !f() {
		if clock.Mono().After(end) {
			t.Fatalf("%s did not happen", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (b *bench) mobile(s string) secret.Text { return secret.New(s) }

// saveSession saves a session without a login.
func (b *bench) saveSession(t *testing.T, o opened, ts []token) error {
	t.Helper()
	return b.store.db.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return addSession(ctx, tx, o.session, ts, "identity.login_patient")
	})
}
