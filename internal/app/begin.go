package app

import (
	"context"
	"fmt"
	"io"

	"xinglin/internal/demo"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling/rotagen"
)

// begin makes the tenant of a fresh installation and, in the demo, its small hospital.
func (p *Process) begin(ctx context.Context) error {
	t, err := p.house.ensureTenant(ctx, p.cfg.Hosts, p.cfg.Demo)
	if err != nil {
		return err
	}
	if err := p.openDoor(); err != nil {
		return err
	}
	if !p.cfg.Demo || masked(p.cfg.Data) { // a copy has people of its own
		return nil
	}
	h := demo.Hospital{
		Tenant: t.ID, Clock: p.clk, Directory: p.house.Directory, Identity: p.house.Identity, Logins: p.house.Demo,
		Patients: p.house.Patients, Scheduling: p.house.Scheduling, Privacy: p.house.Privacy,
		Rota: func(w io.Writer, seed uint64, rows int, from clock.Date) error {
			_, err := rotagen.Write(w, rotagen.Options{Seed: seed, Rows: rows, From: from})
			return err
		},
		As:   func(ctx context.Context, who auth.Principal) context.Context { return auth.With(ctx, who) },
		IDPs: p.sims.providers(),
	}
	p.demo = h
	if err := h.Seed(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}
