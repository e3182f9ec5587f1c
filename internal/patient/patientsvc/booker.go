package patientsvc

import (
	"context"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
)

// Bookers are kept in the process for a moment: the screen before a booking reads them
// and the rush asks again. A link that another process ended holds for bookerTime here;
// one that this process ended is gone at once.
const (
	bookersKept = 50000
	bookerTime  = 10 * time.Second
)

type bookerKey struct {
	tenant  patient.TenantID
	session id.ID[auth.Session] // its rights
	account accountID
	person  patient.ID
}

type bookers = otter.Cache[bookerKey, patient.Booker]

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
	_, v, _, err := s.mine(ctx, "patient.book", p)
	if err != nil {
		return patient.Booker{}, err
	}
	b := patient.Booker{ID: v.id, Birth: v.birth, Verified: v.verified}
	name, err := s.crypt.OpenText(ctx, field(who.Tenant, v.id, "name"), v.name)
	switch {
	case err == nil:
		b.Masked = maskName(name.Reveal())
	case !errors.Is(err, crypt.ErrShredded):
		return patient.Booker{}, err
	}
	s.bookers.Set(k, b)
	return b, nil
}
