package wechatpay

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/platform/breaker"
)

// answer is one read answer of the channel.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var errTooLarge = fmt.Errorf("answer larger than %d bytes", maxAnswer)

// call sends a signed request until the channel answers or the attempts are used up, verifies the answer and decodes it into
// out (nil: no body wanted). uri is the path with its query.
func (c *Client) call(ctx context.Context, method, uri string, in, out any) error {
	a, err := c.fetch(ctx, method, uri, in)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return c.refusal(ctx, a)
	}
	if err := c.verifyAnswer(ctx, a); err != nil {
		return err
	}
	return decode(a, out)
}

func decode(a *answer, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return ErrUnreadable.Because("%d bytes are not the JSON expected: %w", len(a.body), shape(err))
	}
	return nil
}

// shape keeps the kind of a JSON error without the values in it.
func shape(err error) error {
	var typ *json.UnmarshalTypeError
	var syn *json.SyntaxError
	switch {
	case errors.As(err, &typ):
		return fmt.Errorf("field %s is no %s", typ.Field, typ.Type)
	case errors.As(err, &syn):
		return fmt.Errorf("syntax error at byte %d", syn.Offset)
	}
	return errors.New("malformed")
}

// fetch repeats a request on network failures, 5xx and 429; each attempt is signed anew.
func (c *Client) fetch(ctx context.Context, method, uri string, in any) (*answer, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, ErrInvalid.Wrap(err)
		}
	}
	var last error
	var after time.Duration
	for n := range c.cfg.Attempts {
		if n > 0 {
			if err := wait(ctx, max(c.backoff(n), after)); err != nil {
				return nil, ErrUnreachable.Because("gave up after %d attempts (%w): %w", n, err, last)
			}
		}
		a, err := c.once(ctx, method, uri, body)
		switch {
		case errors.Is(err, errTooLarge):
			return nil, ErrUnreadable.Wrap(err)
		case errors.Is(err, breaker.ErrOpen):
			return nil, err // asking again at once is what it prevents
		case err != nil && ctx.Err() != nil:
			return nil, ErrUnreachable.Wrap(ctx.Err())
		case err != nil:
			last, after = err, 0
		case a.status >= 500 || a.status == http.StatusTooManyRequests:
			last, after = readRefusal(a), retryAfter(a.header)
		default:
			return a, nil
		}
	}
	return nil, ErrUnreachable.Because("gave up after %d attempts: %w", c.cfg.Attempts, last)
}

// backoff is the wait before attempt n (1 = the second): base, doubled each time, half to one and a half of it.
func (c *Client) backoff(n int) time.Duration {
	d := c.cfg.RetryBase << (n - 1)
	return d/2 + rand.N(d+1)
}

// retryAfter is what the channel asks for, at most 5 s.
func retryAfter(h http.Header) time.Duration {
	sec, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || sec < 0 {
		return 0
	}
	return time.Duration(min(sec, 5)) * time.Second
}

func (c *Client) once(ctx context.Context, method, uri string, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.cfg.BaseURL+uri, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	auth, err := c.authorize(method, req.URL.RequestURI(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "xinglin")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.ask != "" {
		req.Header.Set(HeaderSerial, c.ask)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("answer broke off: %w", err)
	}
	if len(b) > maxAnswer {
		return nil, errTooLarge
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: b}, nil
}

// plain drops the address from a transport error, so that order numbers stay out of logs.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func (c *Client) authorize(method, uri string, body []byte) (string, error) {
	a := Authorization{
		MchID: c.cfg.MchID, Serial: c.cfg.MerchantSerial,
		Timestamp: stamp(c.cfg.Clock.Now()), Nonce: Nonce(),
	}
	var err error
	a.Signature, err = Sign(c.cfg.MerchantKey, RequestMessage(method, uri, a.Timestamp, a.Nonce, body))
	return a.String(), err
}

// verifyAnswer wants the channel's signature over the answer.
func (c *Client) verifyAnswer(ctx context.Context, a *answer) error {
	s := signatureOf(a.header)
	if err := s.complete(); err != nil {
		return ErrBadSignature.Wrap(err)
	}
	if _, ok := InWindow(s.timestamp, c.cfg.Clock.Now()); !ok {
		return ErrBadSignature.Because("timestamp is out of the window")
	}
	key, err := c.keyFor(ctx, s.serial)
	if err != nil {
		return err
	}
	if key == nil {
		return ErrBadSignature.Because("serial is unknown")
	}
	if err := Verify(key, AnswerMessage(s.timestamp, s.nonce, a.body), s.signature); err != nil {
		return ErrBadSignature.Wrap(err)
	}
	return nil
}

// refusal reads a 3xx or 4xx. A signature that is there must be right; one that is missing is told in Refusal.Signed, since
// the channel does not sign before it knows who asks (401).
func (c *Client) refusal(ctx context.Context, a *answer) error {
	r := readRefusal(a)
	if a.header.Get(HeaderSignature) != "" {
		if err := c.verifyAnswer(ctx, a); err != nil {
			return err
		}
		r.Signed = true
	}
	return ErrRefused.Wrap(r)
}

func readRefusal(a *answer) *Refusal {
	var b struct{ Code, Message string }
	r := &Refusal{Status: a.status}
	if json.Unmarshal(a.body, &b) == nil && codeForm(b.Code) {
		r.Code, r.Message = b.Code, b.Message
	}
	return r
}

// codeForm tells a channel's code from other text that must not reach a log.
func codeForm(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
}

// signature is the channel's signature as it stands in headers.
type signature struct{ serial, timestamp, nonce, signature string }

func signatureOf(h http.Header) signature {
	return signature{h.Get(HeaderSerial), h.Get(HeaderTimestamp), h.Get(HeaderNonce), h.Get(HeaderSignature)}
}

func (s signature) complete() error {
	switch {
	case s.serial == "" || s.timestamp == "" || s.nonce == "" || s.signature == "":
		return errors.New("signature headers are missing")
	case len(s.serial) > 128 || len(s.timestamp) > 32 || len(s.nonce) > 128 || len(s.signature) > 2048:
		return errors.New("signature headers are too long")
	case strings.HasPrefix(s.signature, probePrefix):
		return errors.New("signature is the channel's probe")
	}
	return nil
}

// keyFor is the channel's key of a serial, downloading certificates when it is unknown; nil when it stays unknown.
func (c *Client) keyFor(ctx context.Context, serial string) (*rsa.PublicKey, error) {
	if key := c.ring.find(serial, c.cfg.Clock.Now()); key != nil {
		return key, nil
	}
	if strings.HasPrefix(serial, PublicKeyPrefix) {
		return nil, nil
	}
	if err := c.download(ctx, serial); err != nil {
		return nil, err
	}
	return c.ring.find(serial, c.cfg.Clock.Now()), nil
}
