package tenantsvc

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/settings"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// shelf is another context's section, in memory.
type shelf struct {
	mu      sync.Mutex
	lives   int
	refuses error
}

func (s *shelf) section(name string) settings.Section {
	type v struct {
		N int `json:"n"`
	}
	return settings.Of(name, settings.Words{}, func(context.Context) (v, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return v{s.lives}, nil
	}, func(_ context.Context, x v) error {
		if x.N < 0 {
			return tenant.ErrInvalid.At("n", "below zero")
		}
		return nil
	}, func(_ context.Context, x v) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.refuses != nil {
			return s.refuses
		}
		s.lives = x.N
		return nil
	})
}

// office is a tenant with two shelves behind its own sections.
type office struct {
	*Service
	t     tenant.Tenant
	a, b  *shelf
	ctx   context.Context // the machine's operator
	first context.Context // two system administrators
	other context.Context
}

func newOffice(t *testing.T, d *dbtest.Database) *office {
	t.Helper()
	s := open(t, d)
	o := &office{Service: s, a: &shelf{}, b: &shelf{}}
	s.UseSections(append(s.ownSections(), o.a.section("x.a"), o.b.section("x.b")))
	o.t = ensure(t, s, tenant.Tenant{Code: "main", Name: "杏林医院"})
	o.ctx = testkit.AsCLI(t.Context(), o.t.ID)
	o.first = testkit.As(t.Context(), apitest.Staff(o.t.ID, auth.SystemAdmin))
	o.other = testkit.As(t.Context(), apitest.Staff(o.t.ID, auth.SystemAdmin))
	return o
}

// bundle is what lives with x.a and x.b set, under the tenant's signatures.
func (o *office) bundle(t *testing.T, a, b int) []byte {
	t.Helper()
	f, err := o.Export(o.ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.Bundle.Sections["x.a"], f.Bundle.Sections["x.b"] = number(a), number(b)
	raw, err := f.Text()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = o.Sign(o.ctx, raw); err != nil {
		t.Fatal(err)
	}
	raw, err = f.Text()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func number(n int) json.RawMessage {
	raw, _ := settings.Encode(map[string]int{"n": n})
	return raw
}

func (o *office) stage(t *testing.T, raw []byte) Bundle {
	t.Helper()
	b, _, err := o.Stage(o.first, raw)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (o *office) state(t *testing.T, b id.ID[Bundle]) Bundle {
	t.Helper()
	row, _, err := o.Bundle(o.first, b)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

var say = Decision{Why: "试点"}

func TestBundleApplyAndRollBack(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		o := newOffice(t, d)
		raw := o.bundle(t, 1, 2)
		b := o.stage(t, raw)
		if again := o.stage(t, raw); again.ID != b.ID {
			t.Errorf("staged twice: %s %s", b.ID, again.ID)
		}
		if _, err := o.Apply(o.first, b.ID, say); !errors.Is(err, tenant.ErrTwoPeople) {
			t.Errorf("by the same person: %v", err)
		}
		if _, err := o.Apply(o.first, b.ID, Decision{Why: "x y", Alone: true}); !errors.Is(err, tenant.ErrTwoPeople) {
			t.Errorf("alone at the console: %v", err)
		}
		if _, err := o.Apply(o.other, b.ID, Decision{}); !errors.Is(err, tenant.ErrWhy) {
			t.Errorf("without a reason: %v", err)
		}
		if o.a.lives != 0 {
			t.Fatal("a refused application changed something")
		}
		if _, err := o.Apply(o.other, b.ID, say); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the job may come twice
			if err := o.Carry(testkit.AsSystem(t.Context(), o.t.ID, "job"), b.ID); err != nil {
				t.Fatal(err)
			}
		}
		if row := o.state(t, b.ID); row.State != Live || row.Done != 4 || o.a.lives != 1 || o.b.lives != 2 {
			t.Fatalf("%+v %d %d", row, o.a.lives, o.b.lives)
		}
		if _, err := o.Apply(o.other, b.ID, say); !errors.Is(err, tenant.ErrBundleState) {
			t.Errorf("a second time: %v", err)
		}
		// What was made from the state before is stale now, and says what it would undo.
		if _, diff, err := o.Stage(o.first, raw); !errors.Is(err, tenant.ErrStaleBase) {
			t.Errorf("stale: %v %v", diff, err)
		}
		back, err := o.RollBack(o.first, b.ID, say)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Carry(o.ctx, back.ID); err != nil {
			t.Fatal(err)
		}
		if x, y := o.state(t, b.ID).State, o.state(t, back.ID).State; x != RolledBack || y != Live || o.a.lives != 0 || o.b.lives != 0 {
			t.Errorf("%s %s %d %d", x, y, o.a.lives, o.b.lives)
		}
		log, err := o.Bundles(o.first)
		if err != nil || len(log) != 2 || log[0].ID != back.ID || log[1].Why != say.Why {
			t.Errorf("%v %v", log, err)
		}
	})
}

func TestBundleHalts(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		o := newOffice(t, d)
		b := o.stage(t, o.bundle(t, 1, 2))
		c := o.stage(t, o.bundle(t, 3, 4))
		if _, err := o.Apply(o.other, b.ID, say); err != nil {
			t.Fatal(err)
		}
		o.b.refuses = errors.New("the database is away")
		if err := o.Carry(o.ctx, b.ID); err == nil || fault.Of(err) != nil {
			t.Fatalf("what may pass is repeated: %v", err)
		}
		if row := o.state(t, b.ID); row.State != Applying || row.Done != 3 || o.a.lives != 1 {
			t.Fatalf("%+v", row)
		}
		o.b.refuses = tenant.ErrInvalid.New()
		if err := o.Carry(o.ctx, b.ID); err != nil {
			t.Fatal(err)
		}
		row := o.state(t, b.ID)
		if row.State != Halted || row.HaltedAt != "x.b" || row.HaltedBy != "tenant.invalid" {
			t.Fatalf("%+v", row)
		}
		if _, err := o.Apply(o.other, c.ID, say); err == nil {
			t.Error("another one began beside a halted one")
		}
		if row, err := o.Apply(o.other, b.ID, say); err != nil || row.State != Applying {
			t.Fatalf("%+v %v", row, err)
		}
		if err := o.Carry(o.ctx, b.ID); err != nil {
			t.Fatal(err)
		}
		o.b.refuses = nil
		back, err := o.RollBack(o.first, b.ID, say)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Carry(o.ctx, back.ID); err != nil {
			t.Fatal(err)
		}
		if x := o.state(t, b.ID).State; x != RolledBack || o.a.lives != 0 || o.b.lives != 0 {
			t.Errorf("%s %d %d", x, o.a.lives, o.b.lives)
		}
	})
}

// Of many applications of two bundles at once one begins.
func TestBundleRace(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		o := newOffice(t, d)
		one, two := o.stage(t, o.bundle(t, 1, 2)), o.stage(t, o.bundle(t, 3, 4))
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				b := one
				if i%2 == 1 {
					b = two
				}
				_, errs[i] = o.Apply(o.other, b.ID, say)
			})
		}
		wg.Wait()
		begun := 0
		for _, err := range errs {
			switch {
			case err == nil:
				begun++
			case !errors.Is(err, tenant.ErrBundleBusy) && !errors.Is(err, tenant.ErrBundleState) && !errors.Is(err, tenant.ErrStaleBase):
				t.Error(err)
			}
		}
		if begun != 1 {
			t.Errorf("%d began", begun)
		}
	})
}

func TestBundleRefusals(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		o := newOffice(t, d)
		ensure(t, o.Service, tenant.Tenant{Code: "main", Name: "杏林医院", Hosts: []string{"a.example"}})
		renji := ensure(t, o.Service, tenant.Tenant{Code: "renji", Name: "仁济医院", Hosts: []string{"renji.example"}})
		good := string(o.bundle(t, 1, 2))
		there := testkit.As(t.Context(), apitest.Staff(renji.ID, auth.SystemAdmin))
		if _, _, err := o.Stage(there, []byte(good)); !errors.Is(err, tenant.ErrOtherTenant) {
			t.Errorf("another tenant's bundle: %v", err)
		}
		for name, c := range map[string]struct {
			text string
			want error
		}{
			"changed after it was signed": {strings.Replace(good, `"n": 1`, `"n": 9`, 1), settings.ErrSignature},
			"another tenant's name":       {strings.Replace(good, `"tenant": "main"`, `"tenant": "renji"`, 1), tenant.ErrOtherTenant},
			"future format":               {strings.Replace(good, "bundle/1", "bundle/9", 1), settings.ErrFormat},
			"a member twice":              {strings.Replace(good, `"n": 1`, `"n": 1, "n": 1`, 1), settings.ErrMalformed},
			"ten megabytes":               {good + strings.Repeat(" ", 10<<20), settings.ErrTooLarge},
		} {
			if _, _, err := o.Stage(o.first, []byte(c.text)); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		resigned := func(old, now string) []byte {
			f, err := o.Sign(o.ctx, []byte(strings.Replace(good, old, now, 1)))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := f.Text()
			return raw
		}
		if _, _, err := o.Stage(o.first, resigned(`"x.a"`, `"x.unknown"`)); !errors.Is(err, settings.ErrUnknown) {
			t.Errorf("unknown section: %v", err)
		}
		_, _, err := o.Stage(o.first, resigned(`"n": 2`, `"n": -2`))
		if f := fault.Of(err); !errors.Is(err, settings.ErrRefused) || f.Details[0].Path != "x.b.n" {
			t.Errorf("a section's own refusal: %v", err)
		}
		log, err := o.Bundles(o.first)
		if err != nil || len(log) != 0 || o.a.lives != 0 {
			t.Errorf("something was kept: %v %v", log, err)
		}
		b := o.stage(t, []byte(good))
		if _, err := o.Apply(there, b.ID, say); !errors.Is(err, tenant.ErrBundle) {
			t.Errorf("another tenant applies it: %v", err)
		}
		if _, err := o.RollBack(o.other, b.ID, say); !errors.Is(err, tenant.ErrBundleState) {
			t.Errorf("a rollback of what never lived: %v", err)
		}
		if err := o.Discard(o.other, b.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Apply(o.other, b.ID, say); !errors.Is(err, tenant.ErrBundleState) {
			t.Errorf("a discarded one: %v", err)
		}
	})
}

// A key of the hospital group is good from when it is trusted until it is not.
func TestBundleTrust(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		o := newOffice(t, d)
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := smx509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		k, err := settings.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		if err != nil {
			t.Fatal(err)
		}
		f, err := settings.Read(o.bundle(t, 1, 2))
		if err != nil {
			t.Fatal(err)
		}
		if f, err = f.Bundle.Signed(k); err != nil {
			t.Fatal(err)
		}
		raw, err := f.Text()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.Stage(o.first, raw); !errors.Is(err, settings.ErrUntrusted) {
			t.Errorf("untrusted: %v", err)
		}
		made, err := o.Trust(o.ctx, "集团信息中心", k.Public())
		if err != nil {
			t.Fatal(err)
		}
		b := o.stage(t, raw)
		if err := o.Distrust(o.ctx, made.Name); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Apply(o.other, b.ID, say); !errors.Is(err, settings.ErrUntrusted) {
			t.Errorf("staged while trusted, applied after: %v", err)
		}
	})
}

func TestHostsThatLookAlike(t *testing.T) {
	for _, h := range []string{"xn--80ak6aa92e.com", "www.xn--fiqs8s", "аррle.com", "a b", "x..y", "-a.com"} {
		if _, err := normal(tenant.Tenant{Code: "main", Name: "x", Hosts: []string{h}}); !errors.Is(err, tenant.ErrInvalid) {
			t.Errorf("%s: %v", h, err)
		}
	}
}

func TestSiteKeepsItsHostBesideOthers(t *testing.T) {
	each(t, func(t *testing.T, d *dbtest.Database) {
		o := newOffice(t, d)
		ensure(t, o.Service, tenant.Tenant{Code: "main", Name: "杏林医院", Hosts: []string{"a.example"}})
		ensure(t, o.Service, tenant.Tenant{Code: "renji", Name: "仁济医院", Hosts: []string{"renji.example"}})
		for _, c := range []struct {
			hosts []string
			want  error
		}{{[]string{}, tenant.ErrInvalid}, {[]string{"renji.example"}, tenant.ErrHostTaken}, {[]string{"B.example"}, tenant.ErrInvalid}, {[]string{"a.example"}, nil}} {
			if err := o.checkSite(o.ctx, siteSection{"杏林医院", c.hosts}); !errors.Is(err, c.want) {
				t.Errorf("%v: %v", c.hosts, err)
			}
		}
		if names := o.t.Hosts; slices.Contains(names, "renji.example") {
			t.Error(names)
		}
	})
}
