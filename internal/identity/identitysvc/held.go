package identitysvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/holdings"
)

// held are the tables that hold something of the people behind accounts. Close empties the account's row; the rest is deleted.
func held() []holdings.Table {
	gone := func(table, zh, en string) holdings.Table {
		return holdings.Table{Name: table, Column: "account_id", Owner: holdings.Account, Fate: holdings.Deleted, Title: holdings.Words{ZH: zh, EN: en}}
	}
	via := func(table, column, through string) holdings.Table {
		return holdings.Table{
			Name: table, Column: column, Via: &holdings.Via{Table: through, Column: "account_id"}, Owner: holdings.Account, Fate: holdings.Deleted, Hidden: true,
		}
	}
	hidden := func(t holdings.Table) holdings.Table { t.Hidden = true; return t }
	keys := gone("passkey", "通行密钥", "Passkeys")
	keys.Open = map[string]holdings.Open{"name_sealed": inTenant("passkey", "name", "id", "name_sealed")}
	links := gone("idp_link", "绑定的其他登录方式", "Linked identities")
	links.Open = map[string]holdings.Open{"subject_sealed": inTenant("idp_link", "subject", "id", "subject_sealed")}
	return []holdings.Table{
		{
			Name: "account", Column: "id", Owner: holdings.Account, Fate: holdings.ByOwner, Title: holdings.Words{ZH: "账号", EN: "The account"},
			Open: map[string]holdings.Open{
				"phone_sealed": inTenant("account", "phone", "id", "phone_sealed"), "name_sealed": inTenant("account", "name", "id", "name_sealed"),
			},
		},
		{Name: "role_grant", Column: "account_id", Owner: holdings.Account, Fate: holdings.ByOwner, Hidden: true},
		via("device_login", "grant_id", "client_grant"),
		via("client_token", "grant_id", "client_grant"),
		gone("client_grant", "登录过的其他应用", "Logins to other systems"),
		gone("client_consent", "给其他应用的授权", "Consents to other systems"),
		hidden(gone("client_subject", "", "")),
		via("token", "session_id", "session"),
		gone("session", "登录记录", "Sessions"),
		gone("refused_login", "被拒绝的登录", "Refused logins"),
		keys,
		links,
		hidden(gone("idp_login", "", "")),
		hidden(gone("ceremony", "", "")),
		hidden(gone("passkey_owner", "", "")),
		hidden(gone("demo_account", "", "")),
	}
}

// inTenant opens a value that is sealed under the tenant's key.
func inTenant(table, column, key, stored string) holdings.Open {
	return func(ctx context.Context, r *crypt.Ring, t id.ID[auth.Tenant], row holdings.Row) (secret.Text, error) {
		return r.OpenText(ctx, field(t, table, column, row.ID(key).String()), row.Bytes(stored))
	}
}
