// Package mail sends mails through the hospital's SMTP server. It makes one attempt over
// TLS (smtps) or STARTTLS (smtp), never in the clear; the caller's job repeats it. The
// Message-ID is made of the sender's id, so a repeat is the same mail to those who look:
// SMTP itself knows no repeats, and a crash between the server's answer and ours may show
// a mail twice.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
)

// What may go wrong. After unreachable the outcome is unknown: repeat with the same ID.
// After refused repeating does not help. The causes name a stage and a code, never an
// address.
var (
	ErrUnreachable = fault.Register(fault.Unavailable, "mail.unreachable",
		"邮件服务暂时不可用", "The mail server cannot be reached, try again later")
	ErrRefused = fault.Register(fault.Conflict, "mail.refused",
		"邮件被收件方拒绝", "The mail server refused the mail for good")
	ErrInvalid = fault.Register(fault.Invalid, "mail.invalid",
		"邮件内容不完整", "The mail is incomplete")
)

// MaxText bounds a mail's text, in bytes.
const MaxText = 16 << 10

const (
	timeout  = 30 * time.Second // of one Send
	maxLabel = 200              // bytes of a subject
)

// Message is one mail of plain text.
type Message struct {
	ID      string // the sender's, letters, digits and dashes: the left half of the Message-ID
	To      secret.Text
	Subject string
	Text    string
}

// Options make a Client.
type Options struct {
	URL      string        // smtp://[user@]host[:587] (STARTTLS) or smtps://[user@]host[:465]
	Password secret.Text   // of user
	From     string        // "医院 <no-reply@example.com>"
	Clock    clock.Clock   // nil is the system's
	Timeout  time.Duration // of one Send; 0 is 30 s
	TLS      *tls.Config   // nil trusts the system's authorities
}

// Client sends. It is safe for concurrent use.
type Client struct {
	host    string
	from    *netmail.Address
	domain  string
	clock   clock.Clock
	timeout time.Duration
	options []gomail.Option
}

// New checks the options; nothing is sent.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("mail: want smtp://[user@]host[:port] or smtps://[user@]host[:port]")
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("mail: the password is a reference of its own, not a part of the URL")
	}
	from, err := netmail.ParseAddress(o.From)
	if err != nil {
		return nil, errors.New("mail: the sender's address cannot be read")
	}
	c := &Client{host: u.Hostname(), from: from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:], clock: o.Clock, timeout: o.Timeout}
	if c.clock == nil {
		c.clock = clock.System{}
	}
	if c.timeout == 0 {
		c.timeout = timeout
	}
	port := 587
	switch u.Scheme {
	case "smtp":
		c.options = append(c.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case "smtps":
		port = 465
		c.options = append(c.options, gomail.WithSSL())
	default:
		return nil, fmt.Errorf("mail: scheme %q: want smtp or smtps", u.Scheme)
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return nil, errors.New("mail: that is no port")
		}
	}
	conf := &tls.Config{}
	if o.TLS != nil {
		conf = o.TLS.Clone()
	}
	conf.ServerName, conf.MinVersion = c.host, tls.VersionTLS12
	c.options = append(c.options, gomail.WithPort(port), gomail.WithTimeout(c.timeout), gomail.WithTLSConfig(conf), gomail.WithHELO(c.domain), gomail.WithoutNoop())
	if user := u.User.Username(); user != "" {
		c.options = append(c.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(user), gomail.WithPassword(o.Password.Reveal()))
	}
	if _, err := gomail.NewClient(c.host, c.options...); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return c, nil
}

// Send hands the mail to the server, one attempt: mail.unreachable, mail.refused,
// mail.invalid.
func (c *Client) Send(ctx context.Context, m Message) error {
	msg, err := c.compose(m)
	if err != nil {
		return err
	}
	client, err := gomail.NewClient(c.host, c.options...)
	if err != nil {
		return ErrUnreachable.Because("options")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // a server that hangs up instead of saying goodbye has taken it
		return nil
	}
	return reason(err)
}

func (c *Client) compose(m Message) (*gomail.Msg, error) {
	switch {
	case m.ID == "" || strings.ContainsAny(m.ID, "<>@ \r\n"):
		return nil, ErrInvalid.At("id", "missing or malformed")
	case m.Subject == "" || len(m.Subject) > maxLabel || strings.ContainsAny(m.Subject, "\r\n"):
		return nil, ErrInvalid.At("subject", "missing or malformed")
	case m.Text == "" || len(m.Text) > MaxText:
		return nil, ErrInvalid.At("text", "missing or too long")
	}
	to, err := Address(m.To.Reveal())
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(c.from)
	if err := msg.To(to); err != nil {
		return nil, ErrInvalid.At("to", "malformed")
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.ID + "@" + c.domain)
	msg.SetDateWithValue(c.clock.Now())
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	return msg, nil
}

// Address is the normal form of a mail address: trimmed, the domain in lower case;
// mail.invalid for what is none, has a name around it, or needs an extension of SMTP.
func Address(text string) (string, error) {
	text = strings.TrimSpace(text)
	a, err := netmail.ParseAddress(text)
	if err != nil || a.Address != text || len(text) > 254 {
		return "", ErrInvalid.At("mail", "want name@domain")
	}
	at := strings.LastIndexByte(text, '@')
	local, domain := text[:at], strings.ToLower(text[at+1:])
	if len(local) > 64 || !strings.Contains(domain, ".") || strings.HasPrefix(domain, "[") || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
		return "", ErrInvalid.At("mail", "want name@domain")
	}
	return local + "@" + domain, nil
}

// reason keeps the stage and the server's code of an error, whose text quotes addresses.
func reason(err error) error {
	var e *gomail.SendError
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return ErrUnreachable.Wrap(context.DeadlineExceeded)
		}
		return ErrUnreachable.Because("no session: connection, TLS or login")
	}
	code := e.ErrorCode()
	switch e.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		if code >= 500 {
			return ErrRefused.Because("%s: %d", e.Reason, code)
		}
	}
	return ErrUnreachable.Because("%s: %d", e.Reason, code)
}
