package schedulingsvc

import (
	"context"
	"encoding/json"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
)

// ranking is each entry's rank, from 1. It is computed once a process: ranks follow from
// the drawn values, so they are not stored.
func (s *Service) ranking(ctx context.Context, t scheduling.TenantID, l lottery.Draw) (map[id.ID[scheduling.Appointment]]int, error) {
	k := lotteryKey{t, l.Lottery}
	s.lots.mu.Lock()
	known, ok := s.lots.ranks[k]
	s.lots.mu.Unlock()
	if ok {
		return known, nil
	}
	entries, err := s.store.entries(ctx, t, l.Lottery)
	if err != nil {
		return nil, err
	}
	out := make(map[id.ID[scheduling.Appointment]]int, len(entries))
	for i, e := range l.Ranked(entries) {
		out[e.ID] = i + 1
	}
	s.lots.mu.Lock()
	defer s.lots.mu.Unlock()
	keep(&s.lots.ranks, k, out)
	return out, nil
}

// proof is the public file of a lottery that is done.
func (s *Service) proof(ctx context.Context, t scheduling.TenantID, lid lottery.ID) ([]byte, error) {
	k := lotteryKey{t, lid}
	s.lots.mu.Lock()
	known, ok := s.lots.proofs[k]
	s.lots.mu.Unlock()
	if ok {
		return known, nil
	}
	l, err := s.store.lottery(ctx, t, lid)
	if err != nil {
		return nil, err
	}
	if l.State != lottery.Done {
		return nil, scheduling.ErrLotteryNotDrawn.After(max(l.ClosesAt.Sub(s.base.Clock.Now()), 2*time.Second))
	}
	entries, err := s.store.entries(ctx, t, lid)
	if err != nil {
		return nil, err
	}
	file, err := json.Marshal(l.Proof(entries))
	if err != nil {
		return nil, err
	}
	s.lots.mu.Lock()
	defer s.lots.mu.Unlock()
	keep(&s.lots.proofs, k, file)
	return file, nil
}
