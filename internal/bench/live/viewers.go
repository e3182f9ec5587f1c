package live

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

const (
	dialers  = 64
	dialTime = 30 * time.Second
	settle   = 2 * time.Second // after the last booking
)

// viewer is one connection. It keeps what it read and when.
type viewer struct {
	watch []int // sessions
	conn  net.Conn
	ready bool
	first chan error
	mu    sync.Mutex
	seen  []booked // At: when it was read
}

// View is the viewers' process: plain connections that read as browsers do.
func View(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(bufio.NewReader(in))
	var order message
	if err := lines.Decode(&order); err != nil || order.Options == nil {
		return errors.Join(err, errors.New("no options"))
	}
	o := *order.Options
	viewers, err := connect(ctx, o, order.URL, order.Sessions)
	defer func() {
		for _, v := range viewers {
			if v.conn != nil {
				_ = v.conn.Close()
			}
		}
	}()
	if err := answer(out, message{}, err); err != nil {
		return err
	}
	if err := lines.Decode(&order); err != nil {
		return err
	}
	pause := time.NewTimer(settle)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-pause.C:
	}
	return answer(out, message{Report: judge(order.Booked, viewers)}, nil)
}

// connect opens every stream and waits until each has the frames of all of its sessions.
func connect(ctx context.Context, o Options, address string, sessions []string) ([]*viewer, error) {
	if err := filesFor(o.Viewers + 100); err != nil {
		return nil, err
	}
	place := map[string]int{}
	for i, s := range sessions {
		place[s] = i
	}
	viewers := make([]*viewer, o.Viewers)
	for i := range viewers {
		viewers[i] = &viewer{first: make(chan error, 1)}
		for k := range o.Watch {
			viewers[i].watch = append(viewers[i].watch, (i+k*(1+len(sessions)/o.Watch/2))%len(sessions))
		}
		slices.Sort(viewers[i].watch)
		viewers[i].watch = slices.Compact(viewers[i].watch)
	}
	todo := make(chan *viewer, len(viewers))
	for _, v := range viewers {
		todo <- v
	}
	close(todo)
	failed := make(chan error, dialers)
	var running sync.WaitGroup
	for range dialers {
		running.Go(func() {
			for v := range todo {
				if err := v.open(ctx, address, sessions, place); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	running.Wait()
	close(failed)
	return viewers, <-failed
}

func (v *viewer) open(ctx context.Context, address string, sessions []string, place map[string]int) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var d net.Dialer
	var err error
	if v.conn, err = d.DialContext(ctx, "tcp", address); err != nil {
		return err
	}
	ids := make([]string, len(v.watch))
	for i, s := range v.watch {
		ids[i] = sessions[s]
	}
	_, err = fmt.Fprintf(v.conn, "GET /api/v1/schedules/live?ids=%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", strings.Join(ids, ","), address)
	if err != nil {
		return err
	}
	go v.read(place)
	select {
	case err := <-v.first:
		return err
	case <-ctx.Done():
		return errors.New("a viewer got no first frames in 30 s")
	}
}

var dataLine = []byte(`data: {"schedule_id":"`)

// read takes the frames until the connection ends.
func (v *viewer) read(place map[string]int) {
	in := bufio.NewReaderSize(v.conn, 4<<10)
	status, err := in.ReadString('\n')
	if err != nil || !strings.Contains(status, " 200 ") {
		v.first <- fmt.Errorf("a viewer was refused: %q, %w", status, err)
		return
	}
	have := map[int]bool{}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !v.ready {
				v.first <- err
			}
			return
		}
		rest, ok := bytes.CutPrefix(line, dataLine)
		if !ok {
			continue
		}
		at := clock.System{}.Now().UnixMicro()
		rest, number, ok := bytes.Cut(rest, []byte(`","remaining":`))
		end := bytes.IndexByte(number, ',')
		if !ok || end < 0 {
			continue
		}
		left, err := strconv.Atoi(string(number[:end]))
		if err != nil {
			continue
		}
		v.note(booked{place[string(rest)], left, at}, have)
	}
}

// note keeps what was read once the first frames are there.
func (v *viewer) note(b booked, have map[int]bool) {
	if v.ready {
		v.mu.Lock()
		v.seen = append(v.seen, b)
		v.mu.Unlock()
		return
	}
	have[b.Session] = true
	if len(have) == len(v.watch) {
		v.ready = true
		v.first <- nil
	}
}

// judge compares each booking with what each viewer of its session read: the first frame
// that shows as few seats or fewer.
func judge(made []booked, viewers []*viewer) *Report {
	by := map[int][]booked{}
	for _, b := range made {
		by[b.Session] = append(by[b.Session], b)
	}
	r := &Report{}
	var took []int64
	for _, v := range viewers {
		v.mu.Lock()
		seen := map[int][]booked{}
		for _, b := range v.seen {
			seen[b.Session] = append(seen[b.Session], b)
		}
		r.Frames += len(v.seen)
		v.mu.Unlock()
		for _, s := range v.watch {
			got, at := seen[s], 0
			for _, b := range by[s] { // of one session in order, on both sides
				for at < len(got) && got[at].Left > b.Left {
					at++
				}
				r.Waited++
				if at == len(got) {
					r.Missed++
					continue
				}
				if got[at].Left < b.Left {
					r.Merged++
				}
				took = append(took, max(0, got[at].At-b.At))
			}
		}
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		ms := func(p int) float64 { return float64(took[min(n*p/100, n-1)]) / 1000 }
		r.P50, r.P95, r.P99, r.Max = ms(50), ms(95), ms(99), ms(100)
	}
	return r
}
