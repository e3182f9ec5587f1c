package httpx_test

import (
	"net/http"
	"strings"
	"testing"

	"xinglin/internal/testkit/apitest"
)

const secretWord = "zhangsan-secret-110101"

// Bodies are read strictly, and what was sent is not repeated.
func TestStrictBodies(t *testing.T) {
	var c calls
	h := apitest.New(t, routes(&c, nil))
	who := apitest.Patient(apitest.Main)
	json := "application/json"
	for name, tc := range map[string]struct {
		body, media string
		status      int
		code, path  string
	}{
		"good":                 {`{"word":"hi","count":2,"kind":"a","day":"2026-03-02","parts":[{"n":1}]}`, json, 200, "", ""},
		"charset":              {`{"word":"hi"}`, "application/json; charset=utf-8", 200, "", ""},
		"unknown field":        {`{"word":"hi","` + "more" + `":"` + secretWord + `"}`, json, 422, "http.invalid", "body.more"},
		"unknown deep field":   {`{"word":"hi","parts":[{"n":1,"x":2}]}`, json, 422, "http.invalid", "body.parts[0].x"},
		"value as a key":       {`{"word":"hi","张三 110101":1}`, json, 422, "http.invalid", "body"},
		"wrong type":           {`{"word":1}`, json, 422, "http.invalid", "body.word"},
		"text for a number":    {`{"word":"hi","count":"` + secretWord + `"}`, json, 422, "http.invalid", "body.count"},
		"fraction":             {`{"word":"hi","count":1.5}`, json, 422, "http.invalid", "body.count"},
		"beyond 64 bits":       {`{"word":"hi","count":99999999999999999999}`, json, 422, "http.invalid", ""},
		"too long":             {`{"word":"` + secretWord + `"}`, json, 422, "http.invalid", "body.word"},
		"missing":              {`{}`, json, 422, "http.invalid", "body"},
		"null":                 {`{"word":null}`, json, 422, "http.invalid", "body.word"},
		"enum":                 {`{"word":"hi","kind":"` + secretWord + `"}`, json, 422, "http.invalid", "body.kind"},
		"date":                 {`{"word":"hi","day":"` + secretWord + `"}`, json, 422, "http.invalid", "body.day"},
		"uuid":                 {`{"word":"hi","owner":"` + secretWord + `"}`, json, 422, "http.invalid", "body.owner"},
		"many":                 {`{"word":"hi","parts":[{"n":1},{"n":1},{"n":1},{"n":1}]}`, json, 422, "http.invalid", "body.parts"},
		"array":                {`[1]`, json, 422, "http.invalid", "body"},
		"not JSON":             {secretWord, json, 400, "http.malformed", "body"},
		"cut off":              {`{"word":"hi"`, json, 400, "http.malformed", "body"},
		"more after the end":   {`{"word":"hi"}{"word":"` + secretWord + `"}`, json, 400, "http.malformed", "body"},
		"NUL":                  {`{"word":"a\u0000b"}`, json, 400, "http.malformed", "body"},
		"raw control":          {"{\"word\":\"a\x00b\"}", json, 400, "http.malformed", "body"},
		"deep":                 {`{"word":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, json, 400, "http.malformed", "body"},
		"a little too deep":    {`{"word":"hi","parts":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, json, 400, "http.malformed", "body"},
		"deep enough":          {`{"word":"hi","parts":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, json, 422, "http.invalid", "body.parts[0]"},
		"brackets in a text":   {`{"word":"[[[[[[{{\"","day":"` + strings.Repeat("[", 50) + `"}`, json, 422, "http.invalid", "body.day"},
		"compressed":           {"\x1f\x8b\x08\x00", json, 400, "http.malformed", "body"},
		"no body":              {"", json, 400, "http.malformed", ""},
		"form":                 {"word=hi", "application/x-www-form-urlencoded", 415, "http.media_type", ""},
		"text":                 {`{"word":"hi"}`, "text/plain", 415, "http.media_type", ""},
		"another JSON":         {`{"word":"hi"}`, "application/cbor", 415, "http.media_type", ""},
		"larger than the body": {`{"word":"` + long(70<<10) + `"}`, json, 413, "http.too_large", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.Do(who, "PUT", wordPath, tc.body, apitest.H("Content-Type", tc.media)).Want(t, tc.status)
			if tc.status == 200 {
				return
			}
			r.Refused(t, tc.status, tc.code)
			p := problem(t, r)
			if strings.Contains(string(r.Body), secretWord) || strings.Contains(string(r.Body), "110101") {
				t.Errorf("repeats what was sent: %s", r.Body)
			}
			for _, d := range p.Errors {
				if d.Path == tc.path && d.Message != "" && d.Code != "" {
					return
				}
			}
			if tc.path != "" {
				t.Errorf("want an error at %s: %s", tc.path, r.Body)
			}
		})
	}
	if c.get() != 2 {
		t.Errorf("%d calls reached the use case, want 2", c.get())
	}
}

func TestStrictParameters(t *testing.T) {
	var c calls
	h := apitest.New(t, routes(&c, nil))
	who := apitest.Patient(apitest.Main)
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		wordPath + "?limit=5":                {200, ""},
		wordPath + "?limit=0":                {422, "http.invalid"},
		wordPath + "?limit=101":              {422, "http.invalid"},
		wordPath + "?limit=" + secretWord:    {422, "http.invalid"},
		"/words/" + secretWord:               {422, "http.invalid"},
		wordPath + "?limit=5&q=%00":          {400, "http.malformed"},
		wordPath + "?limit=%zz":              {400, "http.malformed"},
		wordPath + "?limit=5&limit=" + "999": {200, ""},
	} {
		r := h.Do(who, "PUT", path, `{"word":"hi"}`).Want(t, want.status)
		if r.Code != want.code || strings.Contains(string(r.Body), secretWord) {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
}

// A body without a length is cut at the same bound.
func TestHugeChunkedBody(t *testing.T) {
	var c calls
	h := apitest.New(t, routes(&c, nil))
	who := apitest.Patient(apitest.Main)
	for _, tc := range []struct{ method, path string }{{"PUT", wordPath}, {"POST", "/callback"}} {
		r := h.Request(who, tc.method, tc.path, `{"word":"`+long(70<<10)+`"}`)
		r.ContentLength = -1
		if got := send(t, h, r); got.Status != http.StatusRequestEntityTooLarge || got.Code != "http.too_large" {
			t.Errorf("%s: %d %s", tc.path, got.Status, got.Body)
		}
	}
	if c.get() != 0 {
		t.Error("a huge body reached the use case")
	}
}

func TestKeyAndMatch(t *testing.T) {
	var c calls
	h := apitest.New(t, routes(&c, nil))
	who := apitest.Patient(apitest.Main)
	for header, want := range map[string]int{
		keyText: 201, "": 400, "abc": 400, "6ba7b810-9dad-41d1-80b4-00c04fd430c8": 400, "00000000-0000-0000-0000-000000000000": 400, long(40): 400,
	} {
		r := h.Do(who, "POST", wordPath, `{"word":"hi"}`, apitest.H("Idempotency-Key", header))
		if r.Status != want || want == 400 && r.Code != "http.key_required" {
			t.Errorf("key %q: %d %s", header, r.Status, r.Body)
		}
	}
	for header, want := range map[string]int{
		`"3"`: 200, `"0"`: 200, `W/"3"`: 200, "": 400, `""`: 400, "*": 400, `"-1"`: 400, `"x"`: 400, `"99999999999999999999"`: 400,
	} {
		r := h.Do(who, "PATCH", wordPath, `{"word":"hi"}`, apitest.H("If-Match", header))
		if r.Status != want || want == 400 && r.Code != "http.match_required" {
			t.Errorf("match %q: %d %s", header, r.Status, r.Body)
		}
	}
	// who nobody is, is asked first: a stranger learns no rule of the route
	h.Do(apitest.Nobody(apitest.Main), "POST", wordPath, `{"word":"hi"}`).Refused(t, 401, "auth.required")
}

func TestUnknownPathsAndMethods(t *testing.T) {
	var c calls
	h := apitest.New(t, routes(&c, nil))
	who := apitest.Patient(apitest.Main)
	for _, tc := range []struct {
		method, path, code, allow string
		status                    int
	}{
		{"GET", "/nowhere", "http.not_found", "", 404},
		{"POST", "/api/v2/words", "http.not_found", "", 404},
		{"GET", wordPath, "http.method", "POST, PUT, PATCH", 405},
		{"DELETE", wordPath, "http.method", "POST, PUT, PATCH", 405},
		{"OPTIONS", "/refuse", "http.method", "GET", 405},
		{"POST", "/shut", "http.method", "GET", 405},
	} {
		r := h.Do(who, tc.method, tc.path, nil).Refused(t, tc.status, tc.code)
		problem(t, r)
		if got := r.Header.Get("Allow"); got != tc.allow {
			t.Errorf("%s %s: Allow %q", tc.method, tc.path, got)
		}
	}
}
