package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

// Peers are the processes of one installation towards each other: broker, serve, command line. Each shows the certificate in Cert, and trusts
// who shows one of the authority in CA; the system's authorities count for nothing here.
type Peers struct {
	own *files
	ca  *authorities
}

// PeerFiles are PEM files; all three or none.
type PeerFiles struct {
	Cert    string `help:"This process's certificate towards the other processes (PEM); with it the inner doors take TLS 1.3 only, from who shows a certificate of --peer-ca." env:"XINGLIN_PEER_CERT" type:"path" json:"cert"`
	KeyFile string `name:"key" help:"Key file of that certificate (PEM)." env:"XINGLIN_PEER_KEY" type:"path" json:"key"`
	CA      string `name:"ca" help:"Certificates of the authority of all processes (PEM); two while it changes." env:"XINGLIN_PEER_CA" type:"path" json:"ca"`
}

// Zero reports that inner doors are plain.
func (f PeerFiles) Zero() bool { return f == PeerFiles{} }

const (
	peerInterval  = time.Second // between looks at the files
	handshakeTime = 5 * time.Second
)

// NewPeers reads the files; they are looked at again during handshakes, so that renewed ones need no restart.
func NewPeers(f PeerFiles) (*Peers, error) { return newPeers(f, peerInterval) }

func newPeers(f PeerFiles, every time.Duration) (*Peers, error) {
	if f.Cert == "" || f.KeyFile == "" || f.CA == "" {
		return nil, errors.New("want certificate, key and authority together")
	}
	p := &Peers{own: &files{cert: f.Cert, key: f.KeyFile, every: every}, ca: &authorities{file: f.CA, every: every}}
	if _, err := p.own.get(nil); err != nil {
		return nil, err
	}
	if _, err := p.ca.get(); err != nil {
		return nil, err
	}
	return p, nil
}

// Certificate is this process's, as the files have it now.
func (p *Peers) Certificate() (tls.Certificate, error) {
	c, err := p.own.get(nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	return *c, nil
}

// Authorities are those that others are trusted by, as the file has them now.
func (p *Peers) Authorities() (*x509.CertPool, error) { return p.ca.get() }

// Server is for a listener: who shows no good certificate does not get in. Resumption is off, since it would pass by a changed authority.
func (p *Peers) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, GetCertificate: p.own.get, SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			pool, err := p.ca.get()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, GetCertificate: p.own.get,
				SessionTicketsDisabled: true, NextProtos: []string{"h2", "http/1.1"},
			}, nil
		},
	}
}

// Client is for one connection to host.
func (p *Peers) Client(host string) (*tls.Config, error) {
	pool, err := p.ca.get()
	if err != nil {
		return nil, err
	}
	cert, err := p.Certificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, ServerName: host, RootCAs: pool, Certificates: []tls.Certificate{cert}}, nil
}

// Dial opens a connection to another process, for a http.Transport.
func (p *Peers) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conf, err := p.Client(host)
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: handshakeTime}, Config: conf}
	return d.DialContext(ctx, network, address)
}

// authorities are the certificates of a file, read again when it changed.
type authorities struct {
	file  string
	every time.Duration

	mu      sync.Mutex
	pool    *x509.CertPool
	changed time.Time
	next    time.Time
}

// get keeps what it has when the file is half-written or gone.
func (a *authorities) get() (*x509.CertPool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := clock.Mono()
	if a.pool != nil && now.Before(a.next) {
		return a.pool, nil
	}
	a.next = now.Add(a.every)
	st, err := os.Stat(a.file)
	if err == nil && a.pool != nil && st.ModTime().Equal(a.changed) {
		return a.pool, nil
	}
	pem, err2 := os.ReadFile(a.file)
	pool := x509.NewCertPool()
	if err != nil || err2 != nil || !pool.AppendCertsFromPEM(pem) {
		if a.pool != nil {
			return a.pool, nil
		}
		return nil, fmt.Errorf("authority: %w", errors.Join(err, err2, errors.New("no certificate in "+a.file)))
	}
	a.pool, a.changed = pool, st.ModTime()
	return a.pool, nil
}
