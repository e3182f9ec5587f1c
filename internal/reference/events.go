package reference

import (
	"cmp"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/money"
)

// events lists the facts that contexts tell, with those who hear them.
func (r *renderer) events() string {
	var p page
	p.f("# Events\n\nFacts leave a context through its outbox and carry ids, codes, dates and amounts, never names, phones or text. The envelope\n" +
		"has the message id, the name, the tenant, the instant, the trace and the business number. A new field is added under the same\n" +
		"name; anything else is a new version.\n")
	for _, m := range r.Modules {
		if len(m.Events) == 0 {
			continue
		}
		p.f("\n## %s\n", m.Name)
		for _, e := range sortEvents(m.Events) {
			r.event(&p, e)
		}
	}
	return p.String()
}

func sortEvents(list []event.Event) []event.Event {
	return slices.SortedFunc(slices.Values(list), func(a, b event.Event) int { return strings.Compare(a.EventName(), b.EventName()) })
}

func (r *renderer) event(p *page, e event.Event) {
	t := reflect.TypeOf(e)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p.f("\n### %s\n\n", e.EventName())
	if doc, _ := r.src.typeDoc(folderOf(t), t.Name()); doc != "" {
		p.f("%s\n\n", doc)
	}
	p.f("Heard by: %s.\n\n", cmp.Or(strings.Join(r.hearers(e.EventName()), ", "), "nobody yet"))
	p.head("Field", "Type", "What")
	r.fields(p, t, "")
}

// hearers are the contexts with a handler of the event.
func (r *renderer) hearers(name string) (out []string) {
	for _, m := range r.Modules {
		if slices.Contains(m.Hears, name) {
			out = append(out, m.Name)
		}
	}
	return out
}

// folderOf is where a type of this module is declared.
func folderOf(t reflect.Type) string { return strings.TrimPrefix(t.PkgPath(), "xinglin/") }

// fields writes a row for each field as JSON shows it; embedded structs are flattened.
func (r *renderer) fields(p *page, t reflect.Type, under string) {
	_, docs := r.src.typeDoc(folderOf(t), t.Name())
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			r.fields(p, f.Type, under)
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		name = under + cmp.Or(name, f.Name)
		typ := r.wire(f.Type)
		if strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero") {
			typ += ", may be missing"
		}
		p.row(code(name), typ, docs[f.Name])
		if inner := f.Type; inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct && ours(inner.Elem()) {
			r.fields(p, inner.Elem(), name+"[].")
		} else if inner.Kind() == reflect.Struct && ours(inner) {
			r.fields(p, inner, name+".")
		}
	}
}

// ours reports whether a struct is one of a contract, whose fields are worth telling.
func ours(t reflect.Type) bool {
	return strings.HasPrefix(t.PkgPath(), "xinglin/internal/") && !strings.HasPrefix(t.PkgPath(), "xinglin/internal/kernel/")
}

// wire names a type as JSON shows it.
func (r *renderer) wire(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "instant, RFC 3339 UTC"
	case reflect.TypeFor[clock.Date]():
		return "date, YYYY-MM-DD"
	case reflect.TypeFor[money.Fen]():
		return "integer, fen"
	case reflect.TypeFor[time.Duration]():
		return "integer, nanoseconds"
	}
	if noun, ok := idNoun(t); ok {
		return "UUID of " + noun
	}
	switch t.Kind() {
	case reflect.Pointer:
		return r.wire(t.Elem()) + " or null"
	case reflect.Slice, reflect.Array:
		return "list of " + r.wire(t.Elem())
	case reflect.Map:
		return "object: " + r.wire(t.Key()) + " to " + r.wire(t.Elem())
	case reflect.Struct:
		return "object"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		v := r.src.values(folderOf(t), t.Name())
		if i := slices.Index(v, ""); i >= 0 {
			v[i] = "(empty)"
		}
		if len(v) > 0 {
			return "string: " + codes(v)
		}
		return "string"
	}
	if strings.Contains(t.Kind().String(), "int") {
		return "integer"
	}
	return t.Kind().String()
}

// idNoun reads the noun of id.ID[xinglin/internal/scheduling.Slot].
func idNoun(t reflect.Type) (string, bool) {
	if t.PkgPath() != "xinglin/internal/kernel/id" || !strings.HasPrefix(t.Name(), "ID[") {
		return "", false
	}
	noun := strings.TrimSuffix(strings.TrimPrefix(t.Name(), "ID["), "]")
	noun = path.Base(noun)
	if noun == "id.Any" {
		return "any noun", true
	}
	return noun, true
}
