package schedulingsvc

import (
	"context"

	"xinglin/internal/scheduling"
)

// seller takes a seat.
type seller interface {
	hold(ctx context.Context, t scheduling.TenantID, h holding) (v appointmentRow, hit bool, err error)
}

// peerSeats are the ways on PostgreSQL.
func (s *Service) peerSeats(p Peer) seller {
	switch p.Name {
	case "row-lock":
		return s.store
	}
	return unknownPeer{}
}
