package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"xinglin/internal/bench/rotate"
)

type benchRotateCmd struct {
	Rows    int      `help:"Rows: half of them accounts, half patients with a key each." default:"1000000"`
	Engines []string `name:"engine" help:"sqlite, postgres." enum:"sqlite,postgres" default:"sqlite,postgres"`
	Share   int      `help:"Percent of the time that the rotation works, 1 to 100; the product works half of it." default:"50"`
	Users   int      `help:"Who read and enter people meanwhile, at most 100." default:"4"`
	Dir     string   `help:"Folder for SQLite's files, on the disk to measure; default: the temporary folder." type:"existingdir"`
	JSON    bool     `name:"json" help:"Print the report as JSON."`
}

// Run implements the command.
func (c *benchRotateCmd) Run(ctx context.Context) (err error) {
	if c.Rows < 100 || c.Rows > 100_000_000 || c.Share < 1 || c.Share > 100 || c.Users < 1 || c.Users > 100 {
		return errors.New("want 100 to 100,000,000 rows, a share of 1 to 100 percent and 1 to 100 users")
	}
	dir, err := os.MkdirTemp(c.Dir, "xinglin-bench-rotate-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o := rotate.Options{Dir: dir, Rows: c.Rows, Share: c.Share, Users: c.Users}
	var all []rotate.Result
	for _, e := range c.Engines {
		measure := rotate.SQLite
		if e == "postgres" {
			measure = rotate.Postgres
		}
		r, err := measure(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
		all = append(all, r)
	}
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(all)
	} else {
		printRotations(all)
	}
	for _, r := range all {
		if r.During.Refused > 0 || r.Old > 0 || r.Skipped > 0 {
			return errors.Join(err, fmt.Errorf("%s: %d requests were refused, %d values lie under old keys, %d rows do not open", r.Engine, r.During.Refused, r.Old, r.Skipped))
		}
	}
	return err
}

func printRotations(all []rotate.Result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "engine\trows\tseeding s\tchanged\twork s\tchanged/s\tended s\trequests\trefused\tp50 ms\tp99 ms\tbefore: p50\tp99\t")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%d\t%.1f\t%.0f\t%.1f\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t\n", r.Engine, r.Rows, r.Seeding, r.Changed, r.Work, r.Rate, r.Ended,
			r.During.Requests, r.During.Refused, r.During.P50, r.During.P99, r.Before.P50, r.Before.P99)
	}
	_ = w.Flush()
}
