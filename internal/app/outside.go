package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/audit/auditsvc"
	"xinglin/internal/demo/traffic"
	"xinglin/internal/identity"
	"xinglin/internal/idpsim"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/mailsim"
	"xinglin/internal/notify"
	"xinglin/internal/notify/notifysvc"
	"xinglin/internal/patient/patientsvc"
	"xinglin/internal/payment/paymentsvc"
	"xinglin/internal/paysim"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/mail"
	"xinglin/internal/platform/realname"
	"xinglin/internal/platform/sms"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/webpush"
	"xinglin/internal/platform/wechatpay"
	"xinglin/internal/platform/witness"
	"xinglin/internal/pushsim"
	"xinglin/internal/realnamesim"
	"xinglin/internal/scheduling/schedulingsvc"
	"xinglin/internal/smssim"
	"xinglin/internal/smssim/simserver"
)

// Outside are the clients of services beyond the hospital; nil where not configured.
type Outside struct {
	Notices  notifysvc.Ways
	RealName patientsvc.Verifier
	Pay      paymentsvc.Channel
	Witness  schedulingsvc.Witness // of lotteries

	Anchors  auditsvc.Anchors // of the audit logs
	Cosigner auditsvc.Witness // of their heads
}

const callback = httpx.Prefix + "/callbacks/wechatpay"

// publicURL is where browsers and the channel reach this process.
func publicURL(c config.Serve) string {
	if c.PublicURL != "" {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	scheme := "http://"
	if c.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + c.Listen
}

// outside makes the clients that the flags name. Nothing is sent.
func outside(c config.Serve, clk clock.Clock, metrics prometheus.Registerer) (o Outside, err error) {
	if c.SMS.URL != "" {
		key, err := config.Secret(c.SMS.Key)
		if err != nil {
			return o, err
		}
		client, err := sms.New(sms.Options{URL: c.SMS.URL, KeyID: c.SMS.KeyID, Key: trimmed(key), Clock: clk})
		if err != nil {
			return o, err
		}
		o.Notices.SMS = client
	}
	o.Notices.PublicURL = publicURL(c)
	if !c.NoPush {
		o.Notices.Push = webpush.New(webpush.Options{Subject: pushSubject(c)})
	}
	if c.Mail.URL != "" {
		var password secret.Text
		if c.Mail.Password != "" {
			b, err := config.Secret(c.Mail.Password)
			if err != nil {
				return o, err
			}
			password = trimmed(b)
		}
		client, err := mail.New(mail.Options{URL: c.Mail.URL, Password: password, From: c.Mail.From, Clock: clk})
		if err != nil {
			return o, ErrFlags.At("mail-url", err.Error())
		}
		o.Notices.Mail = client
	}
	if c.RealName.URL != "" {
		key, err := config.Secret(c.RealName.Key)
		if err != nil {
			return o, err
		}
		client, err := realname.New(realname.Options{URL: c.RealName.URL, KeyID: c.RealName.KeyID, Key: trimmed(key), Clock: clk})
		if err != nil {
			return o, err
		}
		o.RealName = client
	}
	if c.WeChatPay.Account != "" {
		account, err := wechatpay.LoadFile(c.WeChatPay.Account)
		if err != nil {
			return o, err
		}
		if c.WeChatPay.NotifyURL != "" {
			account.NotifyURL = c.WeChatPay.NotifyURL
		} else if account.NotifyURL == "" {
			account.NotifyURL = publicURL(c) + callback
		}
		account.Clock, account.Wrap = clk, guarded("wechatpay", metrics)
		client, err := wechatpay.New(account)
		if err != nil {
			return o, err
		}
		o.Pay = client
	}
	o.Witness, err = lotteryWitness(c.Lottery)
	return o, err
}

// pushSubject is whom a push service may ask about our messages (RFC 8292).
func pushSubject(c config.Serve) string {
	u := publicURL(c)
	if strings.HasPrefix(u, "https://") {
		return u
	}
	return "push@xinglin.invalid" // a development server
}

// lotteryWitness is the client of the configured witness; nil for none.
func lotteryWitness(c config.Lottery) (schedulingsvc.Witness, error) {
	if c.Witness == "" {
		return nil, nil
	}
	w, err := witness.NewClient(c.Witness, c.WitnessKey)
	if err != nil {
		return nil, ErrFlags.At("lottery-witness", "want an http(s) URL and --lottery-witness-key with 64 hexadecimal digits")
	}
	return w, nil
}

// evidence names where the heads of the audit logs go.
func (o *Outside) evidence(c config.Serve) error {
	if path := anchorOf(c.Data, c.Audit.Anchor); path != "" {
		a, err := tlog.OpenAnchors(path)
		if err != nil {
			return err
		}
		o.Anchors = a
	}
	if c.Audit.Witness == "" {
		return nil
	}
	w, err := witness.NewClient(c.Audit.Witness, c.Audit.WitnessKey)
	if err != nil {
		return ErrFlags.At("audit-witness", "want an http(s) URL and --audit-witness-key with 64 hexadecimal digits")
	}
	o.Cosigner = w
	return nil
}

// anchorOf is the anchor file; "" for none.
func anchorOf(data, flag string) string {
	if flag == "" && data != "" {
		return filepath.Join(data, "audit.anchor")
	}
	return flag
}

func trimmed(b []byte) secret.Text { return secret.New(strings.TrimSpace(string(b))) }

// Simulators are the other sides in the demo: real sockets, real protocols.
type simulators struct {
	pay  *paysim.Server
	sms  *smssim.Server
	mail *mailsim.Server
	push *pushsim.Server
	name *realnamesim.Server
	idp  *idpsim.Server
}

// simulate starts the simulators and gives their clients. Only --demo calls it.
func simulate(c config.Serve, clk clock.Clock, log *slog.Logger, metrics prometheus.Registerer) (o Outside, s *simulators, err error) {
	dir := filepath.Join(c.Data, "demo")
	if c.Data == "" {
		return o, nil, ErrFlags.At("data", "--demo needs --data for the simulators")
	}
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return o, nil, err
	}
	key := secret.New(hex.EncodeToString(raw))
	s = &simulators{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	one := simserver.Options{Listen: "127.0.0.1:0", KeyID: "demo", Key: key, Clock: clk, Log: log}
	if s.sms, err = smssim.New(smssim.Options{Options: one}); err != nil {
		return o, s, err
	}
	if s.name, err = realnamesim.New(one); err != nil {
		return o, s, err
	}
	if o.Witness, err = lotteryWitness(c.Lottery); err != nil {
		return o, s, err
	}
	text, err := sms.New(sms.Options{URL: s.sms.URL(), KeyID: one.KeyID, Key: key, Clock: clk})
	if err != nil {
		return o, s, err
	}
	who, err := realname.New(realname.Options{URL: s.name.URL(), KeyID: one.KeyID, Key: key, Clock: clk})
	if err != nil {
		return o, s, err
	}
	o.Notices, o.RealName = notifysvc.Ways{SMS: text, Inbox: s.inbox, PublicURL: publicURL(c)}, who
	if o.Notices.Mail, err = s.mails(key, clk, log); err != nil {
		return o, s, err
	}
	if s.push, err = pushsim.New(pushsim.Options{Listen: "127.0.0.1:0", Clock: clk, Log: log}); err != nil {
		return o, s, err
	}
	log.Info("push simulator", "url", s.push.URL())
	if s.idp, err = idpsim.New(idpsim.Demo(c.DemoIDP, c.DemoPublic, secret.New(hex.EncodeToString(raw)), clk, log)); err != nil {
		return o, s, err
	}
	log.Info("identity provider simulator", "url", s.idp.URL())
	o.Notices.Push = webpush.New(webpush.Options{Subject: pushSubject(c), Private: true})
	o.Pay, err = s.payments(c, filepath.Join(dir, "paysim"), clk, log, metrics)
	return o, s, err
}

func (s *simulators) payments(c config.Serve, dir string, clk clock.Clock, log *slog.Logger, metrics prometheus.Registerer) (paymentsvc.Channel, error) {
	account, err := paysim.Provision(dir)
	if err != nil {
		return nil, err
	}
	if s.pay, err = paysim.New(paysim.Options{Dir: dir, Listen: c.DemoPay, Public: c.DemoPublic, Clock: clk, Log: log, RetryScale: 10}); err != nil {
		return nil, err
	}
	account.BaseURL, account.NotifyURL, account.Clock = s.pay.URL(), publicURL(c)+callback, clk
	account.Wrap = guarded("wechatpay", metrics)
	return wechatpay.New(account)
}

func (s *simulators) mails(key secret.Text, clk clock.Clock, log *slog.Logger) (_ notifysvc.Mailer, err error) {
	if s.mail, err = mailsim.New(mailsim.Options{Listen: "127.0.0.1:0", Password: key, Clock: clk, Log: log}); err != nil {
		return nil, err
	}
	return mail.New(mail.Options{URL: s.mail.URL(), Password: key, From: "杏林医院 <no-reply@xinglin.example>", Clock: clk, TLS: s.mail.TLS()})
}

// inbox shows what was sent last, over all channels, the newest first: to the people who try the demo, not to its visitors.
func (s *simulators) inbox(limit int) []notifysvc.Shown {
	var out []notifysvc.Shown
	for _, m := range s.sms.Messages(0) {
		if len(out) < limit && !strings.HasPrefix(m.Phone, traffic.Phones) {
			out = append(out, notifysvc.Shown{Channel: notify.SMS, Phone: m.Phone, Text: m.Text, At: m.At})
		}
	}
	for _, m := range s.mail.Mails(limit) {
		out = append(out, notifysvc.Shown{Channel: notify.Mail, Mail: m.To, Title: m.Subject, Text: m.Text, At: m.At})
	}
	for _, m := range s.push.Messages(limit) {
		var p struct {
			Title string `json:"title"`
			Link  string `json:"link"`
		}
		if json.Unmarshal(m.Payload, &p) == nil {
			out = append(out, notifysvc.Shown{Channel: notify.Push, Title: p.Title, Text: p.Link, At: m.At})
		}
	}
	slices.SortStableFunc(out, func(a, b notifysvc.Shown) int { return b.At.Compare(a.At) })
	return out[:min(limit, len(out))]
}

func (s *simulators) serve(ctx context.Context, fail func(error)) {
	for name, f := range map[string]func(context.Context) error{"payment simulator": s.pay.Serve, "SMS simulator": s.sms.Serve, "mail simulator": s.mail.Serve, "push simulator": s.push.Serve, "real-name simulator": s.name.Serve, "identity provider simulator": s.idp.Serve} {
		go func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				fail(fmt.Errorf("%s: %w", name, err))
			}
		}()
	}
}

func (s *simulators) close() {
	if s.sms != nil {
		s.sms.Close()
	}
	if s.mail != nil {
		s.mail.Close()
	}
	if s.push != nil {
		s.push.Close()
	}
	if s.name != nil {
		s.name.Close()
	}
	if s.idp != nil {
		s.idp.Close()
	}
	if s.pay != nil {
		_ = s.pay.Close()
	}
}

// providers are the simulated identity providers as the demo's hospital knows them. Nobody is linked but the demo's own people.
func (s *simulators) providers() []identity.IDPSpec {
	o := s.idp.Options
	return []identity.IDPSpec{
		{
			Key: "group", Kind: identity.OIDC, Accounts: identity.StaffAccounts, Name: "集团统一登录", NameEN: "Group sign-in", Issuer: s.idp.Issuer(),
			ClientID: o.OIDC.ID, Secret: o.OIDC.Secret, Scopes: "profile", Strong: []string{"mfa"}, Enabled: true,
		},
		{
			Key: "wechat", Kind: identity.WeChat, Accounts: identity.PatientAccounts, Name: "微信登录", NameEN: "WeChat", Issuer: s.idp.WeChatURL(), Pages: s.idp.WeChatURL(),
			ClientID: o.WeChat.ID, Secret: o.WeChat.Secret, Enabled: true,
		},
	}
}
