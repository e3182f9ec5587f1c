package notifysvc

import "xinglin/internal/platform/rekey"

// keyed is what lies under the tenant's keys. Fields were sealed for tables by their full names.
func keyed() rekey.Columns {
	one := func(table, key, row, column string) rekey.Sealed {
		return rekey.Sealed{Table: table, Key: key, Row: row, Columns: []rekey.Column{{Name: column, Table: "notify." + table, Column: column}}}
	}
	return rekey.Columns{Sealed: []rekey.Sealed{
		{Table: "delivery", Key: "id", Columns: []rekey.Column{
			{Name: "params", Table: "notify.delivery", Column: "params"}, {Name: "address", Table: "notify.delivery", Column: "address"},
		}},
		one("contact", "account_id", "", "phone"),
		one("mailbox", "account_id", "", "mail"),
		one("mail_proof", "account_id", "id", "mail"),
		one("push_key", "id", "", "private"),
		one("device", "id", "", "sealed"),
	}}
}
