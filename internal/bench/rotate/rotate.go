// Package rotate measures a rotation of keys: rows of accounts (sealed under the tenant's key) and of patients (each under a key of the
// person's own) with their blind indexes are brought to new generations by the product's own machines, while others enter people,
// find them again and read them.
package rotate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"xinglin/internal/app"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/rekey"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit/pgcluster"
)

// Options of one run.
type Options struct {
	Dir   string // for the files
	Rows  int    // half of them accounts, half patients
	Share int    // of the time that the machines work, in percent; 0 is the product's
	Users int    // who read and enter
}

// Traffic is what the users did.
type Traffic struct {
	Requests int     `json:"requests"`
	Refused  int     `json:"refused"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// Result is one engine's.
type Result struct {
	Engine  string  `json:"engine"`
	Rows    int     `json:"rows"`
	Seeding float64 `json:"seeding_s"`
	Changed int64   `json:"changed"` // rows of tables and of indexes that were brought over
	Work    float64 `json:"work_s"`  // until the last of them was
	Rate    float64 `json:"changed_per_s"`
	Ended   float64 `json:"ended_s"` // until a last pass found nothing under an older key
	Skipped int64   `json:"skipped"`
	Old     int64   `json:"under_old_keys"` // values, at the end
	Before  Traffic `json:"before"`
	During  Traffic `json:"during"`
}

// SQLite measures in a folder of its own.
func SQLite(ctx context.Context, o Options) (Result, error) {
	where := config.Where{Data: filepath.Join(o.Dir, "sqlite")}
	return run(ctx, "sqlite", where, o)
}

// Postgres measures in a cluster of its own, with fsync. Those who use it are another process, as it were: with keys that it keeps for
// itself and no word of the rotation.
func Postgres(ctx context.Context, o Options) (r Result, err error) {
	c, err := pgcluster.Start(ctx, pgcluster.WithFsync())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	name, drop, err := c.CreateDatabase(ctx, "")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if err := app.MigratePostgres(ctx, c.MigrateDSN(name), pgcluster.App); err != nil {
		return r, err
	}
	keys := filepath.Join(o.Dir, "root")
	srv, err := db.Open(ctx, db.Options{DSN: c.AppDSN(name)})
	if err != nil {
		return r, err
	}
	store, err := srv.Context(ctx, "keys")
	if err == nil {
		_, err = crypt.Open(ctx, crypt.Options{DB: store, Keys: "file:" + keys, Create: true})
	}
	if err := errors.Join(err, srv.Close()); err != nil {
		return r, err
	}
	return run(ctx, "postgres", config.Where{DB: c.AppDSN(name), Keys: "file:" + keys}, o)
}

func run(ctx context.Context, engine string, where config.Where, o Options) (r Result, err error) {
	h, closeAll, err := app.Offline(ctx, where, false)
	if err != nil {
		return r, err
	}
	defer closeAll()
	users := h
	if where.DB != "" {
		other, closeOther, err := app.Offline(ctx, where, false)
		if err != nil {
			return r, err
		}
		defer closeOther()
		users = other
	}
	t, err := h.Tenants.Ensure(auth.With(ctx, auth.Principal{Kind: auth.System, Name: "bench"}), tenant.Tenant{Code: app.DefaultTenant, Name: "医院"})
	if err != nil {
		return r, err
	}
	r = Result{Engine: engine, Rows: o.Rows}
	began := clock.Mono()
	if err := seed(ctx, h, t.ID, o.Rows/2); err != nil {
		return r, err
	}
	r.Seeding = clock.Mono().Sub(began).Seconds()
	crowd := &crowd{h: users, tenant: t.ID, known: o.Rows / 2, users: o.Users}
	if r.Before, err = crowd.during(ctx, func(ctx context.Context) error { return wait(ctx, warm) }); err != nil {
		return r, err
	}
	r.During, err = crowd.during(ctx, func(ctx context.Context) error { return r.rotate(ctx, h, t.ID, o) })
	if err != nil {
		return r, err
	}
	r.Old, err = old(ctx, h, t.ID)
	return r, err
}

const warm = 5 * time.Second

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rotate runs the contexts' machines side by side, as the serving processes do.
func (r *Result) rotate(ctx context.Context, h *app.House, t tenant.ID, o Options) error {
	began := clock.Mono()
	if _, err := h.Crypt().Rotate(ctx, t, app.KeyParts()); err != nil {
		return err
	}
	machines := h.Rekeyers(rekey.Options{Share: o.Share})
	for {
		errs := make([]error, len(machines))
		var wg sync.WaitGroup
		for i, m := range machines {
			wg.Go(func() { errs[i] = m.Run(ctx) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		v, err := h.Crypt().LastRotation(ctx, t)
		if err != nil {
			return err
		}
		var changed int64
		for _, p := range v.Parts {
			changed += p.Changed
		}
		if changed > r.Changed {
			r.Changed, r.Work = changed, clock.Mono().Sub(began).Seconds()
		}
		if !v.Ended.IsZero() {
			for _, p := range v.Parts {
				r.Skipped += p.Skipped
			}
			r.Ended, r.Rate = clock.Mono().Sub(began).Seconds(), float64(r.Changed)/r.Work
			return nil
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

// crowd are those who use the product: each enters somebody new, finds somebody who is there, and reads a person, in turn.
type crowd struct {
	h      *app.House
	tenant tenant.ID
	known  int // people who are there
	users  int
	made   int // rounds before
}

// during lets the crowd go on while f works.
func (c *crowd) during(ctx context.Context, f func(context.Context) error) (out Traffic, err error) {
	done, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var times []float64
	var first error
	var wg sync.WaitGroup
	c.made++
	for u := range c.users {
		wg.Go(func() {
			for n := 0; done.Err() == nil; n++ {
				began := clock.Mono()
				err := c.request(ctx, u, n)
				took := clock.Mono().Sub(began)
				mu.Lock()
				times = append(times, float64(took.Microseconds())/1000)
				if err != nil {
					out.Refused++
					first = err
				}
				mu.Unlock()
				_ = wait(done, pause)
			}
		})
	}
	err = f(ctx)
	stop()
	wg.Wait()
	if err == nil && first != nil {
		err = fmt.Errorf("%d of %d requests were refused: %w", out.Refused, len(times), first)
	}
	slices.Sort(times)
	out.Requests = len(times)
	if len(times) > 0 {
		out.P50, out.P99 = times[len(times)/2], times[len(times)*99/100]
	}
	return out, err
}

const pause = 20 * time.Millisecond

func (c *crowd) request(ctx context.Context, u, n int) error {
	desk := auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: c.tenant, Name: "bench"})
	at := (u*7919 + n*104729) % c.known
	if n%3 == 0 {
		a, err := c.h.Identity.EnsurePatient(desk, secret.New(phoneOf(at)))
		if err == nil && a != accountOf(at) {
			err = fmt.Errorf("phone %d has another account", at)
		}
		return err
	}
	if n%3 == 1 {
		p, err := c.h.Patients.MaskedNames(ctx, c.tenant, []patient.ID{patientOf(at)})
		if err == nil && p[patientOf(at)] == "" {
			err = fmt.Errorf("person %d has no name", at)
		}
		return err
	}
	fresh := c.known + c.made*10_000_000 + u*1_000_000 + n
	a, err := c.h.Identity.EnsurePatient(desk, secret.New(fmt.Sprintf("15%09d", fresh%1_000_000_000)))
	if err != nil {
		return err
	}
	own := auth.With(ctx, auth.Principal{Kind: auth.Patient, Tenant: c.tenant, Account: a, Factors: 1})
	_, _, err = c.h.Patients.Add(own, patient.New{
		Name: secret.New("张小三"), DocumentType: patient.Passport, Document: secret.New(fmt.Sprintf("E%08d", fresh%100_000_000)),
		Birth: clock.NewDate(1980, 5, 1), Sex: "male", Phone: secret.New("13800138000"), Relationship: patient.Self,
	})
	return err
}
