package paymentsvc

import (
	"xinglin/internal/platform/inbox"
	"xinglin/internal/scheduling"
)

// onSettled hears from scheduling which effect a payment took.
func (s *Service) onSettled() inbox.Handler {
	return inbox.On[scheduling.AppointmentSettled](s.settled)
}
