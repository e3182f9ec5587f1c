package schedulingsvc

import (
	"context"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// lockCheckedIn and lockFinished lock the sessions of all turns of a transaction.
func (s *Service) lockCheckedIn(ctx context.Context, tx db.Tx, events []clinic.TurnCheckedIn) error {
	var as []id.ID[scheduling.Appointment]
	for _, e := range events {
		as = append(as, e.Appointment)
	}
	return lockSessionsOf(ctx, tx, as)
}

func (s *Service) lockFinished(ctx context.Context, tx db.Tx, events []clinic.TurnFinished) error {
	var as []id.ID[scheduling.Appointment]
	for _, e := range events {
		as = append(as, e.Appointment)
	}
	return lockSessionsOf(ctx, tx, as)
}

// onCheckedIn: the person is there.
func (s *Service) onCheckedIn(ctx context.Context, tx db.Tx, _ event.Meta, e clinic.TurnCheckedIn) error {
	return s.onTurn(ctx, tx, e.Appointment, bookingrules.CheckedIn, "scheduling.arrive")
}

// onFinished: the person was seen.
func (s *Service) onFinished(ctx context.Context, tx db.Tx, _ event.Meta, e clinic.TurnFinished) error {
	return s.onTurn(ctx, tx, e.Appointment, bookingrules.Seen, "scheduling.finish")
}

func (s *Service) onTurn(ctx context.Context, tx db.Tx, a id.ID[scheduling.Appointment], turn bookingrules.Turn, action string) error {
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Appointment", ID: a.String()})
	if err != nil {
		return err
	}
	return s.store.turn(ctx, tx, a, turn, transition{Action: action, Policy: d.Policy})
}
