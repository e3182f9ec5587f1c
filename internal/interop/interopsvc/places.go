package interopsvc

import (
	"context"
	"errors"

	"xinglin/internal/directory"
	"xinglin/internal/interop"
	"xinglin/internal/interop/fhirmap"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

type departmentKey struct {
	campus directory.CampusID
	name   string
}

// batch gathers what the directory takes together.
type batch struct {
	r    *run
	in   []directory.Incoming
	recs []*record
	then func(rec *record, v directory.Taken)
	fail func(rec *record, err error)
}

// add puts an entry into the batch and sends a full one.
func (b *batch) add(ctx context.Context, rec *record, e directory.Incoming) error {
	b.in, b.recs = append(b.in, e), append(b.recs, rec)
	if len(b.in) < directory.MaxIncoming {
		return nil
	}
	return b.send(ctx)
}

func (b *batch) send(ctx context.Context) error {
	if len(b.in) == 0 {
		return nil
	}
	out, err := b.r.s.dir.Take(ctx, b.in, b.r.dryRun)
	if err != nil {
		return err
	}
	for i, v := range out {
		rec := b.recs[i]
		if v.Err != nil {
			rec.state = refused
			b.fail(rec, v.Err)
			continue
		}
		rec.id, rec.state = v.ID, directoryState(b.r.dryRun, v)
		b.then(rec, v)
	}
	b.in, b.recs = b.in[:0], b.recs[:0]
	return nil
}

// end sends what is left, when nothing went wrong before.
func (b *batch) end(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return b.send(ctx)
}

func (r *run) failed(rec *record, err error) { r.refuse(rec.kind, rec.place, err) }

// counted is what most batches do with an answer.
func (r *run) counted(rec *record, v directory.Taken) { r.rep.became(rec.kind, v.Outcome) }

// places brings in what the files say of institutions, places and people of care: what
// is referred to first.
func (r *run) places(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.institutions, r.campuses, r.hierarchy, r.roles} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for i := range r.all {
		if rec := &r.all[i]; rec.kind == "Practitioner" && rec.state == waiting {
			r.refuse(rec.kind, rec.place, interop.ErrNoRole.New())
		}
	}
	return nil
}

// refer notes the refusal of a record; what is none is the caller's error.
func (r *run) refer(rec *record, err error) error {
	if !refusal(err) {
		return err
	}
	rec.state = refused
	r.refuse(rec.kind, rec.place, err)
	return nil
}

// each visits the waiting records of a type.
func each[T any](r *run, kind string, visit func(rec *record, v T) error) error {
	for i := range r.all {
		rec := &r.all[i]
		if rec.kind != kind || rec.state != waiting {
			continue
		}
		var v T
		if err := r.load(rec, &v); err != nil {
			return err
		}
		if err := visit(rec, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) institutions(ctx context.Context) error {
	b := &batch{r: r, then: r.counted, fail: r.failed}
	err := each(r, "Organization", func(rec *record, o fhirmap.Organization) error {
		if o.Department {
			return nil
		}
		return b.add(ctx, rec, directory.Incoming{Identifiers: o.Identifiers, Organization: &directory.Organization{Name: o.Name}})
	})
	return b.end(ctx, err)
}

func (r *run) campuses(ctx context.Context) error {
	owner := map[*record]*record{}
	here := func(rec *record, v directory.Taken) {
		r.counted(rec, v)
		if o := owner[rec]; o != nil && o.campus.IsZero() {
			o.campus = v.ID
		}
	}
	same := map[*record]error{} // those whose name another campus has
	b := &batch{r: r, then: here, fail: func(rec *record, err error) {
		if errors.Is(err, directory.ErrNameTaken) {
			same[rec] = err
			return
		}
		r.failed(rec, err)
	}}
	err := each(r, "Location", func(rec *record, l fhirmap.Location) error {
		c := directory.Campus{Name: l.Name, Address: l.Address, Phone: l.Phone}
		if !l.Organization.None() {
			org, v, err := r.follow(ctx, l.Organization, rec, directory.NounOrganization)
			if err != nil {
				return r.refer(rec, err)
			}
			if org != nil && org.state == waiting { // of a department, which has no place of its own
				rec.state = beside
				r.rep.skip(rec.kind, fhirmap.PartOfPlace)
				return nil
			}
			c.Organization = id.As[auth.Organization](v)
			owner[rec] = org
		}
		return b.add(ctx, rec, directory.Incoming{Identifiers: l.Identifiers, Campus: &c})
	})
	if err := b.end(ctx, err); err != nil {
		return err
	}
	for i := range r.all { // in the order of the files
		rec := &r.all[i]
		if same[rec] == nil {
			continue
		}
		var l fhirmap.Location
		if err := r.load(rec, &l); err != nil {
			return err
		}
		c := directory.Campus{Name: l.Name, Address: l.Address, Phone: l.Phone}
		if o := owner[rec]; o != nil {
			c.Organization = id.As[auth.Organization](o.id)
		}
		v, err := r.campus(ctx, l.Identifiers, c, l.City)
		if err != nil {
			if err := r.refer(rec, err); err != nil {
				return err
			}
			continue
		}
		rec.id, rec.state = v.ID, directoryState(r.dryRun, v)
		here(rec, v)
	}
	return nil
}

// campus takes a campus. Chains give one name to many places: the second has its city
// behind the name, or its address.
func (r *run) campus(ctx context.Context, ids []directory.Identifier, c directory.Campus, city string) (v directory.Taken, err error) {
	name := c.Name
	for _, more := range []string{"", city, c.Address} {
		if more != "" {
			c.Name = name + "（" + more + "）"
		} else if c.Name != name {
			continue
		}
		v, err = r.one(ctx, directory.Incoming{Identifiers: ids, Campus: &c})
		if !errors.Is(err, directory.ErrNameTaken) {
			return v, err
		}
	}
	return v, err
}

// directoryState is what a record is after the directory took it.
func directoryState(dryRun bool, v directory.Taken) state {
	if dryRun && v.Outcome == directory.Created {
		return planned
	}
	return taken
}

// campusOf is where an institution's people work when nothing else is said: its first
// Location, else a campus of its own name.
func (r *run) campusOf(ctx context.Context, org *record, known id.ID[id.Any]) (directory.CampusID, error) {
	if org == nil { // only the directory knows it
		all, err := r.s.dir.Campuses(ctx, r.tenant)
		if err != nil {
			return directory.CampusID{}, err
		}
		for _, c := range all {
			if id.As[id.Any](c.Organization) == known {
				return c.ID, nil
			}
		}
		return directory.CampusID{}, interop.ErrReference.At("organization", interop.ErrReference.EN)
	}
	if org.campus.IsZero() {
		var o fhirmap.Organization
		if err := r.load(org, &o); err != nil {
			return directory.CampusID{}, err
		}
		v, err := r.campus(ctx, o.Identifiers, directory.Campus{
			Organization: id.As[auth.Organization](org.id), Name: o.Name, Address: o.Address, Phone: o.Phone,
		}, o.City)
		if err != nil {
			return directory.CampusID{}, err
		}
		org.campus = v.ID
	}
	return id.As[directory.Campus](org.campus), nil
}

// one takes a single entry.
func (r *run) one(ctx context.Context, e directory.Incoming) (directory.Taken, error) {
	out, err := r.s.dir.Take(ctx, []directory.Incoming{e}, r.dryRun)
	if err != nil {
		return directory.Taken{}, err
	}
	return out[0], out[0].Err
}

// maxLevels bounds the hierarchy of departments below an institution.
const maxLevels = 8

// hierarchy brings in Organizations that are departments. A department below another one
// stands beside it on its campus.
func (r *run) hierarchy(ctx context.Context) error {
	return each(r, "Organization", func(rec *record, o fhirmap.Organization) error {
		top, v, err := r.top(ctx, rec, o)
		if err != nil {
			return r.refer(rec, err)
		}
		campus, err := r.campusOf(ctx, top, v)
		if err != nil {
			return r.refer(rec, err)
		}
		got, err := r.one(ctx, directory.Incoming{Identifiers: o.Identifiers, Department: &directory.Department{Campus: campus, Name: o.Name}})
		if err != nil {
			return r.refer(rec, err)
		}
		rec.id, rec.campus, rec.state = got.ID, id.As[id.Any](campus), taken
		r.departments[departmentKey{campus, o.Name}] = id.As[directory.Department](got.ID)
		r.counted(rec, got)
		return nil
	})
}

// top is the institution above a department.
func (r *run) top(ctx context.Context, rec *record, o fhirmap.Organization) (*record, id.ID[id.Any], error) {
	for range maxLevels {
		up, v, err := r.follow(ctx, o.PartOf, rec, directory.NounOrganization)
		if err != nil || up == nil {
			return nil, v, err
		}
		var next fhirmap.Organization
		if err := r.load(up, &next); err != nil {
			return nil, v, err
		}
		if !next.Department {
			return up, v, nil
		}
		rec, o = up, next
	}
	return nil, id.ID[id.Any]{}, interop.ErrReference.At("partOf", "no institution above it")
}

// roles brings in who works where. The first role of a practitioner says title and
// specialty; the others add places of work.
func (r *run) roles(ctx context.Context) error {
	w := &working{run: r, by: map[*record]*record{}, described: map[*record]bool{}, open: map[*record]bool{}}
	w.batch = batch{r: r, then: w.done, fail: w.failed}
	err := each(r, "PractitionerRole", func(rec *record, v fhirmap.Role) error {
		if err := w.role(ctx, rec, v); err != nil {
			return r.refer(rec, err)
		}
		return nil
	})
	return w.batch.end(ctx, err)
}

// working are the roles on their way in.
type working struct {
	*run
	batch     batch
	by        map[*record]*record // the practitioner of a role
	described map[*record]bool    // practitioners who came with name and title
	open      map[*record]bool    // those of the batch that is being filled
}

func (w *working) role(ctx context.Context, rec *record, v fhirmap.Role) error {
	who, _, err := w.follow(ctx, v.Practitioner, rec, directory.NounPractitioner)
	if err != nil {
		return err
	}
	departments, err := w.workplaces(ctx, rec, v)
	if err != nil {
		return err
	}
	if who != nil && w.open[who] { // what became of this practitioner is not known yet
		if err := w.batch.send(ctx); err != nil {
			return err
		}
		if who.state == refused {
			return interop.ErrRefusedPart.At(v.Practitioner.Path, interop.ErrRefusedPart.EN)
		}
	}
	// Further places of one role go in first and are not counted; the last one is the role's answer.
	for n, d := range departments {
		e := directory.Incoming{Identifiers: []directory.Identifier{v.Practitioner.Identifier}, Practitioner: &directory.Practitioner{Department: d}}
		if who != nil {
			var p fhirmap.Practitioner
			if err := w.load(who, &p); err != nil {
				return err
			}
			e.Identifiers = p.Identifiers
			if !w.described[who] {
				e.Practitioner = &directory.Practitioner{Licence: p.Licence, Name: p.Name, Title: v.Title, Specialty: v.Specialty, Department: d}
			} else if who.state == planned { // of a dry run: there is nothing to compare with
				w.rep.became(rec.kind, directory.Created)
				rec.state = taken
				return nil
			}
		}
		if n == len(departments)-1 {
			w.by[rec] = who
			if who != nil {
				w.open[who] = true
			}
			return w.batch.add(ctx, rec, e)
		}
		got, err := w.one(ctx, e)
		if err != nil {
			return err
		}
		w.met(who, got)
	}
	return nil
}

// met counts a practitioner at the first role.
func (w *working) met(who *record, v directory.Taken) {
	if who == nil || w.described[who] {
		return
	}
	w.described[who] = true
	who.id, who.state = v.ID, directoryState(w.dryRun, v)
	w.rep.became(who.kind, v.Outcome)
}

func (w *working) done(rec *record, v directory.Taken) {
	w.met(w.by[rec], v)
	w.rep.became(rec.kind, v.Place)
	w.close(rec)
}

// failed is a role that the directory refused: because of the practitioner, who came with
// it, or of the place.
func (w *working) failed(rec *record, err error) {
	who := w.by[rec]
	w.close(rec)
	if path, _ := fhirmap.Where(err); who == nil || w.described[who] || path == "department" {
		w.refuse(rec.kind, rec.place, err)
		return
	}
	who.state = refused
	w.refuse(who.kind, who.place, err)
	w.refuse(rec.kind, rec.place, interop.ErrRefusedPart.At("practitioner", interop.ErrRefusedPart.EN))
}

func (w *working) close(rec *record) {
	delete(w.open, w.by[rec])
	delete(w.by, rec)
}

// workplaces are the departments of a role: of each Location that it names, else of its
// Organization, which may be a department itself.
func (w *working) workplaces(ctx context.Context, rec *record, v fhirmap.Role) (out []directory.DepartmentID, err error) {
	for _, l := range v.Locations {
		place, campus, err := w.follow(ctx, l, rec, directory.NounCampus)
		if err != nil {
			return nil, err
		}
		if place != nil && place.state == beside { // a room or ward: the institution says where
			continue
		}
		d, err := w.department(ctx, id.As[directory.Campus](campus), v)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if v.Organization.None() {
		if len(out) == 0 {
			err = interop.ErrRefusedPart.At("location", interop.ErrRefusedPart.EN)
		}
		return out, err
	}
	if d, ok, err := w.knownDepartment(ctx, v.Organization); ok || err != nil {
		return []directory.DepartmentID{d}, err
	}
	org, known, err := w.follow(ctx, v.Organization, rec, directory.NounOrganization)
	switch {
	case err != nil:
		return nil, err
	case org != nil && w.isDepartment(org):
		return []directory.DepartmentID{id.As[directory.Department](org.id)}, nil
	case len(out) > 0:
		return out, nil
	}
	campus, err := w.campusOf(ctx, org, known)
	if err != nil {
		return nil, err
	}
	d, err := w.department(ctx, campus, v)
	return []directory.DepartmentID{d}, err
}

// knownDepartment finds a department of an earlier import that the files do not have.
func (w *working) knownDepartment(ctx context.Context, ref fhirmap.Ref) (d directory.DepartmentID, ok bool, err error) {
	if ref.Identifier.Value == "" {
		return d, false, nil
	}
	if _, here := w.lookUp(ref.Type, ref.Identifier.System, ref.Identifier.Value); here {
		return d, false, nil
	}
	v, err := w.s.dir.Identified(ctx, w.tenant, directory.NounDepartment, ref.Identifier)
	if errors.Is(err, directory.ErrNotFound) {
		return d, false, nil
	}
	return id.As[directory.Department](v), err == nil, err
}

func (r *run) isDepartment(org *record) bool {
	var o fhirmap.Organization
	return r.load(org, &o) == nil && o.Department
}

// department finds or makes the department of this name on the campus.
func (r *run) department(ctx context.Context, campus directory.CampusID, role fhirmap.Role) (directory.DepartmentID, error) {
	name := role.Department
	if name == "" {
		return directory.DepartmentID{}, interop.ErrMissing.At("specialty", interop.ErrMissing.EN)
	}
	k := departmentKey{campus, name}
	if d, ok := r.departments[k]; ok {
		return d, nil
	}
	v, err := r.one(ctx, directory.Incoming{Department: &directory.Department{Campus: campus, Name: name}})
	if err != nil {
		return directory.DepartmentID{}, err
	}
	r.departments[k] = id.As[directory.Department](v.ID)
	return r.departments[k], nil
}
