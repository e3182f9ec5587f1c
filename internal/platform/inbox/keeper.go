package inbox

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/bus"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/deadletter"
)

// The keeper guards against a database that was restored from an older copy. Each
// second it writes the broker's acknowledgement floor into the database: every message
// up to there has had its effect here, because a message is acknowledged after the
// commit. When the database's floor is below what the broker (at start) or this process
// (later) knows, effects may be missing: everything that the stream keeps is heard once
// more by a consumer beside the main one, which goes on with new messages meanwhile,
// and the inbox drops what did have its effect. After kill -9 that may happen without
// need, which is harmless.

const (
	keepEach  = time.Second
	lookTime  = 10 * time.Second
	againIdle = 90 * time.Second // longer than the longest pause of a retry
	againLook = 200 * time.Millisecond
)

type keeper struct {
	incarnation string
	floor       uint64       // the database is known to have been there
	delivered   atomic.Int64 // deliveries to the second hearing
}

// keep looks each second until ctx ends.
func (c *Consumer) keep(ctx context.Context) {
	tick := time.NewTicker(keepEach)
	defer tick.Stop()
	for {
		if err := c.check(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("inbox: position not kept", "context", c.DB.Name(), "error", deadletter.Describe(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// last keeps the floor after the last message, so that the next start finds it. Not
// after a hearing that was broken off: the database is still behind then.
func (c *Consumer) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	own, floor, err := c.compare(ctx)
	if err == nil && own >= c.keeper.floor && own < floor {
		err = c.store(ctx, floor)
	}
	if err != nil {
		c.Log.Info("inbox: last position not kept", "context", c.DB.Name(), "error", deadletter.Describe(err))
	}
}

// check is one look: hear everything again if the database is behind, then keep the floor.
func (c *Consumer) check(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, lookTime)
	own, floor, err := c.compare(look)
	cancel()
	if err != nil {
		return err
	}
	if own < c.keeper.floor {
		c.Log.Warn("inbox: the database is behind the broker, hearing everything again", "context", c.DB.Name(), "floor", floor, "own", own)
		if err := c.again(ctx, floor); err != nil {
			return err
		}
	}
	if own >= floor {
		return nil
	}
	look, cancel = context.WithTimeout(ctx, lookTime)
	defer cancel()
	return c.store(look, floor)
}

// compare reads the broker's floor and then the database's own.
func (c *Consumer) compare(ctx context.Context) (own, floor uint64, err error) {
	inc, floor, err := c.Bus.AckFloor(ctx, Durable(c.DB.Name()))
	if err != nil {
		return 0, 0, err
	}
	k := &c.keeper
	if inc != k.incarnation {
		k.incarnation, k.floor = inc, floor
	}
	var seq int64
	err = c.DB.Read(ctx, id.ID[auth.Tenant]{}, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT seq FROM inbox_position WHERE tenant_id = $1 AND incarnation = $2", tx.Tenant(), inc).Scan(&seq)
	})
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return 0, 0, err
	}
	return uint64(seq), floor, nil
}

// store writes the floor where it is ahead of the database's.
func (c *Consumer) store(ctx context.Context, floor uint64) error {
	k := &c.keeper
	err := c.DB.Write(ctx, id.ID[auth.Tenant]{}, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO inbox_position (tenant_id, incarnation, seq) VALUES ($1, $2, $3)
			ON CONFLICT (tenant_id, incarnation) DO UPDATE SET seq = excluded.seq WHERE inbox_position.seq < excluded.seq`,
			tx.Tenant(), k.incarnation, int64(floor))
		return err
	})
	if err == nil {
		k.floor = max(k.floor, floor)
	}
	return err
}

// again hears the whole stream once more, up to the floor, under a name of its own.
func (c *Consumer) again(ctx context.Context, floor uint64) error {
	name := Durable(c.DB.Name()) + "_again"
	incarnation := c.keeper.incarnation
	if err := c.Bus.Reset(ctx, name); err != nil {
		return err
	}
	hear, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- c.Bus.Consume(hear, bus.Consumer{Name: name, Subjects: c.subjects(), Workers: c.Workers, Batch: atOnce},
			func(ctx context.Context, ds []bus.Delivery) {
				c.keeper.delivered.Add(1)
				c.handle(ctx, ds)
				c.keeper.delivered.Add(1)
			})
	}()
	err := c.arrived(hear, name, incarnation, floor)
	cancel()
	err = errors.Join(err, <-done)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = c.Bus.Reset(ctx, name) // nothing of it stays on the broker
	}
	return err
}

// arrived waits until the second hearing has ended everything up to the floor, or
// nothing comes any more (the stream no longer has it).
func (c *Consumer) arrived(ctx context.Context, name, incarnation string, floor uint64) error {
	tick := time.NewTicker(againLook)
	defer tick.Stop()
	count, since := c.keeper.delivered.Load(), clock.Mono()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		inc, seq, err := c.Bus.AckFloor(ctx, name)
		if err == nil && (seq >= floor || inc != incarnation) {
			return nil
		}
		if n := c.keeper.delivered.Load(); n != count || err != nil {
			count, since = n, clock.Mono()
		}
		if clock.Mono().Sub(since) > againIdle {
			return nil
		}
	}
}
