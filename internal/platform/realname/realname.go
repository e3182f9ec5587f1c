// Package realname asks a real-name service whether name, document and phone belong to
// one person: a signed HTTP client (package signed has the signature). It knows no
// rule about documents; that is the patient context's.
//
//	POST {url}/v1/verifications {"name","document_type","document_number","phone"}
//	  -> {"outcome":"match"|"mismatch"|"unknown","reference","at": RFC 3339}
//
// Asking again is harmless: nothing is kept of a question but its reference.
package realname

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

// What may go wrong. Unreachable may be tried again; refused is for the operator, the
// detail has the service's code.
var (
	ErrUnreachable = fault.Register(fault.Unavailable, "realname.unreachable",
		"实名核验服务暂时不可用", "The real-name service cannot be reached, try again later")
	ErrRefused = fault.Register(fault.Conflict, "realname.refused",
		"实名核验服务拒绝了请求", "The real-name service refused the request")
	ErrInvalid = fault.Register(fault.Invalid, "realname.invalid",
		"实名信息不完整", "Name, document type and number are needed")
)

// PathVerifications is where questions go, below the service's address.
const PathVerifications = "/v1/verifications"

// Outcome is the service's answer.
type Outcome string

// The outcomes.
const (
	Match    Outcome = "match"    // one person
	Mismatch Outcome = "mismatch" // known, but not one person
	Unknown  Outcome = "unknown"  // the service knows no such document
)

// Person is the question. Phone may be empty.
type Person struct {
	Name           secret.Text
	DocumentType   string // a code such as resident_id, passport
	DocumentNumber secret.Text
	Phone          secret.Text
}

// Request is a Person on the wire.
type Request struct {
	Name           string `json:"name"`
	DocumentType   string `json:"document_type"`
	DocumentNumber string `json:"document_number"`
	Phone          string `json:"phone,omitempty"`
}

// Result is the dated answer. Reference names it at the service.
type Result struct {
	Outcome   Outcome   `json:"outcome"`
	Reference string    `json:"reference"`
	At        time.Time `json:"at"`
}

// Options make a Client.
type Options struct {
	URL     string // https://HOST/PREFIX, or http on the loopback
	KeyID   string
	Key     secret.Text   // shared with the service, at least 16 bytes
	Clock   clock.Clock   // nil is the system's
	Timeout time.Duration // of one Verify; 0 is 10 s
}

// Client asks. It is safe for concurrent use.
type Client struct{ wire *signed.Client }

// New checks the options; nothing is sent.
func New(o Options) (*Client, error) {
	w, err := signed.NewClient(signed.Options{
		URL: o.URL, Key: signed.Key{ID: o.KeyID, Secret: o.Key}, Clock: o.Clock, Timeout: o.Timeout,
	})
	if err != nil {
		return nil, errors.Join(errors.New("realname"), err)
	}
	return &Client{wire: w}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.wire.Close() }

const maxReference = 128 // bytes

// Verify asks the service, one attempt.
func (c *Client) Verify(ctx context.Context, p Person) (Result, error) {
	if p.Name.Empty() || p.DocumentType == "" || p.DocumentNumber.Empty() {
		return Result{}, ErrInvalid.New()
	}
	var out Result
	err := c.wire.Do(ctx, http.MethodPost, PathVerifications, Request{
		Name: p.Name.Reveal(), DocumentType: p.DocumentType,
		DocumentNumber: p.DocumentNumber.Reveal(), Phone: p.Phone.Reveal(),
	}, &out)
	var no *signed.Refusal
	if errors.As(err, &no) {
		e := ErrRefused.With(fault.Detail{Path: "service", Code: no.Code, Message: "refused by the service"})
		e.Cause = no
		return Result{}, e
	}
	if err != nil {
		return Result{}, ErrUnreachable.Wrap(err)
	}
	known := out.Outcome == Match || out.Outcome == Mismatch || out.Outcome == Unknown
	if !known || out.Reference == "" || len(out.Reference) > maxReference || out.At.IsZero() {
		return Result{}, ErrUnreachable.Because("answer is not a result")
	}
	out.At = out.At.UTC()
	return out, nil
}
