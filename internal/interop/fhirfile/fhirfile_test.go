package fhirfile

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/fault"
)

// walk reads a text and writes down what it met.
func walk(r io.Reader, o Options) (string, error) {
	var b strings.Builder
	_, err := Read(r, o, func(e Entry) error {
		fmt.Fprintf(&b, "%s %s/%s", e.Path, e.Type, e.ID)
		if e.Err != nil {
			fmt.Fprintf(&b, " !%s", fault.Of(e.Err).Code.Name)
		} else if e.Type != "" {
			fmt.Fprintf(&b, " %t", json.Valid(e.Raw) && e.Raw[0] == '{')
		}
		b.WriteByte('\n')
		return nil
	})
	return b.String(), err
}

func bundle(kind string, entries ...string) string {
	return `{"resourceType": "Bundle", "id": "b", "meta": {"tag": [{"code": "x"}]}, "type": "` + kind + `", "entry": [` + strings.Join(entries, ",\n ") + `], "link": []}`
}

const patient1 = `{"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "1"}}`

func TestRead(t *testing.T) {
	deep := strings.Repeat("[", 80) + strings.Repeat("]", 80)
	long := `{"resourceType": "Binary", "id": "9", "data": "` + strings.Repeat("A", 5000) + `"}`
	late := `{"id": "9", "text": {"div": "` + strings.Repeat("A\\\"", 9000) + `"}, "resourceType": "Patient"}`
	for name, c := range map[string]struct {
		in, want string
		err      *fault.Code
		path     string
	}{
		"transaction": {in: bundle("transaction", patient1, `{"resource": {"id": "2", "resourceType": "Encounter"}}`), want: "Bundle.entry[0].resource Patient/1 true\nBundle.entry[1].resource Encounter/2 true\n"},
		"batch":       {in: bundle("batch", patient1), want: "Bundle.entry[0].resource Patient/1 true\n"},
		"collection":  {in: "\ufeff" + bundle("collection", patient1), want: "Bundle.entry[0].resource Patient/1 true\n"},
		"searchset":   {in: bundle("searchset"), want: ""},
		"no entries":  {in: `{"resourceType": "Bundle", "type": "batch"}`, want: ""},
		"a deletion":  {in: bundle("batch", `{"request": {"method": "DELETE", "url": "Patient/1"}}`), want: "Bundle.entry[0] /\n"},
		"one":         {in: ` {"id": "1", "resourceType": "Patient", "x": [1, {"a": "}"}]} `, want: "Patient Patient/1 true\n"},
		"ndjson":      {in: "{\"resourceType\": \"Patient\", \"id\": \"1\"}\n{\"resourceType\":\"Practitioner\"}\n\n", want: "Patient Patient/1 true\n[1].Practitioner Practitioner/ true\n"},
		"two bundles": {in: bundle("batch", patient1) + bundle("batch", patient1), want: "Bundle.entry[0].resource Patient/1 true\n[1].Bundle.entry[0].resource Patient/1 true\n"},
		"a List":      {in: `{"resourceType": "List", "entry": [{}]}`, want: "List List/ true\n"},

		"no such type":    {in: bundle("batch", `{"resource": {"resourceType": "Patiant"}}`), want: "Bundle.entry[0].resource / !interop.unknown_type\n"},
		"no type":         {in: bundle("batch", `{"resource": {}}`), want: "Bundle.entry[0].resource / !interop.missing\n"},
		"DSTU2":           {in: bundle("batch", `{"resource": {"resourceType": "MedicationOrder"}}`), want: "Bundle.entry[0].resource MedicationOrder/ !interop.fhir_version\n"},
		"no object":       {in: bundle("batch", `7`, `{"resource": "x"}`), want: "Bundle.entry[0] / !interop.wrong_type\nBundle.entry[1].resource / !interop.wrong_type\n"},
		"no UTF-8":        {in: bundle("batch", "{\"resource\": {\"resourceType\": \"Patient\", \"id\": \"\xff\"}}"), want: "Bundle.entry[0].resource Patient/\ufffd !interop.json\n"},
		"large, unused":   {in: bundle("batch", `{"resource": `+long+`}`, patient1), want: "Bundle.entry[0].resource Binary/ !interop.resource_too_large\nBundle.entry[1].resource Patient/1 true\n"},
		"large, untyped":  {in: bundle("batch", `{"resource": `+late+`}`, patient1), want: "Bundle.entry[0].resource / !interop.resource_too_large\nBundle.entry[1].resource Patient/1 true\n"},
		"large, alone":    {in: late, want: "resource /9 !interop.resource_too_large\n"},
		"message":         {in: bundle("message", patient1), err: interop.ErrBundle, path: "Bundle.type"},
		"type of entries": {in: `{"resourceType": "Bundle", "entry": []}`, err: interop.ErrKeyOrder, path: "Bundle.entry"},
		"sorted keys":     {in: `{"entry": [` + patient1 + `], "resourceType": "Bundle", "type": "batch"}`, err: interop.ErrKeyOrder, path: "Bundle.entry"},
		"nothing":         {in: " \n", err: interop.ErrNotFHIR},
		"text":            {in: "姓名,电话", err: interop.ErrNotFHIR},
		"XML":             {in: "<Patient/>", err: interop.ErrXML},
		"another JSON":    {in: `{"a": 1}`, err: interop.ErrNotFHIR},
		"ends in entry":   {in: bundle("batch", patient1, patient1)[:220], want: "Bundle.entry[0].resource Patient/1 true\n", err: interop.ErrTruncated, path: "Bundle.entry[1]"},
		"ends in head":    {in: `{"resourceType": "Bun`, err: interop.ErrTruncated},
		"brackets":        {in: bundle("batch", `{"resource": {"a": [}]}`), err: interop.ErrJSON, path: "Bundle.entry[0]"},
		"commas":          {in: bundle("batch", `{"resource": {"a" 1}}`), err: interop.ErrJSON, path: "Bundle.entry[0]"},
		"entry no array":  {in: `{"resourceType": "Bundle", "type": "batch", "entry": {}}`, err: interop.ErrJSON, path: "Bundle.entry"},
		"after the end":   {in: bundle("batch") + "]", err: interop.ErrJSON, path: "[1]."},
		"deep":            {in: bundle("batch", patient1, `{"resource": {"resourceType": "Patient", "x": `+deep+`}}`), want: "Bundle.entry[0].resource Patient/1 true\n", err: interop.ErrDeep, path: "Bundle.entry[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in)), zipped(c.in)} {
				got, err := walk(r, Options{Resource: 2000})
				if c.want != got {
					t.Errorf("got\n%swant\n%s", got, c.want)
				}
				f := fault.Of(err)
				switch {
				case c.err == nil && err != nil:
					t.Error(err)
				case c.err == nil:
				case !errors.Is(err, c.err):
					t.Errorf("%v, want %v", err, c.err)
				case c.path != "" && (len(f.Details) == 0 || f.Details[0].Path != c.path):
					t.Errorf("path %v, want %s", f.Details, c.path)
				}
			}
		})
	}
}

func zipped(text string) *bytes.Buffer {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return &b
}

func TestGzip(t *testing.T) {
	whole := zipped(bundle("batch", patient1)).Bytes()
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1
	for name, in := range map[string][]byte{"cut": whole[:len(whole)-20], "header": whole[:5], "checksum": flipped} {
		if _, err := walk(bytes.NewReader(in), Options{}); !errors.Is(err, interop.ErrGzip) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bomb := zipped(bundle("batch", `{"resource": {"resourceType": "Patient", "x": "`+strings.Repeat(" ", 64<<20)+`"}}`))
	if _, err := walk(bomb, Options{}); !errors.Is(err, interop.ErrBomb) {
		t.Errorf("bomb: %v", err)
	}
	if _, err := walk(strings.NewReader(bundle("batch", patient1, patient1)), Options{Bytes: 100}); !errors.Is(err, interop.ErrBomb) {
		t.Errorf("limit: %v", err)
	}
}

// TestVisitorEnds: an error of the visitor is the reader's, and an error of the source too.
func TestVisitorEnds(t *testing.T) {
	mine := errors.New("mine")
	if _, err := Read(strings.NewReader(bundle("batch", patient1)), Options{}, func(Entry) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if _, err := Read(iotest.ErrReader(mine), Options{}, func(Entry) error { return nil }); !errors.Is(err, mine) {
		t.Error(err)
	}
}

// FuzzRead: whatever the bytes, reading ends, without a panic, and what is given is JSON.
func FuzzRead(f *testing.F) {
	f.Add([]byte(bundle("batch", patient1)))
	f.Add([]byte(`{"resourceType": "Patient", "a": "\u00e4\""}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _ = walk(bytes.NewReader(in), Options{Resource: 500, Depth: 8})
	})
}
