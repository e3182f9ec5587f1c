package rotagen

import (
	"bytes"
	"testing"

	"xinglin/internal/kernel/clock"
)

func TestDeterministic(t *testing.T) {
	o := Options{Seed: 7, From: clock.NewDate(2026, 1, 5), Rows: 500, Errors: true}
	var a, b, c bytes.Buffer
	for w, opt := range map[*bytes.Buffer]Options{&a: o, &b: o, &c: {Seed: 8, From: o.From, Rows: 500, Errors: true}} {
		planted, err := Write(w, opt)
		if err != nil || len(planted) != 7 {
			t.Fatal(err, planted)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("the same seed writes the same file, another one another")
	}
	if n := bytes.Count(a.Bytes(), []byte("\r\n")); n != 502 {
		t.Errorf("%d lines, want title, headings and 500 rows", n)
	}
	if !bytes.HasPrefix(a.Bytes(), []byte("\xef\xbb\xbf")) {
		t.Error("a spreadsheet's UTF-8 begins with a mark")
	}
}

func TestRefusals(t *testing.T) {
	for _, o := range []Options{{Rows: 10}, {From: 20000, Rows: -1}, {From: 20000, Rows: 20_001}, {From: 20000, Rows: 39, Errors: true}} {
		if _, err := Write(&bytes.Buffer{}, o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
	for _, rows := range []int{1, 40, 20_000} {
		var b bytes.Buffer
		if _, err := Write(&b, Options{From: 20458, Rows: rows, GBK: true}); err != nil || bytes.Count(b.Bytes(), []byte("\r\n")) != rows+2 {
			t.Errorf("%d rows: %v", rows, err)
		}
	}
}
