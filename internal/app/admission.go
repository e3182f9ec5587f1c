package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/admission"
	"xinglin/internal/platform/breaker"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/httpx"
)

// desk makes the admission that the flags describe.
func desk(c config.Serve, key []byte, clk clock.Clock, log *slog.Logger, metrics prometheus.Registerer, codes admission.Codes) (*admission.Desk, error) {
	rules, err := admission.LoadRules(c.WaitingRooms)
	if err != nil {
		return nil, err
	}
	return admission.New(admission.Options{Key: key, Rules: rules, Clock: clk, Log: log, Metrics: metrics, Enforce: c.EnforceRisk, Codes: codes})
}

// describeAdmission adds the waiting room's routes and metrics, and those of the breaker
// and the connections, to the references.
func describeAdmission(api *httpx.API, metrics prometheus.Registerer) error {
	d, err := admission.New(admission.Options{Key: make([]byte, 32), Metrics: metrics})
	if err != nil {
		return err
	}
	d.Routes(api)
	guarded("wechatpay", metrics)(http.DefaultTransport)
	countConnections(httpx.NewConnections(1, 1), metrics)
	return nil
}

// guarded puts a breaker between a client and its network.
func guarded(name string, metrics prometheus.Registerer) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return breaker.New(breaker.Options{Name: name, Next: next, Metrics: metrics})
	}
}

// ownPhone sends codes to the phone of the caller's own account.
type ownPhone struct{ identity identity.Service }

// SendCode implements admission.Codes. The budgets of login codes hold here too.
func (o *ownPhone) SendCode(ctx context.Context, who auth.Principal) (string, error) {
	phone, err := o.identity.Phone(ctx, who.Tenant, who.Account)
	if err != nil {
		return "", err
	}
	c, err := o.identity.SendCode(ctx, who.Tenant, identity.ChallengeID{}, phone, identity.Login)
	return c.ID.String(), err
}

// CheckCode implements admission.Codes: a code that went to another phone is none.
func (o *ownPhone) CheckCode(ctx context.Context, who auth.Principal, challenge, code string) error {
	c, err := id.Parse[identity.Challenge](challenge)
	if err != nil {
		return admission.ErrAnswer.New()
	}
	got, err := o.identity.UseCode(ctx, who.Tenant, c, identity.Login, code)
	if err != nil {
		return err
	}
	own, err := o.identity.Phone(ctx, who.Tenant, who.Account)
	if err == nil && own.Reveal() != got.Reveal() {
		err = admission.ErrAnswer.New()
	}
	return err
}

// bounded limits the connections of the public address.
func (p *Process) bounded(l net.Listener, srv *http.Server) net.Listener {
	per := p.cfg.PerAddress
	if p.cfg.BehindHTTP {
		per = 0
	}
	k := httpx.NewConnections(p.cfg.Connections, per)
	srv.ConnState = k.State
	countConnections(k, p.metrics)
	return k.Listen(l)
}

func countConnections(k *httpx.Connections, metrics prometheus.Registerer) {
	one := func(name, help string, of func(open, refused, evicted int64) int64) {
		metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(of(k.Counts())) }))
	}
	one("xinglin_connections_open", "Open connections of the public address.", func(open, _, _ int64) int64 { return open })
	one("xinglin_connections_refused", "Connections closed at once since the start: too many of their address, or in all.", func(_, refused, _ int64) int64 { return refused })
	one("xinglin_connections_evicted", "Idle connections that made room since the start.", func(_, _, evicted int64) int64 { return evicted })
}
