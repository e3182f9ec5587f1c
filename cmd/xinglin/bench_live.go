package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/bench/live"
)

type benchLiveCmd struct {
	Viewers  int           `help:"Open streams, at most 5000." default:"5000"`
	Sessions int           `help:"Sessions of doctors." default:"200"`
	Watch    int           `help:"Sessions that one viewer watches, at most 50." default:"10"`
	Rate     perSecond     `help:"Bookings a second." default:"20/s"`
	Time     time.Duration `help:"How long bookings are made." default:"20s"`
	JSON     bool          `help:"Print the report as JSON."`
	Role     string        `hidden:"" enum:",server,viewers" default:""`
}

// perSecond is a rate: 20/s, or 20.
type perSecond int

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *perSecond) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(strings.TrimSuffix(string(text), "/s"))
	*r = perSecond(n)
	return err
}

// Run implements the command.
func (c *benchLiveCmd) Run(ctx context.Context) error {
	switch c.Role {
	case "server":
		return live.Serve(ctx, os.Stdin, os.Stdout)
	case "viewers":
		return live.View(ctx, os.Stdin, os.Stdout)
	}
	o := live.Options{Viewers: c.Viewers, Sessions: c.Sessions, Watch: c.Watch, Rate: int(c.Rate), Time: c.Time}
	if err := o.Check(); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := live.Run(ctx, exe, o, os.Stderr)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	fmt.Printf("commit to screen: p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, max %.1f ms (%d bookings, %d measured, %d missed, %d seen with a later one)\n",
		r.P50, r.P95, r.P99, r.Max, r.Bookings, r.Waited, r.Missed, r.Merged)
	fmt.Printf("%.0f frames/s to %d viewers, %d writes\n", r.PerSec, r.Viewers, r.Writes)
	fmt.Printf("server %d kB (%d kB before the viewers): %.1f kB a connection, %.1f kB added\n", r.RSS, r.IdleRSS, r.PerConn, r.OwnConn)
	return nil
}
