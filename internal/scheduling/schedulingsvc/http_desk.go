package schedulingsvc

import (
	"context"
	"net/http"

	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
)

func (s *Service) deskRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "scheduling.book_at_desk", Method: http.MethodPost, Path: "/desk/appointments", Idempotent: true, MaxBody: 2 << 10, Summary: "Book for a person at the window; the key becomes the appointment's id"}, s.postDeskAppointment)
	httpx.Register(a, httpx.Op{ID: "scheduling.list_desk_appointments", Method: http.MethodGet, Path: "/desk/appointments", Summary: "A person's visits of today and to come, the next first; at most 100"}, s.getDeskAppointments)
}

func (s *Service) postDeskAppointment(ctx context.Context, in *postAppointmentIn) (*postAppointmentOut, error) {
	r, err := in.request()
	if err != nil {
		return nil, err
	}
	h, err := s.bookAtDesk(ctx, r)
	if err != nil {
		return nil, err
	}
	bodies, err := s.bodies(ctx, []scheduling.Appointment{h.Appointment})
	if err != nil {
		return nil, err
	}
	o := &postAppointmentOut{ETag: httpx.ETag(h.Version), Body: bodies[0]}
	if h.hit {
		o.Hit = "true"
	}
	return o, nil
}

type deskAppointmentsIn struct {
	PatientID string `query:"patient_id" required:"true" format:"uuid"`
}

func (s *Service) getDeskAppointments(ctx context.Context, in *deskAppointmentsIn) (*out[list[appointmentBody]], error) {
	p, err := id.Parse[patient.Patient](in.PatientID)
	if err != nil {
		return nil, scheduling.ErrInput.At("patient_id", "an id")
	}
	found, err := s.deskAppointments(ctx, p)
	if err != nil {
		return nil, err
	}
	bodies, err := s.bodies(ctx, found)
	if err != nil {
		return nil, err
	}
	return &out[list[appointmentBody]]{list[appointmentBody]{Items: bodies}}, nil
}
