package clinicsvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
)

func (s *Service) routes(a *httpx.API) {
	const queue, turn, visit = "/clinic/sessions/{schedule}", "/clinic/turns/{appointment}", "/visits/{appointment}"
	httpx.Register(a, httpx.Op{ID: "clinic.list_sessions", Method: http.MethodGet, Path: "/clinic/sessions", Summary: "Waiting lines of a day: a doctor's own; all for nurses, registrars and operators; at most 500"}, s.getSessions)
	httpx.Register(a, httpx.Op{ID: "clinic.read_queue", Method: http.MethodGet, Path: queue + "/queue", Summary: "A waiting line with its people, at most 200"}, s.getQueue)
	httpx.Handle(a, httpx.Op{ID: "clinic.watch_queue", Method: http.MethodGet, Path: queue + "/events", Stream: true, Summary: "The line's version, live: event queue {version} (SSE)"}, s.watchQueue)
	httpx.Register(a, httpx.Op{ID: "clinic.call_next", Method: http.MethodPost, Path: queue + "/call-next", Idempotent: true, Status: 200, Summary: "Finish who is being seen and call the next one"}, s.postCallNext)
	httpx.Register(a, httpx.Op{ID: "clinic.pause", Method: http.MethodPost, Path: queue + "/pause", Idempotent: true, Status: 200, Summary: "The doctor is away for some minutes"}, s.postPause)
	httpx.Register(a, httpx.Op{ID: "clinic.resume", Method: http.MethodPost, Path: queue + "/resume", Idempotent: true, Status: 200, Summary: "The doctor is back"}, s.postResume)
	for _, o := range []struct {
		id, path, summary string
		do                func(ctx context.Context, turn appointmentID, key clinic.Key) (clinic.Queue, bool, error)
	}{
		{"clinic.check_in_at_desk", "/check-in", "Check a person in at the desk, on the whole day", s.CheckInAtDesk},
		{"clinic.recall", "/recall", "Call again; a missed one comes back after the next two", s.Recall},
		{"clinic.skip", "/skip", "The called person did not come", s.Skip},
		{"clinic.finish", "/done", "The called person was seen", s.Finish},
	} {
		httpx.Register(a, httpx.Op{ID: o.id, Method: http.MethodPost, Path: turn + o.path, Idempotent: true, Status: 200, Summary: o.summary},
			func(ctx context.Context, in *moveTurnIn) (*queueOut, error) { return s.postTurn(ctx, in, o.do) })
	}
	httpx.Register(a, httpx.Op{ID: "clinic.reveal", Method: http.MethodPost, Path: turn + "/reveal", Summary: "Who the person is; the look is audited"}, s.postReveal)
	httpx.Register(a, httpx.Op{ID: "clinic.read_turn", Method: http.MethodGet, Path: visit + "/turn", Summary: "My place in the line"}, s.getTurn)
	httpx.Handle(a, httpx.Op{ID: "clinic.watch_turn", Method: http.MethodGet, Path: visit + "/turn/events", Stream: true, Summary: "The version of my line, live: event turn {version} (SSE)"}, s.watchTurn)
	httpx.Register(a, httpx.Op{ID: "clinic.check_in", Method: http.MethodPost, Path: visit + "/check-in", Idempotent: true, Status: 200, Summary: "I am there (签到); a missed one comes back"}, s.postCheckIn)
	s.wallRoutes(a)
}

type (
	list[T any] struct {
		Items []T `json:"items"`
	}
	out[T any] struct {
		Body T
	}
	scheduleIn struct {
		Schedule string `path:"schedule" format:"uuid"`
	}
	turnIDIn struct {
		Appointment string `path:"appointment" format:"uuid"`
	}
	moveTurnIn struct {
		Appointment string `path:"appointment" format:"uuid"`
		Key         string `header:"Idempotency-Key" required:"true"`
	}
)

// sessionBody is a waiting line.
type sessionBody struct {
	ScheduleID       scheduleID               `json:"schedule_id"`
	Date             clock.Date               `json:"date"`
	Session          string                   `json:"session" enum:"morning,afternoon,evening"`
	StartsAt         time.Time                `json:"starts_at"`
	EndsAt           time.Time                `json:"ends_at"`
	CampusID         directory.CampusID       `json:"campus_id"`
	CampusName       string                   `json:"campus_name"`
	DepartmentID     directory.DepartmentID   `json:"department_id"`
	DepartmentName   string                   `json:"department_name"`
	PractitionerID   directory.PractitionerID `json:"practitioner_id"`
	PractitionerName string                   `json:"practitioner_name"`
	Location         string                   `json:"location"`
	State            string                   `json:"state" enum:"planned,running,paused,ended,stopped"`
	PausedUntil      *time.Time               `json:"paused_until,omitempty"`
	PauseReason      string                   `json:"pause_reason,omitempty" enum:"round,emergency,break,other"`
	Expected         int                      `json:"expected"`
	Waiting          int                      `json:"waiting"`
	Missed           int                      `json:"missed"`
	Done             int                      `json:"done"`
	Current          *turnBody                `json:"current,omitempty" doc:"Who is called; absent: nobody"`
	Version          int64                    `json:"version" doc:"Of every change; call-next takes it"`
}

// turnBody is one person in a line.
type turnBody struct {
	AppointmentID     appointmentID `json:"appointment_id"`
	Number            int           `json:"number"`
	NumberText        string        `json:"number_text" example:"A018"`
	PatientID         patient.ID    `json:"patient_id"`
	PatientNameMasked string        `json:"patient_name_masked" example:"张*三"`
	State             string        `json:"state" enum:"expected,waiting,called,missed,done,gone"`
	StartsAt          time.Time     `json:"starts_at" doc:"Of the own period"`
	EndsAt            time.Time     `json:"ends_at"`
	CheckedInAt       *time.Time    `json:"checked_in_at,omitempty"`
	CalledAt          *time.Time    `json:"called_at,omitempty" doc:"When the last call began; recalls leave it"`
	Calls             int           `json:"calls" doc:"How often the person was called"`
	Late              bool          `json:"late" doc:"Checked in after the end of the own period"`
	Position          int           `json:"position" doc:"From 1 among those who wait; 0 otherwise"`
}

type queueBody struct {
	Session    sessionBody `json:"session"`
	Items      []turnBody  `json:"items" doc:"Called, waiting in the order of the calls, missed, expected, done"`
	ServerTime time.Time   `json:"server_time"`
}

type queueOut struct {
	Hit  string `header:"Idempotency-Hit"`
	Body queueBody
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func sessionOut(l clinic.Line, n names) sessionBody {
	d := n.Departments[l.Department]
	b := sessionBody{
		ScheduleID: l.Schedule, Date: l.Date, Session: string(l.Session), StartsAt: l.StartsAt, EndsAt: l.EndsAt, CampusID: l.Campus, CampusName: n.Campuses[l.Campus].Name,
		DepartmentID: l.Department, DepartmentName: d.Name, PractitionerID: l.Practitioner, PractitionerName: n.Practitioners[l.Practitioner].Name,
		Location: location(l.Location, d), State: string(l.State), PausedUntil: instant(l.PausedUntil), PauseReason: string(l.PauseReason),
		Expected: l.Expected, Waiting: l.Waiting, Missed: l.Missed, Done: l.Done, Version: l.Version,
	}
	if l.Current != nil {
		c := turnOut(*l.Current, n)
		b.Current = &c
	}
	return b
}

func turnOut(v clinic.Turn, n names) turnBody {
	return turnBody{
		AppointmentID: v.Appointment, Number: v.Number, NumberText: v.NumberText, PatientID: v.Patient, PatientNameMasked: n.People[v.Patient], State: string(v.State),
		StartsAt: v.StartsAt, EndsAt: v.EndsAt, CheckedInAt: instant(v.CheckedInAt), CalledAt: instant(v.CalledAt), Calls: v.Calls, Late: v.Late, Position: v.Position,
	}
}

type getSessionsIn struct {
	Date         string `query:"date" format:"date" doc:"Today when empty"`
	CampusID     string `query:"campus_id" format:"uuid"`
	DepartmentID string `query:"department_id" format:"uuid"`
}

func (s *Service) getSessions(ctx context.Context, in *getSessionsIn) (*out[list[sessionBody]], error) {
	q := clinic.Query{Date: clock.DateOf(s.now())}
	var err error
	if in.Date != "" {
		if q.Date, err = clock.ParseDate(in.Date); err != nil {
			return nil, clinic.ErrInput.At("date", "want YYYY-MM-DD")
		}
	}
	if in.CampusID != "" {
		if q.Campus, err = httpx.ID[directory.Campus](in.CampusID); err != nil {
			return nil, err
		}
	}
	if in.DepartmentID != "" {
		if q.Department, err = httpx.ID[directory.Department](in.DepartmentID); err != nil {
			return nil, err
		}
	}
	found, err := s.Lines(ctx, q)
	if err != nil {
		return nil, err
	}
	var turns []clinic.Turn
	for _, l := range found {
		if l.Current != nil {
			turns = append(turns, *l.Current)
		}
	}
	n, err := s.named(ctx, httpx.TenantOf(ctx), found, turns)
	if err != nil {
		return nil, err
	}
	o := &out[list[sessionBody]]{list[sessionBody]{Items: make([]sessionBody, 0, len(found))}}
	for _, l := range found {
		o.Body.Items = append(o.Body.Items, sessionOut(l, n))
	}
	return o, nil
}

func (s *Service) getQueue(ctx context.Context, in *scheduleIn) (*out[queueBody], error) {
	line, err := httpx.ID[scheduling.Schedule](in.Schedule)
	if err != nil {
		return nil, err
	}
	q, err := s.Queue(ctx, line)
	if err != nil {
		return nil, err
	}
	b, err := s.queueBody(ctx, q)
	return &out[queueBody]{b}, err
}

func (s *Service) queueBody(ctx context.Context, q clinic.Queue) (queueBody, error) {
	n, err := s.named(ctx, httpx.TenantOf(ctx), []clinic.Line{q.Line}, q.Turns)
	if err != nil {
		return queueBody{}, err
	}
	b := queueBody{Session: sessionOut(q.Line, n), Items: make([]turnBody, 0, len(q.Turns)), ServerTime: s.now().UTC()}
	for _, v := range q.Turns {
		b.Items = append(b.Items, turnOut(v, n))
	}
	return b, nil
}

// queueOut is the answer to what moved a line.
func (s *Service) queueOut(ctx context.Context, q clinic.Queue, hit bool, err error) (*queueOut, error) {
	if err != nil {
		return nil, err
	}
	b, err := s.queueBody(ctx, q)
	return &queueOut{Hit: hitText(hit), Body: b}, err
}

func hitText(hit bool) string {
	if hit {
		return "true"
	}
	return ""
}

type postCallNextIn struct {
	Schedule string `path:"schedule" format:"uuid"`
	Key      string `header:"Idempotency-Key" required:"true"`
	Body     struct {
		Version int64 `json:"version" minimum:"0" doc:"Of the session as it was shown"`
	}
}

func (s *Service) postCallNext(ctx context.Context, in *postCallNextIn) (*queueOut, error) {
	line, key, err := lineAndKey(in.Schedule, in.Key)
	if err != nil {
		return nil, err
	}
	q, hit, err := s.CallNext(ctx, line, in.Body.Version, key)
	return s.queueOut(ctx, q, hit, err)
}

type postPauseIn struct {
	Schedule string `path:"schedule" format:"uuid"`
	Key      string `header:"Idempotency-Key" required:"true"`
	Body     struct {
		Minutes int    `json:"minutes" minimum:"1" maximum:"480"`
		Reason  string `json:"reason" enum:"round,emergency,break,other"`
	}
}

func (s *Service) postPause(ctx context.Context, in *postPauseIn) (*queueOut, error) {
	line, key, err := lineAndKey(in.Schedule, in.Key)
	if err != nil {
		return nil, err
	}
	q, hit, err := s.pause(ctx, line, in.Body.Minutes, clinic.PauseReason(in.Body.Reason), key)
	return s.queueOut(ctx, q, hit, err)
}

type postResumeIn struct {
	Schedule string `path:"schedule" format:"uuid"`
	Key      string `header:"Idempotency-Key" required:"true"`
}

func (s *Service) postResume(ctx context.Context, in *postResumeIn) (*queueOut, error) {
	line, key, err := lineAndKey(in.Schedule, in.Key)
	if err != nil {
		return nil, err
	}
	q, hit, err := s.resume(ctx, line, key)
	return s.queueOut(ctx, q, hit, err)
}

func lineAndKey(schedule, key string) (scheduleID, clinic.Key, error) {
	line, err := httpx.ID[scheduling.Schedule](schedule)
	if err != nil {
		return line, clinic.Key{}, err
	}
	k, err := httpx.Key[id.Any](key)
	return line, k, err
}

func turnAndKey(appointment, key string) (appointmentID, clinic.Key, error) {
	turn, err := httpx.ID[scheduling.Appointment](appointment)
	if err != nil {
		return turn, clinic.Key{}, err
	}
	k, err := httpx.Key[id.Any](key)
	return turn, k, err
}

func (s *Service) postTurn(ctx context.Context, in *moveTurnIn, do func(ctx context.Context, turn appointmentID, key clinic.Key) (clinic.Queue, bool, error)) (*queueOut, error) {
	turn, key, err := turnAndKey(in.Appointment, in.Key)
	if err != nil {
		return nil, err
	}
	q, hit, err := do(ctx, turn, key)
	return s.queueOut(ctx, q, hit, err)
}

type revealBody struct {
	Name  string     `json:"name"`
	Sex   string     `json:"sex" enum:"male,female,unknown"`
	Birth clock.Date `json:"birth"`
}

func (s *Service) postReveal(ctx context.Context, in *turnIDIn) (*out[revealBody], error) {
	turn, err := httpx.ID[scheduling.Appointment](in.Appointment)
	if err != nil {
		return nil, err
	}
	p, err := s.reveal(ctx, turn)
	if err != nil {
		return nil, err
	}
	return &out[revealBody]{revealBody{p.Name.Reveal(), p.Sex, p.Birth}}, nil
}

// placeBody is what a waiting person sees.
type placeBody struct {
	State             string     `json:"state" enum:"expected,waiting,called,missed,done,gone"`
	SessionState      string     `json:"session_state" enum:"planned,running,paused,ended,stopped"`
	NumberText        string     `json:"number_text" example:"A018"`
	Position          int        `json:"position" doc:"From 1 among those who wait; 0 otherwise"`
	Ahead             int        `json:"ahead" doc:"How many are called before"`
	CallingNumberText string     `json:"calling_number_text,omitempty"`
	Location          string     `json:"location"`
	WaitFrom          *time.Time `json:"wait_from,omitempty" doc:"When the call is to be expected, at the earliest by the pace of today"`
	WaitTo            *time.Time `json:"wait_to,omitempty" doc:"Four of five are called before"`
	CheckInFrom       time.Time  `json:"check_in_from"`
	CheckInUntil      time.Time  `json:"check_in_until"`
	CanCheckIn        bool       `json:"can_check_in" doc:"Now, by the person; a missed one comes back by it"`
	CheckedInAt       *time.Time `json:"checked_in_at,omitempty"`
	CalledAt          *time.Time `json:"called_at,omitempty"`
	Calls             int        `json:"calls"`
	PausedUntil       *time.Time `json:"paused_until,omitempty"`
	ServerTime        time.Time  `json:"server_time"`
	Version           int64      `json:"version"`
}

func (s *Service) placeOut(p clinic.Place) placeBody {
	b := placeBody{
		State: string(p.State), SessionState: string(p.LineState), NumberText: p.NumberText, Position: p.Position, Ahead: p.Ahead, CallingNumberText: p.CallingText,
		Location: p.Location, WaitFrom: instant(p.WaitFrom), WaitTo: instant(p.WaitTo), CheckInFrom: p.CheckInFrom, CheckInUntil: p.CheckInUntil, CanCheckIn: p.CanCheckIn,
		CheckedInAt: instant(p.CheckedInAt), CalledAt: instant(p.CalledAt), Calls: p.Calls, ServerTime: s.now().UTC(), Version: p.Version,
	}
	if p.LineState == clinic.Paused {
		b.PausedUntil = instant(p.PausedUntil)
	}
	return b
}

func (s *Service) getTurn(ctx context.Context, in *turnIDIn) (*out[placeBody], error) {
	turn, err := httpx.ID[scheduling.Appointment](in.Appointment)
	if err != nil {
		return nil, err
	}
	p, err := s.Place(ctx, turn)
	if err != nil {
		return nil, err
	}
	return &out[placeBody]{s.placeOut(p)}, nil
}

type placeOut struct {
	Hit  string `header:"Idempotency-Hit"`
	Body placeBody
}

func (s *Service) postCheckIn(ctx context.Context, in *moveTurnIn) (*placeOut, error) {
	turn, key, err := turnAndKey(in.Appointment, in.Key)
	if err != nil {
		return nil, err
	}
	p, hit, err := s.CheckIn(ctx, turn, key)
	if err != nil {
		return nil, err
	}
	return &placeOut{Hit: hitText(hit), Body: s.placeOut(p)}, nil
}
