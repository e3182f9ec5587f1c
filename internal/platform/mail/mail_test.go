package mail

import (
	"errors"
	"testing"

	"xinglin/internal/kernel/secret"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		" Lin@Example.COM ":    "Lin@example.com",
		"a.b+c@mail.cn":        "a.b+c@mail.cn",
		"":                     "",
		"lin":                  "",
		"lin@localhost":        "",
		"lin@[127.0.0.1]":      "",
		"Lin <lin@e.cn>":       "",
		"a@b.cn,c@d.cn":        "",
		"a@b.cn\r\nBcc: c@d.e": "",
		`"a b"@c.cn`:           "",
		"林@例子.cn":              "",
	} {
		got, err := Address(text)
		if got != want || (want == "") != errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{URL: "smtp://u@mail.example:2525", From: "no-reply@hospital.example", Password: secret.New("x")}
	for name, tt := range map[string]struct {
		change func(*Options)
		ok     bool
	}{
		"good":                  {func(*Options) {}, true},
		"TLS from the start":    {func(o *Options) { o.URL = "smtps://mail.example" }, true},
		"no server":             {func(o *Options) { o.URL = "" }, false},
		"another scheme":        {func(o *Options) { o.URL = "http://mail.example" }, false},
		"a password in the URL": {func(o *Options) { o.URL = "smtp://u:secret@mail.example" }, false},
		"a path":                {func(o *Options) { o.URL = "smtp://mail.example/x" }, false},
		"no port":               {func(o *Options) { o.URL = "smtp://mail.example:99999" }, false},
		"no sender":             {func(o *Options) { o.From = "hospital" }, false},
	} {
		o := good
		tt.change(&o)
		if _, err := New(o); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
