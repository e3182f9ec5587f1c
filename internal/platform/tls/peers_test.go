package tls

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
)

// issue makes a certificate in the folder of an authority.
func issue(t *testing.T, dir, name string, life time.Duration, now time.Time) PeerFiles {
	t.Helper()
	if err := (Issue{Dir: dir, Name: name, Hosts: []string{"127.0.0.1", "localhost"}, Life: life, Now: now}).Make(); err != nil {
		t.Fatal(err)
	}
	return PeerFiles{Cert: filepath.Join(dir, name+".pem"), KeyFile: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, "ca.pem")}
}

func peers(t *testing.T, f PeerFiles) *Peers {
	t.Helper()
	p, err := newPeers(f, 0) // looks each time
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// echo is a door that says back what it hears.
func echo(t *testing.T, c *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// ask wants a word back: with TLS 1.3 a client hears of a refusal when it reads.
func ask(c net.Conn) error {
	const word = "a word that is longer than the header of a record"
	b := make([]byte, len(word))
	if err := errors.Join(c.SetDeadline(clock.Mono().Add(10*time.Second)), func() error { _, err := c.Write([]byte(word)); return err }()); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

func (p *Peers) try(t *testing.T, addr string) error {
	t.Helper()
	c, err := p.Dial(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	return ask(c)
}

func TestPeers(t *testing.T) {
	now := clock.System{}.Now()
	dir, foreign := t.TempDir(), t.TempDir()
	server := peers(t, issue(t, dir, "server", time.Hour, now))
	addr := echo(t, server.Server())
	good := peers(t, issue(t, dir, "client", time.Hour, now))
	if err := good.try(t, addr); err != nil {
		t.Fatalf("a good certificate: %v", err)
	}
	if err := peers(t, issue(t, foreign, "client", time.Hour, now)).try(t, addr); err == nil {
		t.Error("a stranger who trusts another authority got in")
	}
	mixed := issue(t, foreign, "mixed", time.Hour, now)
	mixed.CA = filepath.Join(dir, "ca.pem")
	if err := peers(t, mixed).try(t, addr); err == nil {
		t.Error("a foreign certificate got in")
	}
	if err := peers(t, issue(t, dir, "late", time.Minute, now.Add(-time.Hour))).try(t, addr); err == nil {
		t.Error("an expired certificate got in")
	}
	late := echo(t, peers(t, issue(t, dir, "old", time.Minute, now.Add(-time.Hour))).Server())
	if err := good.try(t, late); err == nil {
		t.Error("an expired server was trusted")
	}
	pool, err := good.Authorities()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}); err == nil {
		if ask(c) == nil {
			t.Error("somebody without a certificate got in")
		}
		_ = c.Close()
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		cert, err := good.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: v})
		if err == nil {
			_ = c.Close()
			t.Errorf("version %x was taken", v)
		}
	}
	plain, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if ask(plain) == nil {
		t.Error("plain text was taken")
	}
}

// Certificates and the authority change while connections stand: those stay, new ones are of the new.
func TestPeersRotate(t *testing.T) {
	now := clock.System{}.Now()
	dir, next := t.TempDir(), t.TempDir()
	sf, cf := issue(t, dir, "server", time.Hour, now), issue(t, dir, "client", time.Hour, now)
	server, client := peers(t, sf), peers(t, cf)
	addr := echo(t, server.Server())
	old, err := client.Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	at := now
	newer := func(f string, b []byte) {
		t.Helper()
		at = at.Add(time.Second)
		if err := errors.Join(os.WriteFile(f, b, 0o600), os.Chtimes(f, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(f string) []byte {
		t.Helper()
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	stale := issue(t, dir, "stale", time.Hour, now)
	nf := issue(t, next, "server", time.Hour, now)
	before, _ := client.Certificate()
	// Both authorities first, then the certificates, then the old authority goes.
	both := append(read(cf.CA), read(nf.CA)...)
	newer(cf.CA, both) // one file of both here
	fresh := issue(t, next, "client", time.Hour, now)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"both authorities", func() {}},
		{"half a certificate", func() { newer(sf.Cert, read(nf.Cert)[:100]) }},
		{"the server's", func() { newer(sf.KeyFile, read(nf.KeyFile)); newer(sf.Cert, read(nf.Cert)) }},
		{"the client's", func() { newer(cf.KeyFile, read(fresh.KeyFile)); newer(cf.Cert, read(fresh.Cert)) }},
		{"half an authority", func() { newer(cf.CA, []byte("-----BEGIN")) }},
		{"the new authority alone", func() { newer(cf.CA, read(nf.CA)) }},
	} {
		step.do()
		if err := client.try(t, addr); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if err := ask(old); err != nil {
			t.Errorf("%s: the connection from before: %v", step.name, err)
		}
	}
	after, _ := client.Certificate()
	if string(before.Certificate[0]) == string(after.Certificate[0]) {
		t.Error("the client's certificate is the one from before")
	}
	stale.CA = nf.CA
	// Who still has the certificate from before is a stranger now.
	if peers(t, stale).try(t, addr) == nil {
		t.Error("a certificate of the authority from before got in")
	}
}

func TestPeerFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	good := issue(t, dir, "p", time.Hour, clock.System{}.Now())
	for name, f := range map[string]PeerFiles{
		"no authority": {Cert: good.Cert, KeyFile: good.KeyFile},
		"no key":       {Cert: good.Cert, CA: good.CA},
		"key as ca":    {Cert: good.Cert, KeyFile: good.KeyFile, CA: good.KeyFile},
		"missing":      {Cert: good.Cert + "x", KeyFile: good.KeyFile, CA: good.CA},
	} {
		if _, err := NewPeers(f); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, i := range map[string]Issue{
		"no hosts": {Dir: dir, Name: "a", Life: time.Hour}, "ca": {Dir: dir, Name: "ca", Hosts: []string{"h"}, Life: time.Hour},
		"path": {Dir: dir, Name: "../a", Hosts: []string{"h"}, Life: time.Hour}, "no life": {Dir: dir, Name: "a", Hosts: []string{"h"}},
	} {
		if err := i.Make(); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if b, err := os.ReadFile(good.KeyFile); err != nil || !strings.Contains(string(b), "PRIVATE KEY") {
		t.Error("no key in PEM")
	}
	if st, err := os.Stat(good.KeyFile); err != nil || st.Mode().Perm() != 0o600 {
		t.Error("the key may be read by others")
	}
}
