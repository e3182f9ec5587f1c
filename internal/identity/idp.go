package identity

import (
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// IDPID names an identity provider.
type IDPID = id.ID[IDP]

// IDPKind is the protocol that an identity provider speaks.
type IDPKind string

// The protocols.
const (
	OIDC   IDPKind = "oidc"   // OpenID Connect
	WeChat IDPKind = "wechat" // OAuth 2.0 as WeChat's open platform speaks it
)

// IDPSpec is what a security administrator says about an identity provider. Kind, Accounts, Issuer and ClientID say who its people
// are and never change.
type IDPSpec struct {
	Key      string // in addresses: a-z, 0-9 and -
	Kind     IDPKind
	Accounts Accounts // PatientAccounts or StaffAccounts
	Name     string   // as the login page calls it, 1 to 30 characters
	NameEN   string   // the Chinese one when empty
	Issuer   string   // of OIDC the issuer; of WeChat where its API is
	Pages    string   // of WeChat where its pages are
	ClientID string   // WeChat's appid
	// Secret is our proof to the provider; empty leaves the one that is there.
	Secret secret.Text
	// SecretPost: the secret goes in the form (client_secret_post) and not in a header (client_secret_basic).
	SecretPost bool
	Scopes     string
	// Strong are the values of acr or amr with which the provider says that it asked for two factors; without one of them staff
	// are asked for their own second factor here.
	Strong  []string
	Enabled bool
}

// IDP is an identity provider: another that proves who somebody is.
type IDP struct {
	ID IDPID
	IDPSpec
	Version   int64
	CreatedAt time.Time
}
