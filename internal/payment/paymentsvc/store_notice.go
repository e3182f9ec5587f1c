package paymentsvc

import (
	"bytes"
	"context"
	"errors"

	"xinglin/internal/kernel/id"
	"xinglin/internal/payment"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/wechatpay"
)

// told is the content of a notification.
type told struct {
	Transaction *wechatpay.Transaction `json:"transaction,omitempty"`
	Refund      *wechatpay.Refund      `json:"refund,omitempty"`
}

// notice is an authentic notification and what it is about here; misfit is why it cannot take effect.
type notice struct {
	*wechatpay.Notification
	Payment payment.ID
	Of      payment.RefundID
	misfit  error
}

// take keeps a notification once and each of its deliveries once, and plans its effect. Codes: payment.callback_replayed for
// a message that was used before, payment.mismatch for another content under a known id.
func (store) take(ctx context.Context, d *db.DB, tenant payment.TenantID, n notice) error {
	content := told{n.Transaction, n.Refund}
	hash := idem.HashOf(content)
	outcome, tries := "new", noticeTries
	if n.misfit != nil {
		outcome, tries = "mismatch", 1 // at once a dead letter, which a person sees
	}
	return d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		fresh, err := tx.Exec(ctx, `INSERT INTO notification (tenant_id, id, channel, event, content, hash, payment_id, refund_id, outcome, received_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, channel, id) DO NOTHING`,
			tx.Tenant(), n.ID, wechat, n.Event, db.JSON(content), hash, n.Payment, id.Null(n.Of), outcome, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if fresh == 0 {
			var known []byte
			err := tx.QueryRow(ctx, `SELECT hash FROM notification WHERE tenant_id = $1 AND channel = $2 AND id = $3`, tx.Tenant(), wechat, n.ID).Scan(&known)
			if err != nil {
				return err
			}
			if !bytes.Equal(known, hash) {
				return payment.ErrMismatch.Because("another content under a known notification")
			}
		}
		first, err := tx.Exec(ctx, `INSERT INTO callback (tenant_id, channel, replay_key, notification_id, received_at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, channel, replay_key) DO NOTHING`,
			tx.Tenant(), wechat, n.ReplayKey, n.ID, tx.Now().UnixMicro())
		if err != nil {
			return err
		}
		if first == 0 {
			return payment.ErrReplay.New()
		}
		if fresh == 0 {
			return nil // the channel's own redelivery
		}
		return job.Enqueue(ctx, tx, job.Spec{Kind: jobNotice, Key: n.ID, Payload: heard{Notification: n.ID}, Max: tries})
	})
}

// effect gives a notification its effect, once: in the transaction of its job.
func (s *Service) effect(ctx context.Context, tx db.Tx, h heard) error {
	var content told
	var a about
	var outcome string
	err := tx.QueryRow(ctx, `SELECT content, payment_id, refund_id, outcome FROM notification WHERE tenant_id = $1 AND channel = $2 AND id = $3`,
		tx.Tenant(), wechat, h.Notification).Scan(db.JSONInto(&content), &a.Payment, &a.Refund, &outcome)
	if err != nil || outcome == "applied" {
		return err
	}
	p, err := s.store.read(ctx, tx, a.Payment)
	if errors.Is(err, payment.ErrNotFound) {
		return payment.ErrMismatch.Because("no such payment")
	}
	if err != nil {
		return err
	}
	c, err := s.may(ctx, tx.Tenant(), "payment.settle", p)
	if err != nil {
		return err
	}
	c.Why = "notified"
	if t := content.Transaction; t != nil {
		if err := fits(p.Payment, t); err != nil {
			return err
		}
		err = s.store.paidIn(ctx, tx, p.ID, t.TransactionID, t.PaidAt, c)
	} else {
		err = s.store.movedIn(ctx, tx, content.Refund, a, c)
	}
	if err != nil {
		return err
	}
	return one(tx.Exec(ctx, `UPDATE notification SET outcome = 'applied' WHERE tenant_id = $1 AND channel = $2 AND id = $3 AND outcome <> 'applied'`,
		tx.Tenant(), wechat, h.Notification))
}
