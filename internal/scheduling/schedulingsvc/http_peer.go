package schedulingsvc

import (
	"context"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/httpx"
)

// postHold is the handler of holds: the product's, or the echo of the bench.
func (s *Service) postHold() func(context.Context, *postAppointmentIn) (*postAppointmentOut, error) {
	if s.echo {
		return s.postEcho
	}
	return s.postAppointment
}

// postEcho answers a fixed appointment after the same middleware, the same decoding
// and the same questions about the person and the right, without looking at a seat.
func (s *Service) postEcho(ctx context.Context, in *postAppointmentIn) (*postAppointmentOut, error) {
	r, err := in.request()
	if err != nil {
		return nil, err
	}
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	now := s.base.Clock.Now().UTC()
	if err := checkRequest(r, now); err != nil {
		return nil, err
	}
	if _, _, err := s.mayHold(ctx, who, r.Patient); err != nil {
		return nil, err
	}
	a := echoed(r, now)
	b := appointmentOut(a, directory.Labels{})
	b.PatientNameMasked, b.DepartmentName, b.PractitionerName, b.PractitionerTitle, b.CampusName, b.ServerTime = "张*三", "科室01", "医生001", "主治医师", "本部", now
	return &postAppointmentOut{ETag: httpx.ETag(a.Version), Body: b}, nil
}
