package bus

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// EmbedOptions say where the broker inside this process keeps its store.
type EmbedOptions struct {
	Dir string // created if missing; of one process at a time
	Log *slog.Logger
}

// Embed runs the broker inside this process, without a listener.
func Embed(ctx context.Context, o EmbedOptions) (Bus, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	srv, stop, err := start(ctx, o.Dir, server.Options{DontListen: true}, o.Log)
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, "", o.Log, nats.InProcessServer(srv), nats.Name("xinglin embedded"))
	if err != nil {
		stop()
		return nil, refusal(err)
	}
	c.embedded, c.after = true, stop
	return c, nil
}
