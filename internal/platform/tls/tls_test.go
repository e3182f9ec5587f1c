package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
)

// pair is a fresh self-signed certificate with its key, as PEM.
func pair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	k, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	now := clock.Mono()
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{"h.test"}}
	der, err2 := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	kder, err3 := x509.MarshalPKCS8PrivateKey(k)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
}

type disk struct {
	t         *testing.T
	cert, key string
	at        time.Time // of the newest file, so that each write has its own time
}

func newDisk(t *testing.T) *disk {
	dir := t.TempDir()
	return &disk{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), at: clock.Mono().Add(-time.Hour)}
}

func (d *disk) write(name string, b []byte) {
	d.t.Helper()
	d.at = d.at.Add(time.Second)
	if err := errors.Join(os.WriteFile(name, b, 0o600), os.Chtimes(name, d.at, d.at)); err != nil {
		d.t.Fatal(err)
	}
}

// serve answers handshakes on a socket of its own.
func serve(t *testing.T, c *tls.Config) string {
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
				_, _ = io.Copy(io.Discard, conn) // shakes hands
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// serial is the certificate that the server shows now.
func serial(addr string, highest uint16) (int64, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, &tls.Config{
		InsecureSkipVerify: true, MaxVersion: highest, NextProtos: []string{"h2"},
	})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	st := c.ConnectionState()
	if st.Version != tls.VersionTLS13 || st.NegotiatedProtocol != "h2" {
		return 0, errors.New("not TLS 1.3 with h2")
	}
	return st.PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestOnlyTLS13(t *testing.T) {
	d := newDisk(t)
	cert, key := pair(t, 1)
	d.write(d.cert, cert)
	d.write(d.key, key)
	c, err := Server(d.cert, d.key)
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, c)
	if n, err := serial(addr, 0); n != 1 || err != nil {
		t.Errorf("TLS 1.3: %d, %v", n, err)
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		if _, err := serial(addr, v); err == nil {
			t.Errorf("version %x was taken", v)
		}
	}
}

func TestRenewal(t *testing.T) {
	d := newDisk(t)
	cert, key := pair(t, 1)
	d.write(d.cert, cert)
	d.write(d.key, key)
	c, err := server(&files{cert: d.cert, key: d.key}) // looks each time
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, c)
	shows := func(what string, want int64) {
		t.Helper()
		if n, err := serial(addr, 0); n != want || err != nil {
			t.Errorf("%s: certificate %d, %v; want %d", what, n, err, want)
		}
	}
	shows("first", 1)
	cert2, key2 := pair(t, 2)
	d.write(d.cert, cert2[:len(cert2)/2])
	shows("half a certificate", 1)
	d.write(d.cert, cert2)
	shows("the certificate before its key", 1)
	d.write(d.key, key2[:len(key2)/2])
	shows("half a key", 1)
	d.write(d.key, key2)
	shows("both", 2)
	cert3, key3 := pair(t, 3)
	d.write(d.key, key3)
	shows("the key before its certificate", 2)
	d.write(d.cert, cert3)
	shows("both, the other way round", 3)
	if err := os.Remove(d.cert); err != nil {
		t.Fatal(err)
	}
	shows("no file", 3)
	d.write(d.cert, cert3)
	shows("the file is back", 3)
}

// The files are looked at once a minute, not on each handshake.
func TestInterval(t *testing.T) {
	d := newDisk(t)
	cert, key := pair(t, 1)
	d.write(d.cert, cert)
	d.write(d.key, key)
	f := &files{cert: d.cert, key: d.key, every: interval}
	first, err := f.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert2, key2 := pair(t, 2)
	d.write(d.cert, cert2)
	d.write(d.key, key2)
	if again, err := f.get(nil); again != first || err != nil {
		t.Errorf("looked again at once: %v", err)
	}
	f.next = clock.Mono() // a minute later
	if again, err := f.get(nil); again == first || err != nil {
		t.Errorf("not looked again: %v", err)
	}
}

func TestServerRefuses(t *testing.T) {
	d := newDisk(t)
	if _, err := Server(d.cert, d.key); err == nil {
		t.Error("no files")
	}
	cert, _ := pair(t, 1)
	_, key := pair(t, 2)
	d.write(d.cert, cert)
	d.write(d.key, key)
	if _, err := Server(d.cert, d.key); err == nil {
		t.Error("a key of another certificate")
	}
}
