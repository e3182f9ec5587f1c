package patientsvc

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/realname"
	"xinglin/internal/platform/verify"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// house is the context on one engine, with the other side faked.
type house struct {
	t    *testing.T
	s    *Service
	mod  *module.Module
	base module.Base
	clk  *clock.Manual
	acc  *accounts
	real *realNames
	jobs *job.Runner
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		f(t, newHouse(t, srv, clk, ""))
	}, dbtest.WithClock(clk))
}

func newHouse(t *testing.T, srv *db.Server, clk *clock.Manual, algorithm string) *house {
	t.Helper()
	clk.Set(testkit.Start)
	base := testkit.Base(t, srv, Describe(), testkit.WithClock(clk))
	if algorithm != "" {
		base.Crypt = ring(t, srv, clk, algorithm)
	}
	h := &house{t: t, base: base, clk: clk, acc: &accounts{clk: clk, phones: map[accountID]string{}}, real: &realNames{clk: clk}}
	h.s, h.mod = New(base, h.acc, h.real)
	var err error
	if h.jobs, err = job.NewRunner(job.Options{DB: base.DB, Handlers: h.mod.Jobs, Clock: clk, Log: base.Log}); err != nil {
		t.Fatal(err)
	}
	return h
}

// ring seals with the algorithm of the test.
func ring(t *testing.T, srv *db.Server, c clock.Clock, algorithm string) *crypt.Ring {
	t.Helper()
	keys, err := srv.Context(t.Context(), "keys")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "root")
	root := hex.EncodeToString([]byte("the root key of every test: 32 B"))
	if err := os.WriteFile(file, []byte(root), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := crypt.Open(t.Context(), crypt.Options{DB: keys, Keys: "file:" + file, Algorithm: algorithm, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (h *house) as(p auth.Principal) context.Context { return testkit.As(context.Background(), p) }

// run does the due jobs.
func (h *house) run() {
	h.t.Helper()
	if _, err := h.jobs.RunDue(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

// add enters a person and wants it added.
func (h *house) add(who auth.Principal, n patient.New) patient.Patient {
	h.t.Helper()
	p, c, err := h.s.Add(h.as(who), n)
	if err != nil || p == nil || c != nil {
		h.t.Fatalf("add: %v %v %v", p, c, err)
	}
	return *p
}

// claim enters a person and wants a claim.
func (h *house) claim(who auth.Principal, n patient.New) patient.Claim {
	h.t.Helper()
	p, c, err := h.s.Add(h.as(who), n)
	if err != nil || p != nil || c == nil {
		h.t.Fatalf("claim: %v %v %v", p, c, err)
	}
	return *c
}

// count asks for one number in the tenant.
func (h *house) count(query string, args ...any) (n int) {
	h.t.Helper()
	err := h.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, query, append([]any{apitest.Main}, args...)...).Scan(&n)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

var idText = regexp.MustCompile(`id_text\(([a-z0-9_.]+)\)`)

// violations runs verify over the context and gives the broken lines.
func (h *house) violations() (out []string) {
	h.t.Helper()
	var cs []verify.Check
	for _, c := range h.mod.Checks {
		c.SQL = idText.ReplaceAllString(c.SQL, "CAST($1 AS TEXT)") // verify's own text is nicer to read
		cs = append(cs, c)
	}
	var ss []verify.Set
	for _, x := range h.mod.Sets {
		x.SQL = idText.ReplaceAllString(x.SQL, "CAST($1 AS TEXT)")
		ss = append(ss, x)
	}
	r, err := verify.Run(context.Background(), []verify.Unit{{
		Context: "patient", DB: h.base.DB, Checks: cs, Sets: ss,
		Events: []string{patient.Created{}.EventName(), patient.LinkChanged{}.EventName()},
		Jobs:   []string{jobSendCode, jobShredKeys},
	}}, []verify.Subset{{Name: "patient: acts of the history", Left: "patient.acts", Right: "patient.acts"}}, io.Discard)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range r.Lines {
		if l.Violations > 0 {
			out = append(out, l.Name)
		}
	}
	return out
}

func (h *house) clean() {
	h.t.Helper()
	if v := h.violations(); len(v) > 0 {
		h.t.Errorf("verify: %q", v)
	}
}

func refused(t *testing.T, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// ---- persons ----

// residentID completes region, birth and order to a number with its check digit, by the
// table of the standard (the code sums powers of two).
func residentID(birth string, order int) string {
	n := fmt.Sprintf("110105%s%03d", birth, order)
	weights := []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(n[i]-'0') * w
	}
	return n + string("10X98765432"[sum%11])
}

func newPerson(name, number, phone string, rel patient.Relationship) patient.New {
	return patient.New{Name: secret.New(name), DocumentType: patient.ResidentID, Document: secret.New(number), Phone: secret.New(phone), Relationship: rel}
}

var (
	zhang = newPerson("张小三", residentID("19900307", 123), "13800138000", patient.Self)
	child = patient.New{
		Name: secret.New("张小宝"), DocumentType: patient.ResidentID, Document: secret.New(residentID("20180601", 24)),
		Phone: secret.New("13800138000"), Relationship: patient.Child, GuardianConsent: true,
	}
)

func with(n patient.New, f func(*patient.New)) patient.New { f(&n); return n }

// ---- the other side ----

// accounts is identity as this context uses it.
type accounts struct {
	identity.Service
	clk    clock.Clock
	mu     sync.Mutex
	phones map[accountID]string
	sent   []sentCode
	busy   bool              // codes are asked for too often
	left   func(code string) // runs when a text has left, before the one who asked for it knows
}

type sentCode struct {
	challenge   identity.ChallengeID
	phone, code string
	used        bool
	tries       int
}

func (a *accounts) Phone(_ context.Context, _ identity.TenantID, acc identity.AccountID) (secret.Text, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.phones[acc]
	if !ok {
		return secret.Text{}, identity.ErrNotFound.New()
	}
	return secret.New(p), nil
}

func (a *accounts) SendCode(_ context.Context, _ identity.TenantID, own identity.ChallengeID, phone secret.Text, p identity.Purpose) (identity.Challenge, error) {
	c, err := a.send(own, phone, p)
	if err == nil && a.left != nil {
		a.left(c.code)
	}
	return identity.Challenge{ID: c.challenge, ResendAfter: time.Minute}, err
}

func (a *accounts) send(own identity.ChallengeID, phone secret.Text, p identity.Purpose) (sentCode, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p != identity.Proof || own.IsZero() {
		return sentCode{}, identity.ErrInvalid.New()
	}
	if i := slices.IndexFunc(a.sent, func(c sentCode) bool { return c.challenge == own }); i >= 0 {
		return a.sent[i], nil
	}
	if a.busy {
		return sentCode{}, identity.ErrCodeTooOften.New()
	}
	c := sentCode{challenge: own, phone: phone.Reveal(), code: fmt.Sprintf("%06d", 100000+len(a.sent))}
	a.sent = append(a.sent, c)
	return c, nil
}

func (a *accounts) UseCode(_ context.Context, _ identity.TenantID, ch identity.ChallengeID, _ identity.Purpose, code string) (secret.Text, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.sent {
		c := &a.sent[i]
		if c.challenge != ch {
			continue
		}
		if c.used || c.tries >= 5 {
			return secret.Text{}, identity.ErrCodeExpired.New()
		}
		if c.tries++; c.code != code {
			return secret.Text{}, identity.ErrCodeWrong.New()
		}
		c.used = true
		return secret.New(c.phone), nil
	}
	return secret.Text{}, identity.ErrCodeExpired.New()
}

func (a *accounts) last(t *testing.T) sentCode {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sent) == 0 {
		t.Fatal("no code was sent")
	}
	return a.sent[len(a.sent)-1]
}

// realNames is the real-name service.
type realNames struct {
	clk     clock.Clock
	outcome realname.Outcome
	err     error
	asked   []realname.Person
	before  func() // runs while the question is under way
}

func (r *realNames) Verify(_ context.Context, p realname.Person) (realname.Result, error) {
	r.asked = append(r.asked, p)
	if r.before != nil {
		r.before()
	}
	if r.err != nil {
		return realname.Result{}, r.err
	}
	return realname.Result{Outcome: r.outcome, Reference: fmt.Sprintf("ref-%d", len(r.asked)), At: r.clk.Now()}, nil
}

// dump is everything that stands in the frame's and our text columns, to look for personal data.
func (h *house) dump() string {
	h.t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`SELECT actor || action || noun || object || policy || why || CAST(changed AS TEXT) || origin || trace || number FROM trail WHERE tenant_id = $1`,
		`SELECT name || number FROM outbox WHERE tenant_id = $1`,
		`SELECT payload FROM outbox WHERE tenant_id = $1`, // one event is too small to be packed
		`SELECT kind || key || CAST(payload AS TEXT) || error FROM job WHERE tenant_id = $1`,
		`SELECT noun || from_state || to_state FROM history WHERE tenant_id = $1`,
	} {
		err := h.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			rows, err := tx.Query(ctx, q, apitest.Main)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var text []byte
				if err := rows.Scan(&text); err != nil {
					return err
				}
				b.Write(append(text, '\n'))
			}
			return rows.Err()
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return b.String()
}
