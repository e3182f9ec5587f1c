package schedulingsvc

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/labels"
)

// sessionRoutes are the desk's and the operator's: who comes to a session, and its stop.
func (s *Service) sessionRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "scheduling.list_session_appointments", Method: http.MethodGet, Path: "/schedules/{id}/appointments", Summary: "Visits of a session by number, without cancelled ones"},
		func(ctx context.Context, in *listSessionIn) (*out[list[appointmentBody]], error) {
			return s.getSessionAppointments(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "scheduling.stop_session", Method: http.MethodPost, Path: "/schedules/{id}/stop", Status: http.StatusOK, Idempotent: true, Versioned: true, Summary: "Stop a session: its visits are cancelled, refunded and told"}, s.postStop)
	httpx.Register(a, httpx.Op{ID: "scheduling.read_stop", Method: http.MethodGet, Path: "/schedules/{id}/stop", Summary: "How far the stop of a session is"}, s.getStop)
	httpx.Register(a, httpx.Op{ID: "scheduling.resume_session", Method: http.MethodPost, Path: "/schedules/{id}/resume", Status: http.StatusOK, Idempotent: true, Versioned: true, Summary: "Hold a stopped session after all; what is free is on sale again"}, s.postResume)
}

type listSessionIn struct {
	ID     string `path:"id" format:"uuid"`
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"100"`
}

func (s *Service) getSessionAppointments(ctx context.Context, a *httpx.API, in *listSessionIn) (*out[list[appointmentBody]], error) {
	schedule, err := httpx.ID[scheduling.Schedule](in.ID)
	if err != nil {
		return nil, err
	}
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	after := 0
	if cursor != "" {
		if after, err = strconv.Atoi(cursor); err != nil {
			return nil, scheduling.ErrInput.At("cursor", "not a cursor of this list")
		}
	}
	found, more, err := s.listSession(ctx, schedule, after, in.Limit)
	if err != nil {
		return nil, err
	}
	bodies, err := s.bodies(ctx, found)
	if err != nil {
		return nil, err
	}
	o := &out[list[appointmentBody]]{list[appointmentBody]{Items: bodies}}
	if more {
		last := found[len(found)-1]
		o.Body.Next = a.Seal(ctx, strconv.Itoa(last.Number))
	}
	return o, nil
}

type postStopIn struct {
	ID    string `path:"id" format:"uuid"`
	Key   string `header:"Idempotency-Key" required:"true"`
	Match string `header:"If-Match" required:"true"`
	Body  struct {
		Reason string `json:"reason" minLength:"1" maxLength:"200" doc:"For the audit, without personal data" example:"医师临时外出会诊"`
	}
}

type stoppedBody struct {
	Schedule  scheduleBody `json:"schedule"`
	Affected  int          `json:"affected" doc:"Visits to come, which are being cancelled"`
	RefundFen money.Fen    `json:"refund_fen" doc:"What goes back to them"`
}

type stopBody struct {
	StoppedAt time.Time `json:"stopped_at"`
	ByRota    bool      `json:"by_rota" doc:"The rota no longer has the session"`
	Affected  int       `json:"affected"`
	RefundFen money.Fen `json:"refund_fen"`
	Cancelled int       `json:"cancelled"`
	Pending   int       `json:"pending" doc:"0: the stop is complete"`
}

// haltedOut is an answer with the session's new version, which may be a repeat's.
type haltedOut[T any] struct {
	ETag string `header:"ETag"`
	Hit  string `header:"Idempotency-Hit"`
	Body T
}

// haltOf reads the parts that both requests have.
func haltOf(path, key, match string) (schedule scheduleID, k string, version int64, err error) {
	if schedule, err = httpx.ID[scheduling.Schedule](path); err != nil {
		return schedule, "", 0, err
	}
	named, err := httpx.Key[id.Any](key)
	if err != nil {
		return schedule, "", 0, err
	}
	version, err = httpx.Version(match)
	return schedule, named.String(), version, err
}

func hitText(hit bool) string {
	if hit {
		return "true"
	}
	return ""
}

func (s *Service) postStop(ctx context.Context, in *postStopIn) (*haltedOut[stoppedBody], error) {
	schedule, key, version, err := haltOf(in.ID, in.Key, in.Match)
	if err != nil {
		return nil, err
	}
	v, stop, hit, err := s.stopSession(ctx, key, schedule, version, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	b, err := s.named(ctx, v)
	return &haltedOut[stoppedBody]{httpx.ETag(v.Version), hitText(hit), stoppedBody{b, stop.Affected, stop.Refund}}, err
}

type postResumeIn struct {
	ID    string `path:"id" format:"uuid"`
	Key   string `header:"Idempotency-Key" required:"true"`
	Match string `header:"If-Match" required:"true"`
}

func (s *Service) postResume(ctx context.Context, in *postResumeIn) (*haltedOut[scheduleBody], error) {
	schedule, key, version, err := haltOf(in.ID, in.Key, in.Match)
	if err != nil {
		return nil, err
	}
	v, hit, err := s.resumeSession(ctx, key, schedule, version)
	if err != nil {
		return nil, err
	}
	b, err := s.named(ctx, v)
	return &haltedOut[scheduleBody]{httpx.ETag(v.Version), hitText(hit), b}, err
}

func (s *Service) getStop(ctx context.Context, in *idIn) (*out[stopBody], error) {
	schedule, err := httpx.ID[scheduling.Schedule](in.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.readStop(ctx, schedule)
	if err != nil {
		return nil, err
	}
	return &out[stopBody]{stopOut(v)}, nil
}

func stopOut(v bookingrules.Stop) stopBody {
	return stopBody{StoppedAt: v.StoppedAt, ByRota: v.ByRota, Affected: v.Affected, RefundFen: v.Refund, Cancelled: v.Cancelled, Pending: v.Pending}
}

// named is a session's body with its names.
func (s *Service) named(ctx context.Context, v scheduling.Schedule) (scheduleBody, error) {
	ids := labels.NewIDs()
	ids.Add(v.Practitioner, v.Department, v.Campus)
	n, err := s.labels.Of(ctx, httpx.TenantOf(ctx), ids)
	return scheduleOut(v, n), err
}
