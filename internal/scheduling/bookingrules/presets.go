package bookingrules

import "xinglin/internal/scheduling"

// hm is a time of day.
func hm(h, m int) scheduling.Minute { return scheduling.Minute(h*60 + m) }

// Named is a preset: rules with a name.
type Named struct {
	Name, ZH, EN string
	Rules        scheduling.BookingRules
}

// Presets are ready rules made of values that real hospitals publish (RULES 1g). The
// first is the default. Numbers marked [M] there need the hospital's own confirmation.
var Presets = []Named{
	{Name: "standard", ZH: "标准：提前七天，七点放号，就诊日零点前可退", EN: "Standard: 7 days ahead at 07:00, cancel before the day", Rules: scheduling.BookingRules{
		Release: hm(7, 0), FirstDay: 1, LastDay: 7, HoldMinutes: 15,
		Cancel:     scheduling.CancelRule{Kind: scheduling.CancelUntilMidnight},
		SeatReturn: scheduling.SeatReturn{Kind: scheduling.ReturnAtOnce},
		Limit:      scheduling.LimitScope{Per: scheduling.PerPatient},
		Caps:       []scheduling.Cap{{Days: 1, Max: 3}},
		Age:        scheduling.AgeRule{Kind: scheduling.AgeAny},
		NoShow:     scheduling.AbuseRule{Count: 3, Months: 12, Block: 1}, LateMinutes: 30, MissMinutes: 30,
	}},
	{Name: "early", ZH: "早放号：提前十四天，六点放号，前一日十五点前可退", EN: "Early: 14 days ahead at 06:00, cancel by 15:00 of the day before", Rules: scheduling.BookingRules{
		Release: hm(6, 0), FirstDay: 1, LastDay: 14, HoldMinutes: 15,
		Pauses:     []scheduling.Span{{From: hm(0, 0), To: hm(6, 0)}},
		Cancel:     scheduling.CancelRule{Kind: scheduling.CancelDayBefore, At: hm(15, 0)},
		SeatReturn: scheduling.SeatReturn{Kind: scheduling.ReturnRandom, Min: 5, Max: 30},
		Limit:      scheduling.LimitScope{Per: scheduling.PerPatient, Doctor: true},
		Caps:       []scheduling.Cap{{Days: 1, Max: 2}, {Days: 7, Max: 3}},
		Age:        scheduling.AgeRule{Kind: scheduling.AgeRefuse, Border: 14},
		NoShow:     scheduling.AbuseRule{Count: 3, Months: 3, Block: 3},
		Returns:    []scheduling.AbuseRule{{Count: 3, Calendar: true}}, LateMinutes: 30, MissMinutes: 30,
	}},
	{Name: "city", ZH: "市级平台：提前十四天，六点半放号，前一日十七点前可退", EN: "City platform: 14 days ahead at 06:30, cancel by 17:00 of the day before", Rules: scheduling.BookingRules{
		Release: hm(6, 30), FirstDay: 1, LastDay: 14, HoldMinutes: 15,
		Pauses:     []scheduling.Span{{From: hm(0, 0), To: hm(6, 30)}},
		Cancel:     scheduling.CancelRule{Kind: scheduling.CancelDayBefore, At: hm(17, 0)},
		SeatReturn: scheduling.SeatReturn{Kind: scheduling.ReturnNextRelease},
		Limit:      scheduling.LimitScope{Per: scheduling.PerAccount},
		Caps:       []scheduling.Cap{{Days: 1, Max: 3}, {Days: 92, Max: 5}},
		Age:        scheduling.AgeRule{Kind: scheduling.AgeAny},
		NoShow:     scheduling.AbuseRule{Count: 3, Months: 6, Block: 6},
		Returns:    []scheduling.AbuseRule{{Count: 3, Calendar: true, SameDay: true}}, LateMinutes: 30, MissMinutes: 30,
	}},
	{Name: "long", ZH: "长周期：当天至二十八天，零点放号，专家半天、普通半小时前可退", EN: "Long: today to 28 days at 00:00, cancel half a day (expert) or half an hour before", Rules: scheduling.BookingRules{
		Release: hm(0, 0), FirstDay: 0, LastDay: 28, HoldMinutes: 15,
		Cancel:     scheduling.CancelRule{Kind: scheduling.CancelBeforeStart, ExpertMinutes: 720, OrdinaryMinutes: 30},
		SeatReturn: scheduling.SeatReturn{Kind: scheduling.ReturnRandom, Min: 5, Max: 30},
		Limit:      scheduling.LimitScope{Per: scheduling.PerPatient, Session: true},
		Caps:       []scheduling.Cap{{Days: 1, Max: 3}},
		Age:        scheduling.AgeRule{Kind: scheduling.AgeAny},
		NoShow:     scheduling.AbuseRule{Count: 4, Calendar: true}, LateMinutes: 30, MissMinutes: 30,
	}},
	{Name: "children", ZH: "儿科分界：当天至七天，七点放号，十四岁以下只约儿科", EN: "Children: today to 7 days at 07:00, under 14 paediatrics only", Rules: scheduling.BookingRules{
		Release: hm(7, 0), FirstDay: 0, LastDay: 7, HoldMinutes: 15,
		Pauses:     []scheduling.Span{{From: hm(0, 0), To: hm(6, 30)}},
		Cancel:     scheduling.CancelRule{Kind: scheduling.CancelBeforeStart, ExpertMinutes: 720, OrdinaryMinutes: 30},
		SeatReturn: scheduling.SeatReturn{Kind: scheduling.ReturnAtOnce},
		Limit:      scheduling.LimitScope{Per: scheduling.PerPatient},
		Caps:       []scheduling.Cap{{Days: 1, Max: 2}},
		Age:        scheduling.AgeRule{Kind: scheduling.AgePaediatric, Border: 14},
		NoShow:     scheduling.AbuseRule{Count: 3, Months: 3, Block: 6}, LateMinutes: 30, MissMinutes: 30,
	}},
}

// Preset finds rules by name; the rules carry the name.
func Preset(name string) (scheduling.BookingRules, bool) {
	for _, p := range Presets {
		if p.Name == name {
			r := p.Rules
			r.Preset = p.Name
			return r, true
		}
	}
	return scheduling.BookingRules{}, false
}

// Default hold until an operator sets others.
func Default() scheduling.BookingRules {
	r, _ := Preset(Presets[0].Name)
	return r
}
