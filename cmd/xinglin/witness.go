package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/witness"
)

type witnessCmd struct {
	Listen string `help:"Address for the hospitals, and for everybody who compares." default:"127.0.0.1:8090" env:"XINGLIN_WITNESS_LISTEN"`
	Key    string `required:"" help:"File of the private key, in a folder of its own; made when missing. What was signed is in FILE.book and FILE.heads: keep all." env:"XINGLIN_WITNESS_KEY" type:"path"`
	Rate   int    `help:"New statements and heads a second." default:"20"`
}

// Run implements the command.
func (c *witnessCmd) Run(ctx context.Context) error {
	s, err := witness.New(ctx, witness.Options{Listen: c.Listen, Key: c.Key, Clock: clock.System{}, Log: obs.Logger(os.Stderr, slog.LevelInfo), Rate: c.Rate})
	if err != nil {
		return err
	}
	fmt.Println("witness ready on " + s.URL())
	fmt.Println("public key " + s.PublicKey())
	return s.Serve(ctx)
}
