// Package relay measures how fast facts leave: rows of an outbox that are claimed,
// published to a JetStream broker that syncs before it answers, and marked. It is the
// product's relay, its own broker (in this process, as `xinglin serve` without --nats
// has it) and its own database code; only filling the outbox is not timed.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/scheduling"
)

// Owner is the context whose outbox is filled: the events are its own.
const Owner = "scheduling"

// Batched is how many events one row of the combined booking path carries here, as in
// a rush with 256 clients.
const Batched = 50

// fillRows is how many rows wait before each measured run of the relay.
const fillRows = 2000

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	start  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
)

// Options of one run.
type Options struct {
	Dir    string        // for the broker's and SQLite's files; they are removed
	Rounds int           // of each variant; the first is dropped when there are more than one
	Each   time.Duration // of relaying in each round
}

// Spread is a median with the least and the most of the rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Result is one variant on one engine.
type Result struct {
	Engine        string  `json:"engine"`
	EventsPerRow  int     `json:"events_per_row"`
	Rounds        int     `json:"rounds"`
	Events        int     `json:"events"` // relayed in all counted rounds
	EventsPerSec  Spread  `json:"events_per_second"`
	RowsPerSec    Spread  `json:"rows_per_second"`
	FilledPerSec  float64 `json:"filled_events_per_second"` // untimed: encoding, packing, inserting; one writer
	BytesPerEvent float64 `json:"payload_bytes_per_event"`  // as rows and messages carry it
	Batched       float64 `json:"batched_share"`            // of messages that went in atomic batches
	Violations    int     `json:"violations"`               // rows that are not marked once, or that the broker does not hold
}

// round is one measurement.
type round struct {
	events, rows int
	bytes        int64
	relay, fill  time.Duration
	alone, wrong int
}

// Run measures both variants on a database whose context Owner is migrated and whose
// outbox is empty.
func Run(ctx context.Context, srv *db.Server, o Options) ([]Result, error) {
	d, err := srv.Context(ctx, Owner)
	if err != nil {
		return nil, err
	}
	if n, err := waiting(ctx, d); err != nil {
		return nil, err
	} else if n > 0 {
		return nil, fmt.Errorf("the outbox of %s holds %d rows: the bench wants a database of its own", Owner, n)
	}
	var out []Result
	for _, each := range []int{Batched, 1} {
		var rounds []round
		for n := range o.Rounds {
			r, err := measure(ctx, d, filepath.Join(o.Dir, fmt.Sprintf("broker-%s-%d-%d", srv.Engine(), each, n)), each, o.Each)
			if err != nil {
				return out, fmt.Errorf("%s, %d events a row: %w", srv.Engine(), each, err)
			}
			rounds = append(rounds, r)
		}
		if len(rounds) > 1 {
			rounds = rounds[1:]
		}
		out = append(out, result(string(srv.Engine()), each, rounds))
	}
	return out, nil
}

// measure fills and relays by turns until relaying has taken so long, with a new broker.
func measure(ctx context.Context, d *db.DB, dir string, each int, long time.Duration) (r round, err error) {
	b, err := bus.Embed(ctx, bus.EmbedOptions{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.Close(), os.RemoveAll(dir)) }()
	count := &counter{Broker: b}
	relay := &outbox.Relay{DB: d, Bus: count, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)}
	for r.relay < long {
		began := clock.Mono()
		if err := fill(ctx, d, each); err != nil {
			return r, err
		}
		r.fill += clock.Mono().Sub(began)
		began = clock.Mono()
		for left := fillRows; left > 0; {
			n, err := relay.Drain(ctx)
			if err != nil {
				return r, err
			}
			if n == 0 {
				return r, fmt.Errorf("%d rows do not come out", left)
			}
			left -= n
		}
		r.relay += clock.Mono().Sub(began)
		r.rows += fillRows
		r.events += fillRows * each
	}
	r.bytes, r.alone = count.bytes, count.alone
	r.wrong, err = check(ctx, d, b, r.rows)
	return r, err
}

// check counts rows that are open, that share a sequence, or that lie where the broker has nothing.
func check(ctx context.Context, d *db.DB, b bus.Bus, rows int) (wrong int, err error) {
	p, err := b.Position(ctx)
	if err != nil {
		return 0, err
	}
	marked, places, open, err := marks(ctx, d, p)
	wrong = open
	for _, n := range []int{marked, places, int(p.LastSeq)} { //nolint:gosec // of one run
		wrong += max(n-rows, rows-n)
	}
	return wrong, err
}

// counter is the broker with a look at what is published.
type counter struct {
	outbox.Broker
	bytes int64
	alone int
}

// Publish implements outbox.Broker.
func (c *counter) Publish(ctx context.Context, msgs []bus.Msg) ([]bus.Ack, error) {
	for _, m := range msgs {
		c.bytes += int64(len(m.Data))
	}
	acks, err := c.Broker.Publish(ctx, msgs)
	for _, a := range acks {
		if !a.Batched {
			c.alone++
		}
	}
	return acks, err
}

// fill writes fillRows rows with each events through the product's outbox.
func fill(ctx context.Context, d *db.DB, each int) error {
	const rowsInTx = 100
	for range fillRows / rowsInTx {
		err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			for range rowsInTx {
				if err := outbox.Add(ctx, tx, held(each)...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// held are n bookings of one rush: other people, few sessions, one day.
func held(n int) []event.Event {
	out := make([]event.Event, n)
	for i := range out {
		session := &sessions[rand.IntN(len(sessions))]
		out[i] = scheduling.AppointmentHeld{
			Appointment: id.New[scheduling.Appointment](clock.System{}.Now()), Account: id.Random[auth.Account](), Patient: id.Random[patient.Patient](),
			Slot: session.slots[rand.IntN(len(session.slots))], Date: clock.NewDate(2026, 3, 3), Fee: 2500, ExpiresAt: start.Add(15 * time.Minute),
		}
	}
	return out
}

// session is one of 500 whose seats are released.
type session struct {
	slots [8]id.ID[scheduling.Slot]
}

var sessions = func() (out [500]session) {
	for i := range out {
		for k := range out[i].slots {
			out[i].slots[k] = id.Random[scheduling.Slot]()
		}
	}
	return out
}()

func spread(values []float64) Spread {
	slices.Sort(values)
	return Spread{Median: (values[(len(values)-1)/2] + values[len(values)/2]) / 2, Min: values[0], Max: values[len(values)-1]}
}

func result(engine string, each int, rounds []round) Result {
	out := Result{Engine: engine, EventsPerRow: each, Rounds: len(rounds)}
	var events, rows []float64
	var bytes int64
	var fill time.Duration
	alone, all := 0, 0
	for _, r := range rounds {
		events = append(events, float64(r.events)/r.relay.Seconds())
		rows = append(rows, float64(r.rows)/r.relay.Seconds())
		out.Events += r.events
		out.Violations += r.wrong
		bytes += r.bytes
		fill += r.fill
		alone, all = alone+r.alone, all+r.rows
	}
	out.EventsPerSec, out.RowsPerSec = spread(events), spread(rows)
	out.FilledPerSec = float64(out.Events) / fill.Seconds()
	out.BytesPerEvent = float64(bytes) / float64(out.Events)
	out.Batched = 1 - float64(alone)/float64(all)
	return out
}
