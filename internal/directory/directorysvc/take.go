package directorysvc

import (
	"context"
	"unicode/utf8"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// Bounds of what another system may call an entry.
const (
	maxIdentifiers = 20
	maxText        = 500 // letters of a name, an address, a value
)

// Take implements directory.Service. The entries go into one transaction; when one of
// them is refused there, each gets a transaction of its own.
func (s *Service) Take(ctx context.Context, in []directory.Incoming, dryRun bool) ([]directory.Taken, error) {
	who, d, err := s.may(ctx, "directory.take")
	if err != nil {
		return nil, err
	}
	if len(in) > directory.MaxIncoming {
		return nil, directory.ErrInvalid.Because("more than %d entries in a batch", directory.MaxIncoming)
	}
	out := make([]directory.Taken, len(in))
	var good []int
	for i, e := range in {
		if err := checkIncoming(e); err != nil {
			out[i] = directory.Taken{Outcome: directory.Refused, Err: err}
			continue
		}
		good = append(good, i)
	}
	job := taking{policy: d.Policy, dryRun: dryRun}
	if err := s.store.take(ctx, s.base.DB, who.Tenant, job, in, good, out); err == nil || fault.Of(err) == nil {
		return out, err
	}
	for _, i := range good {
		err := s.store.take(ctx, s.base.DB, who.Tenant, job, in, []int{i}, out)
		if k := fault.KindOf(err); k == fault.Conflict || k == fault.Stale { // another import at once may have made the same entry: look again
			err = s.store.take(ctx, s.base.DB, who.Tenant, job, in, []int{i}, out)
		}
		switch {
		case err == nil:
		case fault.Of(err) != nil:
			out[i] = directory.Taken{Outcome: directory.Refused, Err: err}
		default:
			return out, err
		}
	}
	return out, nil
}

// Identified implements directory.Service.
func (s *Service) Identified(ctx context.Context, t directory.TenantID, n directory.Noun, i directory.Identifier) (id.ID[id.Any], error) {
	return s.store.identified(ctx, s.base.DB, t, n, i)
}

// checkIncoming judges the form of an entry. The details name fields, never values.
func checkIncoming(e directory.Incoming) error {
	var ds []fault.Detail
	need := func(path string, ok bool) {
		if !ok {
			ds = append(ds, fault.Detail{Path: path, Code: directory.ErrInvalid.Name, Message: "missing, or too long"})
		}
	}
	text := func(path, v string, needed bool) {
		need(path, (v != "" || !needed) && utf8.RuneCountInString(v) <= maxText && utf8.ValidString(v))
	}
	for _, i := range e.Identifiers {
		text("identifier", i.Value, true)
		text("identifier", i.System, false)
	}
	need("identifier", len(e.Identifiers) <= maxIdentifiers && (len(e.Identifiers) > 0 || e.Department != nil))
	n := 0
	if o := e.Organization; o != nil {
		n++
		text("name", o.Name, true)
		text("name", o.NameEN, false)
	}
	if c := e.Campus; c != nil {
		n++
		text("name", c.Name, true)
		text("address", c.Address, false)
		text("telecom", c.Phone, false)
	}
	if d := e.Department; d != nil {
		n++
		text("name", d.Name, true)
		need("campus", !d.Campus.IsZero())
	}
	if p := e.Practitioner; p != nil {
		n++
		text("name", p.Name, false)
		text("title", p.Title, false)
		text("specialty", p.Specialty, false)
		text("identifier", p.Licence, p.Name != "")
		need("department", !p.Department.IsZero())
	}
	need("entry", n == 1)
	if len(ds) > 0 {
		return directory.ErrInvalid.With(ds...)
	}
	return nil
}
