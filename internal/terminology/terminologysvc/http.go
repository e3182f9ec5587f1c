package terminologysvc

import (
	"context"
	"net/http"

	"xinglin/internal/platform/httpx"
	"xinglin/internal/terminology"
)

func (s *Service) routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{
		ID: "terminology.search", Method: http.MethodGet, Path: "/terminology/icd10",
		Summary: "Diagnoses of ICD-10 by the beginning of the code or parts of the name, the nearest first, at most 20",
	}, s.getConcepts)
}

type conceptBody struct {
	Code string `json:"code" example:"I10.x00"`
	Name string `json:"name"`
}

type searchIn struct {
	Q string `query:"q" minLength:"1" maxLength:"64" required:"true" doc:"Beginning of a code, or words of the name; all of them"`
}

type searchOut struct {
	Body struct {
		Items []conceptBody `json:"items"`
	}
}

func (s *Service) getConcepts(ctx context.Context, in *searchIn) (*searchOut, error) {
	found, err := s.Search(ctx, terminology.ICD10, in.Q)
	if err != nil {
		return nil, err
	}
	out := &searchOut{}
	out.Body.Items = []conceptBody{}
	for _, c := range found {
		out.Body.Items = append(out.Body.Items, conceptBody(c))
	}
	return out, nil
}
