package paysim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"xinglin/internal/platform/wechatpay"
)

// platform is the simulated channel's identity: a key with a certificate, and another key for public key mode.
type platform struct {
	certKey  *rsa.PrivateKey
	cert     *x509.Certificate
	certPEM  []byte
	pubKey   *rsa.PrivateKey
	pubKeyID string
}

// loadPlatform reads the identity from dir/platform and makes what is missing.
func loadPlatform(dir string, now time.Time) (*platform, error) {
	dir = filepath.Join(dir, "platform")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &platform{}
	var err error
	if p.certKey, err = keyFile(filepath.Join(dir, "cert_key.pem")); err != nil {
		return nil, err
	}
	if p.pubKey, err = keyFile(filepath.Join(dir, "public_mode_key.pem")); err != nil {
		return nil, err
	}
	p.certPEM, err = once(filepath.Join(dir, "cert.pem"), func() ([]byte, error) { return selfSigned(p.certKey, now) })
	if err != nil {
		return nil, err
	}
	if p.cert, err = wechatpay.ParseCertificate(p.certPEM); err != nil {
		return nil, err
	}
	id, err := once(filepath.Join(dir, "public_key_id"), func() ([]byte, error) {
		return []byte(wechatpay.PublicKeyPrefix + digits(34)), nil
	})
	p.pubKeyID = strings.TrimSpace(string(id))
	return p, err
}

func (p *platform) certSerial() string { return wechatpay.CertSerial(p.cert) }

// signer is the key to sign with and its serial.
func (p *platform) signer(publicMode bool) (*rsa.PrivateKey, string) {
	if publicMode {
		return p.pubKey, p.pubKeyID
	}
	return p.certKey, p.certSerial()
}

func keyFile(path string) (*rsa.PrivateKey, error) {
	b, err := once(path, func() ([]byte, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	})
	if err != nil {
		return nil, err
	}
	return wechatpay.ParsePrivateKey(b)
}

// selfSigned is a certificate for key, valid ten years either way: the demo's clock may be moved.
func selfSigned(key *rsa.PrivateKey, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial.SetBit(serial, 158, 1),
		Subject:      pkix.Name{CommonName: "Payment simulator", Organization: []string{"Xinglin demo"}},
		NotBefore:    now.AddDate(-10, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func publicPEM(key *rsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// once reads path; when it is missing it is made whole, mode 0600, and the first maker wins.
func once(path string, content func() ([]byte, error)) ([]byte, error) {
	b, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = content(); err != nil {
		return nil, err
	}
	tmp, err := writeTemp(path, b)
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

// replace writes path whole or not at all, mode 0600.
func replace(path string, b []byte) error {
	tmp, err := writeTemp(path, b)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	return os.Rename(tmp, path)
}

func writeTemp(path string, b []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return f.Name(), nil
}

// digits is n random decimal digits.
func digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		d, _ := rand.Int(rand.Reader, big.NewInt(10)) // crypto/rand does not fail
		b[i] = '0' + byte(d.Int64())
	}
	return string(b)
}
