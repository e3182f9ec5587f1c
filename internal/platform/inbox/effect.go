package inbox

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
)

// told is one message that was read: what its handlers need.
type told struct {
	meta     event.Meta
	handlers []Handler
	read     []any // by handler
}

func (c *Consumer) of(name string) []Handler {
	return slices.DeleteFunc(slices.Clone(c.Handlers), func(h Handler) bool { return h.Event != name })
}

// read finds the handlers of a message and decodes it for each.
func (c *Consumer) read(m event.Meta, payload []byte) (told, error) {
	t := told{meta: m, handlers: c.of(m.Name)}
	if len(t.handlers) == 0 {
		return t, ErrUnknown.New()
	}
	for _, h := range t.handlers {
		r, err := h.read(m, payload)
		if err != nil {
			return t, err
		}
		t.read = append(t.read, r)
	}
	return t, nil
}

// together tells whether the message may share a transaction.
func (t told) together() bool {
	return len(t.handlers) > 0 && !slices.ContainsFunc(t.handlers, func(h Handler) bool { return !h.together })
}

// effect gives messages of one tenant their effect in one transaction with their inbox
// rows, and tells which are fresh: the others had it before. also, if any, is done in
// the same transaction, repeat or not. ctx is the first message's when there is only one.
func (c *Consumer) effect(ctx context.Context, tenant id.ID[auth.Tenant], ms []told, also func(context.Context, db.Tx) error) (fresh map[id.ID[event.Row]]bool, err error) {
	defer func() {
		if p := recover(); p != nil { // its value may quote data
			err = fmt.Errorf("inbox: a handler panicked with %T", p)
			if len(ms) == 1 {
				err = fmt.Errorf("inbox: handler of %s panicked with %T", ms[0].meta.Name, p)
			}
		}
	}()
	err = c.DB.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
		if fresh, err = c.arrive(ctx, tx, ms); err != nil {
			return err
		}
		if err := c.lock(ctx, tx, ms, fresh); err != nil {
			return err
		}
		done := map[id.ID[event.Row]]bool{} // the stream may hold a message twice
		for _, m := range ms {
			if !fresh[m.meta.ID] || done[m.meta.ID] {
				continue
			}
			done[m.meta.ID] = true
			if err := c.run(ctx, tx, m, len(ms) > 1); err != nil {
				return err
			}
		}
		if also != nil {
			return also(ctx, tx)
		}
		return nil
	})
	return fresh, err
}

// lock takes the rows that the handlers will change, kind by kind.
func (c *Consumer) lock(ctx context.Context, tx db.Tx, ms []told, fresh map[id.ID[event.Row]]bool) error {
	type work struct {
		h    Handler
		read []any
	}
	kinds := map[string]*work{}
	for _, m := range ms {
		for i, h := range m.handlers {
			if h.lock == nil || !fresh[m.meta.ID] {
				continue
			}
			key := fmt.Sprintf("%s %d", h.Event, i)
			if kinds[key] == nil {
				kinds[key] = &work{h: h}
			}
			kinds[key].read = append(kinds[key].read, m.read[i])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(kinds)) {
		if err := kinds[key].h.lock(ctx, tx, kinds[key].read); err != nil {
			return err
		}
	}
	return nil
}

// run does the handlers of one message. Beside others it has a span and a context of
// its own; alone the caller has made them.
func (c *Consumer) run(ctx context.Context, tx db.Tx, m told, beside bool) (err error) {
	if beside {
		var end func(error)
		ctx, end = obs.Start(c.enter(ctx, m.meta), "inbox "+m.meta.Name)
		defer func() { end(err) }()
	}
	for i, h := range m.handlers {
		if err := h.run(ctx, tx, m.meta, m.read[i]); err != nil {
			return err
		}
	}
	return nil
}
