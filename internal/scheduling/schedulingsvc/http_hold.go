package schedulingsvc

import (
	"context"
	"net/http"

	"xinglin/internal/platform/httpx"
)

// quickHold is postHold for a body in its plain form: at 8:00 most of what the door does for a hold is reading parameters by
// reflection. It calls the same use case and writes the same answer.
func (s *Service) quickHold(hold func(context.Context, *postAppointmentIn) (*postAppointmentOut, error)) httpx.Quick {
	return func(w http.ResponseWriter, r *http.Request) bool {
		in := postAppointmentIn{Key: r.Header.Get("Idempotency-Key")}
		if !in.plain(httpx.PlainJSON(r)) {
			return false
		}
		out, err := hold(r.Context(), &in)
		if err != nil {
			httpx.Answer(w, r, 0, nil, err)
			return true
		}
		h := w.Header()
		h["Etag"] = []string{out.ETag}
		if out.Hit != "" {
			h["Idempotency-Hit"] = []string{out.Hit}
		}
		httpx.Answer(w, r, http.StatusCreated, &out.Body, nil)
		return true
	}
}

// plain takes over the fields of a body that the typed operation would accept as well.
func (in *postAppointmentIn) plain(fields []httpx.Field) bool {
	for _, f := range fields {
		switch f.Name {
		case "patient_id":
			in.Body.PatientID = f.Text
		case "slot_id":
			in.Body.SlotID = f.Text
		case "schedule_id":
			in.Body.ScheduleID = f.Text
		case "any":
			in.Body.Any = f.True
		default:
			return false
		}
		if f.True != (f.Name == "any") {
			return false
		}
	}
	_, err := in.request()
	return in.Body.PatientID != "" && err == nil
}
