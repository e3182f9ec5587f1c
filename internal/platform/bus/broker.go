package bus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"xinglin/internal/platform/tls"
)

// ServeOptions say how a broker of its own is reached and where it keeps its store.
type ServeOptions struct {
	Listen   string // HOST:PORT; port 0 takes a free one
	Dir      string // created if missing; of one process at a time
	User     string // with Password, or Token alone; one of them is required unless Listen is a loopback address
	Password string
	Token    string
	Peers    *tls.Peers // both sides show certificates, before a word of NATS is said; nil: plain text
	Log      *slog.Logger
}

// Broker is a broker as a process of its own: `xinglin broker`.
type Broker struct {
	srv  *server.Server
	stop func()
	once sync.Once
	tls  bool
}

// Serve runs a broker until Close. ctx bounds the start only.
func Serve(ctx context.Context, o ServeOptions) (*Broker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	host, text, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("bus: listen address %q: want HOST:PORT", o.Listen)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("bus: listen address %q: want HOST:PORT", o.Listen)
	}
	if !loopback(host) && o.User == "" && o.Token == "" {
		return nil, fmt.Errorf("bus: refusing to listen on %q, which is not loopback, without a user or a token", o.Listen)
	}
	so := server.Options{Host: host, Port: int(port), Username: o.User, Password: o.Password, Authorization: o.Token}
	if port == 0 {
		so.Port = server.RANDOM_PORT
	}
	if o.Peers != nil {
		so.TLS, so.TLSVerify, so.TLSConfig, so.TLSTimeout, so.TLSHandshakeFirst = true, true, o.Peers.Server(), 5, true
	}
	srv, stop, err := start(ctx, o.Dir, so, o.Log)
	if err != nil {
		return nil, err
	}
	return &Broker{srv: srv, stop: stop, tls: o.Peers != nil}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Addr is HOST:PORT as bound.
func (b *Broker) Addr() string { return b.srv.Addr().String() }

// URL is where to Dial, without credentials.
func (b *Broker) URL() string {
	if b.tls {
		return "tls://" + b.Addr()
	}
	return "nats://" + b.Addr()
}

// Close stops the broker and waits until its store is closed. A second Close does nothing.
func (b *Broker) Close() { b.once.Do(b.stop) }
