package patientsvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/holdings"
)

// held are the tables that hold something of persons. Shred empties the person's own rows; history, links and claims name by ids only.
func held() []holdings.Table {
	return []holdings.Table{
		{
			Name: "patient", Column: "id", Owner: holdings.Patient, Fate: holdings.ByOwner, Title: holdings.Words{ZH: "就诊人信息", EN: "The person"},
			Open: map[string]holdings.Open{"name": openOwn("name"), "number": openOwn("number"), "phone": openOwn("phone")},
		},
		{
			Name: "identifier", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.ByOwner, Title: holdings.Words{ZH: "其他系统中的编号", EN: "Numbers in other systems"},
			Open: map[string]holdings.Open{"value": openIdentifier},
		},
		{
			Name: "profile", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.ByOwner, Title: holdings.Words{ZH: "医院导入的其他资料", EN: "What the hospital's records add"},
			Open: map[string]holdings.Open{"sealed": openProfile},
		},
		{Name: "search_key", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.ByOwner, Hidden: true},
		{
			Name: "link", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Deal, Since: "created_at",
			Title: holdings.Words{ZH: "谁可以代为办理", EN: "Who may act for the person"},
		},
		{
			Name: "claim", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Deal, Since: "created_at",
			Title: holdings.Words{ZH: "认领申请", EN: "Claims to act for the person"},
		},
		{Name: "holder", Column: "account_id", Owner: holdings.Account, Fate: holdings.ByOwner, Hidden: true},
	}
}

func openOwn(column string) holdings.Open {
	return func(ctx context.Context, r *crypt.Ring, t id.ID[auth.Tenant], row holdings.Row) (secret.Text, error) {
		return r.OpenText(ctx, field(t, id.As[patient.Patient](row.ID("id")), column), row.Bytes(column))
	}
}

func openIdentifier(ctx context.Context, r *crypt.Ring, t id.ID[auth.Tenant], row holdings.Row) (secret.Text, error) {
	f := crypt.Field{Tenant: t, Person: row.ID("patient_id"), Table: "identifier", Column: "value", Row: row.ID("id").String()}
	return r.OpenText(ctx, f, row.Bytes("value"))
}

func openProfile(ctx context.Context, r *crypt.Ring, t id.ID[auth.Tenant], row holdings.Row) (secret.Text, error) {
	return r.OpenText(ctx, field(t, id.As[patient.Patient](row.ID("patient_id")), "profile"), row.Bytes("sealed"))
}
