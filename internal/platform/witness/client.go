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
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
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

// Cosign asks for the witness's line below a signed head. prove gives the consistency
// proof from the size that the witness saw last. Refusals: witness.unreachable,
// witness.untrue, witness.fork, witness.set_back.
func (c *Client) Cosign(ctx context.Context, note string, l tlog.Lineage, prove func(ctx context.Context, from uint64) ([]merkle.Node, error)) (string, error) {
	h, _, err := tlog.Parse(note)
	if err != nil {
		return "", err
	}
	known, err := c.Known(ctx, h.Origin, l.First())
	if err != nil && !errors.Is(err, ErrUnknown) {
		return "", err
	}
	in := headRequest{Note: note, Keys: l.First().PEM(), Rotations: l.Rotations(), Path: []merkle.Node{}}
	if err == nil {
		last, _, err := tlog.Parse(known.Head)
		if err != nil {
			return "", ErrUntrue.Wrap(err)
		}
		if last.Size <= h.Size { // what was set back is shown as it is
			in.From = last.Size
			if in.Path, err = prove(ctx, last.Size); err != nil {
				return "", err
			}
		}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	var got cosigned
	if err := c.ask(ctx, http.MethodPost, PathHeads, body, &got); err != nil {
		return "", err
	}
	if _, ok := tlog.Cosigned(tlog.With(note, got.Cosignature), c.key); !ok {
		return "", ErrUntrue.New()
	}
	return got.Cosignature, nil
}

// Known is what the witness has of a log that began with these keys: witness.unknown when nothing, witness.untrue
// when its line below the head does not hold.
func (c *Client) Known(ctx context.Context, origin string, ks tlog.Keys) (a HeadAnswer, err error) {
	if err := c.ask(ctx, http.MethodGet, PathHeads+"/"+tlog.LogID(origin, ks), nil, &a); err != nil {
		return a, err
	}
	if _, ok := tlog.Cosigned(a.Head, c.key); !ok {
		return a, ErrUntrue.New()
	}
	return a, nil
}

// ask sends one question and reads its answer; a refusal becomes its code.
func (c *Client) ask(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return ErrUnreachable.Wrap(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(r)
	if err != nil {
		return ErrUnreachable.Wrap(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxHeadBody))
	if err != nil {
		return ErrUnreachable.Wrap(err)
	}
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(raw, into); err != nil {
			return ErrUntrue.New()
		}
		return nil
	}
	var refused struct{ Code string }
	_ = json.Unmarshal(raw, &refused) // what cannot be read has no code
	for _, known := range []*fault.Code{ErrFork, ErrSetBack, ErrOtherSize, ErrSigner, ErrUnknown, ErrBusy, ErrFull, ErrMalformed} {
		if refused.Code == known.Name {
			return known.New()
		}
	}
	return ErrUnreachable.Because("the witness answered %d", res.StatusCode)
}
