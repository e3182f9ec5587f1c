package patientsvc

import (
	"context"
	"errors"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
)

// Service implements patient.Service.
type Service struct {
	clock      clock.Clock
	authz      *authz.Engine
	crypt      *crypt.Ring
	accounts   identity.Service
	verifier   Verifier
	store      store
	bookers    *bookers
	askBookers *askBookers
}

// Bounds. The tables' CHECKs hold those of persons, entries, tries and checks too: a
// hospital that wants other numbers changes both, with a migration.
const (
	maxPersons  = 10  // active links of an account
	maxEntries  = 20  // persons that an account enters a day: nobody tries out numbers
	maxTries    = 5   // codes shown for a claim
	maxCodes    = 5   // codes sent about a person within 24 hours
	maxVerifies = 5   // real-name checks of a person a day
	maxNames    = 200 // ids in one MaskedNames
	maxLinked   = 50
)

// indexDocument is the purpose of the blind index of (document type, number).
const indexDocument = "patient.document"

func (s *Service) today() clock.Date { return clock.DateOf(s.clock.Now()) }

// field is the place of a sealed value of a person, under the person's own key.
func field(t patient.TenantID, p patient.ID, column string) crypt.Field {
	return crypt.Field{Tenant: t, Person: id.As[id.Any](p), Table: "patient", Column: column, Row: p.String()}
}

// mine finds the person behind a link of the principal and asks the policies:
// patient.not_found for everybody who is not linked.
func (s *Service) mine(ctx context.Context, action string, p patient.ID) (who auth.Principal, v linked, policy string, err error) {
	if who, err = auth.From(ctx); err != nil {
		return who, v, "", err
	}
	if v, err = s.store.linked(ctx, who.Tenant, who.Account, p); err != nil {
		return who, v, "", err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: action, Noun: "Patient", ID: p.String(), Attrs: linkFacts(v)})
	return who, v, d.Policy, err
}

// open turns a row into what its family may see: patient.not_found when the key is destroyed.
func (s *Service) open(ctx context.Context, t patient.TenantID, v linked) (patient.Patient, error) {
	p := patient.Patient{
		ID: v.id, DocumentType: v.docType, Birth: v.birth, Sex: v.sex, Relationship: v.rel,
		Verified: v.verified, VerifiedAt: v.verifiedAt, Version: v.version,
	}
	for _, f := range []struct {
		column string
		sealed []byte
		to     *secret.Text
	}{{"name", v.name, &p.Name}, {"number", v.number, &p.Document}, {"phone", v.phone, &p.Phone}} {
		text, err := s.crypt.OpenText(ctx, field(t, v.id, f.column), f.sealed)
		if errors.Is(err, crypt.ErrShredded) {
			return patient.Patient{}, patient.ErrNotFound.Wrap(err)
		}
		if err != nil {
			return patient.Patient{}, err
		}
		*f.to = text
	}
	return p, nil
}

// reload reads the person again after a write.
func (s *Service) reload(ctx context.Context, t patient.TenantID, a accountID, p patient.ID) (patient.Patient, error) {
	v, err := s.store.linked(ctx, t, a, p)
	if err != nil {
		return patient.Patient{}, err
	}
	return s.open(ctx, t, v)
}

// MaskedNames implements patient.Service.
func (s *Service) MaskedNames(ctx context.Context, t patient.TenantID, ids []patient.ID) (map[patient.ID]string, error) {
	if len(ids) > maxNames {
		return nil, patient.ErrInvalid.Because("more than %d ids in a batch", maxNames)
	}
	out := make(map[patient.ID]string, len(ids))
	sealed, err := s.store.names(ctx, t, ids)
	if err != nil || len(sealed) == 0 {
		return out, err
	}
	persons := make([]id.ID[id.Any], 0, len(sealed))
	for p := range sealed {
		persons = append(persons, id.As[id.Any](p))
	}
	if err := s.crypt.Warm(ctx, t, persons...); err != nil {
		return nil, err
	}
	for p, b := range sealed {
		name, err := s.crypt.OpenText(ctx, field(t, p, "name"), b)
		if errors.Is(err, crypt.ErrShredded) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[p] = dataclass.Name.Mask(name)
	}
	return out, nil
}

// Person implements patient.Service.
func (s *Service) Person(ctx context.Context, p patient.ID) (patient.Person, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return patient.Person{}, err
	}
	if _, err := s.authz.Check(ctx, authz.Request{Action: "patient.reveal", Noun: "Patient", ID: p.String()}); err != nil {
		return patient.Person{}, err
	}
	v, err := s.store.patient(ctx, who.Tenant, p)
	if err != nil {
		return patient.Person{}, err
	}
	name, err := s.crypt.OpenText(ctx, field(who.Tenant, p, "name"), v.name)
	if errors.Is(err, crypt.ErrShredded) {
		return patient.Person{}, patient.ErrNotFound.Wrap(err)
	}
	return patient.Person{Name: name, Birth: v.birth, Sex: v.sex}, err
}

// Linked implements patient.Service.
func (s *Service) Linked(ctx context.Context, t patient.TenantID, a accountID) ([]patient.Link, error) {
	return s.store.links(ctx, t, a)
}
