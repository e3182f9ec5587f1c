package patientsvc

import (
	"context"
	"net/http"
	"time"

	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
)

// What the window sees of a claim.
type (
	deskClaimBody struct {
		ID             patient.ClaimID `json:"id"`
		NameMasked     string          `json:"name_masked" doc:"Of the person on file" example:"张*三"`
		DocumentType   string          `json:"document_type" enum:"resident_id,hmt_residence,hmt_permit,foreign_pr,passport,birth_cert,internal"`
		DocumentMasked string          `json:"document_masked" example:"110****1X"`
		Relationship   string          `json:"relationship" enum:"self,child,parent,spouse,other" doc:"What the person is to the account that asks"`
		PhoneLast4     string          `json:"phone_last4" doc:"Of the account that asks; empty without a phone" example:"8000"`
		Proof          string          `json:"proof" enum:"phone_code,desk" doc:"phone_code: a code may have gone to the phone on file; desk: there is none"`
		NameMatches    bool            `json:"name_matches" doc:"The account entered the name that is on file; without it no proof succeeds"`
		State          string          `json:"state" enum:"open,proved,failed,ended" doc:"ended: replaced, or its time is over"`
		AskedAt        time.Time       `json:"asked_at"`
		EndsAt         time.Time       `json:"ends_at"`
	}
	deskClaimsBody struct {
		Items []deskClaimBody `json:"items" doc:"The latest first"`
		Next  string          `json:"next" doc:"Cursor of the next page, empty on the last"`
	}
)

func (s *Service) claimRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "patient.list_claims", Method: http.MethodGet, Path: "/claims", Summary: "Claims that wait for a proof, for the window; each person shown is an audit row"},
		func(ctx context.Context, in *listClaimsIn) (*out[deskClaimsBody], error) {
			return s.getClaims(ctx, a, in)
		})
	httpx.Register(a, httpx.Op{ID: "patient.read_claim", Method: http.MethodGet, Path: "/claims/{id}", Summary: "One claim, for the window"}, s.getClaim)
}

func claimBody(c deskClaim) deskClaimBody {
	return deskClaimBody{
		ID: c.id, NameMasked: c.nameMasked, DocumentType: string(c.person.docType), DocumentMasked: c.documentMasked, Relationship: string(c.rel),
		PhoneLast4: c.phoneTail, Proof: c.proof, NameMatches: c.matches, State: string(c.state), AskedAt: c.created.UTC(), EndsAt: c.expires.UTC(),
	}
}

type listClaimsIn struct {
	State  string `query:"state" enum:"open" default:"open" doc:"Those that can be proved now; what became of another one is read by its id"`
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

func (s *Service) getClaims(ctx context.Context, a *httpx.API, in *listClaimsIn) (*out[deskClaimsBody], error) {
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := s.OpenClaims(ctx, page.Request{Cursor: cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	o := &out[deskClaimsBody]{deskClaimsBody{Items: make([]deskClaimBody, 0, len(found.Items)), Next: a.Seal(ctx, found.Next)}}
	for _, c := range found.Items {
		o.Body.Items = append(o.Body.Items, claimBody(c))
	}
	return o, nil
}

func (s *Service) getClaim(ctx context.Context, in *idIn) (*out[deskClaimBody], error) {
	c, err := httpx.ID[patient.Claim](in.ID)
	if err != nil {
		return nil, err
	}
	found, err := s.ReadClaim(ctx, c)
	if err != nil {
		return nil, err
	}
	return &out[deskClaimBody]{claimBody(found)}, nil
}
