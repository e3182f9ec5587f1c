package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"xinglin/internal/bench/relay"
)

type benchRelayCmd struct {
	JSON    bool     `name:"json" help:"Print the report as JSON."`
	DB      string   `help:"PostgreSQL DSN of serve's login role on a migrated database of the bench's own; default: a cluster that is started and removed."`
	Engines []string `name:"engine" help:"sqlite, postgres." enum:"sqlite,postgres" default:"sqlite,postgres"`
	Rounds  int      `help:"Rounds of each variant; the first is dropped." default:"6"`
	Seconds int      `help:"Seconds of relaying in each round." default:"3"`
	Dir     string   `help:"Folder for the broker's and SQLite's files, on the disk to measure; default: the temporary folder." type:"existingdir"`
}

// relayReport says what was measured and how.
type relayReport struct {
	Bench   string         `json:"bench"`
	How     string         `json:"how"`
	Results []relay.Result `json:"results"`
}

// Run implements the command.
func (c *benchRelayCmd) Run(ctx context.Context) (err error) {
	if c.Rounds < 1 || c.Rounds > 1000 || c.Seconds < 1 || c.Seconds > 600 {
		return errors.New("want 1 to 1000 rounds of 1 to 600 seconds")
	}
	dir, err := os.MkdirTemp(c.Dir, "xinglin-bench-relay-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rep := relayReport{Bench: "relay", How: "outbox rows claimed, published as atomic batches to the broker in this process (sync always), marked; filling is not timed"}
	for _, e := range c.Engines {
		o := relay.Options{Dir: dir, Rounds: c.Rounds, Each: time.Duration(c.Seconds) * time.Second}
		var got []relay.Result
		if e == "sqlite" {
			got, err = relay.SQLite(ctx, o)
		} else {
			got, err = relay.Postgres(ctx, c.DB, o)
		}
		if err != nil {
			return err
		}
		rep.Results = append(rep.Results, got...)
	}
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(rep)
	} else {
		rep.print()
	}
	for _, r := range rep.Results {
		if r.Violations > 0 {
			return errors.Join(err, fmt.Errorf("%s, %d events a row: %d violations", r.Engine, r.EventsPerRow, r.Violations))
		}
	}
	return err
}

func (rep relayReport) print() {
	fmt.Println(rep.How)
	for _, r := range rep.Results {
		fmt.Printf("%-8s %3d events a row: %8.0f events/s [%.0f-%.0f] in %d rounds, %.0f bytes an event, %.0f %% in batches, %d violations\n",
			r.Engine, r.EventsPerRow, r.EventsPerSec.Median, r.EventsPerSec.Min, r.EventsPerSec.Max, r.Rounds, r.BytesPerEvent, 100*r.Batched, r.Violations)
	}
}
