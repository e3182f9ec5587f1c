package tenantsvc

import (
	"context"
	"strings"
	"unicode/utf8"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/settings"
	"xinglin/internal/tenant"
)

// Bounds of the history.
const (
	maxStaged  = 20
	maxBundles = 200
	maxWhy     = 500
)

// Stage checks a bundle and keeps it for another person to apply. The same bundle again is the one that waits. Refusals: those of
// its text and signatures, settings.refused, tenant.stale_base with what would be undone.
func (s *Service) Stage(ctx context.Context, raw []byte) (Bundle, []settings.Change, error) {
	who, d, err := s.may(ctx, "tenant.stage_bundle", id.ID[Bundle]{})
	if err != nil {
		return Bundle{}, nil, err
	}
	c, err := s.check(ctx, who, raw)
	if err != nil {
		return Bundle{}, nil, err
	}
	if c.Stale {
		return Bundle{}, c.Diff, stale(c.Diff)
	}
	digest, err := c.File.Bundle.Sections.Digest()
	if err != nil {
		return Bundle{}, nil, err
	}
	b := Bundle{ID: id.New[Bundle](s.clock.Now()), State: Staged, Digest: digest, File: c.File, StagedBy: who.Actor(), StagedAt: s.clock.Now()}
	b, err = s.store.stage(ctx, who.Tenant, b, d.Policy)
	return b, c.Diff, err
}

// stale names what would change, so that nobody's work is undone unseen.
func stale(diff []settings.Change) error {
	var ds []fault.Detail
	for _, c := range diff[:min(len(diff), 50)] {
		ds = append(ds, fault.Detail{Path: c.Path, Code: "tenant.stale_base", Message: c.From + " -> " + c.To})
	}
	return tenant.ErrStaleBase.With(ds...)
}

// Bundles is the history, the newest first.
func (s *Service) Bundles(ctx context.Context) ([]Bundle, error) {
	who, _, err := s.may(ctx, "tenant.read_configuration", id.ID[Bundle]{})
	if err != nil {
		return nil, err
	}
	return s.store.bundles(ctx, who.Tenant)
}

// Bundle is one, with what it changed or would change.
func (s *Service) Bundle(ctx context.Context, b id.ID[Bundle]) (Bundle, []settings.Change, error) {
	who, _, err := s.may(ctx, "tenant.read_configuration", b)
	if err != nil {
		return Bundle{}, nil, err
	}
	row, err := s.store.bundle(ctx, who.Tenant, b)
	if err != nil {
		return row, nil, err
	}
	before := row.Before
	if row.State == Staged || row.State == Discarded {
		if before, err = s.live(ctx, row.File.Bundle.Sections.Names()...); err != nil {
			return row, nil, err
		}
	}
	diff, err := settings.Diff(before, row.File.Bundle.Sections)
	return row, diff, err
}

// Discard gives a staged bundle up.
func (s *Service) Discard(ctx context.Context, b id.ID[Bundle]) error {
	who, d, err := s.may(ctx, "tenant.discard_bundle", b)
	if err != nil {
		return err
	}
	return s.store.discard(ctx, who.Tenant, b, d.Policy)
}

// Decision is a person's word about a bundle.
type Decision struct {
	Why   string
	Alone bool // the same person staged it; at the command line only
}

func (d *Decision) check(who auth.Principal) error {
	d.Why = strings.TrimSpace(d.Why)
	if n := utf8.RuneCountInString(d.Why); n < 2 || n > maxWhy {
		return tenant.ErrWhy.At("why", "want 2 to 500 characters")
	}
	if d.Alone && who.Kind != auth.CLI {
		return tenant.ErrTwoPeople.New()
	}
	return nil
}

// Apply begins to make a staged bundle live, or goes on with a halted one. A job carries it, section by section; Carry does it
// here. Refusals: tenant.two_people, tenant.stale_base, tenant.bundle_busy, tenant.bundle_state, those of a check.
func (s *Service) Apply(ctx context.Context, b id.ID[Bundle], say Decision) (Bundle, error) {
	who, d, err := s.may(ctx, "tenant.apply_bundle", b)
	if err != nil {
		return Bundle{}, err
	}
	if err := say.check(who); err != nil {
		return Bundle{}, err
	}
	generation, err := s.store.generation(ctx, who.Tenant) // before what lives is read
	if err != nil {
		return Bundle{}, err
	}
	row, err := s.store.bundle(ctx, who.Tenant, b)
	if err != nil {
		return row, err
	}
	if row.State == Halted {
		return s.store.resume(ctx, who.Tenant, row, act{who.Actor(), say, d.Policy})
	}
	if row.State != Staged {
		return row, tenant.ErrBundleState.At("state", string(row.State))
	}
	if row.StagedBy == who.Actor() && !say.Alone {
		return row, tenant.ErrTwoPeople.New()
	}
	text, err := row.File.Text()
	if err != nil {
		return row, err
	}
	c, err := s.check(ctx, who, text) // again: keys and what lives may be others by now
	if err != nil {
		return row, err
	}
	if c.Stale {
		return row, stale(c.Diff)
	}
	row.Before, row.Alone = c.lives, say.Alone
	return s.store.begin(ctx, who.Tenant, row, generation, act{who.Actor(), say, d.Policy})
}

// RollBack puts back what lived before a bundle that is live or halted. What was approved before needs one person only.
// Refusals: tenant.bundle_state; tenant.stale_base when what the bundle put was changed since.
func (s *Service) RollBack(ctx context.Context, b id.ID[Bundle], say Decision) (Bundle, error) {
	who, d, err := s.may(ctx, "tenant.roll_back_bundle", b)
	if err != nil {
		return Bundle{}, err
	}
	say.Alone = false
	if err := say.check(who); err != nil {
		return Bundle{}, err
	}
	generation, err := s.store.generation(ctx, who.Tenant)
	if err != nil {
		return Bundle{}, err
	}
	row, err := s.store.bundle(ctx, who.Tenant, b)
	if err != nil {
		return row, err
	}
	if row.State != Live && row.State != Halted {
		return row, tenant.ErrBundleState.At("state", string(row.State))
	}
	lives, err := s.live(ctx, row.File.Bundle.Sections.Names()...)
	if err != nil {
		return row, err
	}
	if row.State == Live {
		for name, raw := range row.File.Bundle.Sections {
			if !same(raw, lives[name]) {
				diff, err := settings.Diff(row.File.Bundle.Sections, lives)
				if err != nil {
					return row, err
				}
				return row, stale(diff)
			}
		}
	}
	if err := s.checkSections(ctx, row.Before, lives); err != nil {
		return row, err
	}
	back, err := s.undoing(ctx, who, row, lives)
	if err != nil {
		return row, err
	}
	return s.store.rollBack(ctx, who.Tenant, row, back, generation, act{who.Actor(), say, d.Policy})
}

// undoing is the bundle that takes another one back, under the tenant's own signatures.
func (s *Service) undoing(ctx context.Context, who auth.Principal, row Bundle, lives settings.Sections) (Bundle, error) {
	base, err := lives.Digest()
	if err != nil {
		return Bundle{}, err
	}
	digest, err := row.Before.Digest()
	if err != nil {
		return Bundle{}, err
	}
	own, err := s.crypt.Signers(ctx, who.Tenant, keyGeneration)
	if err != nil {
		return Bundle{}, err
	}
	signers := make([]settings.Signer, len(own))
	for i := range own {
		signers[i] = own[i]
	}
	now := s.clock.Now()
	f, err := settings.Bundle{Tenant: row.File.Bundle.Tenant, Base: base, MadeAt: now, MadeBy: who.Actor(), Sections: row.Before}.Signed(signers...)
	return Bundle{
		ID: id.New[Bundle](now), State: Applying, Digest: digest, File: f, Before: lives, Undoes: row.ID, StagedBy: who.Actor(), StagedAt: now,
	}, err
}

// Carry puts the sections of a bundle that is being applied, from where it stands. It may be repeated and run twice at once: each
// section is put as a whole, and putting what lives does nothing.
func (s *Service) Carry(ctx context.Context, b id.ID[Bundle]) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	row, err := s.store.bundle(ctx, who.Tenant, b)
	if err != nil || row.State != Applying {
		return err
	}
	steps := s.steps(row.File.Bundle.Sections)
	for i := row.Done; i < len(steps); i++ {
		err := steps[i].Put(ctx, row.File.Bundle.Sections[steps[i].Name])
		if f := fault.Of(err); f != nil && final(f.Code.Kind) {
			return s.store.halt(ctx, who.Tenant, b, steps[i].Name, f.Code.Name)
		}
		if err != nil {
			return err // the job comes again
		}
		if err := s.store.step(ctx, who.Tenant, b, i+1); err != nil {
			return err
		}
	}
	s.known.forget()
	return s.store.finish(ctx, who.Tenant, row)
}

// steps are the bundle's sections in the order in which the contexts want them.
func (s *Service) steps(in settings.Sections) (out []settings.Section) {
	for _, x := range s.sections {
		if _, ok := in[x.Name]; ok {
			out = append(out, x)
		}
	}
	return out
}

// final refusals are the same tomorrow.
func final(k fault.Kind) bool {
	return k == fault.Invalid || k == fault.Conflict || k == fault.Forbidden || k == fault.NotFound
}
