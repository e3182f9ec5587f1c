package wechatpay

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"time"
)

// How often certificates may be downloaded for an unknown serial: anybody can send a callback with an invented one.
const (
	certEvery      = time.Minute
	certEveryError = 5 * time.Second
)

// download fetches the channel's certificates once for all who wait, not more often than certEvery. It returns nil when a
// download is not allowed yet; the caller looks again into the keyring.
func (c *Client) download(ctx context.Context, serial string) error {
	select {
	case c.refresh <- struct{}{}:
		defer func() { <-c.refresh }()
	case <-ctx.Done():
		return ErrUnreachable.Wrap(ctx.Err())
	}
	now := c.cfg.Clock.Now()
	if c.ring.find(serial, now) != nil || !c.mayDownload(now) {
		return nil
	}
	certs, err := c.certificates(ctx)
	if err != nil {
		c.holdDownloads(now.Add(certEveryError))
		return err
	}
	c.holdDownloads(now.Add(certEvery))
	for _, cert := range certs {
		if err := c.ring.add(cert); err != nil {
			return ErrUnreadable.Wrap(err)
		}
	}
	return nil
}

func (c *Client) mayDownload(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !now.Before(c.notUntil) || c.notUntil.Sub(now) > certEvery // the clock was set back
}

func (c *Client) holdDownloads(until time.Time) {
	c.mu.Lock()
	c.notUntil = until
	c.mu.Unlock()
}

// certificates downloads and opens the list. Only the channel can encrypt under our APIv3 key, so certificates that open are
// its own; the answer's signature must then be by one of them or by a key that we knew before.
func (c *Client) certificates(ctx context.Context) ([]*x509.Certificate, error) {
	a, err := c.fetch(ctx, http.MethodGet, "/v3/certificates", nil)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, ErrRefused.Wrap(readRefusal(a))
	}
	certs, err := c.openCertificates(a.body)
	if err != nil {
		return nil, err
	}
	s, now := signatureOf(a.header), c.cfg.Clock.Now()
	if err := s.complete(); err != nil {
		return nil, ErrBadSignature.Wrap(err)
	}
	if _, ok := InWindow(s.timestamp, now); !ok {
		return nil, ErrBadSignature.Because("timestamp is out of the window")
	}
	fresh, err := newKeyring(certs, nil)
	if err != nil {
		return nil, ErrUnreadable.Wrap(err)
	}
	key := fresh.find(s.serial, now)
	if key == nil {
		key = c.ring.find(s.serial, now)
	}
	if key == nil {
		return nil, ErrBadSignature.Because("serial is unknown")
	}
	if err := Verify(key, AnswerMessage(s.timestamp, s.nonce, a.body), s.signature); err != nil {
		return nil, ErrBadSignature.Wrap(err)
	}
	return certs, nil
}

func (c *Client) openCertificates(body []byte) ([]*x509.Certificate, error) {
	var list struct {
		Data []struct {
			Serial  string `json:"serial_no"`
			Content Sealed `json:"encrypt_certificate"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, ErrUnreadable.Because("certificates: %w", shape(err))
	}
	if len(list.Data) == 0 || len(list.Data) > maxCerts {
		return nil, ErrUnreadable.Because("certificates: 1 to %d wanted, %d came", maxCerts, len(list.Data))
	}
	var certs []*x509.Certificate
	for i, d := range list.Data {
		pem, err := d.Content.Open([]byte(c.cfg.APIv3Key.Reveal()))
		if err != nil {
			return nil, ErrBadSignature.Because("certificate %d: %w", i, err)
		}
		cert, err := ParseCertificate(pem)
		if err != nil {
			return nil, ErrUnreadable.Because("certificate %d: %w", i, err)
		}
		if CertSerial(cert) != normalSerial(d.Serial) {
			return nil, ErrBadSignature.Because("certificate %d: its serial is another than told", i)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
