package app

import (
	"context"
	"io"
	"time"

	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/scheduling/schedulingsvc"
)

// Bench is what `xinglin bench` changes in a serve process that it measures: the way
// in which a seat is taken, and nothing else.
type Bench struct {
	Peer     string        // schedulingsvc.WithPeer; empty is the product
	Redis    string        // socket of the Redis peers
	Slow     time.Duration // CPU time burnt before each seat is taken: a known slower machine
	Machines bool          // relays, consumers and jobs run too
}

// ServeBench is Serve with a peer.
func ServeBench(ctx context.Context, cfg config.Serve, b Bench, out, logs io.Writer) error {
	return serve(ctx, cfg, &b, out, logs)
}

// seats is nothing in the product.
func (b *Bench) seats() []schedulingsvc.Option {
	if b == nil {
		return nil
	}
	return []schedulingsvc.Option{schedulingsvc.WithPeer(schedulingsvc.Peer{Name: b.Peer, Redis: b.Redis, Slow: b.Slow})}
}

// Crypt is the ring that the house seals with, for what loads many people at once.
func (h *House) Crypt() *crypt.Ring { return h.ring }
