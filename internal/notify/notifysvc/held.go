package notifysvc

import (
	"context"
	"encoding/json"
	"fmt"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/holdings"
)

// held are the tables that hold something of the people behind accounts: all of it goes.
func held() []holdings.Table {
	gone := func(table, zh, en string, open map[string]holdings.Open) holdings.Table {
		return holdings.Table{Name: table, Column: "account_id", Owner: holdings.Account, Fate: holdings.Deleted, Title: holdings.Words{ZH: zh, EN: en}, Open: open}
	}
	proof := gone("mail_proof", "", "", nil)
	proof.Hidden = true
	return []holdings.Table{
		{
			Name: "pushed", Column: "delivery_id", Via: &holdings.Via{Table: "delivery", Column: "account_id"}, Owner: holdings.Account, Fate: holdings.Deleted,
			Hidden: true,
		},
		gone("delivery", "通知", "Messages", map[string]holdings.Open{
			"params": sealed("notify.delivery", "params", "id", "params"), "address": sealed("notify.delivery", "address", "id", "address"),
		}),
		gone("contact", "接收通知的手机", "The phone for messages", map[string]holdings.Open{"phone": sealed("notify.contact", "phone", "account_id", "phone")}),
		gone("mailbox", "接收通知的邮箱", "The mail address for messages", map[string]holdings.Open{"mail": sealed("notify.mailbox", "mail", "account_id", "mail")}),
		proof,
		gone("device", "接收推送的设备", "Devices for push messages", map[string]holdings.Open{"sealed": openDevice}),
		gone("preference", "通知设置", "Wishes about messages", nil),
	}
}

// sealed opens a value of this context, which stands under the tenant's key.
func sealed(table, column, key, stored string) holdings.Open {
	return func(ctx context.Context, r *crypt.Ring, t id.ID[auth.Tenant], row holdings.Row) (secret.Text, error) {
		return r.OpenText(ctx, crypt.Field{Tenant: t, Table: table, Column: column, Row: row.ID(key).String()}, row.Bytes(stored))
	}
}

// openDevice tells what a device is called: its keys let others send to it.
func openDevice(ctx context.Context, r *crypt.Ring, t id.ID[auth.Tenant], row holdings.Row) (secret.Text, error) {
	text, err := r.OpenText(ctx, deviceField(t, id.As[device](row.ID("id"))), row.Bytes("sealed"))
	if err != nil {
		return secret.Text{}, err
	}
	var s subscription
	if err := json.Unmarshal([]byte(text.Reveal()), &s); err != nil {
		return secret.Text{}, fmt.Errorf("notify: a device is no JSON") // the decoder's words quote it
	}
	return secret.New(s.Label), nil
}
