package app

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// progress is the bar of a command that reads files: on a terminal only, a few times a
// second. A nil one shows nothing.
type progress struct {
	out         io.Writer
	total, done int64
	begin, next time.Time
	what        string
}

const (
	barWidth = 30
	barEach  = 200 * time.Millisecond
)

// newProgress is a bar over the sizes of files, when out is a terminal.
func newProgress(out *os.File, files ...string) *progress {
	info, err := out.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	p := &progress{out: out, begin: clock.Mono()}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			p.total += info.Size()
		}
	}
	return p
}

// read passes a file through and moves the bar.
func (p *progress) read(what string, r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	p.what = what
	return &counted{p, r}
}

type counted struct {
	p *progress
	r io.Reader
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.done += int64(n)
	if now := clock.Mono(); now.After(c.p.next) {
		c.p.next = now.Add(barEach)
		c.p.show(now)
	}
	return n, err
}

func (p *progress) show(now time.Time) {
	part := 1.0
	if p.total > 0 {
		part = min(float64(p.done)/float64(p.total), 1)
	}
	n := int(part * barWidth)
	speed := float64(p.done) / (1 << 20) / max(now.Sub(p.begin).Seconds(), 0.001)
	fmt.Fprintf(p.out, "\r\033[K[%s%s] %3.0f%%  %.1f MiB/s  %s", strings.Repeat("#", n), strings.Repeat("-", barWidth-n), part*100, speed, p.what)
}

// end takes the bar away.
func (p *progress) end() {
	if p != nil {
		fmt.Fprint(p.out, "\r\033[K")
	}
}
