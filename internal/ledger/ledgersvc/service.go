package ledgersvc

import (
	"context"
	"regexp"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/ledger"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/idem"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/obs"
)

// Service implements ledger.Service.
type Service struct {
	base  module.Base
	store store
}

const (
	minLines = 2
	maxLines = 100
)

var (
	accountForm = regexp.MustCompile(`^(asset|liability|equity|income|expense)(:[a-z0-9_]{1,40}){1,4}$`)
	kindForm    = regexp.MustCompile(`^[a-z]{1,40}\.[a-z0-9_]{1,40}$`)
)

// Post writes the transaction once. Codes: ledger.invalid, ledger.unbalanced, ledger.id_reused.
func (s *Service) Post(ctx context.Context, t ledger.Transaction) error {
	d, err := s.may(ctx, t.Tenant, "ledger.post", t.ID.String())
	if err != nil {
		return err
	}
	debit, err := check(t)
	if err != nil {
		return err
	}
	return s.store.post(obs.WithNumber(ctx, t.Number), s.base.DB, t, debit, contentOf(t), d.Policy)
}

// Balance is the sum of an account's postings, fen.
func (s *Service) Balance(ctx context.Context, tenant ledger.TenantID, account string) (money.Fen, error) {
	if _, err := s.may(ctx, tenant, "ledger.read_balance", account); err != nil {
		return 0, err
	}
	if !accountForm.MatchString(account) {
		return 0, ledger.ErrInvalid.At("account", "not the name of an account")
	}
	return s.store.balance(ctx, s.base.DB, tenant, account)
}

// check decides whether a transaction may stand in the books and sums its debit side.
func check(t ledger.Transaction) (debit money.Fen, err error) {
	switch {
	case t.ID.IsZero(), t.Tenant.IsZero(), t.Reference.IsZero(), t.At.IsZero():
		return 0, ledger.ErrInvalid.Because("id, tenant, reference and time are needed")
	case !kindForm.MatchString(t.Kind):
		return 0, ledger.ErrInvalid.At("kind", "want context.what")
	case len(t.Postings) < minLines || len(t.Postings) > maxLines:
		return 0, ledger.ErrInvalid.At("postings", "want 2 to 100")
	case len(t.Number) > 64:
		return 0, ledger.ErrInvalid.At("number", "too long")
	}
	var credit money.Fen
	for _, p := range t.Postings {
		side := &debit
		if p.Amount < 0 {
			side = &credit
		}
		if !accountForm.MatchString(p.Account) || p.Amount == 0 {
			return 0, ledger.ErrInvalid.At("postings", "an account and an amount are needed")
		}
		if *side, err = side.Add(p.Amount); err != nil {
			return 0, ledger.ErrInvalid.Wrap(err)
		}
	}
	if debit+credit != 0 { // of different signs: no overflow
		return 0, ledger.ErrUnbalanced.New()
	}
	return debit, nil
}

// contentOf is what makes two transactions of one id the same.
func contentOf(t ledger.Transaction) []byte {
	return idem.HashOf([]any{t.Kind, t.Reference, t.Number, t.At.UnixMicro(), t.Postings})
}

func (s *Service) may(ctx context.Context, tenant ledger.TenantID, action, item string) (authz.Decision, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return authz.Decision{}, err
	}
	if who.Tenant != tenant {
		return authz.Decision{}, authz.ErrDenied.Because("%s in another tenant", action)
	}
	return s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "Ledger", ID: item, Attrs: map[string]any{"tenant": id.ID[auth.Tenant](tenant).String()}})
}
