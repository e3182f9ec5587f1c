package schedulingsvc

import (
	"context"
	"fmt"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
)

// ruleBody is what a rule says.
type ruleBody struct {
	CampusID       string    `json:"campus_id" format:"uuid"`
	DepartmentID   string    `json:"department_id" format:"uuid"`
	PractitionerID string    `json:"practitioner_id" format:"uuid"`
	Session        string    `json:"session" enum:"morning,afternoon,evening"`
	Class          string    `json:"class" enum:"ordinary,expert,special"`
	Seats          int       `json:"seats" minimum:"1" maximum:"500"`
	SlotMinutes    int       `json:"slot_minutes" minimum:"1" maximum:"480"`
	FeeFen         money.Fen `json:"fee_fen" minimum:"0" maximum:"500000"`
	Start          string    `json:"start" pattern:"^[0-2][0-9]:[0-5][0-9]$" example:"08:00"`
	End            string    `json:"end" pattern:"^[0-2][0-9]:[0-5][0-9]$" example:"12:00"`
	Location       string    `json:"location,omitempty" maxLength:"60"`
	Remark         string    `json:"remark,omitempty" maxLength:"200"`
	Recurrence     string    `json:"recurrence" maxLength:"200" example:"FREQ=WEEKLY;BYDAY=MO,WE" doc:"RFC 5545 RRULE, counted from the first day"`
	From           string    `json:"from" format:"date"`
	To             string    `json:"to,omitempty" format:"date" doc:"Last day; empty is open"`
	Holidays       string    `json:"holidays,omitempty" enum:"work" doc:"Works on public holidays; else rests"`
	MakeUp         string    `json:"makeup,omitempty" enum:"workday,own" doc:"On make-up workdays: as the workday it stands for, or by its own date; else rests"`
}

type rotaBody struct {
	ID id.ID[scheduling.RotaRule] `json:"id"`
	ruleBody
	Version int64 `json:"version"`
}

func rotaOut(v scheduling.RotaRule) rotaBody {
	d := v.Duty
	to := ""
	if v.To != 0 {
		to = v.To.String()
	}
	return rotaBody{v.ID, ruleBody{
		CampusID: d.Campus.String(), DepartmentID: d.Department.String(), PractitionerID: d.Practitioner.String(), Session: string(d.Session), Class: string(d.Class),
		Seats: d.Seats, SlotMinutes: d.SlotMinutes, FeeFen: d.Fee, Start: d.Start.String(), End: d.End.String(), Location: d.Location, Remark: d.Remark,
		Recurrence: v.Recurrence, From: v.From.String(), To: to, Holidays: string(v.Holidays), MakeUp: string(v.MakeUp),
	}, v.Version}
}

// rule reads the body; ids that cannot be ids do not exist.
func (b ruleBody) rule() (v scheduling.RotaRule, err error) {
	d := &v.Duty
	if d.Campus, err = httpx.ID[directory.Campus](b.CampusID); err != nil {
		return v, err
	}
	if d.Department, err = httpx.ID[directory.Department](b.DepartmentID); err != nil {
		return v, err
	}
	if d.Practitioner, err = httpx.ID[directory.Practitioner](b.PractitionerID); err != nil {
		return v, err
	}
	if v.From, err = optionalDate("from", b.From, 0); err != nil {
		return v, err
	}
	if v.To, err = optionalDate("to", b.To, 0); err != nil {
		return v, err
	}
	d.Session, d.Class, d.Seats, d.SlotMinutes, d.Fee = scheduling.Session(b.Session), scheduling.Class(b.Class), b.Seats, b.SlotMinutes, b.FeeFen
	d.Start, d.End, d.Location, d.Remark = minuteOf(b.Start), minuteOf(b.End), b.Location, b.Remark
	v.Recurrence, v.Holidays, v.MakeUp = b.Recurrence, scheduling.HolidayPolicy(b.Holidays), scheduling.MakeUpPolicy(b.MakeUp)
	return v, nil
}

// minuteOf reads HH:MM; the pattern has been checked, the bounds are rotaplan's.
func minuteOf(s string) scheduling.Minute {
	var h, m int
	if _, err := fmt.Sscanf(s, "%d:%d", &h, &m); err != nil {
		return -1
	}
	return scheduling.Minute(h*60 + m)
}

type listRotasIn struct {
	DepartmentID   string `query:"department_id" format:"uuid"`
	PractitionerID string `query:"practitioner_id" format:"uuid"`
	Cursor         string `query:"cursor" maxLength:"1024"`
	Limit          int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

func (s *Service) getRotas(ctx context.Context, a *httpx.API, in *listRotasIn) (*out[list[rotaBody]], error) {
	var f rotas.Filter
	var err error
	if f.Department, err = optional[directory.Department](in.DepartmentID); err != nil {
		return nil, err
	}
	if f.Practitioner, err = optional[directory.Practitioner](in.PractitionerID); err != nil {
		return nil, err
	}
	cursor, err := a.Unseal(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := s.rotaPage(ctx, f, page.Request{Cursor: cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	o := &out[list[rotaBody]]{list[rotaBody]{Items: make([]rotaBody, 0, len(found.Items)), Next: a.Seal(ctx, found.Next)}}
	for _, v := range found.Items {
		o.Body.Items = append(o.Body.Items, rotaOut(v))
	}
	return o, nil
}

type postRotaIn struct {
	Body ruleBody
}

func (s *Service) postRota(ctx context.Context, in *postRotaIn) (*tagged[rotaBody], error) {
	r, err := in.Body.rule()
	if err != nil {
		return nil, err
	}
	if r, err = s.createRota(ctx, r); err != nil {
		return nil, err
	}
	return &tagged[rotaBody]{httpx.ETag(r.Version), rotaOut(r)}, nil
}

type putRotaIn struct {
	ID    string `path:"id" format:"uuid"`
	Match string `header:"If-Match" required:"true"`
	Body  ruleBody
}

func (s *Service) putRota(ctx context.Context, in *putRotaIn) (*tagged[rotaBody], error) {
	r, err := in.Body.rule()
	if err != nil {
		return nil, err
	}
	if r.ID, err = httpx.ID[scheduling.RotaRule](in.ID); err != nil {
		return nil, err
	}
	if r.Version, err = httpx.Version(in.Match); err != nil {
		return nil, err
	}
	if r, err = s.updateRota(ctx, r); err != nil {
		return nil, err
	}
	return &tagged[rotaBody]{httpx.ETag(r.Version), rotaOut(r)}, nil
}

type postPreviewIn struct {
	Body struct {
		ID   string   `json:"id,omitempty" format:"uuid" doc:"The rule that would be changed"`
		Rule ruleBody `json:"rule"`
		From string   `json:"from,omitempty" format:"date" doc:"Today when empty"`
		To   string   `json:"to,omitempty" format:"date" doc:"27 days after the first when empty"`
	}
}

type previewBody struct {
	Items     []previewItemBody `json:"items"`
	Conflicts []conflictBody    `json:"conflicts" doc:"Days on which the doctor is planned already; the rule makes no session there"`
	Drops     []dropBody        `json:"drops" doc:"The first 50 sessions to come that a change of the rule would leave without one, most visits first"`
	DropCount int               `json:"drop_count" doc:"All of these; those without visits would stop, the others stay as they were sold"`
	DropKept  int               `json:"drop_kept" doc:"How many have visits and would stay"`
}

type dropBody struct {
	ScheduleID scheduleID `json:"schedule_id"`
	Date       clock.Date `json:"date"`
	Session    string     `json:"session"`
	Visits     int        `json:"visits"`
}

type previewItemBody struct {
	Date     clock.Date        `json:"date"`
	Session  string            `json:"session"`
	StartsAt time.Time         `json:"starts_at"`
	EndsAt   time.Time         `json:"ends_at"`
	Seats    int               `json:"seats"`
	Slots    []previewSlotBody `json:"slots"`
}

type conflictBody struct {
	Date    clock.Date `json:"date"`
	Session string     `json:"session"`
}

type previewSlotBody struct {
	StartsAt time.Time `json:"starts_at"`
	EndsAt   time.Time `json:"ends_at"`
	First    int       `json:"first" doc:"The number of the first seat"`
	Capacity int       `json:"capacity"`
}

func (s *Service) postPreview(ctx context.Context, in *postPreviewIn) (*out[previewBody], error) {
	r, err := in.Body.Rule.rule()
	if err != nil {
		return nil, err
	}
	if r.ID, err = optional[scheduling.RotaRule](in.Body.ID); err != nil {
		return nil, err
	}
	from, err := optionalDate("from", in.Body.From, clock.DateOf(s.base.Clock.Now()))
	if err != nil {
		return nil, err
	}
	to, err := optionalDate("to", in.Body.To, from.Add(27))
	if err != nil {
		return nil, err
	}
	found, err := s.previewRota(ctx, r, from, to)
	if err != nil {
		return nil, err
	}
	b := previewBody{Items: []previewItemBody{}, Conflicts: []conflictBody{}, Drops: []dropBody{}, DropCount: len(found.Drops)}
	for i, v := range found.Drops {
		if v.Visits > 0 {
			b.DropKept++
		}
		if i < rotas.MaxStops {
			b.Drops = append(b.Drops, dropBody{v.Schedule, v.Date, string(v.Session), v.Visits})
		}
	}
	for _, p := range found.Sessions {
		item := previewItemBody{p.Date, string(p.Duty.Session), p.StartsAt, p.EndsAt, 0, nil}
		for _, v := range p.Slots {
			item.Seats += v.Capacity
			item.Slots = append(item.Slots, previewSlotBody{v.StartsAt, v.EndsAt, v.First, v.Capacity})
		}
		b.Items = append(b.Items, item)
	}
	for _, c := range found.Conflicts {
		b.Conflicts = append(b.Conflicts, conflictBody{c.Left.Date, string(c.Left.Duty.Session)})
	}
	return &out[previewBody]{b}, nil
}

type presetBody struct {
	Name   string                  `json:"name"`
	Title  string                  `json:"title"`
	EN     string                  `json:"title_en"`
	Values scheduling.BookingRules `json:"values"`
}

type rulesBody struct {
	Values  scheduling.BookingRules `json:"values"`
	Version int64                   `json:"version" doc:"0: the default preset, nothing set yet"`
	Presets []presetBody            `json:"presets"`
}

func (s *Service) getRules(ctx context.Context, _ *struct{}) (*tagged[rulesBody], error) {
	r, version, err := s.Rules(ctx)
	if err != nil {
		return nil, err
	}
	return rulesOut(r, version), nil
}

func rulesOut(r scheduling.BookingRules, version int64) *tagged[rulesBody] {
	b := rulesBody{Values: r, Version: version}
	for _, p := range bookingrules.Presets {
		v, _ := bookingrules.Preset(p.Name)
		b.Presets = append(b.Presets, presetBody{p.Name, p.ZH, p.EN, v})
	}
	return &tagged[rulesBody]{httpx.ETag(version), b}
}

type putRulesIn struct {
	Match string `header:"If-Match" required:"true"`
	Body  struct {
		Preset string                   `json:"preset" maxLength:"40" doc:"The preset that the rules start from"`
		Values *scheduling.BookingRules `json:"values,omitempty" doc:"Every rule; left out, the preset's own values hold"`
	}
}

func (s *Service) putRules(ctx context.Context, in *putRulesIn) (*tagged[rulesBody], error) {
	version, err := httpx.Version(in.Match)
	if err != nil {
		return nil, err
	}
	r, known := bookingrules.Preset(in.Body.Preset)
	if !known {
		return nil, scheduling.ErrRulesInvalid.At("preset", "unknown")
	}
	if in.Body.Values != nil {
		r = *in.Body.Values
		r.Preset = in.Body.Preset
	}
	if version, err = s.SetRules(ctx, r, version); err != nil {
		return nil, err
	}
	return rulesOut(r, version), nil
}
