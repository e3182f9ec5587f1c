package wechatpay

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const maxCerts = 64 // platform certificates held at once

// CertSerial is a certificate's serial as the channel writes it.
func CertSerial(c *x509.Certificate) string { return normalSerial(fmt.Sprintf("%X", c.SerialNumber)) }

// normalSerial makes serials comparable: upper case without leading zeros; ids of public keys stay as they are.
func normalSerial(s string) string {
	if strings.HasPrefix(s, PublicKeyPrefix) {
		return s
	}
	return strings.TrimLeft(strings.ToUpper(s), "0")
}

// keyring holds the channel's keys by serial.
type keyring struct {
	mu     sync.RWMutex
	certs  map[string]*x509.Certificate
	public map[string]*rsa.PublicKey
}

func newKeyring(certs []*x509.Certificate, public map[string]*rsa.PublicKey) (*keyring, error) {
	k := &keyring{certs: map[string]*x509.Certificate{}, public: map[string]*rsa.PublicKey{}}
	for id, key := range public {
		if !strings.HasPrefix(id, PublicKeyPrefix) || len(id) == len(PublicKeyPrefix) {
			return nil, fmt.Errorf("public key id: %s... wanted", PublicKeyPrefix)
		}
		if key == nil || key.N.BitLen() < minKeyBits {
			return nil, fmt.Errorf("public key: RSA of at least %d bits wanted", minKeyBits)
		}
		k.public[id] = key
	}
	for _, c := range certs {
		if err := k.add(c); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *keyring) add(c *x509.Certificate) error {
	if _, err := rsaKey(c); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.certs) >= maxCerts {
		k.dropOldest()
	}
	k.certs[CertSerial(c)] = c
	return nil
}

func (k *keyring) dropOldest() {
	oldest := ""
	for s, c := range k.certs {
		if oldest == "" || c.NotAfter.Before(k.certs[oldest].NotAfter) {
			oldest = s
		}
	}
	delete(k.certs, oldest)
}

// find is the key of a serial that is valid at now; nil when there is none.
func (k *keyring) find(serial string, now time.Time) *rsa.PublicKey {
	serial = normalSerial(serial)
	k.mu.RLock()
	defer k.mu.RUnlock()
	if key := k.public[serial]; key != nil {
		return key
	}
	c := k.certs[serial]
	if c == nil || now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return nil
	}
	key, err := rsaKey(c)
	if err != nil {
		return nil
	}
	return key
}

// preferred is the id that requests ask the channel to sign with: the last public key, or none (the channel's certificate).
func (k *keyring) preferred() string {
	ids := slices.Sorted(maps.Keys(k.public))
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

func rsaKey(c *x509.Certificate) (*rsa.PublicKey, error) {
	if c == nil {
		return nil, errors.New("certificate: missing")
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("certificate: RSA of at least %d bits wanted", minKeyBits)
	}
	return key, nil
}

// ParsePrivateKey reads an RSA private key from PEM (PKCS#8 or PKCS#1).
func ParsePrivateKey(b []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("private key: no PEM block")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("private key: neither PKCS#8 nor PKCS#1")
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("private key: RSA wanted")
	}
	return key, nil
}

// ParseCertificate reads one certificate from PEM.
func ParseCertificate(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("certificate: no PEM block of that type")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

// ParsePublicKey reads an RSA public key from PEM (SubjectPublicKeyInfo or PKCS#1), or the one of a certificate.
func ParsePublicKey(b []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("public key: no PEM block")
	}
	if block.Type == "CERTIFICATE" {
		c, err := ParseCertificate(b)
		if err != nil {
			return nil, err
		}
		return rsaKey(c)
	}
	if k, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("public key: cannot be read")
	}
	key, ok := k.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("public key: RSA wanted")
	}
	return key, nil
}
