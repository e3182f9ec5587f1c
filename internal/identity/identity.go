// Package identity knows accounts and how they prove themselves (账号): patients by a
// code to their phone, staff by password and TOTP, both by passkey; sessions, bearer tokens, roles. It is
// an OpenID Connect provider too: clients are other systems that people log in to with
// their account here.
//
// Invariants: a code is single use, bound to its phone and purpose and dies after
// five wrong tries; a phone has at most one patient account of a tenant; the three
// administrator roles exclude each other and every other role (R58); a revoked session is refused by every
// process within a second, and so are the tokens that clients got through it; a code or
// refresh token that comes twice ends what came of its first use; the challenge of a passkey
// works once, and one whose counter went back is blocked.
package identity

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// Ids of the nouns.
type (
	AccountID   = id.ID[auth.Account]
	SessionID   = id.ID[auth.Session]
	ChallengeID = id.ID[Challenge]
	TenantID    = id.ID[auth.Tenant]
)

// Challenge is a code sent to a phone.
type Challenge struct {
	ID          ChallengeID
	ResendAfter time.Duration
}

// Purpose binds a code to what it is for.
type Purpose string

// The purposes of codes.
const (
	Login Purpose = "login"
	Proof Purpose = "proof" // a second account claims a person whose phone is on file
	// StepUp proves once more that the owner of a patient's account is there.
	StepUp Purpose = "step_up"
)

// StaffSpec describes a staff account to be made.
type StaffSpec struct {
	Username string
	Name     string
	Password secret.Text
	TOTP     secret.Text // base32; empty: made
	Grants   []auth.Grant
	// Practitioner is the directory's id of a doctor or nurse, zero for others.
	Practitioner id.ID[id.Any]
}

// StaffAccount is what was made.
type StaffAccount struct {
	ID   AccountID
	TOTP secret.Text // base32, shown once
}

// StaffName is who a member of the staff is.
type StaffName struct {
	Name  secret.Text
	Roles []auth.Role // that the account has now
}

// Service is what others may ask.
type Service interface {
	// SendCode sends a code to phone; identity.code_too_often when asked again within a minute, or more than
	// ten times a day a phone. The answer does not tell whether an account exists. c is the caller's own id: a repeat
	// with it sends nothing twice; zero makes a new one.
	SendCode(ctx context.Context, tenant TenantID, c ChallengeID, phone secret.Text, p Purpose) (Challenge, error)
	// UseCode checks and consumes the code: identity.code_wrong, identity.code_expired. It returns the phone it was sent to.
	UseCode(ctx context.Context, tenant TenantID, c ChallengeID, p Purpose, code string) (secret.Text, error)
	// Phone is the account's phone; for contexts that write to the person (identity.not_found).
	Phone(ctx context.Context, tenant TenantID, a AccountID) (secret.Text, error)
	// EnsureStaff makes the staff account, or leaves it as it is when the name exists. Command line and demo only.
	EnsureStaff(ctx context.Context, s StaffSpec) (StaffAccount, error)
	// EnsurePatient makes the patient account of a phone, or finds it. Command line and demo only.
	EnsurePatient(ctx context.Context, phone secret.Text) (AccountID, error)
	// AddClient makes an OpenID Connect client; its secret is in the answer and nowhere else. identity.client_invalid,
	// identity.too_many_clients. Command line, and the security administrator's route.
	AddClient(ctx context.Context, s ClientSpec) (MadeClient, error)
	// Acting is who the account acts as once it has signed in as it must, and whether it may sign in at all (identity.not_found).
	// It gives nobody a session: it is for answering what an account may do.
	Acting(ctx context.Context, tenant TenantID, a AccountID) (p auth.Principal, active bool, err error)
	// StaffNames tells who these accounts of staff are, at most 100; others are missing. For contexts that tell a person who handled
	// their data, when they have decided that.
	StaffNames(ctx context.Context, tenant TenantID, as []AccountID) (map[AccountID]StaffName, error)
	// Close ends a patient's account whose person was erased, for ever: no session, no phone; the phone may make a new one. The job of
	// an erasure. Repeating it is no error; identity.not_found for others.
	Close(ctx context.Context, a AccountID) error
	// Revoke ends one session of the account, or all of them when s is zero.
	Revoke(ctx context.Context, a AccountID, s SessionID) error
}
