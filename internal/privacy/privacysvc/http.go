package privacysvc

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/privacy"
)

type (
	list[T any] struct {
		Items []T    `json:"items"`
		Next  string `json:"next"`
	}
	out[T any] struct {
		Body T
	}
	tagged[T any] struct {
		ETag string `header:"ETag"`
		Hit  string `header:"Idempotency-Hit"`
		Body T
	}
	idIn struct {
		ID string `path:"id" format:"uuid"`
	}
)

// wordingBody is a text in one language.
type wordingBody struct {
	Title     string `json:"title" maxLength:"80"`
	Body      string `json:"body" maxLength:"4000"`
	Necessity string `json:"necessity" maxLength:"4000" doc:"Why it is necessary; of health data"`
	Effect    string `json:"effect" maxLength:"4000" doc:"What it may mean for the person; of health data"`
}

type textBody struct {
	Purpose     string      `json:"purpose" enum:"record_sharing,cross_institution,personalisation,research,marketing"`
	Version     int         `json:"version"`
	Sensitive   bool        `json:"sensitive" doc:"It is about health data"`
	ZH          wordingBody `json:"zh"`
	EN          wordingBody `json:"en"`
	PublishedAt time.Time   `json:"published_at"`
}

func textOf(t privacy.Text) textBody {
	return textBody{string(t.Purpose), t.Version, t.Purpose.Sensitive(), wordingBody(t.ZH), wordingBody(t.EN), t.PublishedAt}
}

type choiceBody struct {
	Text     textBody   `json:"text" doc:"That is in force"`
	Decision string     `json:"decision" enum:"none,given,withdrawn,outdated" doc:"outdated: given to an older text, or by a guardian whose child is 14 by now; it does not count"`
	Version  int        `json:"version,omitempty" doc:"Of the text that was decided about"`
	By       string     `json:"by,omitempty" enum:"self,guardian"`
	At       *time.Time `json:"at,omitempty"`
}

func choiceOf(c choice) choiceBody {
	return choiceBody{textOf(c.text), string(c.decision), c.version, string(c.capacity), stamp(c.at)}
}

type stepBody struct {
	Purpose  string    `json:"purpose"`
	Decision string    `json:"decision" enum:"given,withdrawn"`
	Version  int       `json:"version"`
	By       string    `json:"by" enum:"self,guardian"`
	At       time.Time `json:"at"`
}

type decideIn struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Purpose string `json:"purpose" enum:"record_sharing,cross_institution,personalisation,research,marketing"`
		Given   bool   `json:"given"`
		Version int    `json:"version,omitempty" minimum:"0" doc:"Of the text that was read; to give only"`
	}
}

type wishBody struct {
	Name  string `json:"name,omitempty" maxLength:"120"`
	Birth string `json:"birth_date,omitempty" format:"date"`
	Sex   string `json:"sex,omitempty" enum:"male,female,unknown"`
}

type requestBody struct {
	ID        privacy.RequestID `json:"id"`
	PatientID patient.ID        `json:"patient_id"`
	Kind      string            `json:"kind" enum:"copy,transfer,correct,erase,object"`
	EventID   *audit.EventID    `json:"event_id,omitempty" doc:"The access that an objection is about"`
	State     string            `json:"state" enum:"open,working,ready,done,refused,cancelled,expired"`
	Reason    string            `json:"reason"`
	Changes   *wishBody         `json:"changes,omitempty"`
	Before    *wishBody         `json:"before,omitempty" doc:"What stood there before a correction"`
	Answer    string            `json:"answer" doc:"Of the hospital"`
	CreatedAt time.Time         `json:"created_at"`
	DueDate   clock.Date        `json:"due_date" doc:"The last day for the decision: the fifteenth working day"`
	DecidedAt *time.Time        `json:"decided_at,omitempty"`
	TakeUntil *time.Time        `json:"take_until,omitempty" doc:"Until when the file waits"`
	EndedAt   *time.Time        `json:"ended_at,omitempty"`
	Version   int64             `json:"version"`
}

func requestOf(v requestView) requestBody {
	b := requestBody{
		ID: v.id, PatientID: v.patient, Kind: string(v.kind), State: string(v.state), Reason: v.reasonText.Reveal(), Changes: wishBodyOf(v.wish),
		Before: wishBodyOf(v.before), Answer: v.answerText.Reveal(), CreatedAt: v.created, DueDate: v.due, DecidedAt: stamp(v.decided),
		EndedAt: stamp(v.ended), Version: v.version,
	}
	if v.state == privacy.Ready {
		until := v.ready.Add(copyWait)
		b.TakeUntil = &until
	}
	if v.kind == privacy.Object {
		b.EventID = &v.event
	}
	return b
}

func wishBodyOf(w *wish) *wishBody {
	if w == nil || *w == (wish{}) {
		return nil
	}
	b := wishBody{w.Name, w.Birth, w.Sex}
	return &b
}

type askIn struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key"`
	Body struct {
		Kind    string    `json:"kind" enum:"copy,transfer,correct,erase,object"`
		Reason  string    `json:"reason,omitempty" maxLength:"1000" doc:"What is wrong; of a correction or an objection"`
		Changes *wishBody `json:"changes,omitempty" doc:"Of a correction"`
		EventID string    `json:"event_id,omitempty" format:"uuid" doc:"The access that an objection is about"`
	}
}

// saidBody is said in both languages.
type saidBody struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

type waitingBody struct {
	Title saidBody `json:"title"`
	Rows  int64    `json:"rows"`
}

type keptBody struct {
	Title    saidBody  `json:"title"`
	Rows     int64     `json:"rows"`
	Until    time.Time `json:"until"`
	Law      saidBody  `json:"law"`
	Identity bool      `json:"identity" doc:"Name and document stay sealed until then, under a key of their own"`
}

type previewBody struct {
	Waiting []waitingBody `json:"waiting" nullable:"false" doc:"Has to end first"`
	Keeps   []keptBody    `json:"keeps" nullable:"false" doc:"Stays, and why; everything else goes"`
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Service) routes(a *httpx.API) {
	const person = "/privacy/patients/{id}"
	httpx.Register(a, httpx.Op{ID: "privacy.list_consents", Method: http.MethodGet, Path: person + "/consents", Summary: "The purposes that need a consent, and what the person decided"}, s.getConsents)
	httpx.Register(a, httpx.Op{ID: "privacy.decide_consent", Method: http.MethodPut, Path: person + "/consents", MaxBody: 1 << 10, Summary: "Give or withdraw one consent"}, s.putConsent)
	httpx.Register(a, httpx.Op{ID: "privacy.list_consent_steps", Method: http.MethodGet, Path: person + "/consent-steps", Summary: "Each decision about consents, the newest first"}, s.getSteps)
	httpx.Register(a, httpx.Op{ID: "privacy.ask", Method: http.MethodPost, Path: person + "/requests", Idempotent: true, MaxBody: 8 << 10, Summary: "Ask for a copy, a transfer, a correction or an erasure, or object to an access"}, s.postRequest)
	httpx.Register(a, httpx.Op{ID: "privacy.list_requests", Method: http.MethodGet, Path: person + "/requests", Summary: "What was asked for, and what became of it"}, s.getRequests)
	httpx.Register(a, httpx.Op{ID: "privacy.preview_erasure", Method: http.MethodGet, Path: person + "/erasure", Summary: "What an erasure would leave and why, and what has to end first"}, s.getPreview)
	httpx.Register(a, httpx.Op{ID: "privacy.cancel_request", Method: http.MethodPost, Path: "/privacy/requests/{id}/cancellation", Status: 204, MaxBody: 1 << 10, Summary: "Take back a request that nobody has decided"}, s.postCancel)
	httpx.Handle(a, httpx.Op{ID: "privacy.take_copy", Method: http.MethodPost, Path: "/privacy/requests/{id}/file", MaxBody: 1 << 10, Summary: "The file of a copy or transfer (application/zip), once"}, s.postFile)
	s.accessRoutes(a)
	s.officerRoutes(a)
}

func (s *Service) getConsents(ctx context.Context, in *idIn) (*out[list[choiceBody]], error) {
	p, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	cs, err := s.consents(ctx, p)
	if err != nil {
		return nil, err
	}
	return listed(cs, choiceOf), nil
}

// listed is a list of one page.
func listed[T, B any](items []T, body func(T) B) *out[list[B]] {
	o := &out[list[B]]{list[B]{Items: make([]B, 0, len(items))}}
	for _, v := range items {
		o.Body.Items = append(o.Body.Items, body(v))
	}
	return o
}

func (s *Service) putConsent(ctx context.Context, in *decideIn) (*out[choiceBody], error) {
	p, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	c, err := s.decide(ctx, p, privacy.Purpose(in.Body.Purpose), in.Body.Given, in.Body.Version)
	if err != nil {
		return nil, err
	}
	return &out[choiceBody]{choiceOf(c)}, nil
}

func (s *Service) getSteps(ctx context.Context, in *idIn) (*out[list[stepBody]], error) {
	p, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	rows, err := s.steps(ctx, p)
	if err != nil {
		return nil, err
	}
	return listed(rows, func(r consentRow) stepBody {
		return stepBody{string(r.purpose), string(r.state), r.version, string(r.capacity), r.at}
	}), nil
}

func (s *Service) postRequest(ctx context.Context, in *askIn) (*tagged[requestBody], error) {
	p, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	q := asked{kind: privacy.Kind(in.Body.Kind), reason: secret.New(in.Body.Reason)}
	if q.key, err = httpx.Key[privacy.Request](in.Key); err != nil {
		return nil, err
	}
	if in.Body.EventID != "" {
		if q.event, err = httpx.ID[audit.AuditEvent](in.Body.EventID); err != nil {
			return nil, err
		}
	}
	if w := in.Body.Changes; w != nil {
		q.wanted = privacy.Wanted{Name: secret.New(w.Name), Sex: w.Sex}
		if w.Birth != "" {
			d, err := clock.ParseDate(w.Birth)
			if err != nil {
				return nil, privacy.ErrRequest.At("changes.birth_date", "not a date")
			}
			q.wanted.Birth = &d
		}
	}
	v, hit, err := s.ask(ctx, p, q)
	if err != nil {
		return nil, err
	}
	o := &tagged[requestBody]{ETag: httpx.ETag(v.version), Body: requestOf(v)}
	if hit {
		o.Hit = "true"
	}
	return o, nil
}

func (s *Service) getRequests(ctx context.Context, in *idIn) (*out[list[requestBody]], error) {
	p, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	rows, err := s.ofPerson(ctx, p)
	if err != nil {
		return nil, err
	}
	return listed(rows, requestOf), nil
}

func (s *Service) getPreview(ctx context.Context, in *idIn) (*out[previewBody], error) {
	p, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.previewErasure(ctx, p)
	if err != nil {
		return nil, err
	}
	o := &out[previewBody]{previewBody{Waiting: []waitingBody{}, Keeps: []keptBody{}}}
	for _, w := range v.waiting {
		o.Body.Waiting = append(o.Body.Waiting, waitingBody{saidBody(w.Title), w.Rows})
	}
	for _, k := range v.keeps {
		o.Body.Keeps = append(o.Body.Keeps, keptBody{saidBody(k.Title), k.Rows, k.Until, saidBody(k.Law), k.Identity})
	}
	return o, nil
}

func (s *Service) postCancel(ctx context.Context, in *idIn) (*struct{}, error) {
	r, err := httpx.ID[privacy.Request](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.cancel(ctx, r)
}

// postFile answers with the archive. Its name says nothing of the person.
func (s *Service) postFile(w http.ResponseWriter, r *http.Request) error {
	id, err := httpx.ID[privacy.Request](r.PathValue("id"))
	if err != nil {
		return err
	}
	row, file, err := s.take(r.Context(), id)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Length", strconv.Itoa(len(file)))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "xinglin-" + string(row.kind) + "-" + clock.DateOf(s.now()).String() + ".zip"}))
	_, err = w.Write(file)
	return err
}
