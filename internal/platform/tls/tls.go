// Package tls loads the server's certificate and looks for a renewed one on disk, so
// that a renewal needs no restart. TLS 1.3 only (K12).
package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

const interval = time.Minute // between looks at the files

// Server is the configuration of a listener with the certificate in the PEM files.
func Server(certFile, keyFile string) (*tls.Config, error) {
	return server(&files{cert: certFile, key: keyFile, every: interval})
}

func server(f *files) (*tls.Config, error) {
	if _, err := f.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: f.get, NextProtos: []string{"h2", "http/1.1"}}, nil
}

type files struct {
	cert, key string
	every     time.Duration

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // of the certificate file, as loaded
	next    time.Time // no look before
}

// get gives the newest readable pair; a half-written renewal keeps the old one in use.
func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := clock.Mono()
	if f.loaded != nil && now.Before(f.next) {
		return f.loaded, nil
	}
	f.next = now.Add(f.every)
	st, err := os.Stat(f.cert)
	if err == nil && f.loaded != nil && st.ModTime().Equal(f.changed) {
		return f.loaded, nil
	}
	pair, err2 := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil || err2 != nil {
		if f.loaded != nil {
			return f.loaded, nil
		}
		return nil, fmt.Errorf("certificate: %w", errors.Join(err, err2))
	}
	f.loaded, f.changed = &pair, st.ModTime()
	return f.loaded, nil
}
