package identity

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
)

// DemoLogin is an account that the demo's login page shows. The phone or user name
// and the TOTP code of the moment come from the account itself.
type DemoLogin struct {
	Account  AccountID
	Position int // order on the page
	Label    string
	LabelEN  string
	Password secret.Text // of staff
}

// DemoAccount is a login as the demo shows it: everything that one needs to come in.
type DemoAccount struct {
	Kind           auth.Kind
	Label, LabelEN string
	Phone          string // of a patient; the code of a text message stands on the login page
	Username       string // of staff
	Password       secret.Text
	TOTP           secret.Text // of this moment
}

// Demo is what the demo may ask beside Service; identity.not_found without --demo.
type Demo interface {
	// ShowDemo puts the account on the demo's login page, or changes its row there. Command line and demo only.
	ShowDemo(ctx context.Context, l DemoLogin) error
	// DemoAccounts are those on the tenant's login page, at most 50.
	DemoAccounts(ctx context.Context, t TenantID) ([]DemoAccount, error)
}
