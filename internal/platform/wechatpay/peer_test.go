package wechatpay_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/wechatpay"
)

// peer starts web/e2e/wechatpay-peer/peer.mjs (npm wechatpay-axios-plugin, a foreign implementation of the protocol) and
// returns what it says. It ends with the test.
func peer(t *testing.T, input, output any) {
	t.Helper()
	web, err := filepath.Abs("../../../web")
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // t.Context ends before the cleanup
	cmd := exec.CommandContext(ctx, node, filepath.Join(web, "e2e", "wechatpay-peer", "peer.mjs"))
	cmd.Env = append(os.Environ(), "XINGLIN_NODE_MODULES="+modules)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("peer: %v", err)
		}
	})
	if err := json.NewEncoder(in).Encode(input); err != nil {
		t.Fatal(err)
	}
	said := make(chan []byte, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadBytes('\n')
		said <- line
	}()
	select {
	case line := <-said:
		if err := json.Unmarshal(line, output); err != nil {
			t.Fatalf("peer said %q: %v", line, err)
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("peer says nothing")
	}
}

func privatePEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// peerInput plays a channel that signs by key under serial.
func peerInput(t *testing.T, serial string, key any) map[string]any {
	query := "GET /v3/pay/transactions/out-trade-no/" + tradeNo + "?mchid=" + mchID
	refund := map[string]any{
		"refund_id": "503", "out_refund_no": refundNo, "transaction_id": "42", "out_trade_no": tradeNo, "status": "PROCESSING",
		"amount": map[string]any{"total": 5000, "refund": 5000, "currency": "CNY"},
	}
	return map[string]any{
		"mode": "channel", "mchid": mchID, "merchantSerial": merchSN, "apiV3Key": apiKey,
		"merchantPublicKey": publicPEM(t, &keys().merchant.PublicKey),
		"serial":            serial, "privateKey": privatePEM(t, key), "certificate": string(keys().certPEM),
		"answers": map[string]any{
			"POST /v3/pay/transactions/h5":     map[string]any{"h5_url": "https://pay.example/h5?prepay_id=wx1"},
			query:                              json.RawMessage(transaction(map[string]any{"attach": "号源 \"A\""})),
			"POST /v3/refund/domestic/refunds": refund,
		},
		"callbacks": []any{
			map[string]any{"id": "EV-PAID", "event": wechatpay.EventPaid, "kind": "transaction", "resource": json.RawMessage(transaction(nil))},
			map[string]any{"id": "EV-BACK", "event": wechatpay.EventRefundDone, "kind": "refund", "resource": json.RawMessage(refundResource(nil))},
		},
	}
}

// TestPeer is the proof that does not rest on our own reading of the protocol: a foreign implementation verifies what we sign
// and we accept what it signs and encrypts, in both modes.
func TestPeer(t *testing.T) {
	for name, publicMode := range map[string]bool{"public key mode": true, "certificate mode": false} {
		t.Run(name, func(t *testing.T) {
			now := clock.System{} // the peer reads the machine's clock
			var said struct {
				URL       string
				Callbacks []struct {
					Headers map[string]string
					Body    string
				}
			}
			cfg := config("", now)
			if publicMode {
				peer(t, peerInput(t, pubID, keys().public), &said)
			} else {
				cfg.PublicKeys = nil // the certificate must be downloaded from the peer
				peer(t, peerInput(t, wechatpay.CertSerial(keys().certificate), keys().cert), &said)
			}
			cfg.BaseURL = said.URL
			c := client(t, cfg)
			peerVerifies(t, c)
			for i, cb := range said.Callbacks {
				h := http.Header{}
				for k, v := range cb.Headers {
					h.Set(k, v)
				}
				n, err := c.ParseNotify(t.Context(), h, []byte(cb.Body), now.Now())
				if err != nil || (n.Transaction == nil) != (i == 1) || (n.Refund == nil) != (i == 0) {
					t.Fatalf("callback %d: %+v %v", i, n, err)
				}
				if _, err := c.ParseNotify(t.Context(), h, []byte(cb.Body+" "), now.Now()); !errors.Is(err, wechatpay.ErrCallbackForged) {
					t.Fatalf("callback %d, changed: %v", i, err)
				}
			}
			if len(said.Callbacks) != 2 {
				t.Fatalf("%d callbacks", len(said.Callbacks))
			}
		})
	}
}

// peerVerifies sends each kind of request; the peer answers 401 to one that it cannot verify.
func peerVerifies(t *testing.T, c *wechatpay.Client) {
	t.Helper()
	ctx := t.Context()
	order := wechatpay.Order{OutTradeNo: tradeNo, Description: "门诊挂号费 <1> & \"2\"", TotalFen: 5000, PayerIP: "203.0.113.9"}
	if u, err := c.PrepayH5(ctx, order); err != nil || u != "https://pay.example/h5?prepay_id=wx1" {
		t.Fatalf("prepay: %q %v", u, err)
	}
	tr, err := c.Query(ctx, tradeNo)
	if err != nil || !tr.Paid() || tr.Attach != `号源 "A"` {
		t.Fatalf("query: %+v %v", tr, err)
	}
	if err := c.Close(ctx, tradeNo); err != nil {
		t.Fatalf("close: %v", err)
	}
	r, err := c.Refund(ctx, wechatpay.RefundOrder{OutTradeNo: tradeNo, OutRefundNo: refundNo, RefundFen: 5000, TotalFen: 5000})
	if err != nil || r.State != wechatpay.RefundProcessing {
		t.Fatalf("refund: %+v %v", r, err)
	}
}

// TestPeerRefusesAForeignKey shows that the peer does verify.
func TestPeerRefusesAForeignKey(t *testing.T) {
	var said struct{ URL string }
	peer(t, peerInput(t, pubID, keys().public), &said)
	cfg := config(said.URL, clock.System{})
	cfg.MerchantKey = keys().foreign
	_, err := client(t, cfg).Query(t.Context(), tradeNo)
	if r := wechatpay.RefusalOf(err); r == nil || r.Code != "SIGN_ERROR" || r.Message != "signature" {
		t.Fatalf("got %v", err)
	}
}
