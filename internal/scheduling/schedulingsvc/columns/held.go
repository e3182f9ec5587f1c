package columns

import (
	"xinglin/internal/platform/holdings"
)

// Held are the tables that hold something of persons. All of them name by ids only.
func Held() []holdings.Table {
	return []holdings.Table{
		{
			Name: "appointment", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Visit, Since: "state_at",
			Title: holdings.Words{ZH: "挂号", EN: "Appointments"}, Days: []string{"day"},
			Pending: &holdings.States{Column: "state", In: []string{"pending", "booked", "arrived"}},
			Record:  &holdings.States{Column: "state", In: []string{"arrived", "fulfilled"}},
		},
		{
			Name: "incident", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Visit, Since: "day", SinceDay: true,
			Title: holdings.Words{ZH: "爽约与退号", EN: "Missed and returned appointments"}, Days: []string{"day", "on_day"},
		},
		{
			Name: "filed_visit", Column: "owner_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Visit, Since: "day", SinceDay: true,
			Title: holdings.Words{ZH: "挂号的索引", EN: "The index of appointments"}, Hidden: true,
		},
		{
			Name: "lottery_entry", Column: "patient_id", Owner: holdings.Patient, Fate: holdings.Kept, Term: holdings.Deal, Since: "created_at",
			Title: holdings.Words{ZH: "摇号", EN: "Draws of lots"},
		},
	}
}
