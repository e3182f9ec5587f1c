package patientsvc

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
)

// deskClaim is a claim as the desk sees it: enough to tell whose it is and to compare a document with, no more.
type deskClaim struct {
	listedClaim
	nameMasked     string
	documentMasked string
	phoneTail      string // last four figures of the claiming account's phone; empty without one
}

// claimMark is the place of a page in the list of open claims: those before it are shown, the latest first.
type claimMark struct {
	at time.Time
	id patient.ClaimID
}

func (m claimMark) String() string {
	return strconv.FormatInt(m.at.UnixMicro(), 10) + " " + m.id.String()
}

// readClaimMark reads the cursor of a page; empty begins with the latest. Code: patient.invalid.
func readClaimMark(cursor string, now time.Time) (claimMark, error) {
	if cursor == "" {
		return claimMark{at: now.Add(time.Hour)}, nil // beyond what another process's clock may be ahead
	}
	at, rest, _ := strings.Cut(cursor, " ")
	micros, err := strconv.ParseInt(at, 10, 64)
	m := claimMark{at: time.UnixMicro(micros)}
	if err == nil {
		m.id, err = id.Parse[patient.Claim](rest)
	}
	if err != nil {
		return m, patient.ErrInvalid.At("cursor", "not a cursor of this list")
	}
	return m, nil
}

// OpenClaims lists the claims that can still be proved, the latest first. For each person that is shown there is an audit
// row, and one for an empty page. Code: patient.invalid (a cursor that is not of this list).
func (s *Service) OpenClaims(ctx context.Context, p page.Request) (out page.Page[deskClaim], err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return out, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.list_claims", Noun: "Claim"})
	if err != nil {
		return out, err
	}
	before, err := readClaimMark(p.Cursor, s.clock.Now())
	if err != nil {
		return out, err
	}
	size := p.Size()
	found, err := s.store.openClaims(ctx, who.Tenant, before, s.clock.Now(), size+1)
	if err != nil {
		return out, err
	}
	if len(found) > size {
		found = found[:size]
		out.Next = claimMark{found[size-1].created, found[size-1].id}.String()
	}
	if out.Items, err = s.deskClaims(ctx, who.Tenant, found); err != nil {
		return page.Page[deskClaim]{}, err
	}
	return out, s.store.shown(ctx, who.Tenant, "patient.list_claims", personsOf(out.Items), "", d.Policy)
}

// ReadClaim shows one claim to the desk, whatever became of it; an open one whose time is over is ended. It is an audit
// row. Code: patient.not_found.
func (s *Service) ReadClaim(ctx context.Context, c patient.ClaimID) (deskClaim, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return deskClaim{}, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.read_claim", Noun: "Claim", ID: c.String()})
	if err != nil {
		return deskClaim{}, err
	}
	found, err := s.store.listedClaim(ctx, who.Tenant, c)
	if err != nil {
		return deskClaim{}, err
	}
	if found.state == claimOpen && found.expires.Before(s.clock.Now()) {
		found.state = claimEnded
	}
	seen, err := s.deskClaims(ctx, who.Tenant, []listedClaim{found})
	if err != nil {
		return deskClaim{}, err
	}
	if len(seen) == 0 {
		return deskClaim{}, patient.ErrNotFound.Because("the person's key was destroyed")
	}
	return seen[0], s.store.shown(ctx, who.Tenant, "patient.read_claim", personsOf(seen), "", d.Policy)
}

// deskClaims opens what the desk sees of claims; those of a person whose key was destroyed just now are left out.
func (s *Service) deskClaims(ctx context.Context, t patient.TenantID, found []listedClaim) ([]deskClaim, error) {
	persons := make([]id.ID[id.Any], 0, len(found))
	for _, v := range found {
		persons = append(persons, id.As[id.Any](v.patient))
	}
	if err := s.crypt.Warm(ctx, t, persons...); err != nil {
		return nil, err
	}
	out, tails := make([]deskClaim, 0, len(found)), map[accountID]string{}
	for _, v := range found {
		p, err := s.open(ctx, t, linked{row: v.person})
		if errors.Is(err, patient.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tail, known := tails[v.account]
		if !known {
			if tail, err = s.phoneTail(ctx, t, v.account); err != nil {
				return nil, err
			}
			tails[v.account] = tail
		}
		out = append(out, deskClaim{listedClaim: v, nameMasked: dataclass.Name.Mask(p.Name), documentMasked: dataclass.Number.Mask(p.Document), phoneTail: tail})
	}
	return out, nil
}

// phoneTail is by what somebody at the desk names the own account: the last four figures of its phone.
func (s *Service) phoneTail(ctx context.Context, t patient.TenantID, a accountID) (string, error) {
	phone, err := s.accounts.Phone(ctx, t, a)
	if errors.Is(err, identity.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return dataclass.LastFour(phone), nil
}

func personsOf(cs []deskClaim) []patient.ID {
	out := make([]patient.ID, 0, len(cs))
	for _, c := range cs {
		out = append(out, c.patient)
	}
	return out
}
