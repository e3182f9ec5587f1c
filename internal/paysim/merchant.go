package paysim

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/wechatpay"
)

// Merchant is an account that the simulator serves, as it stands in DIR/merchants/MCHID.json (mode 0600).
type Merchant struct {
	MchID      string   `json:"mchid"`
	AppID      string   `json:"appid"`
	Name       string   `json:"name"`            // shown on the cashier page
	Serial     string   `json:"serial"`          // of the merchant's certificate, hex
	PublicKey  string   `json:"public_key"`      // PEM: public key or certificate
	APIv3Key   string   `json:"api_v3_key"`      // 32 bytes
	Hosts      []string `json:"hosts"`           // HOST or HOST:PORT allowed in notify_url and redirect_url
	PublicMode bool     `json:"public_key_mode"` // sign callbacks with the public-mode key instead of the certificate
}

type merchant struct {
	Merchant
	key *rsa.PublicKey
}

const maxMerchants = 100

var mchIDForm = regexp.MustCompile(`^[0-9]{6,32}$`)

// Register adds or replaces a merchant in a simulator's folder; a running simulator reads it at its next start.
func Register(dir string, m Merchant) error {
	if _, err := m.open(); err != nil {
		return fmt.Errorf("paysim: %w", err)
	}
	folder := filepath.Join(dir, "merchants")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("paysim: %w", err)
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("paysim: %w", err)
	}
	if err := replace(filepath.Join(folder, m.MchID+".json"), append(b, '\n')); err != nil {
		return fmt.Errorf("paysim: %w", err)
	}
	return nil
}

func (m Merchant) open() (*merchant, error) {
	switch {
	case !mchIDForm.MatchString(m.MchID):
		return nil, errors.New("merchant: number of 6 to 32 digits wanted")
	case m.AppID == "" || m.Name == "" || m.Serial == "":
		return nil, fmt.Errorf("merchant %s: appid, name and serial wanted", m.MchID)
	case len(m.APIv3Key) != 32:
		return nil, fmt.Errorf("merchant %s: APIv3 key of 32 bytes wanted", m.MchID)
	case len(m.Hosts) == 0:
		return nil, fmt.Errorf("merchant %s: hosts for callbacks wanted", m.MchID)
	}
	key, err := wechatpay.ParsePublicKey([]byte(m.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("merchant %s: %w", m.MchID, err)
	}
	return &merchant{Merchant: m, key: key}, nil
}

func loadMerchants(dir string) (map[string]*merchant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "merchants", "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) > maxMerchants {
		return nil, fmt.Errorf("%d files, at most %d wanted", len(files), maxMerchants)
	}
	all := map[string]*merchant{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var m Merchant
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&m); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		if all[m.MchID], err = m.open(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// allows tells whether an address may get callbacks or browsers: http(s) on a registered host. The real channel wants https
// for callbacks; the simulator's merchants are mostly on the loopback.
func (m *merchant) allows(raw string) (*url.URL, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, false
	}
	return u, slices.Contains(m.Hosts, u.Host) || slices.Contains(m.Hosts, u.Hostname())
}

// The account that Provision makes.
const (
	DemoMchID = "1900009527"
	DemoAppID = "wx0123456789abcdef"
	DemoName  = "杏林演示医院"
)

// Provision makes, on its first call for dir, the simulated platform's keys and one merchant with its own key, and returns the
// merchant's side of it: hand BaseURL (Server.URL), NotifyURL and Clock in and give it to wechatpay.New. Later calls return the
// same account. The merchant's files are in dir/merchant; account.json there can be read by wechatpay.LoadFile as well.
// Callbacks may go to the loopback and to the hosts named.
//
// The returned account knows the platform's public key (public key mode) and no certificate: certificates are downloaded when
// a callback names one. Call it before New on the same folder.
func Provision(dir string, hosts ...string) (wechatpay.Config, error) {
	cfg, err := provision(dir, hosts)
	if err != nil {
		return wechatpay.Config{}, fmt.Errorf("paysim: provision: %w", err)
	}
	return cfg, nil
}

func provision(dir string, hosts []string) (wechatpay.Config, error) {
	var none wechatpay.Config
	if err := os.MkdirAll(filepath.Join(dir, "merchant"), 0o700); err != nil {
		return none, err
	}
	now := clock.System{}.Now()
	p, err := loadPlatform(dir, now)
	if err != nil {
		return none, err
	}
	in := func(name string) string { return filepath.Join(dir, "merchant", name) }
	key, err := keyFile(in("key.pem"))
	if err != nil {
		return none, err
	}
	cert, err := once(in("cert.pem"), func() ([]byte, error) { return selfSigned(key, now) })
	if err != nil {
		return none, err
	}
	apiKey, err := once(in("api_v3.key"), func() ([]byte, error) { return []byte(wechatpay.Nonce()), nil })
	if err != nil {
		return none, err
	}
	pub, err := publicPEM(&p.pubKey.PublicKey)
	if err != nil {
		return none, err
	}
	if err := replace(in("platform_public_key.pem"), pub); err != nil {
		return none, err
	}
	account := wechatpay.File{
		MchID: DemoMchID, AppID: DemoAppID, MerchantKey: "file:key.pem", MerchantCert: "file:cert.pem",
		APIv3Key: "file:api_v3.key", PublicKeys: map[string]string{p.pubKeyID: "file:platform_public_key.pem"},
	}
	b, err := json.MarshalIndent(account, "", "  ")
	if err != nil {
		return none, err
	}
	if err := replace(in("account.json"), append(b, '\n')); err != nil {
		return none, err
	}
	c, err := wechatpay.ParseCertificate(cert)
	if err != nil {
		return none, err
	}
	err = Register(dir, Merchant{
		MchID: DemoMchID, AppID: DemoAppID, Name: DemoName, Serial: wechatpay.CertSerial(c), PublicKey: string(cert),
		APIv3Key: strings.TrimSpace(string(apiKey)), PublicMode: true,
		Hosts: append([]string{"127.0.0.1", "localhost", "::1"}, hosts...),
	})
	if err != nil {
		return none, err
	}
	return wechatpay.LoadFile(in("account.json"))
}
