package terminologysvc

import (
	"context"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/sheet"
	"xinglin/internal/terminology"
	"xinglin/internal/terminology/codefile"
)

// Service implements terminology.Service.
type Service struct {
	base  module.Base
	store store
}

// may asks the policies.
func (s *Service) may(ctx context.Context, action string, system terminology.System) (auth.Principal, string, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, "", err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "CodeSystem", ID: string(system)})
	return who, d.Policy, err
}

// batch is how many codes go into one transaction.
const batch = 512

// Import implements terminology.Service.
func (s *Service) Import(ctx context.Context, in terminology.ImportRequest) (terminology.ImportReport, error) {
	out := terminology.ImportReport{System: in.System, DryRun: in.DryRun, Refused: []terminology.RefusedRow{}, Skipped: []string{}}
	who, policy, err := s.may(ctx, "terminology.import_codes", in.System)
	if err != nil {
		return out, err
	}
	if in.System != terminology.ICD10 {
		return out, terminology.ErrSystem.New()
	}
	job := importing{tenant: who.Tenant, system: in.System, policy: policy, dryRun: in.DryRun}
	var some []terminology.Concept
	flush := func() error {
		if len(some) == 0 {
			return nil
		}
		c, err := s.store.take(ctx, s.base.DB, &job, some)
		if some = some[:0]; err != nil {
			return err // it took nothing
		}
		out.New, out.Changed, out.Same = out.New+c.New, out.Changed+c.Changed, out.Same+c.Same
		return nil
	}
	info, err := codefile.Read(in.File, func(e codefile.Entry) error {
		if e.Code == "" { // a row that stands above as well
			out.Same++
			return nil
		}
		if some = append(some, terminology.Concept{Code: e.Code, Name: e.Name}); len(some) < batch {
			return ctx.Err()
		}
		return flush()
	}, func(r terminology.RefusedRow) {
		out.RefusedCount++
		if len(out.Refused) < terminology.MaxRefusals {
			out.Refused = append(out.Refused, r)
		}
	})
	if err == nil {
		err = flush()
	}
	out.Encoding, out.Rows = info.Encoding, info.Rows
	out.Skipped = append(out.Skipped, info.Skipped...)
	if err == nil {
		out.Version, err = s.store.version(ctx, s.base.DB, who.Tenant, in.System)
	}
	if err == nil && out.RefusedCount > 0 {
		err = terminology.ErrRows.New()
	}
	return out, err
}

const maxWords = 5

// Search implements terminology.Service.
func (s *Service) Search(ctx context.Context, system terminology.System, text string) ([]terminology.Concept, error) {
	who, _, err := s.may(ctx, "terminology.search", system)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(searchText(strings.ToValidUTF8(text, " ")))
	if len(words) == 0 {
		return []terminology.Concept{}, nil
	}
	return s.store.search(ctx, s.base.DB, who.Tenant, system, words[:min(len(words), maxWords)])
}

// searchText is what a search looks in, and what it looks for.
func searchText(s string) string { return strings.ToLower(sheet.Clean(s)) }

// like escapes a word for LIKE ... ESCAPE '\'.
func like(word string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word)
}
