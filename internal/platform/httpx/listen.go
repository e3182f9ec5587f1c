package httpx

import (
	"net"
	"net/http"
	"sort"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

// Connections bounds the open connections of a listener, in all and of one network
// address. Beyond the bound of an address a new connection is closed at once; when all
// are taken, those that have been idle longest make room, so that sockets held open by
// nobody in particular do not keep a patient out.
type Connections struct {
	most, perAddress int
	mono             func() time.Time

	mu    sync.Mutex
	open  map[net.Conn]*conn
	addrs map[string]int

	refused, evicted int64
}

// conn is one connection; idle tells since when no request is in it.
type conn struct {
	address string
	idle    time.Time // zero: in a request
}

// NewConnections makes the bound; perAddress 0 is no bound of an address (behind a proxy).
func NewConnections(most, perAddress int) *Connections {
	return &Connections{most: max(1, most), perAddress: perAddress, mono: clock.Mono, open: map[net.Conn]*conn{}, addrs: map[string]int{}}
}

// Listen wraps a listener.
func (k *Connections) Listen(l net.Listener) net.Listener { return &bounded{l, k} }

type bounded struct {
	net.Listener
	k *Connections
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.k.enter(c) {
			return &counted{Conn: c, k: b.k}, nil
		}
		_ = c.Close()
	}
}

// counted tells when it is closed.
type counted struct {
	net.Conn
	k    *Connections
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.k.leave(c.Conn) })
	return c.Conn.Close()
}

func (k *Connections) enter(c net.Conn) bool {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		host = c.RemoteAddr().String()
	}
	host = network(host)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.perAddress > 0 && k.addrs[host] >= k.perAddress {
		k.refused++
		return false
	}
	if len(k.open) >= k.most {
		k.evict()
	}
	if len(k.open) >= k.most {
		k.refused++
		return false
	}
	k.open[c] = &conn{address: host, idle: k.mono()}
	k.addrs[host]++
	return true
}

func (k *Connections) leave(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop(c)
}

func (k *Connections) drop(c net.Conn) {
	v := k.open[c]
	if v == nil {
		return
	}
	delete(k.open, c)
	if k.addrs[v.address]--; k.addrs[v.address] <= 0 {
		delete(k.addrs, v.address)
	}
}

// evict closes a sixteenth of all, the longest idle first, so that the search for them is rare.
func (k *Connections) evict() {
	var idle []net.Conn
	for c, v := range k.open {
		if !v.idle.IsZero() {
			idle = append(idle, c)
		}
	}
	sort.Slice(idle, func(i, j int) bool { return k.open[idle[i]].idle.Before(k.open[idle[j]].idle) })
	for _, c := range idle[:min(len(idle), max(1, k.most/16))] {
		k.drop(c)
		_ = c.Close()
		k.evicted++
	}
}

// State is for http.Server.ConnState.
func (k *Connections) State(c net.Conn, s http.ConnState) {
	if s != http.StateActive && s != http.StateIdle {
		return
	}
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if own, ok := c.(*counted); ok {
		c = own.Conn
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if v := k.open[c]; v != nil {
		v.idle = time.Time{}
		if s == http.StateIdle {
			v.idle = k.mono()
		}
	}
}

// Counts are for metrics: open now, refused, made to go.
func (k *Connections) Counts() (open, refused, evicted int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return int64(len(k.open)), k.refused, k.evicted
}
