// Package webpush hands messages to the push services of browsers (RFC 8030): encrypted
// for the one browser (RFC 8291), signed with the hospital's key (RFC 8292). It makes one
// attempt; the caller's job repeats it, and the Topic of a repeat replaces what has not
// been shown yet.
//
// The endpoint comes from a caller, so the client connects to public addresses only
// (package outward). An endpoint is a secret: it is in no error.
package webpush

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	push "github.com/SherClockHolmes/webpush-go"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/outward"
)

// What may go wrong. After unreachable repeat; after gone forget the subscription; after
// refused repeating does not help.
var (
	ErrUnreachable = fault.Register(fault.Unavailable, "webpush.unreachable",
		"推送服务暂时不可用", "The push service cannot be reached, try again later")
	ErrGone = fault.Register(fault.Gone, "webpush.gone",
		"该设备已取消推送", "The browser takes no push messages any more")
	ErrRefused = fault.Register(fault.Conflict, "webpush.refused",
		"推送被拒绝", "The push service refused the message")
	ErrInvalid = fault.Register(fault.Invalid, "webpush.invalid",
		"推送订阅信息不正确", "That is no push subscription")
)

// MaxPayload bounds a message, in bytes.
const MaxPayload = 2048

const (
	timeout     = 10 * time.Second
	maxEndpoint = 1024
	maxTTL      = 28 * 24 * time.Hour
)

// Keys are the hospital's pair (P-256, base64url): browsers get the public half.
type Keys struct {
	Public  string
	Private secret.Text
}

// NewKeys makes a pair.
func NewKeys() (Keys, error) {
	private, public, err := push.GenerateVAPIDKeys()
	return Keys{Public: public, Private: secret.New(private)}, err
}

// Subscription is a browser's, as PushSubscription.toJSON gives it.
type Subscription struct {
	Endpoint secret.Text
	P256dh   secret.Text
	Auth     secret.Text
}

// Message is one push message.
type Message struct {
	Payload []byte
	TTL     time.Duration // how long the service keeps it for a browser that is off
	Topic   string        // up to 32 letters of base64url; a later one of the same topic replaces it
	Urgent  bool
}

// Options make a Client.
type Options struct {
	Subject string        // who sends: https://hospital.example or a mail address
	Private bool          // demo and tests: plain http and private addresses are allowed
	Timeout time.Duration // of one Send; 0 is 10 s
}

// Client sends. It is safe for concurrent use.
type Client struct {
	o    Options
	http *http.Client
}

// New makes a client; nothing is sent.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = timeout
	}
	return &Client{o: o, http: outward.Client(o.Timeout, o.Private)}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Check refuses what cannot be a subscription, and endpoints that this client would not
// connect to: webpush.invalid.
func (c *Client) Check(s Subscription) error {
	key, err := decode(s.P256dh.Reveal())
	if err != nil {
		return ErrInvalid.At("p256dh", "want base64url")
	}
	if _, err := ecdh.P256().NewPublicKey(key); err != nil {
		return ErrInvalid.At("p256dh", "want a point of P-256")
	}
	if auth, err := decode(s.Auth.Reveal()); err != nil || len(auth) != 16 {
		return ErrInvalid.At("auth", "want 16 bytes in base64url")
	}
	return c.checkEndpoint(s.Endpoint.Reveal())
}

func (c *Client) checkEndpoint(text string) error {
	if len(text) > maxEndpoint {
		return ErrInvalid.At("endpoint", "want the address that the browser gave")
	}
	if err := outward.Check(text, c.o.Private); err != nil {
		return ErrInvalid.At("endpoint", err.Error())
	}
	return nil
}

func decode(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}

// Send hands the message to the browser's push service, one attempt: webpush.invalid,
// webpush.gone, webpush.refused, webpush.unreachable.
func (c *Client) Send(ctx context.Context, k Keys, s Subscription, m Message) error {
	if err := c.Check(s); err != nil {
		return err
	}
	if len(m.Payload) == 0 || len(m.Payload) > MaxPayload {
		return ErrInvalid.At("payload", "missing or too long")
	}
	o := &push.Options{
		HTTPClient: c.http, RecordSize: MaxPayload + 512, Subscriber: c.o.Subject, Topic: m.Topic, Urgency: push.UrgencyNormal,
		TTL: int(min(max(m.TTL, 0), maxTTL).Seconds()), VAPIDPublicKey: k.Public, VAPIDPrivateKey: k.Private.Reveal(),
	}
	if m.Urgent {
		o.Urgency = push.UrgencyHigh
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	r, err := push.SendNotificationWithContext(ctx, m.Payload, &push.Subscription{
		Endpoint: s.Endpoint.Reveal(), Keys: push.Keys{P256dh: s.P256dh.Reveal(), Auth: s.Auth.Reveal()},
	}, o)
	if err != nil {
		if ctx.Err() != nil {
			return ErrUnreachable.Wrap(context.DeadlineExceeded)
		}
		return ErrUnreachable.Because("no connection") // the error's words quote the endpoint
	}
	defer func() { _ = r.Body.Close() }()
	_, _ = io.CopyN(io.Discard, r.Body, 4<<10)
	return outcome(r.StatusCode)
}

// outcome is what a push service's status means.
func outcome(status int) error {
	why := fmt.Errorf("status %d", status)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusNotFound, status == http.StatusGone:
		return ErrGone.Wrap(why)
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return ErrUnreachable.Wrap(why)
	}
	return ErrRefused.Wrap(why)
}
