package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"xinglin/internal/simulate"
)

type simulateCmd struct {
	Rush rushCmd `cmd:"" help:"A whole 8:00 with people, bots, lost replies and faults; exit 1 when a rule was broken."`
}

type rushCmd struct {
	Seed      uint64        `required:"" help:"Decides who wants what when and what breaks."`
	Processes int           `help:"Serve processes; one runs on SQLite, more on a PostgreSQL of the simulation's own." default:"1"`
	Kill      bool          `help:"Kill processes and broker, and restart the database, in the middle."`
	DB        string        `help:"Login role's DSN of an empty, migrated PostgreSQL database to use instead; its server is not restarted." env:"XINGLIN_SIMULATE_DB"`
	People    int           `help:"People who want a seat, besides the bots." default:"1500"`
	Duration  time.Duration `help:"Length of the first wave, 2s to 40s." default:"9s"`
	Out       string        `help:"Folder for the histories of violations." default:"rush-violations" type:"path"`
	Keep      bool          `help:"Leave the installation's folder in place."`
	Charts    string        `help:"Folder for charts of the first wave (SVG): answers, seats, times, requests inside." type:"path"`
	JSON      bool          `name:"json" help:"Print the report as JSON."`
}

// Run implements the command.
func (c *rushCmd) Run(ctx context.Context) error {
	var progress io.Writer = os.Stdout
	if c.JSON {
		progress = os.Stderr
	}
	rep, err := simulate.Rush(ctx, simulate.Options{
		Seed: c.Seed, Processes: c.Processes, Kill: c.Kill, DB: c.DB, People: c.People, Duration: c.Duration, Out: c.Out, Keep: c.Keep, Charts: c.Charts,
	}, progress)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(rep); err != nil {
			return err
		}
	} else {
		rep.Print(os.Stdout)
	}
	if !rep.Clean() {
		return simulate.ErrViolated.Because("seed %d", c.Seed)
	}
	return nil
}
