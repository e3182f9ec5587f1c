package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"xinglin/internal/app"
	"xinglin/internal/idpsim"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/paysim"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/tls"
)

type brokerCmd struct {
	Listen   string `help:"Address for the serve processes." default:"127.0.0.1:4222" env:"XINGLIN_BROKER_LISTEN"`
	Data     string `required:"" help:"Folder of the stream." env:"XINGLIN_BROKER_DATA" type:"path"`
	User     string `help:"User that clients must name; needed beyond the loopback." env:"XINGLIN_BROKER_USER"`
	Password string `help:"Reference of the password: file:PATH or env:NAME." env:"XINGLIN_BROKER_PASSWORD"`

	Peer tls.PeerFiles `embed:"" prefix:"peer-"`
}

// Run implements the command.
func (c *brokerCmd) Run(ctx context.Context) error {
	o := bus.ServeOptions{Listen: c.Listen, Dir: c.Data, User: c.User, Log: obs.Logger(os.Stderr, slog.LevelInfo)}
	if c.Password != "" {
		b, err := config.Secret(c.Password)
		if err != nil {
			return err
		}
		o.Password = strings.TrimSpace(string(b)) // a file ends with a line break
	}
	if !c.Peer.Zero() {
		var err error
		if o.Peers, err = tls.NewPeers(c.Peer); err != nil {
			return app.ErrFlags.Wrap(err)
		}
	}
	b, err := bus.Serve(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println("broker ready on " + b.URL())
	<-ctx.Done()
	b.Close()
	return nil
}

type paysimCmd struct {
	Listen    string   `help:"Address of the simulator." default:"127.0.0.1:8082"`
	Data      string   `required:"" help:"Folder of the simulator; merchant/account.json in it is for --wechat-account." type:"path"`
	Hosts     []string `help:"Hosts beside the loopback that callbacks may go to."`
	Retry     int      `help:"How many times faster than the channel's schedule callbacks are repeated." default:"1"`
	PublicURL string   `help:"How browsers reach the cashier."`
}

// Run implements the command.
func (c *paysimCmd) Run(ctx context.Context) error {
	if _, err := paysim.Provision(c.Data, c.Hosts...); err != nil {
		return err
	}
	s, err := paysim.New(paysim.Options{Dir: c.Data, Listen: c.Listen, PublicURL: c.PublicURL, RetryScale: c.Retry, Log: obs.Logger(os.Stderr, slog.LevelInfo)})
	if err != nil {
		return err
	}
	fmt.Println("paysim ready on " + s.URL())
	return s.Serve(ctx)
}

type idpsimCmd struct {
	Listen string `help:"Address of the simulator." default:"127.0.0.1:8084"`
	Secret string `required:"" help:"Reference of the secret of both apps: file:PATH or env:NAME."`
	Clock  string `help:"RFC 3339 instant or signed duration to run the clock from."`
}

// Run implements the command.
func (c *idpsimCmd) Run(ctx context.Context) error {
	clk, err := clock.Parse(c.Clock)
	if err != nil {
		return err
	}
	key, err := config.Secret(c.Secret)
	if err != nil {
		return err
	}
	s, err := idpsim.New(idpsim.Demo(c.Listen, false, secret.New(strings.TrimSpace(string(key))), clk, obs.Logger(os.Stderr, slog.LevelInfo)))
	if err != nil {
		return err
	}
	fmt.Println("idpsim ready on " + s.URL())
	return s.Serve(ctx)
}
