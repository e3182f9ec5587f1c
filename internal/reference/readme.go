package reference

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// The marks around the generated part of a README.
const (
	openMark  = "<!-- generated -->"
	closeMark = "<!-- /generated -->"
)

// readmes adds the README of each context to out, its generated part renewed.
func (r *renderer) readmes(out map[string][]byte) error {
	for _, c := range r.Contexts {
		name := "internal/" + c.Name + "/README.md"
		old, err := fs.ReadFile(r.Root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reference: %w", err)
		}
		text := string(old)
		if text == "" {
			text = "# " + c.Name + "\n\n" + r.src.packageDoc("internal/"+c.Name) + "\n"
		}
		before, rest, ok := strings.Cut(text, openMark)
		if !ok {
			before, rest = strings.TrimRight(text, "\n")+"\n\n", closeMark+"\n"
		}
		_, after, ok := strings.Cut(rest, closeMark)
		if !ok {
			return fmt.Errorf("reference: %s: %s without %s", name, openMark, closeMark)
		}
		out[name] = []byte(before + openMark + "\n\n" + r.block(c.Name) + "\n" + closeMark + after)
	}
	return nil
}

// block is what a README tells about routes, events, tables and codes.
func (r *renderer) block(name string) string {
	var p page
	p.section("Routes", func(p *page) { p.routes(r.Ops, name) })
	for _, m := range r.Modules {
		if m.Name != name {
			continue
		}
		if len(m.Events) > 0 {
			p.section("Events", func(p *page) {
				for _, e := range sortEvents(m.Events) {
					p.f("- %s", code(e.EventName()))
					if by := r.hearers(e.EventName()); len(by) > 0 {
						p.f(", heard by %s", strings.Join(by, ", "))
					}
					p.f("\n")
				}
			})
		}
		if list := r.tables[name]; len(list) > 0 {
			p.section("Tables", func(p *page) {
				for _, t := range list {
					p.f("- %s\n", t.line())
				}
			})
		}
	}
	p.section("Codes", func(p *page) { p.codes(r.Codes, name) })
	return strings.TrimRight(p.String(), "\n") + "\n"
}

// section writes a headline and a part; a part with nothing but a table's head is left out.
func (p *page) section(title string, write func(*page)) {
	var part page
	write(&part)
	if strings.Count(part.String(), "\n") <= 2 && strings.Contains(part.String(), "|---|") {
		return
	}
	p.f("## %s\n\n%s\n", title, part.String())
}
