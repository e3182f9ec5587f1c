// Package live measures the live counts: a server in a process of its own, which also
// makes the bookings, and the viewers in another. It tells the time from a booking's
// commit to the moment when a viewer has read the frame that shows it.
package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// Options of one run.
type Options struct {
	Viewers  int           `json:"viewers"`
	Sessions int           `json:"sessions"`
	Watch    int           `json:"watch"` // sessions of one viewer
	Rate     int           `json:"rate"`  // bookings a second
	Time     time.Duration `json:"time"`  // of the bookings
}

// Check refuses what the product or the machine does not allow.
func (o Options) Check() error {
	switch {
	case o.Viewers < 1 || o.Viewers > 5000:
		return errors.New("--viewers: 1 to 5000, the product's limit of one process")
	case o.Sessions < 1 || o.Sessions > 1000:
		return errors.New("--sessions: 1 to 1000")
	case o.Watch < 1 || o.Watch > min(50, o.Sessions):
		return errors.New("--watch: 1 to 50, at most the sessions")
	case o.Rate < 1 || o.Rate > 2000:
		return errors.New("--rate: 1/s to 2000/s")
	case o.Time < time.Second || o.Time > 10*time.Minute:
		return errors.New("--time: 1s to 10m")
	case o.Rate*int(o.Time/time.Second) > o.Sessions*seats:
		return fmt.Errorf("%d sessions have %d seats, fewer than the bookings; lower --rate or --time", o.Sessions, o.Sessions*seats)
	}
	return filesFor(o.Viewers + 100)
}

// Report is the outcome.
type Report struct {
	Options
	Machine  string  `json:"machine"`
	Bookings int     `json:"bookings"`
	Waited   int     `json:"measured"` // bookings x viewers of their session
	Missed   int     `json:"missed"`   // of them, never shown
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	Frames   int     `json:"frames"` // events that viewers read after the first ones
	PerSec   float64 `json:"frames_per_second"`
	Merged   int     `json:"coalesced"` // bookings that a viewer saw together with a later one
	Writes   int     `json:"writes"`    // of the server to sockets
	IdleRSS  int     `json:"server_rss_before_kb"`
	RSS      int     `json:"server_rss_kb"`
	PerConn  float64 `json:"kb_per_connection"`       // RSS / viewers
	OwnConn  float64 `json:"added_kb_per_connection"` // (RSS - RSS before the viewers) / viewers
}

// message is a line between the processes.
type message struct {
	URL      string   `json:"url,omitempty"`
	Sessions []string `json:"sessions,omitempty"`
	RSS      int      `json:"rss,omitempty"`
	Booked   []booked `json:"booked,omitempty"`
	Writes   int      `json:"writes,omitempty"`
	Options  *Options `json:"options,omitempty"`
	Report   *Report  `json:"report,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// booked is one booking: what its session has left after it, and when its commit was known.
type booked struct {
	Session int   `json:"s"`
	Left    int   `json:"l"`
	At      int64 `json:"a"` // microseconds
}

// child is one of the two processes.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(ctx context.Context, exe string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, exe, args...)}
	c.cmd.Stderr = os.Stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

func (c *child) tell(m message) error { return json.NewEncoder(c.in).Encode(m) }

func (c *child) hear() (m message, err error) {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return m, fmt.Errorf("a process of the benchmark ended early: %w", err)
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, err
	}
	if m.Error != "" {
		return m, errors.New(m.Error)
	}
	return m, nil
}

// end lets the process go: it ends when its input does.
func (c *child) end() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

// Run measures once. exe is the binary whose `bench live --role` the processes are.
func Run(ctx context.Context, exe string, o Options, progress io.Writer) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Time+5*time.Minute)
	defer cancel()
	server, err := start(ctx, exe, "bench", "live", "--role", "server")
	if err != nil {
		return Report{}, err
	}
	defer server.end()
	if err := server.tell(message{Options: &o}); err != nil {
		return Report{}, err
	}
	ready, err := server.hear()
	if err != nil {
		return Report{}, err
	}
	fmt.Fprintf(progress, "server ready with %d sessions\n", len(ready.Sessions))
	viewers, err := start(ctx, exe, "bench", "live", "--role", "viewers")
	if err != nil {
		return Report{}, err
	}
	defer viewers.end()
	if err := viewers.tell(message{Options: &o, URL: ready.URL, Sessions: ready.Sessions}); err != nil {
		return Report{}, err
	}
	if _, err := viewers.hear(); err != nil { // all have their first frames
		return Report{}, err
	}
	fmt.Fprintf(progress, "%d viewers connected; booking %d/s for %v\n", o.Viewers, o.Rate, o.Time)
	if err := server.tell(message{}); err != nil {
		return Report{}, err
	}
	made, err := server.hear()
	if err != nil {
		return Report{}, err
	}
	if err := viewers.tell(message{Booked: made.Booked}); err != nil {
		return Report{}, err
	}
	seen, err := viewers.hear()
	if err != nil {
		return Report{}, err
	}
	r := *seen.Report
	r.Options, r.Bookings, r.Writes = o, len(made.Booked), made.Writes
	r.Machine = fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	r.IdleRSS, r.RSS = ready.RSS, made.RSS
	r.PerConn, r.OwnConn = float64(r.RSS)/float64(o.Viewers), float64(r.RSS-r.IdleRSS)/float64(o.Viewers)
	r.PerSec = float64(r.Frames) / o.Time.Seconds()
	return r, nil
}

// Serve and View are the two processes: they talk in lines of JSON on in and out.
func answer(out io.Writer, m message, err error) error {
	if err != nil {
		m = message{Error: err.Error()}
	}
	return errors.Join(err, json.NewEncoder(out).Encode(m))
}
