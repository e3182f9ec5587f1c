package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Issue is a certificate of a small authority for the processes of one installation.
type Issue struct {
	Dir   string        // ca.pem and ca.key, made when missing; NAME.pem and NAME.key are written, over those of before
	Name  string        // of the process
	Hosts []string      // names and addresses that others reach it by
	Life  time.Duration // of the certificate
	Now   time.Time
}

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	backdate      = 5 * time.Minute // clocks differ
)

// Make writes the files. Key and certificate come by rename, the key first: whoever looks in between keeps the pair of before.
func (i Issue) Make() error {
	if i.Name == "ca" || i.Name == "" || filepath.Base(i.Name) != i.Name || len(i.Hosts) == 0 || i.Life <= 0 {
		return errors.New("want a name, hosts and a lifetime")
	}
	if err := os.MkdirAll(i.Dir, 0o700); err != nil {
		return err
	}
	ca, err := i.authority()
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: i.Name}, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   i.Now.Add(-backdate), NotAfter: i.Now.Add(i.Life),
	}
	for _, h := range i.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return i.write(i.Name, c, ca)
}

// authority reads the one in the folder, or makes it.
func (i Issue) authority() (*tls.Certificate, error) {
	cert, key := filepath.Join(i.Dir, "ca.pem"), filepath.Join(i.Dir, "ca.key")
	if _, err := os.Stat(cert); errors.Is(err, fs.ErrNotExist) {
		c := &x509.Certificate{
			Subject: pkix.Name{CommonName: "Xinglin processes"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, NotBefore: i.Now.Add(-backdate), NotAfter: i.Now.Add(authorityLife),
		}
		if err := i.write("ca", c, nil); err != nil {
			return nil, err
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	return &pair, err
}

// write makes a key and its certificate, signed by the authority or, without one, by itself.
func (i Issue) write(name string, c *x509.Certificate, ca *tls.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	parent, signer := c, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := put(filepath.Join(i.Dir, name+".key"), "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	return put(filepath.Join(i.Dir, name+".pem"), "CERTIFICATE", der, 0o644)
}

func put(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".pem-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
