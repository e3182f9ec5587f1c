package privacysvc

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns.
func data() dataclass.Schema {
	step := "state version capacity at"
	return dataclass.Schema{
		"purpose_text": {
			dataclass.ID:     "tenant_id act_id",
			dataclass.Fact:   "purpose version published_at",
			dataclass.Public: "title_zh body_zh necessity_zh effect_zh title_en body_en necessity_en effect_en",
		},
		"consent":      {dataclass.ID: "tenant_id patient_id account_id", dataclass.Fact: "purpose steps " + step},
		"consent_step": {dataclass.ID: "tenant_id patient_id account_id act_id", dataclass.Fact: "purpose step " + step},
		"request": {
			dataclass.ID:              "tenant_id id patient_id account_id decided_by event_id",
			dataclass.Fact:            "kind capacity state created_at due_day reminded_at decided_at ready_at ended_at version",
			dataclass.Index:           "hash",
			dataclass.Record.Sealed(): "reason wanted was answer",
		},
		"request_step": {dataclass.ID: "tenant_id id request_id act_id", dataclass.Fact: "from_state to_state at"},
		"copy_part":    {dataclass.ID: "tenant_id id request_id patient_id", dataclass.Fact: "part", dataclass.Record.Sealed(): "sealed"},
		"kept": {
			dataclass.ID: "tenant_id request_id", dataclass.Fact: "place rows_kept until_at identity", dataclass.Public: "law_zh law_en",
		},
		"retained": {
			dataclass.ID: "tenant_id id request_id patient_id", dataclass.Fact: "until_at created_at destroyed_at",
			dataclass.Record.Sealed(): "sealed",
		},
		"assessment": {
			dataclass.ID: "tenant_id id account_id act_id", dataclass.Fact: "version risk conclusion review_day at latest",
			dataclass.Text: "title processing necessity risks measures",
		},
		"breach": {
			dataclass.ID: "tenant_id id account_id act_id",
			dataclass.Fact: `version severity persons found_at authority_by persons_by authority_told_at persons_told_at closed_at at
				latest`,
			dataclass.Text: "title what measures not_told_why",
		},
	}
}

// masks: what people wrote and what was made for them does not go into a copy.
func masks() []mask.Rule {
	return []mask.Rule{
		{Table: "request", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
			for _, c := range []string{"reason", "wanted", "was", "answer"} {
				r.Set(c, nil)
			}
			r.Set("hash", make([]byte, 32))
			return nil
		}},
		{Table: "copy_part", Drop: true},
		{Table: "retained", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
			r.Set("sealed", nil)
			if r.Null("destroyed_at") {
				r.Set("destroyed_at", r.Int("until_at"))
			}
			return nil
		}},
	}
}

// held are the tables that hold something of persons. What was decided and asked for is the proof that it was respected (R56).
func held() []holdings.Table {
	open := func(column string) holdings.Open {
		return func(ctx context.Context, r *crypt.Ring, t id.ID[auth.Tenant], row holdings.Row) (secret.Text, error) {
			return r.OpenText(ctx, field(t, id.As[patient.Patient](row.ID("patient_id")), column, row.ID("id").String()), row.Bytes(column))
		}
	}
	return []holdings.Table{
		{
			Name: "consent", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.ByOwner,
			Title: holdings.Words{ZH: "个人信息授权", EN: "Consents"},
		},
		{
			Name: "consent_step", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Deal, Since: "at",
			Title: holdings.Words{ZH: "授权记录", EN: "Steps of consents"},
		},
		{
			Name: "request", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Deal, Since: "created_at",
			Title: holdings.Words{ZH: "个人信息申请", EN: "Requests"}, Days: []string{"due_day"},
			Open: map[string]holdings.Open{"reason": open("reason"), "wanted": open("wanted"), "was": open("was"), "answer": open("answer")},
		},
		{Name: "copy_part", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.ByOwner, Hidden: true},
		{Name: "retained", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.ByOwner, Hidden: true},
	}
}
