package patientsvc

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
)

// Bodies on the wire. Numbers and phones are masked always; the name is the family's to see.
type (
	patientBody struct {
		ID             patient.ID `json:"id"`
		Name           string     `json:"name" example:"张小三"`
		DocumentType   string     `json:"document_type" enum:"resident_id,hmt_residence,hmt_permit,foreign_pr,passport,birth_cert,internal"`
		DocumentMasked string     `json:"document_masked" example:"110****1X"`
		BirthDate      string     `json:"birth_date" format:"date"`
		Sex            string     `json:"sex" enum:"male,female,unknown"`
		PhoneMasked    string     `json:"phone_masked" doc:"Empty without a phone" example:"138****0000"`
		Relationship   string     `json:"relationship" enum:"self,child,parent,spouse,other"`
		Verified       string     `json:"verified" enum:"none,verified,mismatch" doc:"The real-name result"`
		VerifiedAt     *time.Time `json:"verified_at,omitempty"`
		Version        int64      `json:"version"`
	}
	patientClaimBody struct {
		ClaimID     patient.ClaimID `json:"claim_id"`
		Proof       string          `json:"proof" enum:"phone_code,desk" doc:"The code went to the phone on file, or the desk proves"`
		PhoneMasked string          `json:"phone_masked" doc:"Empty when the desk proves" example:"138****0000"`
	}
	patientListBody struct {
		Items []patientBody `json:"items" doc:"Oneself first; at most 10"`
		Next  string        `json:"next" doc:"Always empty: there is one page"`
	}
	// addedBody is a patient (201) or a claim (202).
	addedBody struct {
		patient *patientBody
		claim   *patientClaimBody
	}
	out[T any] struct {
		Body T
	}
	tagged[T any] struct {
		ETag string `header:"ETag"`
		Body T
	}
)

// MarshalJSON writes the one that is there.
func (b addedBody) MarshalJSON() ([]byte, error) {
	if b.claim != nil {
		return json.Marshal(b.claim)
	}
	return json.Marshal(b.patient)
}

// Schema implements huma.SchemaProvider.
func (addedBody) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[patientBody](), true, ""), r.Schema(reflect.TypeFor[patientClaimBody](), true, ""),
	}}
}

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "patient.list", Method: http.MethodGet, Path: "/patients", Summary: "The persons that the account cares for"}, s.listPatients)
	httpx.Register(a, httpx.Op{ID: "patient.add", Method: http.MethodPost, Path: "/patients", Status: 201, MaxBody: 8 << 10, Summary: "Add a person; 202 with a claim when the person is known and a proof is needed"}, s.postPatient)
	httpx.Register(a, httpx.Op{ID: "patient.prove", Method: http.MethodPost, Path: "/patients/claims/{id}/proof", Status: 201, MaxBody: 1 << 10, Summary: "Prove a claim with the code sent to the phone on file"}, s.postProof)
	httpx.Register(a, httpx.Op{ID: "patient.prove_at_desk", Method: http.MethodPost, Path: "/patients/claims/{id}/desk-proof", Status: 204, MaxBody: 1 << 10, Summary: "The registrar has seen the person and the document"}, s.postDeskProof)
	httpx.Register(a, httpx.Op{ID: "patient.read", Method: http.MethodGet, Path: "/patients/{id}", Summary: "One person of the family"}, s.getPatient)
	httpx.Register(a, httpx.Op{ID: "patient.update", Method: http.MethodPatch, Path: "/patients/{id}", Versioned: true, MaxBody: 1 << 10, Summary: "Change phone or relationship"}, s.patchPatient)
	httpx.Register(a, httpx.Op{ID: "patient.unlink", Method: http.MethodDelete, Path: "/patients/{id}/link", Status: 204, Summary: "Act no longer for the person"}, s.deleteLink)
	httpx.Register(a, httpx.Op{ID: "patient.verify", Method: http.MethodPost, Path: "/patients/{id}/verification", MaxBody: 1 << 10, Summary: "Check name, document and phone with the real-name service; five a day"}, s.postVerification)
	s.deskRoutes(a)
}

func body(p patient.Patient) patientBody {
	b := patientBody{
		ID: p.ID, Name: p.Name.Reveal(), DocumentType: string(p.DocumentType), DocumentMasked: dataclass.Number.Mask(p.Document),
		BirthDate: p.Birth.String(), Sex: p.Sex, PhoneMasked: dataclass.Phone.Mask(p.Phone), Relationship: string(p.Relationship),
		Verified: string(p.Verified), Version: p.Version,
	}
	if !p.VerifiedAt.IsZero() {
		b.VerifiedAt = &p.VerifiedAt
	}
	return b
}

func show(p patient.Patient) *tagged[patientBody] {
	return &tagged[patientBody]{httpx.ETag(p.Version), body(p)}
}

func (s *Service) listPatients(ctx context.Context, _ *struct{}) (*out[patientListBody], error) {
	ps, err := s.Family(ctx)
	if err != nil {
		return nil, err
	}
	o := &out[patientListBody]{patientListBody{Items: make([]patientBody, 0, len(ps))}}
	for _, p := range ps {
		o.Body.Items = append(o.Body.Items, body(p))
	}
	return o, nil
}

type idIn struct {
	ID string `path:"id" format:"uuid"`
}

func (s *Service) getPatient(ctx context.Context, in *idIn) (*tagged[patientBody], error) {
	pid, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Read(ctx, pid)
	if err != nil {
		return nil, err
	}
	return show(p), nil
}

type postPatientIn struct {
	Body struct {
		Name            string `json:"name" minLength:"2" maxLength:"120" example:"张小三"`
		DocumentType    string `json:"document_type" enum:"resident_id,hmt_residence,hmt_permit,foreign_pr,passport,birth_cert,internal"`
		DocumentNumber  string `json:"document_number" minLength:"4" maxLength:"64"`
		BirthDate       string `json:"birth_date,omitempty" format:"date" doc:"Needed where the number does not say it"`
		Sex             string `json:"sex,omitempty" enum:"male,female,unknown"`
		Phone           string `json:"phone,omitempty" maxLength:"32" doc:"A mainland mobile number; empty for oneself and one's child: the account's own"`
		Relationship    string `json:"relationship" enum:"self,child,parent,spouse,other"`
		GuardianConsent bool   `json:"guardian_consent,omitempty" doc:"Needed under 14, by the guardian"`
	}
}

type postPatientOut struct {
	Status int
	ETag   string `header:"ETag"`
	Body   addedBody
}

func (s *Service) postPatient(ctx context.Context, in *postPatientIn) (*postPatientOut, error) {
	e := entry{
		name: in.Body.Name, docType: patient.DocumentType(in.Body.DocumentType), number: in.Body.DocumentNumber, sex: in.Body.Sex,
		phone: in.Body.Phone, rel: patient.Relationship(in.Body.Relationship), consent: in.Body.GuardianConsent,
	}
	if in.Body.BirthDate != "" {
		d, err := clock.ParseDate(in.Body.BirthDate)
		if err != nil {
			return nil, patient.ErrInvalid.At("birth_date", "want YYYY-MM-DD")
		}
		e.birth = &d
	}
	p, c, err := s.add(ctx, e)
	if err != nil {
		return nil, err
	}
	if c != nil {
		b := patientClaimBody{ClaimID: c.ID, Proof: proofCode, PhoneMasked: c.PhoneMasked}
		if c.PhoneMasked == "" {
			b.Proof = proofDesk
		}
		return &postPatientOut{Status: http.StatusAccepted, Body: addedBody{claim: &b}}, nil
	}
	b := body(*p)
	return &postPatientOut{Status: http.StatusCreated, ETag: httpx.ETag(p.Version), Body: addedBody{patient: &b}}, nil
}

type postProofIn struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Code string `json:"code" pattern:"^[0-9]{6}$" example:"123456"`
	}
}

func (s *Service) postProof(ctx context.Context, in *postProofIn) (*tagged[patientBody], error) {
	c, err := httpx.ID[patient.Claim](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Prove(ctx, c, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return show(p), nil
}

func (s *Service) postDeskProof(ctx context.Context, in *idIn) (*struct{}, error) {
	c, err := httpx.ID[patient.Claim](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.ProveAtDesk(ctx, c)
}

type patchPatientIn struct {
	ID      string `path:"id" format:"uuid"`
	IfMatch string `header:"If-Match"`
	Body    struct {
		Phone        string `json:"phone,omitempty" maxLength:"32"`
		Relationship string `json:"relationship,omitempty" enum:"self,child,parent,spouse,other"`
	}
}

func (s *Service) patchPatient(ctx context.Context, in *patchPatientIn) (*tagged[patientBody], error) {
	pid, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	c := Change{}
	if c.Version, err = httpx.Version(in.IfMatch); err != nil {
		return nil, err
	}
	if in.Body.Phone != "" {
		phone := secret.New(in.Body.Phone)
		c.Phone = &phone
	}
	if in.Body.Relationship != "" {
		rel := patient.Relationship(in.Body.Relationship)
		c.Relationship = &rel
	}
	p, err := s.Update(ctx, pid, c)
	if err != nil {
		return nil, err
	}
	return show(p), nil
}

func (s *Service) deleteLink(ctx context.Context, in *idIn) (*struct{}, error) {
	pid, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.Unlink(ctx, pid)
}

func (s *Service) postVerification(ctx context.Context, in *idIn) (*tagged[patientBody], error) {
	pid, err := httpx.ID[patient.Patient](in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Verify(ctx, pid)
	if err != nil {
		return nil, err
	}
	return show(p), nil
}
