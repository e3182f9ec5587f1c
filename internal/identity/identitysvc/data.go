package identitysvc

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/provider"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns.
func data() dataclass.Schema {
	out := accountData()
	maps.Copy(out, clientData())
	maps.Copy(out, idpData())
	return out
}

// accountData are those of accounts and their sessions.
func accountData() dataclass.Schema {
	return dataclass.Schema{
		"challenge": {
			dataclass.ID:             "tenant_id id",
			dataclass.Fact:           "purpose tries created_at expires_at used_at",
			dataclass.Index:          "phone_index",
			dataclass.Phone.Sealed(): "phone_sealed",
			dataclass.Secret:         "code_hash",
		},
		"budget": {dataclass.ID: "tenant_id", dataclass.Index: "subject", dataclass.Fact: "kind used opened_at last_at"},
		"account": {
			dataclass.ID:              "tenant_id id practitioner_id",
			dataclass.Fact:            "kind state totp_step version created_at last_login_at",
			dataclass.Index:           "phone_index phone_index_even",
			dataclass.Phone.Sealed():  "phone_sealed",
			dataclass.Number:          "username",
			dataclass.Name.Sealed():   "name_sealed",
			dataclass.Secret:          "password_hash",
			dataclass.Secret.Sealed(): "totp_sealed",
		},
		"role_grant": {dataclass.ID: "tenant_id account_id organization_id", dataclass.Fact: "role created_at"},
		"session": {
			dataclass.ID:     "tenant_id id account_id idp_id",
			dataclass.Fact:   "factors created_at last_seen_at idle_at expires_at ended_at end_reason method proved_at",
			dataclass.Origin: "device",
		},
		"token": {
			dataclass.ID:     "tenant_id session_id",
			dataclass.Secret: "hash",
			dataclass.Fact:   "kind created_at expires_at used_at",
		},
		"refused_login": {dataclass.ID: "tenant_id id account_id", dataclass.Fact: "method at", dataclass.Origin: "device"},
		"passkey_owner": {dataclass.ID: "tenant_id account_id", dataclass.Secret: "handle", dataclass.Fact: "created_at"},
		"passkey": {
			dataclass.ID:            "tenant_id id account_id",
			dataclass.Secret:        "credential",
			dataclass.Public:        "public_key host",
			dataclass.Text.Sealed(): "name_sealed",
			dataclass.Fact:          "transports synced sign_count created_at used_at blocked_at",
		},
		"ceremony": {
			dataclass.ID:     "tenant_id account_id",
			dataclass.Secret: "hash challenge",
			dataclass.Public: "origin",
			dataclass.Fact:   "kind created_at expires_at",
		},
		"demo_account": {
			dataclass.ID:              "tenant_id account_id",
			dataclass.Fact:            "position",
			dataclass.Text:            "label label_en",
			dataclass.Secret.Sealed(): "password_sealed",
		},
	}
}

// clientData are those of the OpenID Connect provider.
func clientData() dataclass.Schema {
	return dataclass.Schema{
		"client": {
			dataclass.ID:     "tenant_id id",
			dataclass.Public: "name name_en redirect_uris logout_uris back_channel sector",
			dataclass.Fact:   "public first_party accounts grants scopes old_until state version created_at",
			dataclass.Secret: "secret_hash old_hash",
		},
		"client_subject": {dataclass.ID: "tenant_id account_id subject", dataclass.Fact: "created_at", dataclass.Public: "sector"},
		"client_consent": {dataclass.ID: "tenant_id account_id client_id", dataclass.Fact: "scopes given_at"},
		"login_request": {
			dataclass.ID:     "tenant_id client_id",
			dataclass.Secret: "hash client_state nonce challenge",
			dataclass.Public: "issuer redirect_uri",
			dataclass.Fact:   "scopes prompts max_age_s created_at expires_at",
			dataclass.Text:   "hint",
		},
		"client_grant": {
			dataclass.ID:     "tenant_id id client_id account_id session_id subject",
			dataclass.Public: "issuer redirect_uri",
			dataclass.Secret: "nonce challenge",
			dataclass.Fact:   "scopes offline kind factors authenticated_at created_at expires_at ended_at end_reason method",
		},
		"client_token": {
			dataclass.ID:     "tenant_id grant_id",
			dataclass.Secret: "hash",
			dataclass.Fact:   "kind scopes created_at expires_at used_at",
		},
		"device_login": {
			dataclass.ID:     "tenant_id client_id grant_id",
			dataclass.Secret: "hash",
			dataclass.Index:  "user_code",
			dataclass.Public: "issuer",
			dataclass.Fact:   "scopes state interval_s polled_at created_at expires_at",
		},
		"signing_key": {
			dataclass.ID:           "tenant_id kid",
			dataclass.Fact:         "number created_at signs_at",
			dataclass.Public:       "public_key",
			dataclass.Key.Sealed(): "sealed",
		},
	}
}

// idpData are those of identity providers.
func idpData() dataclass.Schema {
	return dataclass.Schema{
		"idp": {
			dataclass.ID:              "tenant_id id",
			dataclass.Public:          "key name name_en issuer pages client_id",
			dataclass.Secret.Sealed(): "secret_sealed",
			dataclass.Fact:            "kind accounts secret_post scopes strong version created_at disabled_at",
		},
		"idp_link": {
			dataclass.ID:              "tenant_id id idp_id account_id",
			dataclass.Index:           "subject_index subject_index_even",
			dataclass.Number.Sealed(): "subject_sealed",
			dataclass.Fact:            "created_at used_at",
		},
		"idp_login": {
			dataclass.ID:     "tenant_id idp_id account_id session_id",
			dataclass.Secret: "hash browser sealed",
			dataclass.Public: "next",
			dataclass.Fact:   "stage created_at expires_at",
		},
	}
}

// masks: nobody is logged in to a copy, no other system knows it, and all of its staff have one password and one-time secret,
// which are of the copy's key and not of the source.
func masks() []mask.Rule {
	m := &accountMasker{hashes: newHasher()}
	out := []mask.Rule{
		{Table: "account", Row: m.account},
		{Table: "role_grant", Row: noteLogin},
		{Table: "demo_account", Row: maskDemo},
		{Table: "job", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
			if r.Text("kind") == provider.LogoutKind { // it tells other systems
				r.LeaveOut()
			}
			return nil
		}},
	}
	for _, table := range []string{
		"challenge", "budget", "session", "token", "client", "client_subject", "client_consent", "login_request", "client_grant", "client_token", "device_login",
		"signing_key", "refused_login", "passkey_owner", "passkey", "ceremony", "idp", "idp_link", "idp_login",
	} {
		out = append(out, mask.Rule{Table: table, Drop: true})
	}
	return out
}

// accountMasker hashes the copy's password once.
type accountMasker struct {
	hashes *hasher
	hash   string
	of     string // the password that it is the hash of
}

func (m *accountMasker) account(ctx context.Context, c *mask.Copy, r *mask.Row) (err error) {
	t, a := r.Tenant(), id.As[auth.Account](r.ID("id"))
	phone, err := c.From.OpenText(ctx, phoneField(t, a), r.Bytes("phone_sealed"))
	if err != nil {
		return err
	}
	if phone, err = c.Phone(ctx, phone); err != nil {
		return err
	}
	if err := sealPhone(ctx, c, r, a, phone); err != nil {
		return err
	}
	name, err := c.Reseal(ctx, nameField(t, a), r.Bytes("name_sealed"), func(n secret.Text) (secret.Text, error) { return c.Name(n, ""), nil })
	if err != nil {
		return err
	}
	r.Set("name_sealed", name)
	r.Set("totp_step", int64(0))
	if r.Null("username") && phone.Empty() { // closed: nobody logs in
		return nil
	}
	if r.Null("username") {
		c.Enter(mask.Login{Tenant: t.String(), Role: "patient", Name: phone.Reveal()})
		return nil
	}
	r.Set("username", copyName(a))
	totp, err := c.To.SealText(ctx, totpField(t, a), c.TOTP())
	if err != nil {
		return err
	}
	r.Set("totp_sealed", totp)
	if m.of != c.Password().Reveal() {
		if m.hash, err = m.hashes.hash(ctx, c.Password()); err != nil {
			return err
		}
		m.of = c.Password().Reveal()
	}
	r.Set("password_hash", m.hash)
	return nil
}

func sealPhone(ctx context.Context, c *mask.Copy, r *mask.Row, a identity.AccountID, phone secret.Text) error {
	sealed, err := c.To.SealText(ctx, phoneField(r.Tenant(), a), phone)
	if err != nil {
		return err
	}
	r.Set("phone_sealed", sealed)
	r.Set("phone_index", nil)
	r.Set("phone_index_even", nil)
	if phone.Empty() {
		return nil
	}
	index, err := c.To.Blind(ctx, r.Tenant(), indexPhone, phone.Reveal(), 1)
	r.Set("phone_index", index)
	return err
}

// copyName is the user name of an account in a copy: of the random part of its id.
func copyName(a identity.AccountID) string { return "staff-" + hex.EncodeToString(a[10:]) }

// noteLogin tells one account of each role at the end.
func noteLogin(_ context.Context, c *mask.Copy, r *mask.Row) error {
	c.Enter(mask.Login{Tenant: r.Tenant().String(), Role: r.Text("role"), Name: copyName(id.As[auth.Account](r.ID("account_id")))})
	return nil
}

// maskDemo keeps the demo's login page: its labels name people, its passwords were the source's.
func maskDemo(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	r.Set("label", fmt.Sprintf("账号 %d", r.Int("position")))
	r.Set("label_en", fmt.Sprintf("Account %d", r.Int("position")))
	if r.Null("password_sealed") {
		return nil
	}
	sealed, err := c.To.SealText(ctx, field(r.Tenant(), "demo_account", "password", r.ID("account_id").String()), c.Password())
	r.Set("password_sealed", sealed)
	return err
}
