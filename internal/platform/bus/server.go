package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout bounds how long an own server may take to read its store.
const startTimeout = 60 * time.Second

// start runs a NATS server with JetStream in dir; o says how it is reached. Every stored message is synced before it
// is acknowledged. The returned function stops it.
func start(ctx context.Context, dir string, o server.Options, log *slog.Logger) (*server.Server, func(), error) {
	if dir == "" {
		return nil, nil, errors.New("bus: a broker needs a directory")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("bus: directory: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, "broker.lock"))
	if err != nil {
		return nil, nil, ErrUnreachable.Because("the directory belongs to another running broker: %w", err)
	}
	o.JetStream = true
	o.StoreDir = dir
	o.SyncAlways = true
	o.MaxPayload = MaxBytes
	o.NoSigs = true
	o.NoLog = true
	o.DisableJetStreamBanner = true
	srv, err := server.NewServer(&o)
	if err != nil {
		unlock()
		return nil, nil, fmt.Errorf("bus: broker: %w", err)
	}
	srv.SetLoggerV2(quiet{log}, false, false, false)
	stop := func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		unlock()
	}
	if err := started(ctx, srv); err != nil {
		stop()
		return nil, nil, err
	}
	return srv, stop, nil
}

// started runs the server until it is ready, for at most startTimeout.
func started(ctx context.Context, srv *server.Server) error {
	ready := make(chan bool, 1)
	go func() {
		srv.Start()
		ready <- srv.ReadyForConnections(startTimeout)
	}()
	select {
	case ok := <-ready:
		if !ok || !srv.JetStreamEnabled() {
			return ErrUnreachable.Because("the broker did not start; its log says why")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// quiet passes the server's log on: notices are of no interest, warnings and errors are.
type quiet struct{ log *slog.Logger }

func (q quiet) Noticef(f string, a ...any) { q.say(slog.LevelDebug, f, a) }
func (q quiet) Warnf(f string, a ...any)   { q.say(slog.LevelWarn, f, a) }
func (q quiet) Errorf(f string, a ...any)  { q.say(slog.LevelError, f, a) }
func (q quiet) Fatalf(f string, a ...any)  { q.say(slog.LevelError, f, a) }
func (q quiet) Debugf(string, ...any)      {}
func (q quiet) Tracef(string, ...any)      {}

func (q quiet) say(l slog.Level, f string, a []any) {
	q.log.Log(context.Background(), l, "broker: "+fmt.Sprintf(f, a...))
}
