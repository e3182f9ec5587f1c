package wechatpay_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xinglin/internal/platform/wechatpay"
)

type rsaPublic = rsa.PublicKey

func TestNewRefuses(t *testing.T) {
	cases := map[string]func(c *wechatpay.Config){
		"merchant number": func(c *wechatpay.Config) { c.MchID = "12a" },
		"appid":           func(c *wechatpay.Config) { c.AppID = "" },
		"no key":          func(c *wechatpay.Config) { c.MerchantKey = nil },
		"serial":          func(c *wechatpay.Config) { c.MerchantSerial = "xyz" },
		"APIv3 key":       func(c *wechatpay.Config) { c.APIv3Key = secretOf("short") },
		"plain http":      func(c *wechatpay.Config) { c.BaseURL = "http://pay.example" },
		"base with path":  func(c *wechatpay.Config) { c.BaseURL = "https://pay.example/x" },
		"no notify":       func(c *wechatpay.Config) { c.NotifyURL = "" },
		"notify query":    func(c *wechatpay.Config) { c.NotifyURL += "?a=b" },
		"attempts":        func(c *wechatpay.Config) { c.Attempts = 11 },
		"public key id":   func(c *wechatpay.Config) { c.PublicKeys = map[string]*rsaPublic{"X": &keys().public.PublicKey} },
		"no public key":   func(c *wechatpay.Config) { c.PublicKeys = map[string]*rsaPublic{pubID: nil} },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := config("https://pay.example", nil)
			change(&cfg)
			if _, err := wechatpay.New(cfg); !errors.Is(err, wechatpay.ErrMisconfigured) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	der, _ := x509.MarshalPKIXPublicKey(&keys().public.PublicKey)
	write("merchant.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(keys().merchant)}))
	write("platform.pem", keys().certPEM)
	write("public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	t.Setenv("XINGLIN_TEST_APIV3", apiKey+"\n")
	good := wechatpay.File{
		MchID: mchID, AppID: appID, MerchantKey: "file:merchant.pem", MerchantSerial: merchSN, APIv3Key: "env:XINGLIN_TEST_APIV3",
		PlatformCerts: []string{"file:platform.pem"}, PublicKeys: map[string]string{pubID: "file:public.pem"}, TimeoutMS: 1500,
		NotifyURL: "https://hospital.example/n",
	}
	account := filepath.Join(dir, "account.json")
	load := func(f any) (wechatpay.Config, error) {
		b, _ := json.Marshal(f)
		write("account.json", b)
		return wechatpay.LoadFile(account)
	}
	cfg, err := load(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wechatpay.New(cfg); err != nil {
		t.Fatal(err)
	}
	if len(cfg.PlatformCerts) != 1 || !cfg.PublicKeys[pubID].Equal(&keys().public.PublicKey) || cfg.Timeout.Milliseconds() != 1500 {
		t.Fatalf("got %+v", cfg)
	}
	if s := fmt.Sprintf("%v %+v", cfg.APIv3Key, cfg.APIv3Key); strings.Contains(s, apiKey) {
		t.Fatal("the APIv3 key prints itself")
	}
	bad := map[string]func(f *wechatpay.File){
		"key in place":     func(f *wechatpay.File) { f.APIv3Key = apiKey },
		"missing variable": func(f *wechatpay.File) { f.APIv3Key = "env:XINGLIN_TEST_NONE" },
		"missing file":     func(f *wechatpay.File) { f.MerchantKey = "file:none.pem" },
		"wrong file":       func(f *wechatpay.File) { f.MerchantKey = "file:platform.pem" },
		"no serial":        func(f *wechatpay.File) { f.MerchantSerial = "" },
		"bad certificate":  func(f *wechatpay.File) { f.PlatformCerts = []string{"file:merchant.pem"} },
		"bad public key":   func(f *wechatpay.File) { f.PublicKeys = map[string]string{pubID: "file:merchant.pem"} },
	}
	for name, change := range bad {
		f := good
		change(&f)
		if _, err := load(f); !errors.Is(err, wechatpay.ErrMisconfigured) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := load(map[string]any{"mchid": mchID, "surprise": 1}); !errors.Is(err, wechatpay.ErrMisconfigured) {
		t.Errorf("unknown field: %v", err)
	}
}
