// Package demo makes the small hospital that --demo shows, through the product's own
// use cases and with a fixed seed: two campuses, twelve departments, sixty doctors, a
// rota with a session that runs now, staff and patients whose logins the demo shows.
// Seeding again changes nothing.
package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/patient"
	"xinglin/internal/platform/obs"
	"xinglin/internal/privacy"
	"xinglin/internal/scheduling"
)

// Hospital is what the seeding works with.
type Hospital struct {
	Tenant     id.ID[auth.Tenant]
	Clock      clock.Clock
	Directory  directory.Service
	Identity   identity.Service
	Logins     identity.Demo
	Patients   patient.Service
	Scheduling scheduling.Service
	Privacy    privacy.Service
	// Rota writes the file of an invented hospital (scheduling/rotagen) that begins on a Monday.
	Rota func(w io.Writer, seed uint64, rows int, from clock.Date) error
	As   func(context.Context, auth.Principal) context.Context // the door that puts a principal in
	// IDPs are the simulated identity providers.
	IDPs []identity.IDPSpec
}

const (
	seed     = 20260101
	rotaRows = 420
	// Password of every staff account of the demo; a second factor is shown beside it.
	Password = "xinglin-demo-2026"
)

// Seed makes what is missing.
func (h Hospital) Seed(ctx context.Context) error {
	ctx = h.cli(ctx)
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"organization", h.organization}, {"rules", h.rules}, {"rota", h.rota}, {"session now", h.SessionNow}, {"places", h.places}, {"staff", h.staff}, {"patients", h.patients}, {"identity providers", h.providers}, {"texts", h.texts},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (h Hospital) organization(ctx context.Context) error {
	if o, err := h.Directory.Organization(ctx, h.Tenant); err == nil && o.Name != "" {
		return nil
	}
	today := clock.DateOf(h.Clock.Now())
	_, err := h.Directory.SetOrganization(ctx, directory.Organization{
		Name: "杏林演示医院", NameEN: "Xinglin Demo Hospital",
		Licences: []directory.Licence{
			{Kind: "医疗机构执业许可证", Number: "演示-0000000000000000", Authority: "演示，不是真实机构", ValidFrom: today.Add(-365), ValidTo: today.Add(5 * 365)},
		},
	})
	return err
}

// rules let today be booked too, so that the session that runs now can be tried.
func (h Hospital) rules(ctx context.Context) error {
	r, version, err := h.Scheduling.Rules(ctx)
	if err != nil || version > 0 && r.FirstDay == 0 {
		return err
	}
	r.FirstDay, r.LastDay = 0, 14
	r.Pauses = nil
	r.Cancel = scheduling.CancelRule{Kind: scheduling.CancelBeforeStart, ExpertMinutes: 60, OrdinaryMinutes: 30}
	r.SeatReturn = scheduling.SeatReturn{Kind: scheduling.ReturnAtOnce}
	_, err = h.Scheduling.SetRules(ctx, r, version)
	return err
}

// rota imports a hospital's file as its clerk would write it, from Monday of this week.
func (h Hospital) rota(ctx context.Context) error {
	found, err := h.Directory.Practitioners(ctx, h.Tenant, directory.Query{Page: page.Request{Limit: 1}})
	if err != nil || len(found.Items) > 0 {
		return err // the daily job extends it
	}
	today := clock.DateOf(h.Clock.Now())
	monday := today.Add(-(int(today.Weekday()) + 6) % 7)
	var file bytes.Buffer
	if err := h.Rota(&file, seed, rotaRows, monday); err != nil {
		return err
	}
	file.WriteString(h.now(today))
	return h.load(ctx, &file)
}

func (h Hospital) load(ctx context.Context, file io.Reader) error {
	rep, err := h.Scheduling.Import(ctx, scheduling.ImportRequest{File: file})
	for _, e := range rep.Errors {
		return fmt.Errorf("row %d, %s: %s: %w", e.Line, e.Column, e.ReasonEN, err)
	}
	return err
}

// cli is the demo as the operator of the machine.
func (h Hospital) cli(ctx context.Context) context.Context {
	return obs.WithOrigin(h.As(ctx, auth.Principal{Kind: auth.CLI, Tenant: h.Tenant, Name: "demo"}), "demo")
}

// Doctor is whose session runs now, whenever that is; Nurse is the user name of who calls the people in at the other doors.
const (
	Doctor = "林知夏"
	Nurse  = "zhouhushi"
)

// SessionNow sees to it that the demo's doctor has a session now. Whoever keeps the demo alive asks each few minutes.
func (h Hospital) SessionNow(ctx context.Context) error {
	ctx = h.cli(ctx)
	found, err := h.Directory.Practitioners(ctx, h.Tenant, directory.Query{Text: Doctor, Page: page.Request{Limit: 1}})
	if err != nil || len(found.Items) == 0 {
		return err
	}
	now := h.Clock.Now()
	today := clock.DateOf(now)
	planned, err := h.Scheduling.Schedules(ctx, h.Tenant, scheduling.ScheduleQuery{Practitioner: found.Items[0].ID, From: today, To: today})
	if err != nil {
		return err
	}
	for _, s := range planned {
		if !now.Before(s.StartsAt) && now.Before(s.EndsAt) {
			return nil
		}
	}
	return h.load(ctx, strings.NewReader(strings.Join(rotaColumns, ",")+"\n"+h.now(today)))
}

// rotaColumns are those of now.
var rotaColumns = []string{"院区", "科室", "医生", "执业证号", "职称", "星期/日期", "时段", "号别", "号源数", "每号分钟", "挂号费", "开始时间", "地点", "起始日期", "结束日期", "类型", "节假日", "补班日", "备注"}

// now is one more session of today that holds the present minute: someone can always be booked. A doctor has one a morning,
// afternoon and evening, so the three fill the day.
func (h Hospital) now(today clock.Date) string {
	const each = 10 // minutes
	at := h.Clock.Now().In(clock.Shanghai)
	minute := at.Hour()*60 + at.Minute()
	session, start, end := "晚", 18*60, 24*60-1
	switch {
	case minute < 12*60:
		session, start, end = "上午", min(at.Hour(), 8)*60, 12*60
	case minute < 13*60+30:
		session, start, end = "下午", 12*60, 18*60
	case minute < 18*60:
		session, start, end = "下午", 13*60+30, 18*60
	}
	return fmt.Sprintf("本部院区,全科医学科,%s,%s,副主任医师,%s,%s,普通,%d,%d,25,%02d:%02d-%02d:%02d,门诊楼1层 106诊室,,,加诊,,,演示\n",
		Doctor, nowLicence, today, session, (end-start)/each, each, start/60, start%60, end/60, end%60)
}

const nowLicence = "110310000000106"
