package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"xinglin/internal/demo"
	"xinglin/internal/demo/traffic"
	"xinglin/internal/smssim"
)

// maxVisitors bounds the simulated patients of a demo: each is a goroutine with a session.
const maxVisitors = 2000

const visitorsSeed = 20260101

// enliven starts what makes the demo a living hospital.
func (p *Process) enliven(start func(name string, f func(context.Context) error)) {
	if p.cfg.DemoPeople+p.cfg.DemoTraffic > 0 && !masked(p.cfg.Data) {
		start("visitors", p.visitors)
		start("session now", p.sessionNow)
	}
}

// visitors lets simulated patients use the demo: an opening at its first start, then
// those who come and go.
func (p *Process) visitors(ctx context.Context) error {
	h, err := traffic.Find(ctx, traffic.Options{
		Base: "http://" + p.cfg.Listen, Seed: visitorsSeed, Clock: p.clk, Log: p.log, Inbox: phones{p.sims.sms},
		Nurse: demo.Nurse, Spared: demo.Doctor,
	})
	if err != nil {
		return err
	}
	done := filepath.Join(p.cfg.Data, "demo", "opened")
	if _, err := os.Stat(done); errors.Is(err, fs.ErrNotExist) && p.cfg.DemoPeople > 0 {
		if err := h.Open(ctx, p.cfg.DemoPeople); err != nil {
			return err
		}
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			return err
		}
	}
	h.Run(ctx, p.cfg.DemoTraffic)
	return nil
}

// sessionNow keeps a session of the demo's doctor under way, through noon and midnight.
func (p *Process) sessionNow(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := p.demo.SessionNow(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("session now", "error", err.Error())
			}
		}
	}
}

// phones are the text messages that the simulator took.
type phones struct{ *smssim.Server }

// Texts implements client.Inbox.
func (s phones) Texts(_ context.Context, phone string) (out []string, err error) {
	for _, m := range s.Messages(0) {
		if m.Phone == phone {
			out = append(out, m.Text)
		}
	}
	return out, nil
}
