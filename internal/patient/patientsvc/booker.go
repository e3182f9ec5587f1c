package patientsvc

import (
	"context"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/batch"
	"xinglin/internal/platform/crypt"
)

// Bookers are kept in the process for a moment: the screen before a booking reads them
// and the rush asks again. A link that another process ended holds for bookerTime here;
// one that this process ended is gone at once. What is not kept is read for many requests
// together.
const (
	bookersKept = 50000
	bookerTime  = 10 * time.Second
	bookersRead = 128 // requests of one read
)

type bookerKey struct {
	tenant  patient.TenantID
	session id.ID[auth.Session] // its rights
	account accountID
	person  patient.ID
}

// linkAsk asks for a person of an account's.
type linkAsk struct {
	account accountID
	person  patient.ID
}

// linkedName is the answer, with the name as lists show it.
type linkedName struct {
	linked
	masked string
}

type (
	bookers    = otter.Cache[bookerKey, patient.Booker]
	askBookers = batch.Combiner[patient.TenantID, linkAsk, linkedName]
)

func newBookers() *bookers {
	return otter.Must(&otter.Options[bookerKey, patient.Booker]{MaximumSize: bookersKept, ExpiryCalculator: otter.ExpiryWriting[bookerKey, patient.Booker](bookerTime)})
}

// Booker implements patient.Service.
func (s *Service) Booker(ctx context.Context, p patient.ID) (patient.Booker, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return patient.Booker{}, err
	}
	k := bookerKey{who.Tenant, who.Session, who.Account, p}
	if b, ok := s.bookers.GetIfPresent(k); ok {
		return b, nil
	}
	v, err := s.askBookers.Do(ctx, who.Tenant, uint64(p[15]), linkAsk{who.Account, p})
	if err != nil {
		return patient.Booker{}, err
	}
	_, err = s.authz.Check(ctx, authz.Request{Action: "patient.book", Noun: "Patient", ID: p.String(), Attrs: map[string]any{
		"linked": true, "relationship": string(v.rel),
	}})
	if err != nil {
		return patient.Booker{}, err
	}
	b := patient.Booker{ID: v.id, Birth: v.birth, Verified: v.verified, Masked: v.masked}
	s.bookers.Set(k, b)
	return b, nil
}

// readBookers is the work of the combiner: the links and the keys of the names in two reads at once, then the names. Who
// asks for a person that is not linked learns nothing of a key that was read.
func (s *Service) readBookers(ctx context.Context, t patient.TenantID, asks []linkAsk) ([]batch.Result[linkedName], error) {
	persons := make([]id.ID[id.Any], len(asks))
	for i, a := range asks {
		persons[i] = id.As[id.Any](a.person)
	}
	warm := make(chan error, 1)
	go func() { warm <- s.crypt.Warm(ctx, t, persons...) }()
	found, err := s.store.linkedMany(ctx, t, asks)
	if err := errors.Join(err, <-warm); err != nil {
		return nil, err
	}
	out := make([]batch.Result[linkedName], len(asks))
	for i, a := range asks {
		v, ok := found[a]
		if !ok {
			out[i].Err = patient.ErrNotFound.New()
			continue
		}
		out[i].Out.linked = v
		name, err := s.crypt.OpenText(ctx, field(t, v.id, "name"), v.name)
		switch {
		case err == nil:
			out[i].Out.masked = dataclass.Name.Mask(name)
		case !errors.Is(err, crypt.ErrShredded):
			out[i].Err = err
		}
	}
	return out, nil
}
