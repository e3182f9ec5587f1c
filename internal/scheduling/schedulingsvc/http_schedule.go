package schedulingsvc

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/labels"
	"xinglin/internal/scheduling/seatview"
)

type scheduleBody struct {
	ID                id.ID[scheduling.Schedule] `json:"id"`
	Date              clock.Date                 `json:"date"`
	Session           string                     `json:"session" enum:"morning,afternoon,evening"`
	CampusID          scheduling.CampusID        `json:"campus_id"`
	CampusName        string                     `json:"campus_name"`
	DepartmentID      scheduling.DepartmentID    `json:"department_id"`
	DepartmentName    string                     `json:"department_name"`
	PractitionerID    scheduling.PractitionerID  `json:"practitioner_id"`
	PractitionerName  string                     `json:"practitioner_name"`
	PractitionerTitle string                     `json:"practitioner_title"`
	Class             string                     `json:"class" enum:"ordinary,expert,special"`
	FeeFen            money.Fen                  `json:"fee_fen" doc:"Registration fee in fen"`
	StartsAt          time.Time                  `json:"starts_at"`
	EndsAt            time.Time                  `json:"ends_at"`
	Location          string                     `json:"location"`
	ReleasedAt        time.Time                  `json:"released_at"`
	State             string                     `json:"state" enum:"planned,open,full,stopped,ended"`
	Lottery           bool                       `json:"lottery" doc:"Released by lottery, and the draw is not over: GET /lotteries/{id}"`
	Capacity          int                        `json:"capacity"`
	Remaining         int                        `json:"remaining"`
	UpdatedAt         time.Time                  `json:"updated_at"`
	Version           int64                      `json:"version" doc:"Of the plan; If-Match of stop and resume"`
}

type slotBody struct {
	ID        id.ID[scheduling.Slot] `json:"id"`
	StartsAt  time.Time              `json:"starts_at"`
	EndsAt    time.Time              `json:"ends_at"`
	Capacity  int                    `json:"capacity"`
	Remaining int                    `json:"remaining"`
	State     string                 `json:"state" enum:"free,few,full,past,closed"`
}

type getSchedulesIn struct {
	DepartmentID   string `query:"department_id" format:"uuid"`
	PractitionerID string `query:"practitioner_id" format:"uuid"`
	From           string `query:"from" format:"date" doc:"First day; today when empty"`
	To             string `query:"to" format:"date" doc:"Last day; 13 days after the first when empty"`
}

func (s *Service) getSchedules(ctx context.Context, in *getSchedulesIn) (*out[list[scheduleBody]], error) {
	var q scheduling.ScheduleQuery
	var err error
	if q.Department, err = optional[directory.Department](in.DepartmentID); err != nil {
		return nil, err
	}
	if q.Practitioner, err = optional[directory.Practitioner](in.PractitionerID); err != nil {
		return nil, err
	}
	if q.From, err = optionalDate("from", in.From, clock.DateOf(s.base.Clock.Now())); err != nil {
		return nil, err
	}
	if q.To, err = optionalDate("to", in.To, q.From.Add(13)); err != nil {
		return nil, err
	}
	t := httpx.TenantOf(ctx)
	found, err := s.Schedules(ctx, t, q)
	if err != nil {
		return nil, err
	}
	ids := labels.NewIDs()
	for _, v := range found {
		ids.Add(v.Practitioner, v.Department, v.Campus)
	}
	n, err := s.labels.Of(ctx, t, ids)
	if err != nil {
		return nil, err
	}
	o := &out[list[scheduleBody]]{list[scheduleBody]{Items: make([]scheduleBody, 0, len(found))}}
	for _, v := range found {
		o.Body.Items = append(o.Body.Items, scheduleOut(v, n))
	}
	return o, nil
}

func scheduleOut(v scheduling.Schedule, n directory.Labels) scheduleBody {
	p, d := n.Practitioners[v.Practitioner], n.Departments[v.Department]
	location := v.Location
	if location == "" {
		location = d.Location
	}
	return scheduleBody{
		ID: v.ID, Date: v.Date, Session: string(v.Session), CampusID: v.Campus, CampusName: n.Campuses[v.Campus].Name, DepartmentID: v.Department, DepartmentName: d.Name,
		PractitionerID: v.Practitioner, PractitionerName: p.Name, PractitionerTitle: p.Title, Class: string(v.Class), FeeFen: v.Fee, StartsAt: v.StartsAt, EndsAt: v.EndsAt,
		Location: location, ReleasedAt: v.ReleasedAt, State: string(v.State), Lottery: v.Lottery, Capacity: v.Capacity, Remaining: v.Remaining, UpdatedAt: v.UpdatedAt, Version: v.Version,
	}
}

func (s *Service) getSlots(ctx context.Context, in *idIn) (*out[list[slotBody]], error) {
	schedule, err := httpx.ID[scheduling.Schedule](in.ID)
	if err != nil {
		return nil, err
	}
	found, err := s.Slots(ctx, httpx.TenantOf(ctx), schedule)
	if err != nil {
		return nil, err
	}
	o := &out[list[slotBody]]{list[slotBody]{Items: make([]slotBody, 0, len(found))}}
	for _, v := range found {
		o.Body.Items = append(o.Body.Items, slotBody{v.ID, v.StartsAt, v.EndsAt, v.Capacity, v.Remaining, string(v.State)})
	}
	return o, nil
}

// getCalendar answers from memory: a row for each doctor at a department, with one letter
// a day (o open, f full, p not yet released, s stopped, e ended, . no session) and the
// seats that are left, from..to in order.
func (s *Service) getCalendar(w http.ResponseWriter, r *http.Request) error {
	in, now := r.URL.Query(), s.base.Clock.Now()
	var q seatview.Query
	var err error
	if q.From, err = optionalDate("from", in.Get("from"), clock.DateOf(now)); err != nil {
		return err
	}
	if q.To, err = optionalDate("to", in.Get("to"), q.From.Add(maxQueryDays-1)); err != nil {
		return err
	}
	if q.Campus, err = optional[directory.Campus](in.Get("campus_id")); err != nil {
		return err
	}
	if q.Department, err = optional[directory.Department](in.Get("department_id")); err != nil {
		return err
	}
	reply, err := s.boards.Reply(r.Context(), httpx.TenantOf(r.Context()), q)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", reply.ETag)
	if r.Header.Get("If-None-Match") == reply.ETag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := reply.Body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = reply.Gzip()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a reader that left needs no answer
	return nil
}
