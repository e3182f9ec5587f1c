package patientsvc

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/rekey"
	"xinglin/internal/platform/verify"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// process is another process on the same database: it hears of a rotation only through what it reads.
func (h *house) process(srv *db.Server) *Service {
	base := h.base
	base.Crypt = testkit.Ring(h.t, srv, h.clk)
	s, _ := New(base, h.acc, h.real)
	return s
}

// rotate runs one rotation to its end, by machines that are killed again and again.
func (h *house) rotate(srv *db.Server) crypt.Rotation {
	h.t.Helper()
	ring := testkit.Ring(h.t, srv, h.clk)
	_, err := ring.Rotate(context.Background(), apitest.Main, rekey.Parts("patient", keyed()))
	if err != nil {
		h.t.Error(err)
		return crypt.Rotation{}
	}
	limit := clock.Mono().Add(time.Minute)
	for runs := 0; clock.Mono().Before(limit); runs++ {
		ring := testkit.Ring(h.t, srv, h.clk)
		m := rekey.New(rekey.Options{
			Unit: rekey.Unit{Context: "patient", DB: h.base.DB, Columns: keyed()}, Ring: ring, Clock: h.clk, Batch: 16, Settle: time.Second, Share: 90,
		})
		life := time.Minute
		if runs < 15 {
			life = time.Duration(5+rand.N(60)) * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), life)
		_ = m.Run(ctx) // a killed one says so
		cancel()
		h.clk.Add(time.Second)
		v, err := ring.LastRotation(context.Background(), apitest.Main)
		if err != nil {
			h.t.Error(err)
			return v
		}
		if !v.Ended.IsZero() {
			return v
		}
	}
	h.t.Error("the rotation does not end")
	return crypt.Rotation{}
}

func numbered(n int) patient.New {
	return newPerson("张小三", residentID("19900307", n), fmt.Sprintf("139%08d", n), patient.Self)
}

// While two rotations go on, killed at random, many processes enter the same persons at once, some of them with keys from before:
// each document makes one Patient, everybody is found by document, phone and name all the time, and a phone that changes meanwhile
// is not put back.
func TestRotateWhilePeopleAreEntered(t *testing.T) {
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv, clk, "")
		const before, after, processes = 8, 24, 3
		who := apitest.Patient(apitest.Main)
		for n := range before {
			h.add(apitest.Patient(apitest.Main), numbered(n))
		}
		own := h.add(who, newPerson("李四", residentID("19900307", 900), "13700000000", patient.Self))
		var rotating atomic.Bool
		rotating.Store(true)
		var entered, looked, changes atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			defer rotating.Store(false)
			for range 2 {
				h.rotate(srv)
			}
		})
		for range processes {
			s := h.process(srv)
			wg.Go(func() {
				for n := 0; n < before+after || rotating.Load() && n < 60; n++ {
					if _, _, err := s.Add(h.as(apitest.Patient(apitest.Main)), numbered(n)); err != nil {
						t.Errorf("person %d: %v", n, err)
						return
					}
					entered.Add(1)
				}
			})
		}
		late := h.process(srv)
		wg.Go(func() {
			for n := 0; rotating.Load() && !t.Failed(); n++ {
				h.find(t, late, n%before)
				looked.Add(1)
			}
		})
		updates := h.process(srv)
		wg.Go(func() {
			for rotating.Load() && !t.Failed() {
				phone := secret.New(fmt.Sprintf("137%08d", changes.Add(1)))
				now, err := updates.Read(h.as(who), own.ID)
				if err == nil {
					_, err = updates.Update(h.as(who), own.ID, Change{Phone: &phone, Version: now.Version})
				}
				if err != nil {
					t.Errorf("a change: %v", err)
				}
			}
		})
		wg.Wait()
		t.Logf("%d entered, %d looked for, %d changes", entered.Load(), looked.Load(), changes.Load())
		h.rotatedWhole(t, srv)
		if n, twice := h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1`), h.count(`SELECT COUNT(DISTINCT number_index) FROM patient WHERE tenant_id = $1`); n != twice {
			t.Errorf("%d Patients of %d documents", n, twice)
		}
		now, err := h.process(srv).Read(h.as(who), own.ID)
		if want := fmt.Sprintf("137%08d", changes.Load()); err != nil || now.Phone.Reveal() != want {
			t.Errorf("the phone was put back: %s, want %s (%v)", now.Phone.Reveal(), want, err)
		}
		h.clean()
	}, dbtest.WithClock(clk))
}

// find looks for a person in every way.
func (h *house) find(t *testing.T, s *Service, n int) {
	t.Helper()
	p, birth := numbered(n), clock.NewDate(1990, time.March, 7)
	for way, q := range map[string]Search{
		"document": {Document: p.Document}, "phone": {Phone: p.Phone}, "name": {Name: p.Name, Birth: &birth},
	} {
		found, _, err := s.SearchAtDesk(h.as(desk), q)
		if err != nil || len(found) == 0 {
			t.Errorf("person %d by %s: %d found, %v", n, way, len(found), err)
		}
	}
}

// rotatedWhole: every value lies under the latest generation, and every index stands in the column of the third and in no other.
func (h *house) rotatedWhole(t *testing.T, srv *db.Server) {
	t.Helper()
	ring := testkit.Ring(t, srv, h.clk)
	unit := rekey.Unit{Context: "patient", DB: h.base.DB, Columns: keyed()}
	standing, err := rekey.Stand(t.Context(), ring, unit, apitest.Main)
	if err != nil || len(standing) == 0 {
		t.Fatal(err)
	}
	known, err := ring.Generations(t.Context(), apitest.Main)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range known { // persons' keys that lie under an older key of the tenant are older ones of somebody who has a newer one
		if g.Kind == "wrap" && g.Number == 3 && g.PersonKeys != int64(h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1`)) {
			t.Errorf("%d persons' keys are of the third generation", g.PersonKeys)
		}
	}
	for _, s := range standing {
		if s.Generation == 0 {
			t.Errorf("%d values of %s under a key that nobody knows", s.Rows, s.Column)
		}
	}
	for _, b := range keyed().Blind {
		if n := h.count(`SELECT COUNT(*) FROM ` + b.Table + ` WHERE tenant_id = $1 AND (` + b.Even + ` IS NOT NULL OR ` + b.Odd + ` IS NULL)`); n != 0 {
			t.Errorf("%d rows of %s are not switched", n, b.Table)
		}
	}
	report, err := verify.Run(t.Context(), []verify.Unit{{Context: "patient", DB: h.base.DB, Checks: rekey.Checks("patient", keyed().Blind)}}, nil, io.Discard)
	if err != nil || !report.Clean() {
		t.Errorf("verify: %+v %v", report, err)
	}
}

// A row without the index that everybody looks by is found by verify; a row that does not open is left as it is, and counted.
func TestRotationMeetsBrokenRows(t *testing.T) {
	clk := testkit.Clock()
	dbtest.Each(t, testkit.Sets(Describe()), func(t *testing.T, srv *db.Server) {
		h := newHouse(t, srv, clk, "")
		first := h.add(apitest.Patient(apitest.Main), numbered(1))
		gone := h.add(apitest.Patient(apitest.Main), numbered(2))
		if err := h.s.Shred(testkit.AsCLI(t.Context(), apitest.Main), gone.ID); err != nil {
			t.Fatal(err)
		}
		h.change(`UPDATE patient SET name = $3 WHERE tenant_id = $1 AND id = $2`, first.ID, append([]byte{1, 1}, make([]byte, 60)...))
		v := h.rotate(srv)
		for _, p := range v.Parts {
			if want := int64(0); p.Kind == crypt.SealPart && p.Name == "patient" {
				want = 1
				if p.Skipped != want {
					t.Errorf("%d skipped", p.Skipped)
				}
			}
		}
		if n := h.count(`SELECT COUNT(*) FROM patient WHERE tenant_id = $1 AND number_index IS NULL AND number_index_even IS NOT NULL`); n != 2 {
			t.Errorf("%d indexes switched", n)
		}
		check := []verify.Unit{{Context: "patient", DB: h.base.DB, Checks: rekey.Checks("patient", keyed().Blind)}}
		if r, err := verify.Run(t.Context(), check, nil, io.Discard); err != nil || !r.Clean() {
			t.Errorf("verify: %+v %v", r, err)
		}
		h.change(`UPDATE patient SET number_index = number_index_even, number_index_even = NULL WHERE tenant_id = $1 AND id = $2`, first.ID)
		if r, err := verify.Run(t.Context(), check, nil, io.Discard); err != nil || r.Clean() {
			t.Errorf("verify finds nothing: %v", err)
		}
	}, dbtest.WithClock(clk))
}

func (h *house) change(query string, p patient.ID, more ...any) {
	h.t.Helper()
	err := h.base.DB.Write(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, query, append([]any{apitest.Main, id.As[id.Any](p)}, more...)...)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}
