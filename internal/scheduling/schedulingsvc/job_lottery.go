package schedulingsvc

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
)

// jobDraw brings a lottery from the end of its window to its end, keyed by the lottery.
const jobDraw = "scheduling.draw_lottery"

// aboutLottery is its payload.
type aboutLottery struct {
	Lottery lottery.ID `json:"lottery"`
}

// witnessPatience is how long a sealed lottery waits for its witness. Then the draw goes
// on without and says so: people wait for their numbers.
const witnessPatience = 2 * time.Minute

// drawJob seals, asks the witness, draws and gives the seats. Every step is stored before
// the next one, and each may be repeated: after a crash the job goes on where it was.
func (s *Service) drawJob(ctx context.Context, p aboutLottery) error {
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: "scheduling.draw_lottery", Noun: "Lottery", ID: p.Lottery.String()})
	if err != nil {
		return err
	}
	who, _, err := s.may(ctx, "scheduling.draw_lottery", "Lottery")
	if err != nil {
		return err
	}
	for range len(lotteries.Steps) + 1 {
		l, err := s.store.lottery(ctx, who.Tenant, p.Lottery)
		if err != nil {
			return err
		}
		switch l.State {
		case lottery.Open:
			err = s.store.sealLottery(ctx, who.Tenant, p.Lottery, d.Policy)
		case lottery.Sealed:
			err = s.draw(ctx, who.Tenant, l, d.Policy)
		case lottery.Drawn:
			err = s.allot(ctx, who.Tenant, l, d.Policy)
		case lottery.Done:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("scheduling: lottery %s does not come to its end", p.Lottery)
}

// draw gets the witness's signature and shows the seed.
func (s *Service) draw(ctx context.Context, t scheduling.TenantID, l lottery.Draw, policy string) error {
	seed, err := s.seed(ctx, t, l)
	if err != nil {
		return err
	}
	l.Seed = seed
	if len(l.WitnessKey) > 0 {
		switch err := s.askWitness(ctx, &l); {
		case err == nil:
		case s.base.Clock.Now().Before(l.SealedAt.Add(witnessPatience)):
			return err
		default:
			obs.Log(ctx).Warn("scheduling: the lottery is drawn without its witness", "lottery", l.Lottery.String(), "code", codeOf(err))
		}
	}
	return s.store.drawLottery(ctx, t, l, policy)
}

// askWitness asks the witness that was announced, and no other.
func (s *Service) askWitness(ctx context.Context, l *lottery.Draw) error {
	w := s.lots.witness
	if w == nil || !w.Key().Equal(ed25519.PublicKey(l.WitnessKey)) {
		return fmt.Errorf("scheduling: the witness that lottery %s announced is not the configured one", l.Lottery)
	}
	said, signature, err := w.Sign(ctx, lottery.Key(l.Lottery, l.Seed), l.Digest())
	if err != nil {
		return err
	}
	l.Signature, l.SignedAt = signature, time.UnixMicro(said.At).UTC()
	return nil
}

// codeOf is the name of a refusal, for logs.
func codeOf(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code.Name
	}
	return "internal"
}

// allot gives the seats in the order of the ranks. The plan is computed anew from what is
// stored; an entry's hold has the entry's id, so a repeat finds it.
func (s *Service) allot(ctx context.Context, t scheduling.TenantID, l lottery.Draw, policy string) error {
	entries, err := s.store.entries(ctx, t, l.Lottery)
	if err != nil {
		return err
	}
	a := lottery.NewAllotter(l.Seats)
	ranked := l.Ranked(entries)
	for i := range ranked {
		e := &ranked[i]
		if a.Left() == 0 {
			break
		}
		slot, ok := a.Take(e.Wishes)
		if !ok {
			continue
		}
		if e.Outcome == "" {
			e.Outcome, e.Slot = lottery.Won, slot
			if e.Reason, err = s.holdWon(ctx, t, *e, policy); err != nil {
				return err
			}
			if e.Reason != "" {
				e.Outcome, e.Slot = lottery.Refused, lottery.SlotID{}
			}
			if err := s.store.recordOutcome(ctx, t, *e); err != nil {
				return err
			}
		}
		if e.Outcome == lottery.Refused {
			a.GiveBack(slot)
		}
	}
	return s.store.endLottery(ctx, t, l, ranked, policy)
}

// holdWon holds the seat that an entry won, for the account that entered, on the road of
// every hold. What the rules of booking refuse comes back as a code.
func (s *Service) holdWon(ctx context.Context, t scheduling.TenantID, e lottery.Entrant, policy string) (refused string, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return "", err
	}
	r := scheduling.HoldRequest{ID: e.ID, Patient: e.Patient, Slot: e.Slot}
	sess, err := s.sessionOf(ctx, t, r)
	if err != nil {
		return refusal(err)
	}
	rules, err := s.rulesOf(ctx, t)
	if err != nil {
		return "", err
	}
	own := *rules
	own.Pauses = nil // a pause is for people who book, not for the draw of the evening
	own.HoldMinutes = max(own.HoldMinutes, lottery.HoldMinutes)
	h := &holding{Request: r, Account: e.Account, Actor: who.Actor(), Policy: policy, Origin: obs.Origin(ctx), Trace: obs.Trace(ctx), Rules: &own, Session: sess}
	if _, _, err := s.seats.hold(ctx, t, h); err != nil {
		return refusal(err)
	}
	return "", nil
}

// refusal parts what the rules refuse for good from what may be tried again.
func refusal(err error) (string, error) {
	switch fault.KindOf(err) {
	case fault.Conflict, fault.Forbidden, fault.NotFound, fault.Invalid, fault.Gone:
		return codeOf(err), nil
	}
	return "", err
}
