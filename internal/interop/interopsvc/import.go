package interopsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/interop/fhirfile"
	"xinglin/internal/interop/fhirmap"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
)

// notUsed is why most types are skipped today.
const notUsed fhirmap.Skipped = "not_used"

// noResource is an entry of a bundle that asks for something and brings nothing.
const noResource fhirmap.Skipped = "request"

// run is one import.
type run struct {
	*spool
	s      *Service
	tenant directory.TenantID
	dryRun bool
	rep    *reporter
	people []person
	file   string // that is being read
	number string // of it: references within a file come first

	departments map[departmentKey]directory.DepartmentID
}

// person waits for its batch.
type person struct {
	place place
	in    patient.Imported
}

// ImportFHIR implements interop.Service.
func (s *Service) ImportFHIR(ctx context.Context, in interop.ImportRequest) (interop.Report, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return interop.Report{}, err
	}
	if _, err := s.base.Authz.Check(ctx, authz.Request{Action: "interop.import_fhir", Noun: "Exchange", ID: id.ID[id.Any](who.Tenant).String()}); err != nil {
		return interop.Report{}, err
	}
	sp, err := newSpool()
	if err != nil {
		return interop.Report{}, err
	}
	defer sp.close()
	r := &run{spool: sp, s: s, tenant: who.Tenant, dryRun: in.DryRun, rep: newReporter(in.DryRun), departments: map[departmentKey]directory.DepartmentID{}}
	err = r.files(ctx, in)
	if err == nil {
		err = r.flush(ctx)
	}
	if err == nil {
		err = r.places(ctx)
	}
	rep := r.rep.close()
	if err == nil && rep.RefusedCount > 0 {
		err = interop.ErrRefused.New()
	}
	return rep, err
}

// files reads all files, once.
func (r *run) files(ctx context.Context, in interop.ImportRequest) error {
	for {
		name, file, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.file, r.number = name, fmt.Sprint(r.rep.Files)
		r.rep.Files++
		n, err := fhirfile.Read(file, r.s.limits, func(e fhirfile.Entry) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return r.entry(ctx, e)
		})
		r.rep.Bytes += n
		var broken *fault.Error
		switch {
		case errors.As(err, &broken) && broken.Code != interop.ErrTooMany && refusal(err):
			r.rep.refuse("", place{file: name}, err)
		case err != nil:
			return err
		}
	}
}

// entry takes one resource.
func (r *run) entry(ctx context.Context, e fhirfile.Entry) error {
	r.rep.Resources++
	used := false
	switch e.Type {
	case "Organization", "Location", "Practitioner", "PractitionerRole", "Patient":
		used = true
	}
	at := place{r.file, e.Path}
	switch {
	case errors.Is(e.Err, interop.ErrTooLarge) && !used && e.Type != "":
		r.rep.skip(e.Type, notUsed)
		return nil
	case e.Err != nil:
		r.refuse(kindOf(e.Type), at, e.Err)
		return nil
	case e.Type == "":
		r.rep.skip("", noResource)
		return nil
	case !used:
		r.rep.skip(e.Type, notUsed)
		return nil
	}
	src := fhirmap.Source{Type: e.Type, ID: e.ID, FullURL: e.FullURL, Raw: e.Raw}
	if e.Type == "Patient" {
		return r.person(ctx, at, src)
	}
	return r.spooled(at, src)
}

// kindOf is the type for the report; a resource without a type has a dash.
func kindOf(t string) string {
	if t == "" {
		return "-"
	}
	return t
}

func (r *run) refuse(kind string, at place, err error) { r.rep.refuse(kind, at, err) }

// spooled maps a resource of the directory and keeps it until all files are read.
func (r *run) spooled(at place, src fhirmap.Source) error {
	var v any
	var ids []directory.Identifier
	var skip fhirmap.Skipped
	var err error
	switch src.Type {
	case "Organization":
		var o fhirmap.Organization
		o, skip, err = fhirmap.ReadOrganization(src)
		v, ids = o, o.Identifiers
	case "Location":
		var l fhirmap.Location
		l, skip, err = fhirmap.ReadLocation(src)
		v, ids = l, l.Identifiers
	case "Practitioner":
		var p fhirmap.Practitioner
		p, skip, err = fhirmap.ReadPractitioner(src)
		v, ids = p, p.Identifiers
	default:
		v, skip, err = fhirmap.ReadRole(src)
	}
	if err != nil {
		r.refuse(src.Type, at, err)
	}
	if skip != "" {
		r.rep.skip(src.Type, skip)
	}
	fate := waiting
	switch {
	case err == nil && skip == fhirmap.PartOfPlace:
		fate = beside
	case err != nil, skip != "":
		fate = refused
	}
	n, again, err := r.remember(src.Type, at, ids, v, fate)
	if err != nil {
		return err
	}
	if errors.Is(again, interop.ErrTwice) {
		ids = nil // they are the other one's
	}
	r.addresses(n, src, ids)
	if again == nil {
		return nil
	}
	if errors.Is(again, errAgain) {
		r.rep.became(src.Type, directory.Same)
		return nil
	}
	r.refuse(src.Type, at, again)
	return nil
}

// errAgain: the same resource once more, as Synthea repeats them in each patient's file.
var errAgain = errors.New("the same once more")

// remember keeps a resource on disk, or finds that it was there. A useless one is kept
// too, so that who refers to it learns that it was refused.
func (r *run) remember(kind string, at place, ids []directory.Identifier, v any, fate state) (n int32, again, err error) {
	if n, err = r.add(kind, r.number, at, v); err != nil {
		return n, nil, err
	}
	if r.all[n].state = fate; fate != waiting {
		return n, nil, nil
	}
	digest := r.hash(fmt.Sprintf("%+v", content(v)))
	old, again := r.sight(kind, ids, sighting{digest, n})
	if again != nil {
		r.all[n].state = refused
		if errors.Is(again, errAgain) {
			return old, again, nil
		}
	}
	return n, again, nil
}

// content is a resource without the places of its references, which differ from file to file.
func content(v any) any {
	switch v := v.(type) {
	case fhirmap.Organization:
		v.PartOf = fhirmap.Ref{}
		return v
	case fhirmap.Location:
		v.Organization = fhirmap.Ref{}
		return v
	}
	return v
}

// sight notes identifiers: errAgain for the same content, interop.identifier_twice for other content.
func (r *run) sight(kind string, ids []directory.Identifier, s sighting) (first int32, again error) {
	first = -1
	for _, i := range ids {
		old, ok := r.seen[r.hash(kind, i.System, i.Value)]
		switch {
		case ok && old.print != s.print:
			return old.record, interop.ErrTwice.At("identifier", interop.ErrTwice.EN)
		case ok:
			first, again = old.record, errAgain
		}
	}
	if again == nil {
		for _, i := range ids {
			r.seen[r.hash(kind, i.System, i.Value)] = s
		}
	}
	return first, again
}

// addresses are the ways to refer to a resource: as its bundle calls it, by type and id
// within its file and among all, and by identifier.
func (r *run) addresses(n int32, src fhirmap.Source, ids []directory.Identifier) {
	if src.FullURL != "" {
		r.address(n, r.number, src.FullURL)
		r.address(n, "", src.FullURL)
	}
	if src.ID != "" {
		r.address(n, r.number, src.Type+"/"+src.ID)
		r.address(n, "", src.Type+"/"+src.ID)
	}
	for _, i := range ids {
		r.address(n, src.Type, i.System, i.Value)
	}
}

// person maps a Patient into the batch that is being filled.
func (r *run) person(ctx context.Context, at place, src fhirmap.Source) error {
	p, skip, err := fhirmap.ReadPatient(src)
	if err != nil {
		r.refuse(src.Type, at, err)
		return nil
	}
	if skip != "" {
		r.rep.skip(src.Type, skip)
		return nil
	}
	_, again := r.sight(src.Type, p.Identifiers, sighting{r.hash(string(p.Print[:])), -1})
	switch {
	case errors.Is(again, errAgain):
		r.rep.became(src.Type, directory.Same)
		return nil
	case again != nil:
		r.refuse(src.Type, at, again)
		return nil
	}
	r.people = append(r.people, person{at, p.In})
	if len(r.people) < patient.MaxImport {
		return r.room()
	}
	return r.flush(ctx)
}

// flush brings the waiting persons in.
func (r *run) flush(ctx context.Context) error {
	if len(r.people) == 0 {
		return nil
	}
	in := make([]patient.Imported, 0, len(r.people))
	for _, p := range r.people {
		in = append(in, p.in)
	}
	out, err := r.s.patients.Import(ctx, in, r.dryRun)
	if err != nil {
		return err
	}
	for i, v := range out {
		if v.Err != nil {
			r.refuse("Patient", r.people[i].place, v.Err)
			continue
		}
		r.rep.became("Patient", outcome(v.Outcome))
	}
	clear(r.people)
	r.people = r.people[:0]
	return nil
}

// follow finds what a reference means: a record of the files, or an entry that the
// directory knows by the identifier.
func (r *run) follow(ctx context.Context, ref fhirmap.Ref, from *record, nouns ...directory.Noun) (*record, id.ID[id.Any], error) {
	n, ok := int32(0), false
	if ref.Identifier.Value != "" {
		n, ok = r.lookUp(ref.Type, ref.Identifier.System, ref.Identifier.Value)
	} else {
		text, _, _ := strings.Cut(ref.Text, "/_history/")
		if n, ok = r.lookUp(from.number, text); !ok || n < 0 {
			n, ok = r.lookUp("", text)
		}
	}
	refuse := func(c *fault.Code) (*record, id.ID[id.Any], error) {
		return nil, id.ID[id.Any]{}, c.At(ref.Path, c.EN)
	}
	switch {
	case ok && n < 0:
		return refuse(interop.ErrAmbiguous)
	case ok && r.all[n].kind != ref.Type:
		return refuse(interop.ErrReference)
	case ok && r.all[n].state == refused:
		return refuse(interop.ErrRefusedPart)
	case ok:
		return &r.all[n], r.all[n].id, nil
	case ref.Identifier.Value == "":
		return refuse(interop.ErrReference)
	}
	for _, noun := range nouns {
		v, err := r.s.dir.Identified(ctx, r.tenant, noun, ref.Identifier)
		if err == nil {
			return nil, v, nil
		}
		if !errors.Is(err, directory.ErrNotFound) {
			return nil, v, err
		}
	}
	return refuse(interop.ErrReference)
}
