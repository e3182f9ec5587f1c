// Package mailsim is the other side of package mail: a small SMTP server for the demo and
// tests. It speaks STARTTLS with a certificate of its own authority and AUTH PLAIN, takes
// nothing without both, keeps the last mails in memory and makes faults on demand. No
// mail leaves the machine.
package mailsim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

const (
	keep     = 500       // mails
	maxSize  = 256 << 10 // bytes of one
	maxOpen  = 64        // sessions
	ioTime   = 10 * time.Second
	maxSteps = 100 // commands of a session
	user     = "demo"
)

// Options of the simulator.
type Options struct {
	Listen   string // a loopback address: 127.0.0.1:0
	Password secret.Text
	Clock    clock.Clock // nil is the system's
	Log      *slog.Logger
}

// Mail is one that was taken. At is UTC.
type Mail struct {
	ID      string // the Message-ID without its brackets
	From    string // of the envelope
	To      string // of the envelope
	Subject string
	Text    string
	At      time.Time
}

// Kind of a fault.
type Kind string

// The faults. Greylisted (451) is temporary, Refused (550) is for good; Dropped closes
// before the mail is taken, Lost after it, both without an answer; Down greets with 421.
const (
	Down       Kind = "down"
	Greylisted Kind = "greylisted"
	Refused    Kind = "refused"
	Dropped    Kind = "dropped"
	Lost       Kind = "lost"
)

// Server is one simulator. It is safe for concurrent use.
type Server struct {
	o        Options
	listener net.Listener
	tls      *tls.Config
	roots    *x509.CertPool
	work     sync.WaitGroup

	mu     sync.Mutex
	mails  []Mail // the oldest first
	faults []Kind
	conns  map[net.Conn]bool
	closed bool
}

// New opens the socket. Call Serve and Close.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, errors.New("mailsim: want a loopback address")
	}
	s := &Server{o: o, conns: map[net.Conn]bool{}}
	if err := s.certificate(); err != nil {
		return nil, fmt.Errorf("mailsim: %w", err)
	}
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("mailsim: %w", err)
	}
	return s, nil
}

// certificate makes a key and a certificate that signs itself, for this process's life.
func (s *Server) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := clock.Mono() // TLS is checked by the machine's clock, wherever the demo's stands
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailsim"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(cert)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	return nil
}

// URL is where a client connects.
func (s *Server) URL() string { return "smtp://" + user + "@" + s.listener.Addr().String() }

// TLS trusts the simulator's authority.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
}

// Fault queues a fault for the next n sessions.
func (s *Server) Fault(k Kind, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.faults = append(s.faults, k)
	}
}

// Mails are the last ones taken, the newest first; limit 0 is all that are kept (500).
func (s *Server) Mails(limit int) []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.mails)
	if limit > 0 {
		n = min(n, limit)
	}
	out := make([]Mail, 0, n)
	for i := range n {
		out = append(out, s.mails[len(s.mails)-1-i])
	}
	return out
}

// Serve answers until ctx ends or Close.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			s.work.Wait()
			if s.ended() {
				return nil
			}
			return fmt.Errorf("mailsim: %w", err)
		}
		fault, ok := s.open(c)
		if !ok {
			_ = c.Close()
			continue
		}
		s.work.Go(func() {
			defer s.leave(c)
			if err := newSession(s, c, fault).run(); err != nil {
				s.o.Log.Debug("mailsim: session ended", "error", err)
			}
		})
	}
}

// Close ends all sessions and the socket; closing twice is allowed.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	_ = s.listener.Close()
}

func (s *Server) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// open counts a session in and takes its fault.
func (s *Server) open(c net.Conn) (Kind, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= maxOpen {
		return "", false
	}
	s.conns[c] = true
	if len(s.faults) == 0 {
		return "", true
	}
	k := s.faults[0]
	s.faults = s.faults[1:]
	return k, true
}

func (s *Server) leave(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}

func (s *Server) take(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	if len(s.mails) > keep {
		s.mails = append(s.mails[:0], s.mails[1:]...)
	}
}
