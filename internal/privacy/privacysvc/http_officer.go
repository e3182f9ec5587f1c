package privacysvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/privacy"
)

type publishIn struct {
	Body struct {
		Purpose string      `json:"purpose" enum:"record_sharing,cross_institution,personalisation,research,marketing"`
		After   int         `json:"after" minimum:"0" doc:"The version that you saw, 0 for none"`
		ZH      wordingBody `json:"zh"`
		EN      wordingBody `json:"en"`
	}
}

// dueBody is a request in the officer's list.
type dueBody struct {
	ID         privacy.RequestID `json:"id"`
	NameMasked string            `json:"name_masked" doc:"Empty when the person is erased"`
	Kind       string            `json:"kind" enum:"copy,transfer,correct,erase,object"`
	State      string            `json:"state" enum:"open,working,ready,done,refused,cancelled,expired"`
	By         string            `json:"by" enum:"self,guardian"`
	CreatedAt  time.Time         `json:"created_at"`
	DueDate    clock.Date        `json:"due_date"`
	Overdue    bool              `json:"overdue"`
	RemindedAt *time.Time        `json:"reminded_at,omitempty" doc:"Within three working days of the last one"`
	EndedAt    *time.Time        `json:"ended_at,omitempty"`
	Version    int64             `json:"version"`
}

type dueIn struct {
	Ended  bool   `query:"ended" doc:"Those that ended, the newest first, instead of those to be decided"`
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type personBody struct {
	Name           string `json:"name"`
	DocumentType   string `json:"document_type"`
	DocumentMasked string `json:"document_masked"`
	Birth          string `json:"birth_date" format:"date"`
	Sex            string `json:"sex"`
}

type officerBody struct {
	Request requestBody `json:"request"`
	Person  *personBody `json:"person,omitempty" doc:"Who asks, while it is to be decided"`
	Access  *accessBody `json:"access,omitempty" doc:"What an objection is about"`
}

type decisionIn struct {
	ID    string `path:"id" format:"uuid"`
	Match string `header:"If-Match"`
	Body  struct {
		Accept bool   `json:"accept"`
		Note   string `json:"note,omitempty" maxLength:"1000" doc:"Told to the person; needed for a refusal, and for an objection"`
	}
}

type retainedBody struct {
	ID          privacy.RetainedID `json:"id"`
	PatientID   patient.ID         `json:"patient_id" doc:"That the records kept name"`
	Until       time.Time          `json:"until"`
	CreatedAt   time.Time          `json:"created_at"`
	DestroyedAt *time.Time         `json:"destroyed_at,omitempty"`
}

type openRetainedIn struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Why string `json:"why" minLength:"4" maxLength:"200" doc:"Who asks and by which document; no names of patients. It stands in the trail"`
	}
}

// dossierBody is what is kept, whole: that is what a court asks for.
type dossierBody struct {
	Name         string `json:"name"`
	DocumentType string `json:"document_type"`
	Document     string `json:"document_number"`
	Birth        string `json:"birth_date" format:"date"`
	Sex          string `json:"sex"`
}

type assessmentFields struct {
	Title      string     `json:"title" minLength:"1" maxLength:"80"`
	Processing string     `json:"processing" minLength:"1" maxLength:"4000" doc:"What is done with which data, by whom"`
	Necessity  string     `json:"necessity" minLength:"1" maxLength:"4000" doc:"Purpose, lawfulness, why it is necessary"`
	Risks      string     `json:"risks" minLength:"1" maxLength:"4000" doc:"For the rights of persons"`
	Measures   string     `json:"measures" minLength:"1" maxLength:"4000"`
	Risk       string     `json:"risk" enum:"low,medium,high"`
	Conclusion string     `json:"conclusion" enum:"pending,allowed,forbidden"`
	Review     clock.Date `json:"review_date" format:"date"`
}

type assessmentBody struct {
	ID        privacy.AssessmentID `json:"id"`
	Entry     assessmentFields     `json:"entry"`
	KeepUntil clock.Date           `json:"keep_until" doc:"At least; three years (R56)"`
	Version   int                  `json:"version"`
	At        time.Time            `json:"at"`
}

func assessmentOf(a assessment) assessmentBody {
	y, m, d := clock.DateOf(a.at).Parts()
	return assessmentBody{
		ID:        a.id,
		Entry:     assessmentFields{a.title, a.processing, a.necessity, a.risks, a.measures, a.risk, a.conclusion, a.review},
		KeepUntil: clock.NewDate(y+privacy.AssessmentYears, m, d), Version: a.version, At: a.at,
	}
}

func (f assessmentFields) row(a privacy.AssessmentID) assessment {
	return assessment{
		id: a, title: f.Title, processing: f.Processing, necessity: f.Necessity, risks: f.Risks, measures: f.Measures, risk: f.Risk, conclusion: f.Conclusion,
		review: f.Review,
	}
}

type breachFields struct {
	Title           string     `json:"title" minLength:"1" maxLength:"80"`
	What            string     `json:"what" minLength:"1" maxLength:"4000" doc:"What happened to which data; no names of patients"`
	Measures        string     `json:"measures" maxLength:"4000"`
	Severity        string     `json:"severity" enum:"general,major,critical"`
	Persons         int64      `json:"persons" minimum:"0" doc:"How many are affected, as far as is known"`
	FoundAt         time.Time  `json:"found_at"`
	AuthorityToldAt *time.Time `json:"authority_told_at,omitempty"`
	PersonsToldAt   *time.Time `json:"persons_told_at,omitempty"`
	NotToldWhy      string     `json:"not_told_why,omitempty" maxLength:"4000" doc:"Why the persons need not be told"`
	Close           bool       `json:"close,omitempty" doc:"Nothing more is to be done; no further version follows"`
}

type breachBody struct {
	ID          privacy.BreachID `json:"id"`
	Entry       breachFields     `json:"entry"`
	AuthorityBy time.Time        `json:"authority_by" doc:"The authority has to be told by then"`
	PersonsBy   time.Time        `json:"persons_by"`
	ClosedAt    *time.Time       `json:"closed_at,omitempty"`
	Version     int              `json:"version"`
	At          time.Time        `json:"at"`
}

func breachOf(b breach) breachBody {
	return breachBody{
		ID: b.id,
		Entry: breachFields{
			b.title, b.what, b.measures, string(b.severity), b.persons, b.found, stamp(b.authorityTold), stamp(b.personsTold), b.notTold, !b.closed.IsZero(),
		},
		AuthorityBy: b.authorityBy, PersonsBy: b.personsBy, ClosedAt: stamp(b.closed), Version: b.version, At: b.at,
	}
}

func (f breachFields) row(b privacy.BreachID) breach {
	at := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return t.UTC().Truncate(time.Microsecond)
	}
	return breach{
		id: b, title: f.Title, what: f.What, measures: f.Measures, severity: privacy.Severity(f.Severity), persons: f.Persons, found: at(&f.FoundAt),
		authorityTold: at(f.AuthorityToldAt), personsTold: at(f.PersonsToldAt), notTold: f.NotToldWhy,
	}
}

type (
	createIn[T any] struct {
		Key  string `header:"Idempotency-Key"`
		Body T
	}
	updateAssessmentIn struct {
		ID    string `path:"id" format:"uuid"`
		Match string `header:"If-Match"`
		Body  assessmentFields
	}
	updateBreachIn struct {
		ID    string `path:"id" format:"uuid"`
		Match string `header:"If-Match"`
		Body  breachFields
	}
	pageIn struct {
		Cursor string `query:"cursor" maxLength:"1024"`
		Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	}
)

func (s *Service) officerRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "privacy.list_texts", Method: http.MethodGet, Path: "/privacy/texts", Summary: "The texts of consents that are in force"}, s.getTexts)
	httpx.Register(a, httpx.Op{ID: "privacy.publish_text", Method: http.MethodPost, Path: "/privacy/texts", Status: 201, MaxBody: 64 << 10, Summary: "Put the text of a consent into force; older consents ask again"}, s.postText)
	httpx.Register(a, httpx.Op{ID: "privacy.list_due", Method: http.MethodGet, Path: "/privacy/requests", Summary: "Requests of persons, the most urgent first"}, s.getDue(a))
	httpx.Register(a, httpx.Op{ID: "privacy.read_request", Method: http.MethodGet, Path: "/privacy/requests/{id}", Summary: "A request with who asks"}, s.getRequest)
	httpx.Register(a, httpx.Op{ID: "privacy.decide_request", Method: http.MethodPost, Path: "/privacy/requests/{id}/decision", Versioned: true, MaxBody: 8 << 10, Summary: "Accept or refuse a correction or an erasure"}, s.postDecision)
	httpx.Register(a, httpx.Op{ID: "privacy.list_retained", Method: http.MethodGet, Path: "/privacy/retained", Summary: "Who was erased and still has records that the law wants kept"}, s.getRetained(a))
	httpx.Register(a, httpx.Op{ID: "privacy.open_retained", Method: http.MethodPost, Path: "/privacy/retained/{id}/opening", MaxBody: 2 << 10, Summary: "Open what is kept sealed of an erased person, with the reason"}, s.postOpening)
	httpx.Register(a, httpx.Op{ID: "privacy.list_assessments", Method: http.MethodGet, Path: "/privacy/assessments", Summary: "The register of impact assessments"}, s.getAssessments)
	httpx.Register(a, httpx.Op{ID: "privacy.create_assessment", Method: http.MethodPost, Path: "/privacy/assessments", Idempotent: true, MaxBody: 64 << 10, Summary: "Enter an impact assessment"}, s.postAssessment)
	httpx.Register(a, httpx.Op{ID: "privacy.update_assessment", Method: http.MethodPut, Path: "/privacy/assessments/{id}", Versioned: true, MaxBody: 64 << 10, Summary: "The next version of an impact assessment; the older stay"}, s.putAssessment)
	httpx.Register(a, httpx.Op{ID: "privacy.list_breaches", Method: http.MethodGet, Path: "/privacy/breaches", Summary: "The register of incidents with personal data, with their clocks"}, s.getBreaches)
	httpx.Register(a, httpx.Op{ID: "privacy.create_breach", Method: http.MethodPost, Path: "/privacy/breaches", Idempotent: true, MaxBody: 64 << 10, Summary: "Enter an incident; its clocks run from when it was found"}, s.postBreach)
	httpx.Register(a, httpx.Op{ID: "privacy.update_breach", Method: http.MethodPut, Path: "/privacy/breaches/{id}", Versioned: true, MaxBody: 64 << 10, Summary: "The next version of an incident: who was told when; the older stay"}, s.putBreach)
}

func (s *Service) getTexts(ctx context.Context, _ *struct{}) (*out[list[textBody]], error) {
	ts, err := s.allTexts(ctx)
	if err != nil {
		return nil, err
	}
	return listed(ts, textOf), nil
}

func (s *Service) postText(ctx context.Context, in *publishIn) (*out[textBody], error) {
	t, err := s.Publish(ctx, privacy.TextSpec{
		Purpose: privacy.Purpose(in.Body.Purpose), After: in.Body.After, ZH: privacy.Wording(in.Body.ZH), EN: privacy.Wording(in.Body.EN),
	})
	if err != nil {
		return nil, err
	}
	return &out[textBody]{textOf(t)}, nil
}

func (s *Service) getDue(a *httpx.API) func(context.Context, *dueIn) (*out[list[dueBody]], error) {
	return func(ctx context.Context, in *dueIn) (*out[list[dueBody]], error) {
		raw, err := a.Unseal(ctx, in.Cursor)
		if err != nil {
			return nil, err
		}
		after, err := cursorFrom(raw)
		if err != nil {
			return nil, err
		}
		rows, names, err := s.due(ctx, in.Ended, after, in.Limit+1)
		if err != nil {
			return nil, err
		}
		next := ""
		if len(rows) > in.Limit {
			rows = rows[:in.Limit]
			last := rows[in.Limit-1]
			next = last.due.String() + " " + last.id.String()
		}
		today := clock.DateOf(s.now())
		o := listed(rows, func(r requestRow) dueBody {
			return dueBody{
				ID: r.id, NameMasked: names[r.patient], Kind: string(r.kind), State: string(r.state), By: string(r.capacity), CreatedAt: r.created, DueDate: r.due,
				Overdue: r.ended.IsZero() && r.due < today, RemindedAt: stamp(r.reminded), EndedAt: stamp(r.ended), Version: r.version,
			}
		})
		o.Body.Next = a.Seal(ctx, next)
		return o, nil
	}
}

// cursorFrom reads a position: a date and an id.
func cursorFrom(raw string) (c cursor, err error) {
	if raw == "" {
		return c, nil
	}
	if len(raw) < 12 {
		return c, httpx.ErrCursor.New()
	}
	if c.due, err = clock.ParseDate(raw[:10]); err != nil {
		return c, httpx.ErrCursor.New()
	}
	if c.id, err = id.Parse[privacy.Request](raw[11:]); err != nil {
		return c, httpx.ErrCursor.New()
	}
	return c, nil
}

func (s *Service) getRequest(ctx context.Context, in *idIn) (*tagged[officerBody], error) {
	r, err := httpx.ID[privacy.Request](in.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.readRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	o := &tagged[officerBody]{ETag: httpx.ETag(v.version), Body: officerBody{Request: requestOf(v.requestView)}}
	if p := v.person; p != nil {
		o.Body.Person = &personBody{p.Name.Reveal(), string(p.DocumentType), dataclass.Number.Mask(p.Document), p.Birth.String(), p.Sex}
	}
	if v.access != nil {
		b := s.accessOf(*v.access)
		o.Body.Access = &b
	}
	return o, nil
}

func (s *Service) postDecision(ctx context.Context, in *decisionIn) (*tagged[requestBody], error) {
	r, err := httpx.ID[privacy.Request](in.ID)
	if err != nil {
		return nil, err
	}
	version, err := httpx.Version(in.Match)
	if err != nil {
		return nil, err
	}
	v, err := s.decideRequest(ctx, r, decision{accept: in.Body.Accept, note: secret.New(in.Body.Note), version: version})
	if err != nil {
		return nil, err
	}
	return &tagged[requestBody]{ETag: httpx.ETag(v.version), Body: requestOf(v)}, nil
}

func (s *Service) getRetained(a *httpx.API) func(context.Context, *pageIn) (*out[list[retainedBody]], error) {
	return func(ctx context.Context, in *pageIn) (*out[list[retainedBody]], error) {
		raw, err := a.Unseal(ctx, in.Cursor)
		if err != nil {
			return nil, err
		}
		var after privacy.RetainedID
		if raw != "" {
			if after, err = id.Parse[privacy.Retained](raw); err != nil {
				return nil, httpx.ErrCursor.New()
			}
		}
		rows, err := s.listRetained(ctx, after, in.Limit+1)
		if err != nil {
			return nil, err
		}
		next := ""
		if len(rows) > in.Limit {
			rows = rows[:in.Limit]
			next = rows[in.Limit-1].id.String()
		}
		o := listed(rows, func(r retainedRow) retainedBody {
			return retainedBody{r.id, r.patient, r.until, r.created, stamp(r.destroyed)}
		})
		o.Body.Next = a.Seal(ctx, next)
		return o, nil
	}
}

func (s *Service) postOpening(ctx context.Context, in *openRetainedIn) (*out[dossierBody], error) {
	r, err := httpx.ID[privacy.Retained](in.ID)
	if err != nil {
		return nil, err
	}
	d, err := s.openRetained(ctx, r, in.Body.Why)
	if err != nil {
		return nil, err
	}
	return &out[dossierBody]{dossierBody(d)}, nil
}

func (s *Service) getAssessments(ctx context.Context, _ *struct{}) (*out[list[assessmentBody]], error) {
	rows, err := s.assessments(ctx)
	if err != nil {
		return nil, err
	}
	return listed(rows, assessmentOf), nil
}

// saved answers a version of a register's entry.
func saved[B any](version int, hit bool, body B) *tagged[B] {
	o := &tagged[B]{ETag: httpx.ETag(int64(version)), Body: body}
	if hit {
		o.Hit = "true"
	}
	return o
}

func (s *Service) postAssessment(ctx context.Context, in *createIn[assessmentFields]) (*tagged[assessmentBody], error) {
	key, err := httpx.Key[privacy.Assessment](in.Key)
	if err != nil {
		return nil, err
	}
	v, hit, err := s.saveAssessment(ctx, "privacy.create_assessment", in.Body.row(key), 0)
	if err != nil {
		return nil, err
	}
	return saved(v.version, hit, assessmentOf(v)), nil
}

func (s *Service) putAssessment(ctx context.Context, in *updateAssessmentIn) (*tagged[assessmentBody], error) {
	a, err := httpx.ID[privacy.Assessment](in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := seenVersion(in.Match)
	if err != nil {
		return nil, err
	}
	v, _, err := s.saveAssessment(ctx, "privacy.update_assessment", in.Body.row(a), seen)
	if err != nil {
		return nil, err
	}
	return saved(v.version, false, assessmentOf(v)), nil
}

// seenVersion is the version of a register's entry that the caller saw: from 1.
func seenVersion(match string) (int, error) {
	v, err := httpx.Version(match)
	if err != nil {
		return 0, err
	}
	if v < 1 || v > 1<<20 {
		return 0, privacy.ErrStale.New()
	}
	return int(v), nil
}

func (s *Service) getBreaches(ctx context.Context, _ *struct{}) (*out[list[breachBody]], error) {
	rows, err := s.breaches(ctx)
	if err != nil {
		return nil, err
	}
	return listed(rows, breachOf), nil
}

func (s *Service) postBreach(ctx context.Context, in *createIn[breachFields]) (*tagged[breachBody], error) {
	key, err := httpx.Key[privacy.Breach](in.Key)
	if err != nil {
		return nil, err
	}
	v, hit, err := s.saveBreach(ctx, "privacy.create_breach", in.Body.row(key), 0, in.Body.Close)
	if err != nil {
		return nil, err
	}
	return saved(v.version, hit, breachOf(v)), nil
}

func (s *Service) putBreach(ctx context.Context, in *updateBreachIn) (*tagged[breachBody], error) {
	b, err := httpx.ID[privacy.Breach](in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := seenVersion(in.Match)
	if err != nil {
		return nil, err
	}
	v, _, err := s.saveBreach(ctx, "privacy.update_breach", in.Body.row(b), seen, in.Body.Close)
	if err != nil {
		return nil, err
	}
	return saved(v.version, false, breachOf(v)), nil
}
