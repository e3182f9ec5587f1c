package patientsvc

import (
	"context"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/blind"
	"xinglin/internal/platform/crypt"
)

// indexExternal is the purpose of the blind index of another system's identifier.
const indexExternal = "patient.identifier"

// incoming is a checked person of the records with its indexes. docs is empty when the
// records know no document.
type incoming struct {
	at      int // in the caller's list
	person  person
	known   bool // the records have a document
	doc     blind.Value
	docIx   blind.Pair // while it is compared with what is on file
	ext     []external
	profile secret.Text // JSON
}

// external is an identifier with its index.
type external struct {
	system string
	value  secret.Text
	key    blind.Value
	ix     blind.Pair // while it is compared with what is on file
}

// importing is one call of Import.
type importing struct {
	s      *Service
	tenant patient.TenantID
	policy string
	dryRun bool
	out    []patient.ImportResult
}

// Import implements patient.Service.
func (s *Service) Import(ctx context.Context, in []patient.Imported, dryRun bool) ([]patient.ImportResult, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.authz.Check(ctx, authz.Request{Action: "patient.import", Noun: "Patient"})
	if err != nil {
		return nil, err
	}
	if len(in) > patient.MaxImport {
		return nil, patient.ErrInvalid.Because("more than %d persons in a batch", patient.MaxImport)
	}
	i := &importing{s: s, tenant: who.Tenant, policy: d.Policy, dryRun: dryRun, out: make([]patient.ImportResult, len(in))}
	var round []incoming
	seen := map[string]bool{}
	for at, p := range in {
		v, err := i.check(at, p)
		if err != nil {
			if err := i.refuse(at, err); err != nil {
				return nil, err
			}
			continue
		}
		if v.meets(seen) { // the same identifier once more: after the others are in
			if err := i.together(ctx, round); err != nil {
				return nil, err
			}
			round, seen = nil, map[string]bool{}
			v.meets(seen)
		}
		round = append(round, v)
	}
	return i.out, i.together(ctx, round)
}

// refuse notes a refusal; what is none is the caller's error.
func (i *importing) refuse(at int, err error) error {
	if fault.Of(err) == nil {
		return err
	}
	i.out[at] = patient.ImportResult{Outcome: patient.ImportRefused, Err: err}
	return nil
}

// meets notes the person's indexes; true when one was there.
func (v incoming) meets(seen map[string]bool) (met bool) {
	all := []string{string(v.person.docType) + ":" + v.person.number.Reveal()}
	for _, e := range v.ext {
		all = append(all, "\x00"+e.system+"\x00"+e.value.Reveal())
	}
	for _, k := range all {
		met = met || seen[k]
	}
	for _, k := range all {
		seen[k] = true
	}
	return met
}

// check judges a person of the records and makes its indexes.
func (i *importing) check(at int, p patient.Imported) (incoming, error) {
	n, profile, err := checkImported(p, i.s.today())
	if err != nil {
		return incoming{}, err
	}
	v := incoming{at: at, person: n, known: p.DocumentType != "", profile: profile, doc: docKey(n)}
	for _, e := range p.External {
		v.ext = append(v.ext, external{
			system: e.System, value: e.Value, key: blind.Of(indexExternal, secret.New(e.System+"\x00"+e.Value.Reveal())),
		})
	}
	return v, nil
}

// together brings persons in that share no identifier: in one transaction, and if one is
// lost to somebody else again and again, each for itself.
func (i *importing) together(ctx context.Context, round []incoming) error {
	if len(round) == 0 {
		return nil
	}
	for range lostRaces {
		err := i.attempt(ctx, round)
		if !errors.Is(err, errLost) && !errors.Is(err, patient.ErrStale) {
			return err
		}
	}
	if len(round) == 1 {
		return i.refuse(round[0].at, patient.ErrStale.New())
	}
	for _, v := range round {
		if err := i.together(ctx, []incoming{v}); err != nil {
			return err
		}
	}
	return nil
}

// attempt looks, decides and writes once.
func (i *importing) attempt(ctx context.Context, round []incoming) error {
	file, err := i.s.store.onFile(ctx, i.tenant, round)
	if err != nil {
		return err
	}
	if err := i.s.crypt.Warm(ctx, i.tenant, file.keys()...); err != nil {
		return err
	}
	var deeds []deed
	var fresh []id.ID[id.Any]
	for _, v := range round {
		d, err := i.decide(ctx, v, file)
		if err != nil {
			if err := i.refuse(v.at, err); err != nil {
				return err
			}
			continue
		}
		i.out[v.at] = patient.ImportResult{ID: d.id, Outcome: d.outcome()}
		if d.outcome() == patient.ImportSame {
			continue
		}
		deeds = append(deeds, d)
		if d.made {
			fresh = append(fresh, id.As[id.Any](d.id))
		}
	}
	if i.dryRun || len(deeds) == 0 {
		return nil
	}
	if err := i.s.crypt.EnsurePersons(ctx, i.tenant, fresh); err != nil {
		return err
	}
	for n := range deeds {
		if err := i.seal(ctx, &deeds[n]); err != nil {
			return err
		}
	}
	defer i.s.bookers.InvalidateAll()
	err = i.s.store.importPersons(ctx, i.tenant, deeds, i.policy)
	if f := fault.Of(err); errors.Is(err, errLost) || f != nil && (f.Code.Kind == fault.Conflict || f.Code.Kind == fault.Stale) {
		for _, p := range fresh { // the rows certainly are not there: nobody needs the keys
			_ = i.s.crypt.Shred(ctx, i.tenant, p)
		}
	}
	return err
}

// seal makes the bytes of what is new, before the transaction.
func (i *importing) seal(ctx context.Context, d *deed) error {
	for _, f := range []struct {
		column string
		change bool
		text   secret.Text
		to     *[]byte
	}{
		{"name", d.made || d.has("name"), d.person.name, &d.row.name},
		{"number", d.made || d.has("document"), d.person.number, &d.row.number},
		{"phone", d.made || d.has("phone"), d.person.phone, &d.row.phone},
		{"profile", d.made || d.has("profile"), d.profile, &d.sealedProfile},
	} {
		if !f.change {
			continue
		}
		var err error
		if *f.to, err = i.s.crypt.SealText(ctx, field(i.tenant, d.id, f.column), f.text); err != nil {
			return err
		}
	}
	d.findable()
	for n := range d.fresh {
		e := &d.fresh[n]
		e.row = id.New[externalRow](i.s.clock.Now())
		f := crypt.Field{Tenant: i.tenant, Person: id.As[id.Any](d.id), Table: "identifier", Column: "value", Row: e.row.String()}
		var err error
		if e.sealed, err = i.s.crypt.SealText(ctx, f, e.value); err != nil {
			return err
		}
	}
	return nil
}

// findable makes the keys of what is new. Name and birth are those of the records, whichever of the two is new.
func (d *deed) findable() {
	all := keysOf(d.person)
	if d.made || d.has("name") || d.has("birth") {
		d.row.keys.name = all.name
	}
	if d.made || d.has("phone") {
		d.row.keys.phone = all.phone
	}
}
