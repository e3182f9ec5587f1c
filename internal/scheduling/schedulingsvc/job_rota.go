package schedulingsvc

import "context"

// extendJob makes one tenant's schedules up to its horizon.
func (s *Service) extendJob(ctx context.Context, _ struct{}) error {
	_, err := s.extendToHorizon(ctx)
	return err
}

// extendAll leaves each tenant's extension to a job of its own.
func (s *Service) extendAll(ctx context.Context) error { return s.askAll(ctx) }
