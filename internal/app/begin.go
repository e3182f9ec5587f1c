package app

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

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
		As: func(ctx context.Context, who auth.Principal) context.Context { return auth.With(ctx, who) },
	}
	p.demo = h
	if err := h.Seed(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// welcome tells who has started a demo where to go and who to be: the same that the
// demo's login pages show.
func (p *Process) welcome(ctx context.Context) {
	if p.demo.Logins == nil {
		return
	}
	shown, err := p.demo.Logins.DemoAccounts(ctx, p.demo.Tenant)
	if err != nil {
		p.log.Warn("the demo's accounts could not be shown", "error", err.Error())
		return
	}
	w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	at := publicURL(p.cfg)
	fmt.Fprintf(w, "\n  %s/m/\tpatients 患者，手机号加短信验证码\n  %s/console/\tstaff 员工，密码 password %s 加动态口令\n  %s/wall/\tthe corridor's screen 候诊大屏\n\n",
		at, at, demo.Password, at)
	for _, a := range shown {
		name, second := a.Username, "动态口令 code now "+a.TOTP.Reveal()
		if a.Kind == auth.Patient {
			name, second = a.Phone, "验证码在登录页 the code is on the login page"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", name, a.Label, a.LabelEN, second)
	}
	fmt.Fprint(w, "\n  登录页上点一下演示账号即可登录。One click on the login pages logs in. Ctrl+C ends.\n\n")
	_ = w.Flush()
}
