package patientsvc

import (
	"context"
	"errors"
	"slices"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
)

// externalRow is the noun of identifier rows.
type externalRow struct{}

// deed is what is to be done about one person of the records.
type deed struct {
	incoming
	id            patient.ID
	made          bool
	changed       []string
	version       int64 // that was looked at
	row           row   // sealed fields that are new
	sealedProfile []byte
	fresh         []freshExternal
}

// freshExternal is an identifier that is not there yet.
type freshExternal struct {
	external
	row    id.ID[externalRow]
	sealed []byte
}

func (d deed) has(field string) bool { return slices.Contains(d.changed, field) }

func (d deed) outcome() patient.Outcome {
	switch {
	case d.made:
		return patient.ImportCreated
	case len(d.changed) > 0:
		return patient.ImportChanged
	}
	return patient.ImportSame
}

// found is one person on file as the import sees it.
type found struct {
	row
	profile []byte
	claimed bool // an account acts for the person, or did
}

// filed are the persons on file that a round may mean.
type filed struct {
	external map[string]patient.ID // by index of the identifier
	document map[string]patient.ID // by type and index of the document
	persons  map[patient.ID]found
}

func (f filed) keys() (out []id.ID[id.Any]) {
	for p := range f.persons {
		out = append(out, id.As[id.Any](p))
	}
	return out
}

// meant finds the person on file; zero when there is none.
func (f filed) meant(v incoming) (p patient.ID, byDocument bool, err error) {
	for _, e := range v.ext {
		for _, b := range e.ix.Both() {
			q, ok := f.external[string(b)]
			if ok && !p.IsZero() && p != q {
				return p, false, patient.ErrIdentifier.At("identifier", "two persons on file carry the identifiers of this one")
			}
			if ok {
				p = q
			}
		}
	}
	for _, b := range v.docIx.Both() {
		q, ok := f.document[string(v.person.docType)+string(b)]
		if ok && !p.IsZero() && p != q {
			return p, false, patient.ErrIdentifier.At("identifier", "the document belongs to another person on file")
		}
		if ok && p.IsZero() {
			p, byDocument = q, true
		}
	}
	return p, byDocument, nil
}

// decide says what is to be done about a person.
func (i *importing) decide(ctx context.Context, v incoming, file filed) (deed, error) {
	d := deed{incoming: v}
	p, byDocument, err := file.meant(v)
	if err != nil {
		return d, err
	}
	for _, e := range v.ext {
		here := false
		for _, b := range e.ix.Both() {
			_, ok := file.external[string(b)]
			here = here || ok
		}
		if !here {
			d.fresh = append(d.fresh, freshExternal{external: e})
		}
	}
	if p.IsZero() {
		d.id, d.made = id.New[patient.Patient](i.s.clock.Now()), true
		d.row = row{id: d.id, docType: v.person.docType, birth: v.person.birth, sex: v.person.sex, doc: v.doc}
		return d, nil
	}
	was := file.persons[p]
	d.id, d.version = p, was.version
	known, err := i.open(ctx, was)
	if err != nil {
		return d, err
	}
	return d, d.compare(known, was, byDocument)
}

// opened are the sealed fields of a person on file.
type opened struct{ name, number, phone, profile secret.Text }

func (i *importing) open(ctx context.Context, was found) (o opened, err error) {
	for _, f := range []struct {
		column string
		sealed []byte
		to     *secret.Text
	}{{"name", was.name, &o.name}, {"number", was.number, &o.number}, {"phone", was.phone, &o.phone}, {"profile", was.profile, &o.profile}} {
		*f.to, err = i.s.crypt.OpenText(ctx, field(i.tenant, was.id, f.column), f.sealed)
		if errors.Is(err, crypt.ErrShredded) {
			return o, errLost // just now: the row will have forgotten its document
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// rank orders document types by how surely they name one person for life.
func rank(t patient.DocumentType) int {
	switch t {
	case patient.ResidentID, patient.HMTResidence, patient.ForeignPR:
		return 3
	case patient.Internal:
		return 1
	}
	return 2
}

// compare lists what is new about a person on file, or refuses who is somebody else.
func (d *deed) compare(known opened, was found, byDocument bool) error {
	p := d.person
	name, birth := known.name.Equal(p.name), was.birth == p.birth
	if !name && !birth || byDocument && (!name || !birth) {
		return patient.ErrAnother.At("identifier", "name or birth date are another person's")
	}
	document := false
	if d.known {
		same := was.docType == p.docType
		switch {
		case same && known.number.Equal(p.number):
		case same && rank(p.docType) == 3:
			return patient.ErrAnother.At("identifier", "another number of the same document")
		case same, rank(p.docType) > rank(was.docType):
			document = true
		}
	}
	if was.verified == patient.Matched && (!name || !birth || document) {
		return patient.ErrVerifiedDiffers.New()
	}
	add := func(field string, differs bool) {
		if differs {
			d.changed = append(d.changed, field)
		}
	}
	add("name", !name)
	add("birth", !birth)
	add("document", document)
	add("sex", p.sex != "unknown" && p.sex != was.sex)
	add("phone", !p.phone.Empty() && !was.claimed && !known.phone.Equal(p.phone))
	add("profile", !known.profile.Equal(d.profile))
	add("identifier", len(d.fresh) > 0)
	return nil
}
