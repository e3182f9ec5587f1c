package clinicsvc

import "xinglin/internal/kernel/dataclass"

// data are the classes of the columns.
func data() dataclass.Schema {
	return dataclass.Schema{
		"clinic_rules": {
			dataclass.ID:   "tenant_id",
			dataclass.Fact: "early_minutes late_minutes show_names version updated_at",
		},
		"line": {
			dataclass.ID:     "tenant_id id campus_id department_id practitioner_id",
			dataclass.Fact:   "day session known stopped starts_at ends_at periods paused_until pause_reason calls special moved version created_at updated_at",
			dataclass.Public: "location",
		},
		"turn": {
			dataclass.ID: "tenant_id id line_id account_id patient_id",
			dataclass.Fact: `number starts_at state late special joined joined_at passed back checked_in_at called_at announced_at left_at calls
				created_at updated_at`,
		},
		"turn_history": {
			dataclass.ID:   "tenant_id turn_id act_id",
			dataclass.Fact: "seq from_state to_state at",
		},
		"display": {
			dataclass.ID:     "tenant_id id campus_id",
			dataclass.Fact:   "departments created_at last_seen_at expires_at",
			dataclass.Public: "name",
			dataclass.Secret: "token_hash",
		},
	}
}
