package httpx_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit/apitest"
)

type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string                `json:"operationId"`
		Security    []map[string][]string `json:"security"`
		Parameters  []struct {
			Name     string         `json:"name"`
			In       string         `json:"in"`
			Required bool           `json:"required"`
			Schema   map[string]any `json:"schema"`
		} `json:"parameters"`
		Responses map[string]struct {
			Content map[string]any `json:"content"`
		} `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas         map[string]any `json:"schemas"`
		SecuritySchemes map[string]any `json:"securitySchemes"`
	} `json:"components"`
}

// The document is 3.1, names every operation, says which need a session, and every
// reference in it leads somewhere.
func TestOpenAPI(t *testing.T) {
	var c calls
	h := apitest.New(t, routes(&c, nil), func(a *httpx.API) {
		httpx.Handle(a, httpx.Op{ID: "words.hot", Method: "POST", Path: "/hot/{id}", Idempotent: true, Versioned: true}, func(http.ResponseWriter, *http.Request) error { return nil })
	})
	r := h.Do(apitest.Nobody(apitest.Main), "GET", "/openapi.json", nil).Want(t, 200)
	if strings.Contains(string(r.Body), "$schema") {
		t.Error("answers have $schema links")
	}
	var d document
	if err := json.Unmarshal(r.Body, &d); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Errorf("version %q", d.OpenAPI)
	}
	ops := h.API.Ops()
	seen := map[string]bool{}
	for _, o := range ops {
		op, ok := d.Paths[o.Path][strings.ToLower(o.Method)]
		if !ok || op.OperationID != o.ID || seen[o.ID] {
			t.Errorf("%s %s: %+v", o.Method, o.Path, op)
			continue
		}
		seen[o.ID] = true
		if (len(op.Security) == 0) != (o.Public || o.Machine) {
			t.Errorf("%s: security %v", o.ID, op.Security)
		}
		for _, s := range op.Security {
			for name := range s {
				if d.Components.SecuritySchemes[name] == nil {
					t.Errorf("%s: security scheme %q is not described", o.ID, name)
				}
			}
		}
		params := map[string]bool{}
		for _, p := range op.Parameters {
			params[p.In+" "+p.Name] = p.Required && p.Schema["type"] != nil
		}
		for _, name := range strings.Split(o.Path, "/") {
			if strings.HasPrefix(name, "{") && !params["path "+strings.Trim(name, "{}")] {
				t.Errorf("%s: path parameter %s is not described", o.ID, name)
			}
		}
		if len(op.Responses) == 0 {
			t.Errorf("%s: no answer is described", o.ID)
		}
	}
	if len(seen) != 9 {
		t.Errorf("%d operations", len(seen))
	}
	if d.Paths["/api/v1/words/{id}"]["put"].Responses["422"].Content["application/problem+json"] == nil {
		t.Errorf("refusals are not described: %+v", d.Paths["/api/v1/words/{id}"]["put"].Responses)
	}
	hot := map[string]bool{}
	for _, p := range d.Paths["/api/v1/hot/{id}"]["post"].Parameters {
		hot[p.Name] = p.Required
	}
	if !hot["Idempotency-Key"] || !hot["If-Match"] {
		t.Errorf("headers of a plain handler: %v", hot)
	}
	var all any
	if err := json.Unmarshal(r.Body, &all); err != nil {
		t.Fatal(err)
	}
	refs(all, func(ref string) {
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if !ok || d.Components.Schemas[name] == nil {
			t.Errorf("a reference leads nowhere: %s", ref)
		}
	})
	if y, err := h.API.OpenAPI(); err != nil || !strings.Contains(string(y), "openapi: 3.1") {
		t.Errorf("YAML: %v", err)
	}
	// answers carry no link of their own either
	body := h.Do(apitest.Patient(apitest.Main), "PUT", wordPath, `{"word":"hi"}`).Want(t, 200)
	if strings.Contains(string(body.Body), "schema") || body.Header.Get("Link") != "" {
		t.Errorf("%s %v", body.Body, body.Header)
	}
}

func refs(v any, f func(string)) {
	switch x := v.(type) {
	case map[string]any:
		for k, y := range x {
			if s, ok := y.(string); ok && k == "$ref" {
				f(s)
				continue
			}
			refs(y, f)
		}
	case []any:
		for _, y := range x {
			refs(y, f)
		}
	}
}
