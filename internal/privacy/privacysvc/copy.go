package privacysvc

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/privacy"
)

const (
	partSize  = 512 << 10 // plain bytes of one sealed part
	maxParts  = 128
	copyWait  = privacy.CopyDays * 24 * time.Hour
	copyStyle = "xinglin.copy.v1"
)

// everything is what all contexts hold of the person.
func (s *Service) everything(ctx context.Context, of holdings.Subject) (out []holdings.Section, err error) {
	for _, h := range s.holders {
		some, err := h.Copy(ctx, of)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// makeCopy is the job that makes the file of a request. A repeat makes it anew.
func (s *Service) makeCopy(ctx context.Context, j requestJob) error {
	who, policy, err := s.may(ctx, "privacy.make_copy", "Request", j.Request.String())
	if err != nil {
		return err
	}
	r, err := s.store.request(ctx, who.Tenant, j.Request)
	if err != nil || r.state != privacy.Working || r.kind == privacy.Erase {
		return err
	}
	of, err := s.subject(ctx, who.Tenant, r.patient)
	if isGone(err) {
		return nil // erased meanwhile: the erasure ends the request
	}
	if err != nil {
		return err
	}
	if r.capacity == privacy.ByGuardian {
		of.Accounts = nil
	}
	sections, err := s.everything(ctx, of)
	if err != nil {
		return err
	}
	file, err := pack(r.kind, sections, s.now())
	if err != nil {
		return err
	}
	if len(file) > partSize*maxParts {
		return fmt.Errorf("privacy: a copy of %d bytes", len(file))
	}
	var parts []copyPart
	for piece := range slices.Chunk(file, partSize) {
		p := copyPart{id: id.New[id.Any](s.now())}
		if p.sealed, err = s.base.Crypt.Seal(ctx, partField(who.Tenant, r.patient, p.id), piece); err != nil {
			return err
		}
		parts = append(parts, p)
	}
	return s.store.ready(ctx, who.Tenant, r, parts, s.now().Add(copyWait), policy)
}

// copyPart is a piece of a file.
type copyPart struct {
	id     id.ID[id.Any]
	sealed []byte
}

func partField(t privacy.TenantID, p patient.ID, part id.ID[id.Any]) crypt.Field {
	return crypt.Field{Tenant: t, Person: id.As[id.Any](p), Table: "privacy.copy_part", Column: "sealed", Row: part.String()}
}

// take gives the file, once: a second time is privacy.copy_taken, and so is a file that waited for more than seven days.
func (s *Service) take(ctx context.Context, id privacy.RequestID) (requestRow, []byte, error) {
	d, r, err := s.own(ctx, "privacy.take_copy", id)
	if err != nil {
		return r, nil, err
	}
	switch r.state {
	case privacy.Ready:
	case privacy.Working, privacy.Open:
		return r, nil, privacy.ErrState.New()
	default:
		return r, nil, privacy.ErrTaken.New()
	}
	parts, err := s.store.take(ctx, d.who.Tenant, r, d.policy)
	if err != nil {
		return r, nil, err
	}
	var file []byte
	for _, p := range parts {
		piece, err := s.base.Crypt.Open(ctx, partField(d.who.Tenant, r.patient, p.id), p.sealed)
		if err != nil {
			return r, nil, err
		}
		file = append(file, piece...)
	}
	return r, file, nil
}

// manifest is the head of the machine-readable file.
type manifest struct {
	Format   string             `json:"format"`
	At       string             `json:"made_at"`
	Sections []holdings.Section `json:"sections,omitempty"`
}

// line is a row of the NDJSON form: one object a line, for another holder.
type line struct {
	Format  string         `json:"format"`
	Context string         `json:"context"`
	Table   string         `json:"table"`
	Row     map[string]any `json:"row"`
}

// pack makes the archive: data.ndjson for a transfer; data.json and a page that people read for a copy.
func pack(kind privacy.Kind, sections []holdings.Section, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, content []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now})
		if err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	}
	at := now.In(clock.Shanghai).Format(time.RFC3339)
	if kind == privacy.Transfer {
		var lines bytes.Buffer
		e := json.NewEncoder(&lines)
		for _, s := range sections {
			for _, r := range s.Rows {
				if err := e.Encode(line{copyStyle, s.Context, s.Table, r}); err != nil {
					return nil, err
				}
			}
		}
		if err := add("data.ndjson", lines.Bytes()); err != nil {
			return nil, err
		}
		err := z.Close()
		return b.Bytes(), err
	}
	data, err := json.MarshalIndent(manifest{copyStyle, at, sections}, "", "  ")
	if err != nil {
		return nil, err
	}
	page, err := readable(sections, at)
	if err != nil {
		return nil, err
	}
	if err := add("data.json", data); err != nil {
		return nil, err
	}
	if err := add("我的资料.html", page); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// readable is the page that people read: no script, nothing from elsewhere.
func readable(sections []holdings.Section, at string) ([]byte, error) {
	var b bytes.Buffer
	err := copyPage.Execute(&b, map[string]any{"At": at, "Sections": sections})
	return b.Bytes(), err
}

var copyPage = template.Must(template.New("copy").Parse(`<!doctype html>
<html lang="zh-CN"><meta charset="utf-8"><title>我的资料 · My data</title>
<style>body{font:16px/1.6 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}h2{margin-top:2rem}table{border-collapse:collapse;width:100%;margin:.5rem 0}
th{text-align:left;width:14rem;vertical-align:top;color:#555;font-weight:400}td,th{border-top:1px solid #ddd;padding:.3rem .5rem;overflow-wrap:anywhere}</style>
<h1>我的资料 · My data</h1><p>{{.At}}</p>
<p>本文件列出医院信息系统中保存的全部个人资料；密码、密钥和用于查找的加密索引不在其中。<br>
All that the hospital's system holds of the person. Passwords, keys and encrypted indexes are not in it.</p>
{{range .Sections}}<h2>{{.Title.ZH}} · {{.Title.EN}}</h2>
{{range .Rows}}<table>{{range $k, $v := .}}{{if $v}}<tr><th>{{$k}}</th><td>{{$v}}</td></tr>{{end}}{{end}}</table>{{end}}
{{if .More}}<p>仅列出前 5000 条 · The first 5,000 rows</p>{{end}}{{end}}</html>
`))
