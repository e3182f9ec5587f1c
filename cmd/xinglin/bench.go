package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"xinglin/internal/app"
	"xinglin/internal/bench/booking"
	"xinglin/internal/platform/config"
)

type benchBookingCmd struct {
	Parts    []string      `help:"core (warm load), hot (stampede), size (past bookings), open (overload)." enum:"core,hot,size,open" default:"core,hot,size,open"`
	Peers    []string      `help:"Ways to take a seat beside the product, echo and memory." enum:"redis-combined,redis,statement,conditional,row-lock,none" default:"redis-combined,redis,statement,conditional,row-lock"`
	Engines  []string      `help:"Databases." enum:"pg,sqlite" default:"pg,sqlite"`
	Clients  []int         `help:"Connections of the closed loop." default:"256,1024"`
	Targets  []string      `help:"What requests name: a slot, or any in a session." enum:"slot,any" default:"slot,any"`
	Rounds   int           `help:"Rounds; the first is dropped." default:"13"`
	Requests int           `help:"Requests of a warm segment, at most 20,000." default:"8000"`
	Hot      int           `help:"Requests for the 100 seats of a stampede." default:"20000"`
	Fee      int64         `help:"Fee of a visit in fen; 0 books at once." default:"0"`
	Wait     time.Duration `help:"How long to wait for a quiet machine." default:"5m"`
	Dir      string        `help:"Where the databases are made; the system's folder for temporary files by default." type:"existingdir"`
	SizeMax  int           `help:"Past bookings of the part size at most." default:"10000000"`
	Load     time.Duration `help:"How long each load of the part open lasts." default:"5s"`
	Slow     time.Duration `help:"CPU time burnt before each seat in the last load of the part open." default:"500us"`
	Relays   bool          `help:"Let relays, consumers and jobs run beside."`
	Short    bool          `help:"Try the machinery within a minute; no verdicts."`
	JSON     bool          `help:"Print the report as JSON."`
}

// Run implements the command.
func (c *benchBookingCmd) Run(ctx context.Context) error {
	r, err := booking.Run(ctx, booking.Options{
		Parts: c.Parts, Ways: c.Peers, Engines: booking.ParseEngines(c.Engines), Clients: c.Clients, Targets: c.Targets,
		Rounds: max(c.Rounds, 2), Requests: min(max(c.Requests, 1), 20000), Hot: max(c.Hot, 100), Fee: max(c.Fee, 0), Wait: c.Wait, Dir: c.Dir,
		SizeMax: c.SizeMax, Open: c.Load, Slow: c.Slow, Relays: c.Relays, Short: c.Short, Command: strings.Join(append([]string{"xinglin"}, os.Args[1:]...), " "),
	}, os.Stderr)
	if err != nil {
		return err
	}
	print := r.Text
	if c.JSON {
		print = r.JSON
	}
	if err := print(os.Stdout); err != nil {
		return err
	}
	if why := r.Failed(); why != "" {
		return fmt.Errorf("bench booking: %s", why)
	}
	return nil
}

// benchServeCmd is a server that `bench` measures: serve with another way to take seats.
type benchServeCmd struct {
	config.Where
	Listen   string        `required:""`
	Private  string        `required:""`
	NATS     string        `help:"Broker of the servers on PostgreSQL."`
	Peer     string        `required:"" help:"product, echo, memory, redis-combined, redis, statement, conditional or row-lock."`
	Redis    string        `help:"Socket of the Redis peers."`
	Slow     time.Duration `help:"CPU time burnt before each seat."`
	Machines bool          `help:"Relays, consumers and jobs run too."`
}

// Run implements the command. It ends with its standard input, so with the bench.
func (c *benchServeCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel(errors.New("the bench has ended"))
	}()
	return app.ServeBench(ctx, config.Serve{
		Data: c.Data, DB: c.DB, Keys: c.Keys, NATS: c.NATS, Listen: c.Listen, Private: c.Private, Modules: []string{"all"}, Algorithm: "aes-256-gcm",
		RatePerAddress: 1e9, RatePerAccount: 1e9, Connections: 16384, PerAddress: 16384, Inside: 512, DBConns: 24, LogLevel: "warn",
	}, app.Bench{Peer: c.Peer, Redis: c.Redis, Slow: c.Slow, Machines: c.Machines}, os.Stdout, os.Stderr)
}

// benchHoldCmd measures the hold path inside one process under an open loop.
type benchHoldCmd struct {
	config.Where
	World string        `required:"" help:"File of the people."`
	Load  time.Duration `required:""`
}

// Run implements the command.
func (c *benchHoldCmd) Run(ctx context.Context) error {
	return booking.HoldInside(ctx, c.Where, c.World, c.Load, os.Stdout)
}
