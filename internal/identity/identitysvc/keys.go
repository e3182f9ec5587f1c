package identitysvc

import "xinglin/internal/platform/rekey"

// keyed is what lies under the tenant's keys. A TOTP secret that waits for its first code, and a login that waits for its provider,
// live for minutes: nothing brings them to another key.
func keyed() rekey.Columns {
	one := func(table, key, column, of string) rekey.Sealed {
		return rekey.Sealed{Table: table, Key: key, Columns: []rekey.Column{{Name: column, Table: table, Column: of}}}
	}
	return rekey.Columns{
		Sealed: []rekey.Sealed{
			{Table: "account", Key: "id", Columns: []rekey.Column{
				{Name: "phone_sealed", Table: "account", Column: "phone"},
				{Name: "name_sealed", Table: "account", Column: "name"},
				{Name: "totp_sealed", Table: "account", Column: "totp"},
			}},
			one("challenge", "id", "phone_sealed", "phone"),
			one("passkey", "id", "name_sealed", "name"),
			one("demo_account", "account_id", "password_sealed", "password"),
			one("idp", "id", "secret_sealed", "secret"),
			one("idp_link", "id", "subject_sealed", "subject"),
			one("signing_key", "number int", "sealed", "sealed"),
		},
		Blind: []rekey.Blind{{Table: "account", Key: "id", Odd: "phone_index", Even: "phone_index_even"}, {Table: "idp_link", Key: "id", Odd: "subject_index", Even: "subject_index_even"}},
	}
}
