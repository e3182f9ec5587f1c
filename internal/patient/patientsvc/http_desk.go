package patientsvc

import (
	"context"
	"net/http"
	"slices"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
)

// What the window sees of a person: enough to ask "is this you", no more.
type (
	deskPatientBody struct {
		ID             patient.ID `json:"id"`
		NameMasked     string     `json:"name_masked" example:"张*三"`
		Birth          string     `json:"birth" format:"date"`
		Sex            string     `json:"sex" enum:"male,female,unknown"`
		DocumentType   string     `json:"document_type" enum:"resident_id,hmt_residence,hmt_permit,foreign_pr,passport,birth_cert,internal"`
		DocumentMasked string     `json:"document_masked" example:"110****1X"`
		PhoneMasked    string     `json:"phone_masked" doc:"Empty without a phone" example:"138****0000"`
		Verified       string     `json:"verified" enum:"none,verified,mismatch" doc:"The real-name result"`
	}
	deskPatientsBody struct {
		Items []deskPatientBody `json:"items" doc:"The latest first; at most 20"`
		More  bool              `json:"more" doc:"There are others: search in another way"`
	}
)

func (s *Service) deskRoutes(a *httpx.API) {
	s.claimRoutes(a)
	httpx.Register(a, httpx.Op{ID: "patient.search_at_desk", Method: http.MethodPost, Path: "/desk/patients/search", Status: http.StatusOK, MaxBody: 1 << 10, Summary: "Find persons exactly, by document, by phone, or by name and birth; each is an audit row"}, s.postDeskSearch)
	httpx.Register(a, httpx.Op{ID: "patient.register_at_desk", Method: http.MethodPost, Path: "/desk/patients", Idempotent: true, MaxBody: 2 << 10, Summary: "Register a person without an account; 200 with the person who is there already"}, s.postDeskPatient)
}

func deskBody(p patient.Patient) deskPatientBody {
	return deskPatientBody{
		ID: p.ID, NameMasked: dataclass.Name.Mask(p.Name), Birth: p.Birth.String(), Sex: p.Sex, DocumentType: string(p.DocumentType),
		DocumentMasked: dataclass.Number.Mask(p.Document), PhoneMasked: dataclass.Phone.Mask(p.Phone), Verified: string(p.Verified),
	}
}

type deskSearchIn struct {
	Body struct {
		DocumentType string `json:"document_type,omitempty" enum:"resident_id,hmt_residence,hmt_permit,foreign_pr,passport,birth_cert,internal" doc:"Empty: any that the number may be of"`
		Document     string `json:"document,omitempty" maxLength:"64"`
		Phone        string `json:"phone,omitempty" maxLength:"32"`
		Name         string `json:"name,omitempty" maxLength:"120"`
		Birth        string `json:"birth,omitempty" format:"date"`
	}
}

func (s *Service) postDeskSearch(ctx context.Context, in *deskSearchIn) (*out[deskPatientsBody], error) {
	b := in.Body
	birth, err := birthOf(b.Birth)
	if err != nil {
		return nil, err
	}
	q := Search{DocumentType: patient.DocumentType(b.DocumentType), Document: secret.New(b.Document), Phone: secret.New(b.Phone), Name: secret.New(b.Name), Birth: birth}
	found, more, err := s.SearchAtDesk(ctx, q)
	if err != nil {
		return nil, err
	}
	o := &out[deskPatientsBody]{deskPatientsBody{Items: make([]deskPatientBody, 0, len(found)), More: more}}
	for _, p := range found {
		o.Body.Items = append(o.Body.Items, deskBody(p))
	}
	return o, nil
}

// birthOf reads a date; nil when it is empty.
func birthOf(text string) (*clock.Date, error) {
	if text == "" {
		return nil, nil
	}
	d, err := clock.ParseDate(text)
	if err != nil {
		return nil, patient.ErrInvalid.At("birth", "want YYYY-MM-DD")
	}
	return &d, nil
}

type deskPatientIn struct {
	Key  string `header:"Idempotency-Key" required:"true" doc:"The client's UUIDv7"`
	Body struct {
		Name            string `json:"name" minLength:"2" maxLength:"120" example:"张小三"`
		DocumentType    string `json:"document_type" enum:"resident_id,hmt_residence,hmt_permit,foreign_pr,passport,birth_cert,internal"`
		Document        string `json:"document" minLength:"4" maxLength:"64"`
		Birth           string `json:"birth,omitempty" format:"date" doc:"Needed where the number does not say it"`
		Sex             string `json:"sex,omitempty" enum:"male,female,unknown"`
		Phone           string `json:"phone,omitempty" maxLength:"32" doc:"A mainland mobile number, or none"`
		GuardianConsent bool   `json:"guardian_consent,omitempty" doc:"Needed under 14: the guardian stands at the desk and agrees"`
	}
}

type deskPatientOut struct {
	Status int
	Hit    string `header:"Idempotency-Hit"`
	Body   deskPatientBody
}

func (s *Service) postDeskPatient(ctx context.Context, in *deskPatientIn) (*deskPatientOut, error) {
	b := in.Body
	birth, err := birthOf(b.Birth)
	if err != nil {
		return nil, err
	}
	r, err := s.registerAtDesk(ctx, in.Key, entry{
		name: b.Name, docType: patient.DocumentType(b.DocumentType), number: b.Document, birth: birth, sex: b.Sex, phone: b.Phone, consent: b.GuardianConsent,
	})
	if err != nil {
		return nil, deskPaths(err)
	}
	o := &deskPatientOut{Status: statusKnown, Body: deskBody(r.Patient)}
	if r.made {
		o.Status = statusMade
	}
	if r.hit {
		o.Hit = "true"
	}
	return o, nil
}

// deskPaths names the fields of a refusal as this request does.
func deskPaths(err error) error {
	f := fault.Of(err)
	if f == nil {
		return err
	}
	names := map[string]string{"document_number": "document", "birth_date": "birth"}
	e := *f
	e.Details = slices.Clone(f.Details)
	for i, d := range e.Details {
		if name, ok := names[d.Path]; ok {
			e.Details[i].Path = name
		}
	}
	return &e
}
