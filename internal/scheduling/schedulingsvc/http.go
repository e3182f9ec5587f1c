package schedulingsvc

import (
	"context"
	"net/http"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
)

type (
	list[T any] struct {
		Items []T    `json:"items"`
		Next  string `json:"next" doc:"Cursor of the next page, empty on the last"`
	}
	out[T any] struct {
		Body T
	}
	tagged[T any] struct {
		ETag string `header:"ETag"`
		Body T
	}
	idIn struct {
		ID string `path:"id" format:"uuid"`
	}
)

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "scheduling.list_schedules", Method: http.MethodGet, Path: "/schedules", Public: true, Summary: "Sessions of a department or a doctor, at most 31 days"}, s.getSchedules)
	httpx.Register(a, httpx.Op{ID: "scheduling.list_slots", Method: http.MethodGet, Path: "/schedules/{id}/slots", Public: true, Summary: "Periods of a session with their remaining seats"}, s.getSlots)
	httpx.Handle(a, httpx.Op{ID: "scheduling.read_calendar", Method: http.MethodGet, Path: "/schedules/calendar", Public: true, Summary: "Free seats of every doctor by day (?from=&to=, at most 31 days from today; &campus_id=, &department_id=): a letter and a number a day"}, s.getCalendar)
	httpx.Handle(a, httpx.Op{ID: "scheduling.watch_schedules", Method: http.MethodGet, Path: "/schedules/live", Public: true, Stream: true, Summary: "Remaining seats as server-sent events (?ids=a,b,c; at most 50)"}, s.getLive)
	hold := s.postHold()
	httpx.RegisterQuick(a, httpx.Op{ID: "scheduling.hold", Method: http.MethodPost, Path: "/appointments", Idempotent: true, Class: httpx.ClassHold, Pass: true, Summary: "Hold a seat; the key becomes the appointment's id"}, s.quickHold(hold), hold)
	httpx.Register(a, httpx.Op{ID: "scheduling.list_appointments", Method: http.MethodGet, Path: "/appointments", Summary: "The account's own appointments, the latest day of visit first"},
		func(ctx context.Context, in *listAppointmentsIn) (*out[list[appointmentBody]], error) {
			return s.getAppointments(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "scheduling.read_appointment", Method: http.MethodGet, Path: "/appointments/{id}", Summary: "One appointment with its history"}, s.getAppointment)
	httpx.Register(a, httpx.Op{ID: "scheduling.cancel", Method: http.MethodPost, Path: "/appointments/{id}/cancel", Status: http.StatusOK, Versioned: true, Summary: "Give up a hold or a booking; a repeat answers the same"}, s.postCancel)
	s.deskRoutes(a)
	s.sessionRoutes(a)
	s.lotteryRoutes(a)
	httpx.Register(a, httpx.Op{ID: "scheduling.list_rotas", Method: http.MethodGet, Path: "/rotas", Summary: "Rota rules"},
		func(ctx context.Context, in *listRotasIn) (*out[list[rotaBody]], error) {
			return s.getRotas(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "scheduling.create_rota", Method: http.MethodPost, Path: "/rotas", Status: http.StatusCreated, Summary: "Add a rota rule"}, s.postRota)
	httpx.Register(a, httpx.Op{ID: "scheduling.update_rota", Method: http.MethodPut, Path: "/rotas/{id}", Versioned: true, Summary: "Change a rota rule; sessions that nobody booked follow, others stay as they were sold"}, s.putRota)
	httpx.Register(a, httpx.Op{ID: "scheduling.preview_rota", Method: http.MethodPost, Path: "/rotas/preview", Summary: "The sessions that a rule would make, and those that its change would drop"}, s.postPreview)
	httpx.Register(a, httpx.Op{ID: "scheduling.read_booking_rules", Method: http.MethodGet, Path: "/booking-rules", Summary: "The hospital's rules of registration and the presets"}, s.getRules)
	httpx.Register(a, httpx.Op{ID: "scheduling.update_booking_rules", Method: http.MethodPut, Path: "/booking-rules", Versioned: true, Summary: "Choose a preset, or set every rule"}, s.putRules)
}

func optional[T any](text string) (id.ID[T], error) {
	if text == "" {
		return id.ID[T]{}, nil
	}
	return httpx.ID[T](text)
}

// optionalDate reads a date; empty is the default.
func optionalDate(path, text string, otherwise clock.Date) (clock.Date, error) {
	if text == "" {
		return otherwise, nil
	}
	d, err := clock.ParseDate(text)
	if err != nil {
		return 0, scheduling.ErrInput.At(path, "YYYY-MM-DD")
	}
	return d, nil
}
