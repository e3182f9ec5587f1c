package wechatpay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"xinglin/internal/kernel/fault"
)

// The events that a callback may carry.
const (
	EventPaid           = "TRANSACTION.SUCCESS"
	EventRefundDone     = "REFUND.SUCCESS"
	EventRefundAbnormal = "REFUND.ABNORMAL"
	EventRefundClosed   = "REFUND.CLOSED"
)

// Notification is a callback that was proven authentic, fresh and ours. Exactly one of Transaction and Refund is set.
type Notification struct {
	ID          string    // the channel's id; the same for each redelivery
	Event       string    // EventPaid, ...
	CreatedAt   time.Time // when the channel made it
	SignedAt    time.Time // when the channel signed this delivery
	ReplayKey   string    // names this very message; store it as used
	ReplayUntil time.Time // from then on the window alone refuses the message
	Transaction *Transaction
	Refund      *Refund
}

type notifyWire struct {
	ID           string `json:"id"`
	CreateTime   string `json:"create_time"`
	EventType    string `json:"event_type"`
	ResourceType string `json:"resource_type"`
	Resource     Sealed `json:"resource"`
}

var errNotOurs = errors.New("mchid or appid is not ours")

// ParseNotify verifies and opens a callback. body is the raw body (bound the reader to MaxCallback+1 bytes). The refusals:
//
//	ErrCallbackForged      no or a wrong signature, an unknown serial, the channel's probe, another merchant's message
//	ErrCallbackLate        authentic, but signed more than Window away from now
//	ErrCallbackUnreadable  authentic, but not to be understood; or larger than 64 KiB
//	ErrUnreachable, ...    the certificate of an unknown serial could not be downloaded: the channel shall try again
//
// Answer the channel with Reply.
func (c *Client) ParseNotify(ctx context.Context, header http.Header, body []byte, now time.Time) (*Notification, error) {
	if len(body) > MaxCallback {
		return nil, ErrCallbackUnreadable.Because("larger than %d bytes", MaxCallback)
	}
	s := signatureOf(header)
	if err := s.complete(); err != nil {
		return nil, ErrCallbackForged.Wrap(err)
	}
	key, err := c.keyFor(ctx, s.serial)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, ErrCallbackForged.Because("serial is unknown")
	}
	if err := Verify(key, AnswerMessage(s.timestamp, s.nonce, body), s.signature); err != nil {
		return nil, ErrCallbackForged.Wrap(err)
	}
	signed, ok := InWindow(s.timestamp, now)
	if !ok {
		return nil, ErrCallbackLate.Because("signed at %s", signed.Format(time.RFC3339))
	}
	n, err := c.open(body)
	if err != nil {
		return nil, err
	}
	n.SignedAt, n.ReplayUntil, n.ReplayKey = signed, signed.Add(2*Window), s.replayKey()
	return n, nil
}

// replayKey is the same for the same signed message only.
func (s signature) replayKey() string {
	sum := sha256.Sum256(lines(normalSerial(s.serial), s.timestamp, s.nonce))
	return hex.EncodeToString(sum[:])
}

func (c *Client) open(body []byte) (*Notification, error) {
	var w notifyWire
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, ErrCallbackUnreadable.Wrap(shape(err))
	}
	if w.ID == "" || len(w.ID) > 64 || w.ResourceType != "encrypt-resource" {
		return nil, ErrCallbackUnreadable.Because("id or resource_type is not as expected")
	}
	n := &Notification{ID: w.ID, Event: w.EventType}
	var err error
	if n.CreatedAt, err = parseTime(w.CreateTime); err != nil {
		return nil, ErrCallbackUnreadable.Because("create_time is no RFC 3339 instant")
	}
	plain, err := w.Resource.Open([]byte(c.cfg.APIv3Key.Reveal()))
	if err != nil {
		return nil, ErrCallbackUnreadable.Because("resource: %w", err)
	}
	switch w.EventType {
	case EventPaid:
		n.Transaction, err = c.openTransaction(plain)
	case EventRefundDone, EventRefundAbnormal, EventRefundClosed:
		n.Refund, err = c.openRefund(plain)
	default:
		err = ErrCallbackUnreadable.Because("event type is unknown")
	}
	if errors.Is(err, errNotOurs) {
		err = ErrCallbackForged.Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (c *Client) openTransaction(plain []byte) (*Transaction, error) {
	var w transactionWire
	if err := json.Unmarshal(plain, &w); err != nil {
		return nil, ErrCallbackUnreadable.Wrap(shape(err))
	}
	t, err := c.transaction(w, ErrCallbackUnreadable)
	if err != nil {
		return nil, err
	}
	if t.State != StatePaid {
		return nil, ErrCallbackUnreadable.Because("event and state contradict each other")
	}
	return t, nil
}

func (c *Client) openRefund(plain []byte) (*Refund, error) {
	var w refundWire
	if err := json.Unmarshal(plain, &w); err != nil {
		return nil, ErrCallbackUnreadable.Wrap(shape(err))
	}
	if w.MchID != c.cfg.MchID {
		return nil, errNotOurs
	}
	return w.read(w.RefundStatus, ErrCallbackUnreadable)
}

// Reply is what the channel wants to hear: 204 when err is nil, else the refusal's status and a body that makes the channel
// deliver again under a new signature.
func Reply(err error) (status int, body []byte) {
	if err == nil {
		return http.StatusNoContent, nil
	}
	status = http.StatusInternalServerError
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		status = http.StatusUnauthorized
	case fault.Conflict:
		status = http.StatusConflict
	case fault.Malformed:
		status = http.StatusBadRequest
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	}
	return status, []byte(`{"code":"FAIL","message":"失败"}`)
}
