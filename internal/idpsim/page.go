package idpsim

import (
	"html/template"
	"net/http"
	"strings"
)

// page is what a person sees who is to choose.
type page struct {
	Title, TitleEN, Text, TextEN string
	People                       []Person
	EN                           bool
}

// chosen is the person of the hint or of the form; without either it shows the page. Nobody's subject is empty: who declines.
func (s *Server) chosen(w http.ResponseWriter, r *http.Request, people []Person, p page) (Person, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	subject := r.URL.Query().Get("login_hint")
	if r.Method == http.MethodPost {
		if subject = r.PostFormValue("subject"); subject == "" {
			return Person{}, true
		}
	}
	if who, err := find(people, subject); err == nil {
		return who, true
	}
	p.People, p.EN = people, strings.HasPrefix(r.Header.Get("Accept-Language"), "en")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("X-Frame-Options", "DENY")
	_ = pages.Execute(w, p) // the reader has gone
	return Person{}, false
}

var pages = template.Must(template.New("").Parse(`<!doctype html>
<html lang="{{if .EN}}en{{else}}zh-CN{{end}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{if .EN}}{{.TitleEN}}{{else}}{{.Title}}{{end}}</title>
<style>
body{font:1.125rem/1.5 system-ui,"PingFang SC","Noto Sans CJK SC",sans-serif;margin:0;background:#eef1f5;color:#1c2430}
main{max-width:26rem;margin:6vh auto;padding:2rem;background:#fff;border-radius:12px}
h1{font-size:1.375rem;margin:0 0 .5rem} p{margin:0 0 1.5rem;color:#475060}
button{display:block;width:100%;min-height:60px;margin:0 0 .75rem;font:inherit;text-align:left;padding:0 1rem;border:1px solid #768a97;border-radius:8px;background:#fff;color:inherit;cursor:pointer}
button.no{border:0;text-align:center;color:#475060} button:focus-visible{outline:3px solid #ffbf00;box-shadow:0 0 0 5px #0b0c0c}
</style></head><body><main><h1>{{if .EN}}{{.TitleEN}}{{else}}{{.Title}}{{end}}</h1><p>{{if .EN}}{{.TextEN}}{{else}}{{.Text}}{{end}}</p>
<form method="post">{{range .People}}<button name="subject" value="{{.Subject}}">{{.Name}}</button>{{end}}
<button class="no" name="subject" value="">{{if .EN}}Cancel{{else}}取消{{end}}</button></form></main></body></html>`))
