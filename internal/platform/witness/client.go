package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"xinglin/internal/kernel/attest"
)

// askTime bounds one question to the witness.
const askTime = 5 * time.Second

// Client asks one witness. Its answers hold by their signature, so the line between need
// not be trusted: plain http will do.
type Client struct {
	url  string
	key  ed25519.PublicKey
	http *http.Client
}

// NewClient checks the address and the witness's public key (64 hexadecimal digits);
// nothing is sent.
func NewClient(address, key string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("witness: want an http(s) URL")
	}
	k, err := ParseKey(key)
	if err != nil {
		return nil, err
	}
	redirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{url: strings.TrimSuffix(address, "/"), key: k, http: &http.Client{Timeout: askTime, CheckRedirect: redirects}}, nil
}

// Key is the witness's public key.
func (c *Client) Key() ed25519.PublicKey { return c.key }

// Sign asks for the statement about the owner's subject, one attempt; again is the same
// statement. Refusals: witness.unreachable, witness.untrue (a false signature),
// witness.signed_other (the subject was used for another digest).
func (c *Client) Sign(ctx context.Context, owner ed25519.PrivateKey, d attest.Digest) (attest.Statement, []byte, error) {
	none, subject := attest.Statement{}, attest.SubjectOf(owner)
	body, err := json.Marshal(request{hex.EncodeToString(subject[:]), hex.EncodeToString(d[:]), hex.EncodeToString(attest.Ask(owner, d))})
	if err != nil {
		return none, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+PathStatements, bytes.NewReader(body))
	if err != nil {
		return none, nil, ErrUnreachable.Wrap(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(r)
	if err != nil {
		return none, nil, ErrUnreachable.Wrap(err)
	}
	defer res.Body.Close()
	var w Statement
	switch err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(&w); {
	case res.StatusCode == http.StatusConflict:
		return none, nil, ErrOther.New()
	case res.StatusCode != http.StatusOK || err != nil:
		return none, nil, ErrUnreachable.Because("the witness answered %d", res.StatusCode)
	}
	s, signature, ok := w.checked(c.key)
	if !ok || s.Subject != subject || s.Digest != d {
		return none, nil, ErrUntrue.New()
	}
	return s, signature, nil
}
