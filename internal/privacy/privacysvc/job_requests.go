package privacysvc

import (
	"context"

	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/privacy"
)

// The kinds of jobs; the keys are ids of requests or dossiers.
const (
	jobCopy      = "privacy.make_copy"
	jobExpire    = "privacy.expire_copy"   // a file that nobody took
	jobRemind    = "privacy.remind"        // three working days before the last one
	jobErase     = "privacy.erase"         // after the decision
	jobRetention = "privacy.end_retention" // years later
)

type requestJob struct {
	Request privacy.RequestID `json:"request_id"`
}

type retainedJob struct {
	Retained privacy.RetainedID `json:"retained_id"`
}

func (s *Service) jobs() []job.Handler {
	return []job.Handler{
		job.Call(jobCopy, s.makeCopy), job.Call(jobErase, s.erase), job.Call(jobRetention, s.endRetention),
		job.InTx(jobExpire, func(ctx context.Context, tx db.Tx, j requestJob) error { return s.expire(ctx, tx, j) }),
		job.InTx(jobRemind, func(ctx context.Context, tx db.Tx, j requestJob) error { return s.remind(ctx, tx, j) }),
	}
}

// expire ends a file that waited for seven days.
func (s *Service) expire(ctx context.Context, tx db.Tx, j requestJob) error {
	_, policy, err := s.may(ctx, "privacy.expire_copy", "Request", j.Request.String())
	if err != nil {
		return err
	}
	return expireIn(ctx, tx, j.Request, policy)
}

// remind marks a request that nobody has decided yet, tells other contexts and writes a line into the log, for whoever watches it.
func (s *Service) remind(ctx context.Context, tx db.Tx, j requestJob) error {
	_, policy, err := s.may(ctx, "privacy.remind", "Request", j.Request.String())
	if err != nil {
		return err
	}
	due, err := remindIn(ctx, tx, j.Request, policy)
	if err == nil && due {
		log := s.base.Log
		tx.OnCommit(func() {
			log.Warn("privacy: a request has to be decided within three working days", "request", j.Request.String())
		})
	}
	return err
}
