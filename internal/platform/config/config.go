// Package config is the one struct of all settings: a flag, an environment variable
// (XINGLIN_*) and a key of the file are the same thing. docs/reference/config.md is
// generated from it. An unknown flag or file key refuses the start; secrets are
// references (file:PATH or env:NAME), never values.
package config

import (
	"fmt"
	"os"
	"strings"
	"time"

	"xinglin/internal/platform/tls"
)

// Serve is what `xinglin serve` takes.
type Serve struct {
	Data    string   `help:"Folder of a single-machine installation: SQLite files, broker, keys." env:"XINGLIN_DATA" type:"path"`
	Listen  string   `help:"Public address." default:"127.0.0.1:8080" env:"XINGLIN_LISTEN"`
	Private string   `help:"Private address: metrics, pprof, command line." default:"127.0.0.1:8081" env:"XINGLIN_PRIVATE"`
	Modules []string `help:"Contexts whose doors this process opens; all by default." default:"all" env:"XINGLIN_MODULES"`

	DB    string `help:"PostgreSQL DSN of the login role; replaces the SQLite files." env:"XINGLIN_DB"`
	NATS  string `help:"URL of an external broker (xinglin broker or NATS 2.12+); needed with more than one process." env:"XINGLIN_NATS"`
	Keys  string `help:"Root key reference: file:PATH, env:NAME or wrapped:PATH (xinglin keys wrap). With --data it is made in DIR/keys." env:"XINGLIN_KEYS"`
	Blobs string `help:"Object store reference for files, shared by all processes. Accepted and not yet used: no context keeps files." env:"XINGLIN_BLOBS"`

	Algorithm string `help:"Cipher of sealed fields: aes-256-gcm or sm4-gcm." enum:"aes-256-gcm,sm4-gcm" default:"aes-256-gcm" env:"XINGLIN_ALGORITHM"`

	Hosts      []string `help:"Public host names of the one tenant; any host when empty and there is one tenant." env:"XINGLIN_HOSTS"`
	PublicURL  string   `help:"Public URL; https makes cookies Secure." env:"XINGLIN_PUBLIC_URL"`
	TLSCert    string   `help:"Certificate file (PEM)." env:"XINGLIN_TLS_CERT"`
	TLSKey     string   `help:"Key file (PEM)." env:"XINGLIN_TLS_KEY"`
	BehindHTTP bool     `name:"trust-proxy" help:"A proxy in front sets X-Forwarded-For." env:"XINGLIN_TRUST_PROXY"`

	Demo        bool   `help:"Demo hospital with simulators and shown codes; only on empty or demo data." env:"XINGLIN_DEMO"`
	DemoPublic  bool   `help:"Allow the demo on an address other than loopback." env:"XINGLIN_DEMO_PUBLIC"`
	DemoPay     string `help:"Address of the payment simulator in the demo." default:"127.0.0.1:8082" env:"XINGLIN_DEMO_PAY"`
	DemoIDP     string `name:"demo-idp" help:"Address of the simulated identity providers in the demo; a free port when it is 0." default:"127.0.0.1:0" env:"XINGLIN_DEMO_IDP"`
	DemoPeople  int    `help:"Simulated patients who book at the first start of a demo, over its own API." default:"0" env:"XINGLIN_DEMO_PEOPLE"`
	DemoTraffic int    `help:"Simulated patients who come and go in the demo: book, pay, cancel, arrive." default:"0" env:"XINGLIN_DEMO_TRAFFIC"`
	Clock       string `help:"Demo and simulation only: RFC 3339 instant or signed duration to run the clock from." env:"XINGLIN_CLOCK"`
	Simulation  bool   `help:"Set by xinglin simulate: --clock moves the time of a server on a loopback address." hidden:"" env:"XINGLIN_SIMULATION"`

	RatePerAddress float64 `help:"Requests a second of one address; four times as many at once." default:"100" env:"XINGLIN_RATE_PER_ADDRESS"`
	RatePerAccount float64 `help:"Holds a second that one account may ask for; thirty at once." default:"1" env:"XINGLIN_RATE_PER_ACCOUNT"`
	Inside         int     `help:"Holds worked on at once, at most; the rest wait in the socket. Reads, payments, the queue and callbacks have gates of their own in proportion." default:"512" env:"XINGLIN_INSIDE"`
	Connections    int     `help:"Open connections of the public address; beyond, those idle longest make room." default:"16384" env:"XINGLIN_CONNECTIONS"`
	PerAddress     int     `name:"connections-per-address" help:"Open connections of one address; not counted with --trust-proxy." default:"512" env:"XINGLIN_CONNECTIONS_PER_ADDRESS"`
	WaitingRooms   string  `help:"File of rules that open waiting rooms by department and time (docs/adr/0014-admission.md); none without it." env:"XINGLIN_WAITING_ROOMS" type:"path"`
	EnforceRisk    bool    `help:"Act on the rules of risk (slow down, challenge, refuse); else they are only counted." env:"XINGLIN_ENFORCE_RISK"`
	DBConns        int     `help:"PostgreSQL connections of this process." default:"24" env:"XINGLIN_DB_CONNS"`
	LogLevel       string  `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"XINGLIN_LOG_LEVEL"`
	OTLP           string  `help:"OTLP/HTTP endpoint for traces." env:"XINGLIN_OTLP"`

	Peer      tls.PeerFiles `embed:"" prefix:"peer-"`
	Lottery   Lottery       `embed:"" prefix:"lottery-"`
	Audit     Audit         `embed:"" prefix:"audit-"`
	WeChatPay WeChatPay     `embed:"" prefix:"wechat-"`
	SMS       SMS           `embed:"" prefix:"sms-"`
	Mail      Mail          `embed:"" prefix:"mail-"`
	NoPush    bool          `help:"Offer no push messages: this server reaches no push services of browsers." env:"XINGLIN_NO_PUSH"`
	RealName  RealName      `embed:"" prefix:"realname-"`
}

// Lottery names who signs sealed lotteries (see docs/guide/lottery.md).
type Lottery struct {
	Witness    string `help:"URL of an independent witness (xinglin witness, run by somebody else). Without it draws say that there was none." env:"XINGLIN_LOTTERY_WITNESS"`
	WitnessKey string `help:"The witness's public key, 64 hexadecimal digits, as its operator told it." env:"XINGLIN_LOTTERY_WITNESS_KEY"`
}

// Audit names where the heads of the audit logs go when they are signed (see
// docs/guide/audit.md).
type Audit struct {
	Anchor     string `help:"File that takes every signed head of the audit logs, only grows and is synced; put it on another disk or on write-once storage. By default audit.anchor in the --data folder." env:"XINGLIN_AUDIT_ANCHOR" type:"path"`
	Witness    string `help:"URL of an independent witness (xinglin witness, run by somebody else) that cosigns heads." env:"XINGLIN_AUDIT_WITNESS"`
	WitnessKey string `help:"The witness's public key, 64 hexadecimal digits, as its operator told it." env:"XINGLIN_AUDIT_WITNESS_KEY"`
}

// WeChatPay is the merchant's side of WeChat Pay v3.
type WeChatPay struct {
	Account   string `help:"The merchant's account: a JSON file whose keys are references (see docs/guide/payments.md)." env:"XINGLIN_WECHAT_ACCOUNT" type:"path"`
	NotifyURL string `help:"Where the channel calls back; by default public-url + /api/v1/callbacks/wechatpay." env:"XINGLIN_WECHAT_NOTIFY_URL"`
}

// SMS is the gateway for text messages.
type SMS struct {
	URL   string `help:"Gateway URL." env:"XINGLIN_SMS_URL"`
	KeyID string `help:"Gateway key id." env:"XINGLIN_SMS_KEY_ID"`
	Key   string `help:"Reference of the gateway's key." env:"XINGLIN_SMS_KEY"`
}

// Mail is the hospital's SMTP server; without it no mails are offered.
type Mail struct {
	URL      string `help:"SMTP server: smtp://[user@]host[:587] with STARTTLS, or smtps://[user@]host[:465]. Never in the clear." env:"XINGLIN_MAIL_URL"`
	Password string `help:"Reference of the user's password." env:"XINGLIN_MAIL_PASSWORD"`
	From     string `help:"Sender: 医院 <no-reply@example.com>." env:"XINGLIN_MAIL_FROM"`
}

// RealName is the service that compares name, document and phone.
type RealName struct {
	URL   string `help:"Service URL." env:"XINGLIN_REALNAME_URL"`
	KeyID string `help:"Service key id." env:"XINGLIN_REALNAME_KEY_ID"`
	Key   string `help:"Reference of the service's key." env:"XINGLIN_REALNAME_KEY"`
}

// Where names the databases of a command: --data or --db with --keys.
type Where struct {
	Data string `help:"Folder of a single-machine installation." env:"XINGLIN_DATA" type:"path"`
	DB   string `help:"PostgreSQL DSN of the login role." env:"XINGLIN_DB"`
	Keys string `help:"Root key reference with --db." env:"XINGLIN_KEYS"`

	Clock string `help:"Demo only: what the server had as --clock." env:"XINGLIN_CLOCK"`
}

// Limits that are the same everywhere.
const (
	DrainTime    = 20 * time.Second // for what is in hand
	EndTime      = 15 * time.Second // then, to close what is open
	SessionTime  = 30 * 24 * time.Hour
	StaffSession = 12 * time.Hour
)

// Secret reads a reference: file:PATH (0600 is the operator's duty) or env:NAME.
func Secret(ref string) ([]byte, error) {
	kind, rest, ok := strings.Cut(ref, ":")
	if !ok {
		return nil, fmt.Errorf("secret reference: want file:PATH or env:NAME")
	}
	switch kind {
	case "file":
		b, err := os.ReadFile(rest)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", ref, err)
		}
		if len(b) > 1<<20 {
			return nil, fmt.Errorf("secret %s: larger than 1 MiB", ref)
		}
		return b, nil
	case "env":
		v, ok := os.LookupEnv(rest)
		if !ok {
			return nil, fmt.Errorf("secret %s: not set", ref)
		}
		return []byte(v), nil
	}
	return nil, fmt.Errorf("secret reference: want file:PATH or env:NAME")
}
