package wechatpay_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/wechatpay"
)

const (
	mchID    = "1900001111"
	appID    = "wxaaaabbbbccccdddd"
	apiKey   = "0123456789abcdef0123456789abcdef"
	pubID    = "PUB_KEY_ID_0119000011112024010100000000000001"
	merchSN  = "5157F09EFDC096DE15EBE81A47057A72"
	tradeNo  = "PAY-20260501-0001"
	refundNo = "REF-20260501-0001"
)

var start = time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)

// keys are made once; RSA keys are slow to make.
var keys = sync.OnceValue(func() (k struct {
	merchant, cert, public, foreign *rsa.PrivateKey
	certificate                     *x509.Certificate
	certPEM                         []byte
},
) {
	var wg sync.WaitGroup
	for _, p := range []**rsa.PrivateKey{&k.merchant, &k.cert, &k.public, &k.foreign} {
		wg.Go(func() {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			*p = key
		})
	}
	wg.Wait()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(0x0ABCDEF123456789), Subject: pkix.Name{CommonName: "channel"},
		NotBefore: start.AddDate(-10, 0, 0), NotAfter: start.AddDate(100, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.cert.PublicKey, k.cert)
	if err != nil {
		panic(err)
	}
	if k.certificate, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	k.certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return k
})

// channel is a scripted other side.
type channel struct {
	*httptest.Server
	t     *testing.T
	clock *clock.Manual
	calls atomic.Int64
	certs atomic.Int64
}

func newChannel(t *testing.T, answer func(c *channel, w http.ResponseWriter, r *http.Request, n int)) *channel {
	c := &channel{t: t, clock: clock.NewManual(start)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.checkRequest(r)
		if r.URL.Path == "/v3/certificates" {
			c.certs.Add(1)
			c.sendCertificates(w)
			return
		}
		answer(c, w, r, int(c.calls.Add(1)))
	}))
	t.Cleanup(c.Close)
	return c
}

// checkRequest verifies our own signature as the channel would.
func (c *channel) checkRequest(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a, err := wechatpay.ParseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		c.t.Errorf("authorization: %v", err)
		return
	}
	if a.MchID != mchID || a.Serial != merchSN {
		c.t.Errorf("authorization names %s %s", a.MchID, a.Serial)
	}
	if a.Timestamp != strconv.FormatInt(c.clock.Now().Unix(), 10) {
		c.t.Errorf("timestamp %s", a.Timestamp)
	}
	msg := wechatpay.RequestMessage(r.Method, r.URL.RequestURI(), a.Timestamp, a.Nonce, body)
	if err := wechatpay.Verify(&keys().merchant.PublicKey, msg, a.Signature); err != nil {
		c.t.Errorf("%s %s: signature does not verify: %v", r.Method, r.URL.Path, err)
	}
}

func (c *channel) sendCertificates(w http.ResponseWriter) {
	sealed, err := wechatpay.Seal([]byte(apiKey), keys().certPEM, "certificate", "abcdefghijkl")
	if err != nil {
		c.t.Error(err)
	}
	body, _ := json.Marshal(map[string]any{"data": []any{map[string]any{
		"serial_no": wechatpay.CertSerial(keys().certificate), "encrypt_certificate": sealed,
	}}})
	c.send(w, http.StatusOK, c.byCert(body), body)
}

// send writes headers and a body as they are given.
func (c *channel) send(w http.ResponseWriter, status int, h http.Header, body []byte) {
	for k, v := range h {
		w.Header()[k] = v
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (c *channel) byCert(body []byte) http.Header {
	return signed(c.t, keys().cert, wechatpay.CertSerial(keys().certificate), c.clock.Now(), body)
}

func (c *channel) byPublic(body []byte) http.Header {
	return signed(c.t, keys().public, pubID, c.clock.Now(), body)
}

// signed is the headers of the channel's signature.
func signed(t *testing.T, key *rsa.PrivateKey, serial string, at time.Time, body []byte) http.Header {
	t.Helper()
	ts, nonce := strconv.FormatInt(at.Unix(), 10), wechatpay.Nonce()
	sig, err := wechatpay.Sign(key, wechatpay.AnswerMessage(ts, nonce, body))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set(wechatpay.HeaderSerial, serial)
	h.Set(wechatpay.HeaderTimestamp, ts)
	h.Set(wechatpay.HeaderNonce, nonce)
	h.Set(wechatpay.HeaderSignature, sig)
	return h
}

func config(base string, clk clock.Clock) wechatpay.Config {
	return wechatpay.Config{
		MchID: mchID, AppID: appID, MerchantKey: keys().merchant, MerchantSerial: merchSN,
		APIv3Key: secret.New(apiKey), BaseURL: base, NotifyURL: "https://hospital.example/api/v1/callbacks/wechatpay",
		PublicKeys: map[string]*rsa.PublicKey{pubID: &keys().public.PublicKey},
		Timeout:    5 * time.Second, RetryBase: time.Millisecond, Clock: clk,
	}
}

func client(t *testing.T, cfg wechatpay.Config) *wechatpay.Client {
	t.Helper()
	c, err := wechatpay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Shutdown)
	return c
}

// transaction is a paid transaction's JSON with changes.
func transaction(change map[string]any) []byte {
	m := map[string]any{
		"appid": appID, "mchid": mchID, "out_trade_no": tradeNo, "transaction_id": "4200001", "trade_type": "MWEB",
		"trade_state": "SUCCESS", "trade_state_desc": "ok", "success_time": "2026-05-01T17:00:00+08:00",
		"amount": map[string]any{"total": 5000, "payer_total": 5000, "currency": "CNY"}, "payer": map[string]any{"openid": "o1"},
	}
	for k, v := range change {
		m[k] = v
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
