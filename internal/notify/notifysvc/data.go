package notifysvc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns.
func data() dataclass.Schema {
	return dataclass.Schema{
		"contact":    {dataclass.ID: "tenant_id account_id", dataclass.Phone.Sealed(): "phone", dataclass.Fact: "at"},
		"preference": {dataclass.ID: "tenant_id account_id", dataclass.Fact: "topics quiet quiet_from quiet_to version at"},
		"delivery": {
			dataclass.ID:              "tenant_id id message_id account_id",
			dataclass.Fact:            "channel template state attempts why expires_at due_at created_at sent_at read_at",
			dataclass.Record.Sealed(): "params",
			dataclass.Phone.Sealed():  "address",
			dataclass.Number:          "reference",
		},
		"mailbox": {dataclass.ID: "tenant_id account_id", dataclass.Mail.Sealed(): "mail", dataclass.Fact: "at"},
		"mail_proof": {
			dataclass.ID:            "tenant_id account_id id",
			dataclass.Mail.Sealed(): "mail",
			dataclass.Secret:        "code_hash",
			dataclass.Fact:          "tries expires_at",
		},
		"mail_budget": {dataclass.ID: "tenant_id", dataclass.Index: "subject", dataclass.Fact: "kind used opened_at last_at"},
		"push_key": {
			dataclass.ID:           "tenant_id id",
			dataclass.Public:       "public",
			dataclass.Key.Sealed(): "private",
			dataclass.Fact:         "created_at",
		},
		"device": {
			dataclass.ID:              "tenant_id account_id",
			dataclass.Index:           "id",
			dataclass.Record.Sealed(): "sealed",
			dataclass.Fact:            "created_at",
		},
		"pushed":     {dataclass.ID: "tenant_id delivery_id", dataclass.Index: "device_id", dataclass.Fact: "at"},
		"called_off": {dataclass.ID: "tenant_id appointment_id", dataclass.Fact: "until"},
	}
}

// masks: a copy tells people in the app only. What went or waits by text message, mail and push is left out with its jobs: nobody
// must hear from a copy.
func masks() []mask.Rule {
	return []mask.Rule{
		{Table: "contact", Row: maskContact},
		{Table: "mailbox", Row: maskMailbox},
		{Table: "delivery", Row: maskDelivery},
		{Table: "mail_proof", Drop: true},
		{Table: "mail_budget", Drop: true},
		{Table: "push_key", Drop: true},
		{Table: "device", Drop: true},
		{Table: "pushed", Drop: true},
		{Table: "job", Row: dropSending},
	}
}

func accountOf(r *mask.Row) notify.AccountID { return id.As[auth.Account](r.ID("account_id")) }

func maskContact(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	phone, err := c.Reseal(ctx, contactField(r.Tenant(), accountOf(r)), r.Bytes("phone"), func(p secret.Text) (secret.Text, error) { return c.Phone(ctx, p) })
	r.Set("phone", phone)
	return err
}

func maskMailbox(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	mail, err := c.Reseal(ctx, mailField(r.Tenant(), accountOf(r)), r.Bytes("mail"), func(m secret.Text) (secret.Text, error) { return c.Mail(ctx, m) })
	r.Set("mail", mail)
	return err
}

// maskDelivery rewrites the facts of a notice: doctors and addresses in it are people.
func maskDelivery(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	if r.Text("channel") != string(notify.InApp) {
		r.LeaveOut()
		return nil
	}
	f := crypt.Field{Tenant: r.Tenant(), Table: "notify.delivery", Column: "params", Row: r.ID("id").String()}
	params, err := c.Reseal(ctx, f, r.Bytes("params"), func(facts secret.Text) (secret.Text, error) { return maskFacts(c, facts) })
	r.Set("params", params)
	r.Set("address", nil)
	r.Set("reference", "")
	return err
}

// maskFacts goes by the names of the templates' parameters.
func maskFacts(c *mask.Copy, facts secret.Text) (secret.Text, error) {
	p := map[string]string{}
	if err := json.Unmarshal([]byte(facts.Reveal()), &p); err != nil {
		return secret.Text{}, fmt.Errorf("notify: the facts of a delivery are no JSON") // the decoder's words quote them
	}
	for name, v := range p {
		switch name {
		case "doctor", "doctor_en":
			doctor, title, _ := strings.Cut(v, " ")
			p[name] = strings.TrimSpace(c.Name(secret.New(doctor), "").Reveal() + " " + title)
		case "mail":
			p[name] = "p***@masked.invalid"
		case "code":
			p[name] = "000000"
		}
	}
	b, err := json.Marshal(p)
	return secret.New(string(b)), err
}

// dropSending leaves out the jobs of the deliveries that are left out.
func dropSending(_ context.Context, _ *mask.Copy, r *mask.Row) error {
	switch r.Text("kind") {
	case smsKind, mailKind, pushKind:
		r.LeaveOut()
	}
	return nil
}
