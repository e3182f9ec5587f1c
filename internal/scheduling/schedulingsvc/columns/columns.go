// Package columns says what each column of scheduling tells of people, how it goes into a copy without them, and what lies under keys.
package columns

import (
	"context"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/mask"
	"xinglin/internal/platform/rekey"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
)

// Classes are those of the columns.
func Classes() dataclass.Schema {
	return dataclass.Schema{
		"booking_rules": {dataclass.ID: "tenant_id", dataclass.Public: "rules", dataclass.Fact: "version updated_at"},
		"rota_turn":     {dataclass.ID: "tenant_id", dataclass.Fact: "turns"},
		"rota_rule": {
			dataclass.ID: "tenant_id id campus_id department_id practitioner_id",
			dataclass.Fact: `session class seats slot_minutes fee_fen start_minute end_minute recurrence from_day to_day holidays makeup
				version`,
			dataclass.Public: "location",
			dataclass.Text:   "remark",
		},
		"rota_exception": {
			dataclass.ID:     "tenant_id id campus_id department_id practitioner_id",
			dataclass.Fact:   "kind session class seats slot_minutes fee_fen start_minute end_minute from_day to_day version",
			dataclass.Public: "location",
			dataclass.Text:   "remark",
		},
		"schedule": {
			dataclass.ID: "tenant_id id campus_id department_id practitioner_id rule_id exception_id",
			dataclass.Fact: `day session class fee_fen starts_at ends_at released_at stopped capacity version created_at updated_at
				lottery_s`,
			dataclass.Public: "location",
		},
		"session_stop": {
			dataclass.ID:   "tenant_id schedule_id",
			dataclass.Fact: "stopped_at by_rota affected refund_fen cancelled",
		},
		"slot": {
			dataclass.ID:   "tenant_id id schedule_id",
			dataclass.Fact: "starts_at ends_at full_mask first capacity taken held booked version holders",
		},
		"appointment": {
			dataclass.ID: "tenant_id id account_id patient_id slot_id",
			dataclass.Fact: `fee_fen created_at state_at cancel_before scope day number version any_slot per_account state cancel_reason
				settlement`,
		},
		"filed_visit": {dataclass.ID: "tenant_id owner_id appointment_id", dataclass.Fact: "day"},
		"incident":    {dataclass.ID: "tenant_id patient_id appointment_id", dataclass.Fact: "kind day on_day"},
		"seat_return": {dataclass.ID: "tenant_id appointment_id slot_id", dataclass.Fact: "seat return_at"},
		"appointment_history": {
			dataclass.ID:   "tenant_id appointment_id act_id",
			dataclass.Fact: "seq from_state to_state at by_what",
		},
		"lottery": {
			dataclass.ID:           "tenant_id id",
			dataclass.Fact:         "state per opens_at closes_at entries seats sealed_at signed_at winners created_at updated_at",
			dataclass.Public:       "commitment seed witness_key root signature",
			dataclass.Key.Sealed(): "seed_sealed",
		},
		"lottery_entry": {
			dataclass.ID:     "tenant_id id lottery_id account_id patient_id slot_id",
			dataclass.Fact:   "wishes outcome reason created_at",
			dataclass.Public: "person grp leaf",
			dataclass.Secret: "nonce",
		},
	}
}

// Masks: what a draw shows everybody stays as it is, or its proof would be none; it names nobody.
func Masks() []mask.Rule {
	return []mask.Rule{
		{Table: "lottery", Row: maskLottery},
		{Table: "lottery_entry", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
			r.Set("nonce", r.Bytes("nonce")) // under the leaf
			return nil
		}},
	}
}

func maskLottery(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	sealed, err := c.Reseal(ctx, Seed(r.Tenant(), id.As[scheduling.Schedule](r.ID("id"))), r.Bytes("seed_sealed"), func(s secret.Text) (secret.Text, error) { return s, nil })
	r.Set("seed_sealed", sealed)
	return err
}

// Seed is where the seed of a lottery is sealed.
func Seed(t scheduling.TenantID, l lottery.ID) crypt.Field {
	return crypt.Field{Tenant: t, Table: "lottery", Column: "seed", Row: l.String()}
}

// Keyed is what lies under the tenant's keys.
func Keyed() rekey.Columns {
	return rekey.Columns{Sealed: []rekey.Sealed{{Table: "lottery", Key: "id", Columns: []rekey.Column{{Name: "seed_sealed", Table: "lottery", Column: "seed"}}}}}
}
