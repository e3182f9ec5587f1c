package paymentsvc

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/ledger"
	"xinglin/internal/payment"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/wechatpay"
)

// Kinds of jobs.
const (
	jobCheck  = "payment.check"         // active query, so that a lost callback heals
	jobClose  = "payment.close"         // at the deadline, or when the caller gave up
	jobRefund = "payment.refund"        // ask for the money back and follow it
	jobAlarm  = "payment.refund_failed" // always a dead letter: a person must act
	jobNotice = "payment.notified"      // the effect of a callback
	jobPost   = "payment.post"          // a money fact for the ledger
)

const (
	closeGrace  = 30 * time.Second
	closeTries  = 30
	refundTries = 20
	noticeTries = 5
	postTries   = 30
	checkFor    = 6 * time.Hour // after the deadline
	maxFollow   = 200           // questions about one refund: about a week
)

// about is what a job is about; N counts its questions.
type about struct {
	Payment payment.ID       `json:"payment"`
	Refund  payment.RefundID `json:"refund"`
	N       int              `json:"n"`
}

// heard names a notification, posting a fact.
type (
	heard struct {
		Notification string `json:"notification"`
	}
	posting struct {
		Fact ledger.TransactionID `json:"fact"`
	}
)

func (s *Service) jobs() []job.Handler {
	return []job.Handler{
		job.Call(jobCheck, s.check),
		job.Call(jobClose, s.close),
		job.Call(jobRefund, s.follow),
		job.Call(jobAlarm, s.alarm),
		job.InTx(jobNotice, s.effect),
		job.Call(jobPost, s.post),
	}
}

// checkAfter is the pause before the n-th active query: never so long, while one can pay, that a lost callback takes more
// than 30 s to heal.
func checkAfter(n int) time.Duration {
	steps := []time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second}
	if n < len(steps) {
		return steps[n]
	}
	return 20 * time.Second
}

// followAfter is the pause before the n-th question about a refund.
func followAfter(n int) time.Duration {
	steps := []time.Duration{
		2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute,
	}
	if n < len(steps) {
		return steps[n]
	}
	return time.Hour
}

// job reads the payment for a job; the tenant is the principal's.
func (s *Service) job(ctx context.Context, pid payment.ID) (payment.TenantID, record, change, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return payment.TenantID{}, record{}, change{}, err
	}
	p, c, err := s.find(ctx, who.Tenant, pid, "payment.settle")
	return who.Tenant, p, c, err
}

// check asks whether an open payment was paid and plans the next question. Trouble at the channel is no failure of the job:
// it asks again until the end.
func (s *Service) check(ctx context.Context, a about) error {
	tenant, p, c, err := s.job(ctx, a.Payment)
	if err != nil || p.State != payment.Open {
		return err
	}
	c.Why = "checked"
	p, err = s.ask(ctx, tenant, p, c)
	if errors.Is(err, payment.ErrMismatch) {
		return err
	}
	if err != nil {
		obs.Log(ctx).Warn("payment: the channel did not answer", "payment", p.ID.String(), "error", err.Error())
	}
	if p.State != payment.Open || s.base.Clock.Now().After(p.Deadline.Add(checkFor)) {
		return nil
	}
	return s.store.checkLater(ctx, s.base.DB, tenant, p.ID, a.N+1)
}

// close ends a payment that nobody paid: first at the channel, so that nobody can pay any more, then here.
func (s *Service) close(ctx context.Context, a about) error {
	tenant, p, c, err := s.job(ctx, a.Payment)
	if err != nil || !p.PaidAt.IsZero() {
		return err
	}
	c.Why = "deadline"
	if p.GivingUp {
		c.Why = "given_up"
	}
	if p.Channel != "" {
		if s.channel == nil {
			return payment.ErrChannel.Because("WeChat Pay is not configured")
		}
		err := s.channel.Close(ctx, numberOf(p.ID))
		if wechatpay.IsPaid(err) {
			p, err = s.ask(ctx, tenant, p, c)
			if err == nil && p.PaidAt.IsZero() {
				err = payment.ErrChannel.Because("paid by the close, not by the query")
			}
			return err
		}
		if err != nil && !wechatpay.IsUnknown(err) && !closedThere(err) {
			return payment.ErrChannel.Wrap(err)
		}
	}
	closed, err := s.store.close(ctx, s.base.DB, tenant, p.ID, p.Channel, c)
	if err == nil && !closed {
		err = payment.ErrChannel.Because("a prepay began while the payment was closed")
	}
	return err
}

// closedThere reports that the channel refused to close an order because it is closed.
func closedThere(err error) bool {
	r := wechatpay.RefusalOf(err)
	return r != nil && r.Signed && r.Code == "ORDER_CLOSED"
}

// follow asks for a refund, and then for its end.
func (s *Service) follow(ctx context.Context, a about) error {
	tenant, p, c, err := s.job(ctx, a.Payment)
	if err != nil {
		return err
	}
	r, _, err := s.store.refundWith(ctx, s.base.DB, tenant, a.Refund)
	if err != nil || r.State == payment.RefundDone || r.State == payment.RefundFailed {
		return err
	}
	if a.N > maxFollow {
		return payment.ErrRefundFailed.Because("the channel has been at it for too long")
	}
	w, err := s.askRefund(ctx, tenant, p, r)
	if err != nil {
		return err
	}
	next := time.Duration(0)
	if w.State == wechatpay.RefundProcessing {
		next = followAfter(a.N)
	}
	return s.store.moved(ctx, s.base.DB, tenant, w, a, next, c)
}

func (s *Service) askRefund(ctx context.Context, tenant payment.TenantID, p record, r refundRecord) (*wechatpay.Refund, error) {
	if s.channel == nil {
		return nil, payment.ErrChannel.Because("WeChat Pay is not configured")
	}
	if err := s.store.attempted(ctx, s.base.DB, tenant, r.ID); err != nil {
		return nil, err
	}
	if r.State != payment.RefundRequested {
		w, err := s.channel.QueryRefund(ctx, numberOf(r.ID))
		if err != nil {
			return nil, payment.ErrChannel.Wrap(err)
		}
		return w, nil
	}
	w, err := s.channel.Refund(ctx, wechatpay.RefundOrder{
		OutTradeNo: numberOf(p.ID), OutRefundNo: numberOf(r.ID), Reason: reasonText(r.Reason), RefundFen: int64(r.Amount), TotalFen: int64(p.Amount),
	})
	if err != nil {
		return nil, payment.ErrChannel.Wrap(err)
	}
	return w, nil
}

// alarm fails on purpose while a refund has failed, so that its dead letter stays on the operator's list. Replayed, it looks
// whether the trouble is over: the channel paid out after all, or the money was given back under another refund.
func (s *Service) alarm(ctx context.Context, a about) error {
	tenant, p, c, err := s.job(ctx, a.Payment)
	if err != nil {
		return err
	}
	r, _, err := s.store.refundWith(ctx, s.base.DB, tenant, a.Refund)
	if err != nil || r.State != payment.RefundFailed || p.Refunded == p.Amount {
		return err
	}
	if r.Held {
		w, err := s.askRefund(ctx, tenant, p, r)
		if err != nil {
			return err
		}
		if w.State == wechatpay.RefundDone {
			return s.store.moved(ctx, s.base.DB, tenant, w, a, 0, c)
		}
	}
	return payment.ErrRefundFailed.New()
}

// post tells the ledger one money fact; the transaction's id makes a repeat harmless.
func (s *Service) post(ctx context.Context, a posting) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	f, posted, err := s.store.fact(ctx, s.base.DB, who.Tenant, a)
	if err != nil || posted {
		return err
	}
	if err := s.ledger.Post(ctx, f.transaction(who.Tenant)); err != nil {
		return err
	}
	return s.store.posted(ctx, s.base.DB, who.Tenant, a)
}
