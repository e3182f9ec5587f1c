package clinicsvc

import (
	"xinglin/internal/platform/holdings"
)

// held are the tables that hold something of persons: that they came and were called is part of the record.
func held() []holdings.Table {
	return []holdings.Table{{
		Name: "turn", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Visit, Since: "starts_at",
		Title:   holdings.Words{ZH: "候诊与就诊", EN: "Waiting and visits"},
		Pending: &holdings.States{Column: "state", In: []string{"waiting", "called"}},
		Record:  &holdings.States{Column: "state", In: []string{"done"}},
	}}
}
