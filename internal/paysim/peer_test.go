package paysim

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/wechatpay"
)

// runPeer runs npm wechatpay-axios-plugin as a merchant against the simulator and returns what it says.
func runPeer(t *testing.T, input, output any) {
	t.Helper()
	web, err := filepath.Abs("../../web")
	if err != nil {
		t.Fatal(err)
	}
	modules := os.Getenv("XINGLIN_NODE_MODULES")
	if modules == "" {
		modules = filepath.Join(web, "node_modules")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("node is missing; install Node 20 (Debian: apt-get install nodejs): %v", err)
	}
	if _, err := os.Stat(filepath.Join(modules, "wechatpay-axios-plugin", "package.json")); err != nil {
		t.Fatalf("npm wechatpay-axios-plugin is missing; run: npm --prefix web ci   (or set XINGLIN_NODE_MODULES): %v", err)
	}
	raw, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(web, "e2e", "wechatpay-peer", "peer.mjs"))
	cmd.Env = append(os.Environ(), "XINGLIN_NODE_MODULES="+modules)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(append(raw, '\n')), &out, &errs, 5*time.Second
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("peer: %v\n%s", err, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), output); err != nil {
		t.Fatalf("peer said %q: %v", out.String(), err)
	}
}

// TestForeignMerchant shows that the simulator is the channel to a foreign client too: its requests are verified, our answers
// verify there, the certificate list and the callbacks open there.
func TestForeignMerchant(t *testing.T) {
	for name, publicMode := range map[string]bool{"public key mode": true, "certificate mode": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) {
				o.Clock = clock.System{} // the peer reads the machine's clock
				setMode(t, o.Dir, publicMode)
			})
			w.cfg.Clock = clock.System{}
			c, err := wechatpay.New(w.cfg)
			if err != nil {
				t.Fatal(err)
			}
			o := order1(no1)
			o.ExpiresAt = time.Time{}
			if _, err := c.PrepayH5(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			w.pay(no1)
			cb := w.next()
			input := peerInput(t, w, publicMode)
			input["callbacks"] = []any{map[string]any{"body": string(cb.body), "headers": map[string]string{
				"Wechatpay-Serial": cb.header.Get("Wechatpay-Serial"), "Wechatpay-Timestamp": cb.header.Get("Wechatpay-Timestamp"),
				"Wechatpay-Nonce": cb.header.Get("Wechatpay-Nonce"), "Wechatpay-Signature": cb.header.Get("Wechatpay-Signature"),
			}}}
			var said struct {
				H5URL       string `json:"h5_url"`
				State       string `json:"trade_state"`
				Certificate string `json:"certificate"`
				Opened      []struct {
					OutTradeNo string `json:"out_trade_no"`
					State      string `json:"trade_state"`
				} `json:"opened"`
			}
			runPeer(t, input, &said)
			if !strings.HasPrefix(said.H5URL, w.sim.URL()+"/h5/") || said.State != wechatpay.StateNotPaid {
				t.Fatalf("%+v", said)
			}
			if said.Certificate != string(w.sim.platform.certPEM) {
				t.Fatal("the certificate is another one")
			}
			if len(said.Opened) != 1 || said.Opened[0].OutTradeNo != no1 || said.Opened[0].State != wechatpay.StatePaid {
				t.Fatalf("%+v", said.Opened)
			}
		})
	}
}

func peerInput(t *testing.T, w *world, publicMode bool) map[string]any {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(w.cfg.MerchantKey)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := publicPEM(&w.sim.platform.pubKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ask := ""
	if publicMode {
		ask = w.sim.platform.pubKeyID
	}
	return map[string]any{
		"mode": "merchant", "baseURL": w.sim.URL() + "/", "mchid": DemoMchID, "ask": ask, "apiV3Key": w.cfg.APIv3Key.Reveal(),
		"merchantSerial": w.cfg.MerchantSerial, "privateKey": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"certs": map[string]string{w.sim.platform.certSerial(): string(w.sim.platform.certPEM), w.sim.platform.pubKeyID: string(pub)},
		"order": map[string]any{
			"appid": DemoAppID, "mchid": DemoMchID, "description": "外部客户端 <挂号>", "out_trade_no": "PEER-20260501-01",
			"notify_url": w.cfg.NotifyURL, "amount": map[string]any{"total": 100, "currency": "CNY"},
			"scene_info": map[string]any{"payer_client_ip": "203.0.113.9", "h5_info": map[string]string{"type": "Wap"}},
		},
	}
}
