package patientsvc

import "xinglin/internal/platform/rekey"

// keyed is what lies under keys: each person's own, and the blind indexes of the tenant.
func keyed() rekey.Columns {
	return rekey.Columns{
		Sealed: []rekey.Sealed{
			{Table: "patient", Key: "id", Person: "id", Columns: []rekey.Column{
				{Name: "name", Table: "patient", Column: "name"},
				{Name: "number", Table: "patient", Column: "number"},
				{Name: "phone", Table: "patient", Column: "phone"},
			}},
			{Table: "profile", Key: "patient_id", Person: "patient_id", Columns: []rekey.Column{{Name: "sealed", Table: "patient", Column: "profile"}}},
			{Table: "identifier", Key: "id", Person: "patient_id", Columns: []rekey.Column{{Name: "value", Table: "identifier", Column: "value"}}},
		},
		Blind: []rekey.Blind{
			{Table: "patient", Key: "id", Odd: "number_index", Even: "number_index_even"},
			{Table: "search_key", Key: "patient_id", Odd: "value", Even: "value_even"},
			{Table: "identifier", Key: "id", Odd: "value_index", Even: "value_index_even"},
		},
	}
}
