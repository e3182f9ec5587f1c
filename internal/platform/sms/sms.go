// Package sms sends text messages through a gateway: a signed HTTP client (package
// signed has the signature). It makes one attempt; the caller's job repeats it with the
// same ID, which the gateway takes once.
//
//	POST {url}/v1/messages {"id","phone","template","params":{},"text"} -> {"id": provider's id}
//
// The gateway may report the delivery to an address of ours with the same signature:
//
//	POST {"id","provider_id","state":"delivered"|"failed","at": RFC 3339}
package sms

import (
	"context"
	"errors"
	"net/http"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/sms/signed"
)

// What may go wrong. After unreachable the outcome is unknown: repeat with the same
// ID. After refused repeating does not help; the detail has the gateway's code.
var (
	ErrUnreachable = fault.Register(fault.Unavailable, "sms.unreachable",
		"短信服务暂时不可用", "The SMS gateway cannot be reached, try again later")
	ErrRefused = fault.Register(fault.Conflict, "sms.refused",
		"短信被网关拒绝", "The SMS gateway refused the message")
	ErrInvalid = fault.Register(fault.Invalid, "sms.invalid",
		"短信内容不完整", "The message is incomplete")
)

// PathMessages is where messages go, below the gateway's address.
const PathMessages = "/v1/messages"

// MaxText bounds a message's text, in bytes.
const MaxText = 4096

// Message is one text message.
type Message struct {
	ID       string // the sender's; the gateway takes each once
	Phone    secret.Text
	Template string
	Params   map[string]string // the template's
	Text     string            // the rendered text
}

// Request is a Message on the wire.
type Request struct {
	ID       string            `json:"id"`
	Phone    string            `json:"phone"`
	Template string            `json:"template"`
	Params   map[string]string `json:"params,omitempty"`
	Text     string            `json:"text"`
}

// Response is the gateway's answer.
type Response struct {
	ID string `json:"id"`
}

// Receipt tells what became of a message.
type Receipt struct {
	ID         string    `json:"id"` // the sender's
	ProviderID string    `json:"provider_id"`
	State      string    `json:"state"` // delivered, failed
	At         time.Time `json:"at"`
}

// The states of a receipt.
const (
	Delivered = "delivered"
	Failed    = "failed"
)

// Options make a Client.
type Options struct {
	URL     string // https://HOST/PREFIX, or http on the loopback
	KeyID   string
	Key     secret.Text   // shared with the gateway, at least 16 bytes
	Clock   clock.Clock   // nil is the system's
	Timeout time.Duration // of one Send; 0 is 10 s
}

// Client sends. It is safe for concurrent use.
type Client struct {
	wire     *signed.Client
	receipts *signed.Verifier
}

// New checks the options; nothing is sent.
func New(o Options) (*Client, error) {
	key := signed.Key{ID: o.KeyID, Secret: o.Key}
	w, err := signed.NewClient(signed.Options{URL: o.URL, Key: key, Clock: o.Clock, Timeout: o.Timeout})
	if err != nil {
		return nil, errors.Join(errors.New("sms"), err)
	}
	v, err := signed.NewVerifier(key, o.Clock)
	if err != nil {
		return nil, errors.Join(errors.New("sms"), err)
	}
	return &Client{wire: w, receipts: v}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.wire.Close() }

// Send hands the message to the gateway, one attempt, and returns the gateway's id for
// it. The same ID is sent once, however often this is called.
func (c *Client) Send(ctx context.Context, m Message) (providerID string, err error) {
	switch {
	case m.ID == "":
		return "", ErrInvalid.At("id", "missing")
	case m.Phone.Empty():
		return "", ErrInvalid.At("phone", "missing")
	case m.Text == "" && m.Template == "":
		return "", ErrInvalid.At("text", "missing")
	case len(m.Text) > MaxText:
		return "", ErrInvalid.At("text", "too long")
	}
	var out Response
	err = c.wire.Do(ctx, http.MethodPost, PathMessages, Request{
		ID: m.ID, Phone: m.Phone.Reveal(), Template: m.Template, Params: m.Params, Text: m.Text,
	}, &out)
	var no *signed.Refusal
	switch {
	case errors.As(err, &no):
		e := ErrRefused.With(fault.Detail{Path: "gateway", Code: no.Code, Message: "refused by the gateway"})
		e.Cause = no
		return "", e
	case err != nil:
		return "", ErrUnreachable.Wrap(err)
	case out.ID == "":
		return "", ErrUnreachable.Because("answer without an id")
	}
	return out.ID, nil
}

// ReadReceipt verifies and reads a gateway's report; answer its refusals with
// signed.Refuse. A receipt may come before Send has returned.
func (c *Client) ReadReceipt(r *http.Request) (Receipt, error) {
	body, err := c.receipts.Read(r)
	if err != nil {
		return Receipt{}, err
	}
	var out Receipt
	if err := signed.Decode(body, &out); err != nil {
		return Receipt{}, err
	}
	if out.ID == "" || out.State != Delivered && out.State != Failed {
		return Receipt{}, &signed.Refusal{Status: http.StatusBadRequest, Code: signed.CodeMalformed}
	}
	return out, nil
}

// AnswerReceipt tells the gateway that its report was taken.
func (c *Client) AnswerReceipt(w http.ResponseWriter, r *http.Request) {
	c.receipts.Answer(w, r, struct{}{})
}
