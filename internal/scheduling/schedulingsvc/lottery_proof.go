package schedulingsvc

import (
	"context"
	"encoding/json"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
)

// ranked is a lottery's entries in the order of the draw.
func (l lotteryRow) ranked(entries []entryRow) []entryRow {
	leaves := make([]lottery.Hash, len(entries))
	for i, e := range entries {
		leaves[i] = e.Leaf
	}
	out := make([]entryRow, len(entries))
	for i, at := range lottery.Rank(l.Seed, l.Root, l.Signature, leaves) {
		out[i] = entries[at]
	}
	return out
}

// ranking is each entry's rank, from 1. It is computed once a process: ranks follow from
// the drawn values, so they are not stored.
func (s *Service) ranking(ctx context.Context, t scheduling.TenantID, l lotteryRow) (map[id.ID[scheduling.Appointment]]int, error) {
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
	for i, e := range l.ranked(entries) {
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
	file, err := json.Marshal(l.proof(entries))
	if err != nil {
		return nil, err
	}
	s.lots.mu.Lock()
	defer s.lots.mu.Unlock()
	keep(&s.lots.proofs, k, file)
	return file, nil
}

// proof lays a finished lottery out.
func (l lotteryRow) proof(entries []entryRow) lottery.Proof {
	p := lottery.Proof{Format: lottery.ProofFormat, Seal: l.Seal, Seed: l.Seed, Witnessed: len(l.Signature) > 0, Results: []lottery.Result{}}
	p.NoteZH, p.NoteEN = lottery.Note(p.Witnessed)
	if len(l.WitnessKey) > 0 {
		p.Witness = &lottery.Witness{Key: l.WitnessKey, Signature: l.Signature, SignedAt: l.SignedAt}
	}
	for i, e := range l.ranked(entries) {
		r := lottery.Result{Entry: e.Entry, Rank: i + 1, Outcome: e.Outcome, Slot: e.Slot, Reason: e.Reason}
		if r.Outcome == "" {
			r.Outcome = lottery.Lost
		}
		p.Results = append(p.Results, r)
	}
	return p
}
