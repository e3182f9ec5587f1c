package bookingrules

import "xinglin/internal/scheduling"

// AtDesk are the rules for who books at the window: what holds for everybody's own phone only does not. A registrar sees
// the person, so the limit counts persons and never accounts, and the night's pause, the end of online sale before the day
// of the visit, the suspension of online booking and the refusal of children online do not apply. Releases, the limit a
// day, caps, and what a paediatric department takes do.
func AtDesk(r scheduling.BookingRules) scheduling.BookingRules {
	r.Limit.Per = scheduling.PerPatient
	r.Pauses, r.FirstDay = nil, 0
	r.NoShow, r.Returns = scheduling.AbuseRule{}, nil
	if r.Age.Kind == scheduling.AgeRefuse {
		r.Age.Kind = scheduling.AgeAny
	}
	return r
}
