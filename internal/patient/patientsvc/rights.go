package patientsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
)

// Care implements patient.Service.
func (s *Service) Care(ctx context.Context, t patient.TenantID, p patient.ID) (patient.Care, error) {
	r, err := s.store.patient(ctx, t, p)
	if err != nil {
		return patient.Care{}, err
	}
	out := patient.Care{Child: r.birth.Age(s.today()) < childAge}
	out.Carers, err = s.store.carers(ctx, t, p, out.Child)
	return out, err
}

// Identify implements patient.Service.
func (s *Service) Identify(ctx context.Context, p patient.ID) (patient.Identity, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return patient.Identity{}, err
	}
	if _, err := s.authz.Check(ctx, authz.Request{Action: "patient.identify", Noun: "Patient", ID: p.String()}); err != nil {
		return patient.Identity{}, err
	}
	r, err := s.store.patient(ctx, who.Tenant, p)
	if err != nil {
		return patient.Identity{}, err
	}
	out := patient.Identity{DocumentType: r.docType, Birth: r.birth, Sex: r.sex}
	for column, f := range map[string]struct {
		sealed []byte
		to     *secret.Text
	}{"name": {r.name, &out.Name}, "number": {r.number, &out.Document}} {
		*f.to, err = s.crypt.OpenText(ctx, field(who.Tenant, p, column), f.sealed)
		if errors.Is(err, crypt.ErrShredded) {
			return patient.Identity{}, patient.ErrNotFound.Wrap(err)
		}
		if err != nil {
			return patient.Identity{}, err
		}
	}
	return out, nil
}

// Correct implements patient.Service.
func (s *Service) Correct(ctx context.Context, p patient.ID, c patient.Correction) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.correct", Noun: "Patient", ID: p.String()})
	if err != nil {
		return err
	}
	is, err := s.Identify(ctx, p)
	if err != nil {
		return err
	}
	var fields []string
	e := entry{docType: is.DocumentType, number: is.Document.Reveal(), name: is.Name.Reveal(), birth: &is.Birth, sex: is.Sex, rel: patient.Child, consent: true}
	if c.Name != nil {
		e.name, fields = c.Name.Reveal(), append(fields, "name")
	}
	if c.Birth != nil {
		e.birth, fields = c.Birth, append(fields, "birth")
	}
	if c.Sex != nil {
		e.sex, fields = *c.Sex, append(fields, "sex")
	}
	if len(fields) == 0 {
		return patient.ErrInvalid.At("name", "nothing to correct")
	}
	n, err := check(e, s.today())
	if err != nil {
		return err
	}
	u := correction{patient: p, keys: searchKeys{name: keysOf(n).name}, birth: n.birth, sex: n.sex, fields: fields, policy: d.Policy}
	if u.name, err = s.crypt.SealText(ctx, field(who.Tenant, p, "name"), n.name); err != nil {
		return err
	}
	defer s.bookers.InvalidateAll()
	return s.store.correct(ctx, who.Tenant, u)
}
