package identity

import (
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// ClientID names a client; on the wire it is the client_id of OAuth.
type ClientID = id.ID[Client]

// Accounts says whose logins a client may ask for.
type Accounts string

// Whose logins.
const (
	PatientAccounts Accounts = "patient"
	StaffAccounts   Accounts = "staff"
	AnyAccounts     Accounts = "any"
)

// GrantType is a way to tokens (RFC 6749, RFC 8628), by its name on the wire.
type GrantType string

// The grant types of the provider.
const (
	ByCode    GrantType = "authorization_code"
	ByRefresh GrantType = "refresh_token"
	ByClient  GrantType = "client_credentials"
	ByDevice  GrantType = "urn:ietf:params:oauth:grant-type:device_code"
)

// ClientSpec is what a security administrator says about a client.
type ClientSpec struct {
	Name   string // as the consent page calls it, 1 to 60 characters
	NameEN string // the same in English; the Chinese one when empty
	// Public: the program cannot keep a secret; PKCE alone protects its codes.
	Public bool
	// FirstParty: a system of the hospital itself: nobody is asked for consent, and it may
	// introspect the tokens of others.
	FirstParty   bool
	Accounts     Accounts
	Grants       []GrantType
	Scopes       []string // what it may ask for; openid is always among them when people log in
	RedirectURIs []string // compared character by character
	LogoutURIs   []string // where a browser may go after a logout, likewise
	// BackChannelURI is told about ended sessions (OpenID Connect Back-Channel Logout); may be empty.
	BackChannelURI string
	// Sector: clients of one sector see the same subject for a person; empty is the client alone.
	Sector string
}

// Client is another system that lets people log in here, or acts by itself.
type Client struct {
	ID ClientID
	ClientSpec
	Disabled  bool
	Version   int64
	CreatedAt time.Time
}

// MadeClient is a client with its secret, which is shown once; empty for public ones.
type MadeClient struct {
	Client
	Secret secret.Text
}
