package wechatpay

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"xinglin/internal/kernel/secret"
)

const maxFile = 64 << 10 // bytes of one configuration or key file

// File is a merchant's account as it stands in a JSON file. Keys stand there by reference only: "file:PATH" (relative to the
// JSON file) or "env:NAME".
type File struct {
	MchID           string            `json:"mchid"`
	AppID           string            `json:"appid"`
	MerchantKey     string            `json:"merchant_key"`                   // reference to PEM
	MerchantSerial  string            `json:"merchant_serial,omitempty"`      // hex; or take it from the certificate
	MerchantCert    string            `json:"merchant_certificate,omitempty"` // reference to PEM
	APIv3Key        string            `json:"api_v3_key"`                     // reference
	BaseURL         string            `json:"base_url,omitempty"`
	NotifyURL       string            `json:"notify_url,omitempty"`
	RefundNotifyURL string            `json:"refund_notify_url,omitempty"`
	PlatformCerts   []string          `json:"platform_certificates,omitempty"` // references to PEM
	PublicKeys      map[string]string `json:"public_keys,omitempty"`           // PUB_KEY_ID_... to a reference to PEM
	TimeoutMS       int64             `json:"timeout_ms,omitempty"`
}

// LoadFile reads a merchant's account. Unknown fields and unreadable references are ErrMisconfigured; New checks the rest, so
// that the caller may still set NotifyURL, BaseURL and Clock.
func LoadFile(path string) (Config, error) {
	b, err := readBounded(path)
	if err != nil {
		return Config{}, ErrMisconfigured.Wrap(err)
	}
	var f File
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return Config{}, ErrMisconfigured.Because("account file: %w", err)
	}
	cfg, err := f.resolve(filepath.Dir(path))
	if err != nil {
		return Config{}, ErrMisconfigured.Wrap(err)
	}
	return cfg, nil
}

func (f File) resolve(dir string) (Config, error) {
	cfg := Config{
		MchID: f.MchID, AppID: f.AppID, MerchantSerial: f.MerchantSerial, BaseURL: f.BaseURL,
		NotifyURL: f.NotifyURL, RefundURL: f.RefundNotifyURL, Timeout: time.Duration(f.TimeoutMS) * time.Millisecond,
		PublicKeys: map[string]*rsa.PublicKey{},
	}
	b, err := reference(dir, f.MerchantKey)
	if err != nil {
		return cfg, fmt.Errorf("merchant_key: %w", err)
	}
	if cfg.MerchantKey, err = ParsePrivateKey(b); err != nil {
		return cfg, fmt.Errorf("merchant_key: %w", err)
	}
	if b, err = reference(dir, f.APIv3Key); err != nil {
		return cfg, fmt.Errorf("api_v3_key: %w", err)
	}
	cfg.APIv3Key = secret.New(strings.TrimSpace(string(b)))
	if cfg.MerchantSerial == "" {
		if cfg.MerchantSerial, err = serialOf(dir, f.MerchantCert); err != nil {
			return cfg, err
		}
	}
	return cfg, f.resolvePlatform(dir, &cfg)
}

func (f File) resolvePlatform(dir string, cfg *Config) error {
	for i, ref := range f.PlatformCerts {
		b, err := reference(dir, ref)
		if err != nil {
			return fmt.Errorf("platform_certificates[%d]: %w", i, err)
		}
		c, err := ParseCertificate(b)
		if err != nil {
			return fmt.Errorf("platform_certificates[%d]: %w", i, err)
		}
		cfg.PlatformCerts = append(cfg.PlatformCerts, c)
	}
	for id, ref := range f.PublicKeys {
		b, err := reference(dir, ref)
		if err != nil {
			return fmt.Errorf("public_keys[%s]: %w", id, err)
		}
		if cfg.PublicKeys[id], err = ParsePublicKey(b); err != nil {
			return fmt.Errorf("public_keys[%s]: %w", id, err)
		}
	}
	return nil
}

func serialOf(dir, ref string) (string, error) {
	b, err := reference(dir, ref)
	if err != nil {
		return "", fmt.Errorf("merchant_serial is empty and merchant_certificate: %w", err)
	}
	c, err := ParseCertificate(b)
	if err != nil {
		return "", fmt.Errorf("merchant_certificate: %w", err)
	}
	return CertSerial(c), nil
}

func reference(dir, ref string) ([]byte, error) {
	kind, name, _ := strings.Cut(ref, ":")
	switch {
	case kind == "file" && name != "":
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return readBounded(name)
	case kind == "env" && name != "":
		v, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("environment variable %s is not set", name)
		}
		return []byte(v), nil
	}
	return nil, errors.New(`a reference "file:PATH" or "env:NAME" wanted`)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", filepath.Base(path), maxFile)
	}
	return b, nil
}
