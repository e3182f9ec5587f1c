package schedulingsvc

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/rotagen"
	"xinglin/internal/testkit"
)

// file is a generated rota of a hospital.
func file(t *testing.T, o rotagen.Options) ([]byte, []rotagen.Planted) {
	t.Helper()
	var b bytes.Buffer
	planted, err := rotagen.Write(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), planted
}

func (w *world) load(text []byte, dry bool) (scheduling.ImportReport, error) {
	return w.s.Import(testkit.AsCLI(context.Background(), w.tenant), scheduling.ImportRequest{File: bytes.NewReader(text), DryRun: dry, From: day("2026-03-02")})
}

// TestImport: a file with seven errors writes nothing and names each; a dry run writes
// nothing and tells what it would; the clean file is loaded; loading it again changes
// nothing; what is loaded can be booked.
func TestImport(t *testing.T) {
	opt := rotagen.Options{Seed: 3, From: day("2026-03-02"), Rows: 2000}
	clean, _ := file(t, opt)
	opt.Errors = true
	faulty, planted := file(t, opt)
	eachWorld(t, func(t *testing.T, w *world) {
		before := w.dir.writes
		rep, err := w.load(faulty, false)
		want(t, err, scheduling.ErrImportRows)
		var got, should []string
		for _, e := range rep.Errors {
			got = append(got, fmt.Sprintf("%d %s", e.Line, e.Column))
		}
		for _, p := range planted {
			should = append(should, fmt.Sprintf("%d %s", p.Line, p.Column))
		}
		if d := cmp.Diff(should, got); d != "" || rep.ErrorCount != 7 {
			t.Fatalf("%d errors: %s", rep.ErrorCount, d)
		}
		dry, err := w.load(clean, true)
		if err != nil || !dry.DryRun || dry.Rules.New == 0 || dry.Schedules.New == 0 || dry.Doctors.New == 0 {
			t.Fatalf("%v %+v", err, dry)
		}
		empty := func() bool {
			return w.number(`SELECT (SELECT COUNT(*) FROM rota_rule WHERE tenant_id = $1) + (SELECT COUNT(*) FROM schedule WHERE tenant_id = $1) + (SELECT COUNT(*) FROM outbox WHERE tenant_id = $1)`, w.tenant) == 0
		}
		if !empty() || w.dir.writes != before {
			t.Fatal("errors and dry runs write nothing")
		}
		begin := clock.Mono()
		rep, err = w.load(clean, false)
		took := clock.Mono().Sub(begin)
		if err != nil || rep.Rows != 2000 || rep.Campuses.New+rep.Campuses.Same != rotagen.Campuses {
			t.Fatalf("%v %+v", err, rep)
		}
		t.Logf("2,000 rows in %s: %d rules, %d exceptions, %d schedules", took, rep.Rules.New, rep.Exceptions.New, rep.Schedules.New)
		if dry.Rules != rep.Rules || dry.Exceptions != rep.Exceptions || dry.Schedules != rep.Schedules || dry.Doctors != rep.Doctors {
			t.Errorf("the dry run told %+v, it was %+v", dry, rep)
		}
		again, err := w.load(clean, false)
		if err != nil || again.Rules.New+again.Rules.Changed+again.Exceptions.New+again.Exceptions.Changed+again.Schedules.New+again.Schedules.Changed+again.Doctors.New != 0 {
			t.Fatalf("%v %+v", err, again)
		}
		if again.Schedules.Same != rep.Schedules.New {
			t.Errorf("%d the same of %d", again.Schedules.Same, rep.Schedules.New)
		}
		w.sound()
	})
}

// The rows of a small file.
const (
	head   = "院区,科室,医生,执业证号,职称,星期/日期,时段,号别,号源数,每号分钟,挂号费,开始时间,起始日期,结束日期,类型\n"
	sound  = "本部,内科,张三,110310000000001,主任医师,周一,上午,专家,20,12,50,8:00,2026-03-01,2026-05-31,出诊\n"
	oneRow = head + sound
)

// TestImportChange: another fee in the file changes the rule and the sessions that nobody
// has booked; a sold session stays as it was sold. Leave stops a session.
func TestImportChange(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		if _, err := w.load([]byte(oneRow), false); err != nil {
			t.Fatal(err)
		}
		w.doctor = w.dir.doctors["110310000000001"].ID
		mondays := []string{"2026-03-09", "2026-03-16"}
		sold := w.on(mondays[0])
		p, v := w.person()
		a := w.hold(p, w.ask(v, sold.ID))
		dearer := strings.Replace(oneRow, ",50,", ",80,", 1)
		if dearer == oneRow {
			t.Fatal("the row has another fee")
		}
		rep, err := w.load([]byte(dearer), false)
		if err != nil || rep.Rules.Changed != 1 || rep.Schedules.Changed == 0 {
			t.Fatalf("%v %+v", err, rep)
		}
		if w.on(mondays[0]).Fee != 5000 || w.on(mondays[1]).Fee != 8000 {
			t.Errorf("%d and %d", w.on(mondays[0]).Fee, w.on(mondays[1]).Fee)
		}
		fewer := strings.Replace(dearer, ",20,12,", ",7,30,", 1)
		if rep, err = w.load([]byte(fewer), false); err != nil || rep.Schedules.Changed == 0 {
			t.Fatalf("%v %+v", err, rep)
		}
		if sch := w.on(mondays[1]); sch.Capacity != 7 || len(w.slots(sch.ID)) != 7 {
			t.Errorf("%+v", sch)
		}
		w.sound()
		if rep, err = w.agreed(leave(mondays[0], mondays[0])); err != nil || rep.Exceptions.New != 1 {
			t.Fatalf("%v %+v", err, rep)
		}
		if sch := w.on(mondays[0]); sch.State != scheduling.ScheduleHalted || w.told(scheduling.ScheduleStopped{}) != 1 {
			t.Errorf("%+v", sch)
		}
		if err := w.paid(a); err != nil { // paid for a session that stopped meanwhile
			t.Fatal(err)
		}
		w.due()
		if b := w.get(p, a.ID); b.State != scheduling.Cancelled || b.CancelReason != scheduling.ByStop || b.Settlement != scheduling.Refund || w.payments.refunded() != 5000 {
			t.Errorf("%+v", b)
		}
		_, _, err = w.s.Hold(w.as(p), w.ask(v, sold.ID))
		want(t, err, scheduling.ErrScheduleStopped)
		w.sound()
	})
}

func TestImportLicenceTaken(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.dir.doctor("本部", "内科", "李四", "110310000000002")
		text := oneRow + strings.NewReplacer("110310000000001", "110310000000002", "张三", "王五").Replace(sound)
		rep, err := w.load([]byte(text), false)
		want(t, err, scheduling.ErrImportRows)
		if rep.ErrorCount != 1 || rep.Errors[0].Line != 3 || rep.Errors[0].Column != "执业证号" {
			t.Errorf("%+v", rep.Errors)
		}
		only := head + strings.NewReplacer("周一", "2026-03-09", "出诊", "停诊", "张三", "赵六", "110310000000001", "110310000000009").Replace(sound)
		rep, err = w.load([]byte(only), false)
		want(t, err, scheduling.ErrImportRows)
		if rep.ErrorCount != 1 || rep.Errors[0].Line != 2 {
			t.Errorf("%+v", rep.Errors)
		}
		if w.number(`SELECT COUNT(*) FROM rota_exception WHERE tenant_id = $1`, w.tenant) != 0 {
			t.Error("nothing was written")
		}
	})
}

// TestExtend: repeating an extension makes nothing new; the nightly job and the start ask
// for every tenant; the window moves with the days.
func TestExtend(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		ctx := testkit.AsCLI(context.Background(), w.tenant)
		all := func() int { return w.number(`SELECT COUNT(*) FROM schedule WHERE tenant_id = $1`, w.tenant) }
		n := all()
		rep, err := w.s.ExtendRota(ctx, clock.DateOf(w.clock.Now()).Add(30))
		if err != nil || rep.Schedules != 0 || all() != n {
			t.Fatalf("%v %+v, %d then %d", err, rep, n, all())
		}
		errs := many(6, func(int) error {
			return busy(func() error { _, err := w.s.ExtendRota(ctx, clock.DateOf(w.clock.Now()).Add(40)); return err })
		})
		if got := codes(errs); got["ok"] != 6 || all() != n+10 {
			t.Fatalf("%v, %d", got, all())
		}
		w.clock.Set(day("2026-04-20").At(10))
		w.due()
		if w.on("2026-05-20").Capacity != 10 {
			t.Error("the job has made the days up to the horizon")
		}
		_, err = w.s.ExtendRota(ctx, clock.DateOf(w.clock.Now()).Add(400))
		want(t, err, scheduling.ErrInput)
		w.sound()
	})
}

// TestRulesMoveReleases: new rules release what is not released yet anew.
func TestRulesMoveReleases(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		open, later := w.on("2026-03-06"), w.on("2026-03-20")
		r, version, err := w.s.Rules(w.as(w.operator))
		if err != nil || version != 0 || r.Preset != "standard" {
			t.Fatalf("%v %d %+v", err, version, r)
		}
		r.LastDay, r.Release = 14, hm(6, 0)
		if version, err = w.s.SetRules(w.as(w.operator), r, version); err != nil || version != 1 {
			t.Fatal(err, version)
		}
		if got := w.on("2026-03-20"); !got.ReleasedAt.Equal(day("2026-03-06").At(360)) || got.ReleasedAt.Equal(later.ReleasedAt) {
			t.Errorf("%s", got.ReleasedAt)
		}
		if got := w.on("2026-03-06"); !got.ReleasedAt.Equal(open.ReleasedAt) {
			t.Error("what is released stays so")
		}
		_, err = w.s.SetRules(w.as(w.operator), r, 0)
		want(t, err, scheduling.ErrStale)
		p, v := w.person()
		_, _, err = w.s.Hold(w.as(p), w.ask(v, w.on("2026-03-20").ID))
		want(t, err, scheduling.ErrNotReleased)
		_, _, err = w.s.Hold(w.as(p), w.ask(v, w.on("2026-03-02").ID))
		if err == nil {
			t.Error("from tomorrow only")
		}
	})
}

// rules sets the rules of the world.
func (w *world) rules(change func(r *scheduling.BookingRules)) {
	w.t.Helper()
	r, version, err := w.s.Rules(w.as(w.operator))
	if err != nil {
		w.t.Fatal(err)
	}
	change(&r)
	if _, err := w.s.SetRules(w.as(w.operator), r, version); err != nil {
		w.t.Fatal(err)
	}
}

// TestSeatReturn: a cancelled seat comes back at once, after a while, or at the next
// release, by the hospital's policy; until then nobody can have it.
func TestSeatComesBack(t *testing.T) {
	for _, x := range []struct {
		name   string
		policy scheduling.SeatReturn
		after  int // minutes
	}{
		{"at once", scheduling.SeatReturn{Kind: scheduling.ReturnAtOnce}, 0},
		{"random", scheduling.SeatReturn{Kind: scheduling.ReturnRandom, Min: 5, Max: 30}, 15},
		{"next release", scheduling.SeatReturn{Kind: scheduling.ReturnNextRelease}, 22 * 60},
	} {
		t.Run(x.name, func(t *testing.T) {
			eachWorld(t, func(t *testing.T, w *world) {
				w.s.pick = func(int) int { return 600 }
				w.rules(func(r *scheduling.BookingRules) { r.SeatReturn = x.policy })
				w.rota(2500, 1, 30)
				p, v := w.person()
				q, other := w.person()
				sch := w.on("2026-03-05")
				a := w.booked(p, w.ask(v, sch.ID))
				if _, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: a.Version}); err != nil {
					t.Fatal(err)
				}
				w.sound()
				if x.after > 0 {
					w.clock.Add(minute * 1)
					w.due()
					_, _, err := w.s.Hold(w.as(q), w.ask(other, sch.ID))
					want(t, err, scheduling.ErrFull)
					w.clock.Add(minute * clockMinutes(x.after-1))
					w.due()
				}
				if w.on("2026-03-05").Remaining != 1 {
					t.Fatal("the seat is back")
				}
				if b := w.booked(q, w.ask(other, sch.ID)); b.Number != 1 {
					t.Errorf("number %d", b.Number)
				}
				w.sound()
			})
		})
	}
}

// TestHospitalRules: caps over departments, age, and suspension after returns.
func TestHospitalRules(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 40, 30)
		p, v := w.person()
		w.rules(func(r *scheduling.BookingRules) {
			r.Caps = []scheduling.Cap{{Days: 7, Max: 2}}
			r.Age = scheduling.AgeRule{Kind: scheduling.AgeRefuse, Border: 14}
			r.Returns = []scheduling.AbuseRule{{Count: 2, Calendar: true}}
		})
		first, second := w.booked(p, w.ask(v, w.on("2026-03-04").ID)), w.booked(p, w.ask(v, w.on("2026-03-05").ID))
		_, _, err := w.s.Hold(w.as(p), w.ask(v, w.on("2026-03-06").ID))
		want(t, err, scheduling.ErrCapReached)
		for _, a := range []scheduling.Appointment{first, second} {
			if _, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: a.Version}); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err = w.s.Hold(w.as(p), w.ask(v, w.on("2026-03-06").ID))
		want(t, err, scheduling.ErrSuspended)
		q, child := w.person()
		w.patients.birth[child] = day("2015-05-05")
		_, _, err = w.s.Hold(w.as(q), w.ask(child, w.on("2026-03-06").ID))
		want(t, err, scheduling.ErrAge)
		w.rules(func(r *scheduling.BookingRules) {
			r.Age = scheduling.AgeRule{Kind: scheduling.AgePaediatric, Border: 14}
		})
		_, _, err = w.s.Hold(w.as(q), w.ask(child, w.on("2026-03-06").ID))
		want(t, err, scheduling.ErrAge)
		r := w.ask(child, w.on("2026-03-06").ID)
		r.Patient = v
		_, _, err = w.s.Hold(w.as(q), r)
		want(t, err, scheduling.ErrPatientNotYours)
		w.clock.Set(day("2026-03-05").At(60))
		b := w.booked(q, w.ask(w.adult(q), w.on("2026-03-06").ID))
		w.clock.Set(day("2026-03-06").At(0))
		_, err = w.s.Cancel(w.as(q), scheduling.CancelRequest{ID: b.ID, Version: b.Version})
		want(t, err, scheduling.ErrCancelTooLate)
	})
}

// TestRotaOverlap: a rule that plans its doctor twice at one time is refused.
func TestRotaOverlap(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		r := w.rota(2500, 10, 30)
		twice := r
		twice.Recurrence = "FREQ=WEEKLY;BYDAY=TU"
		_, err := w.s.createRota(w.as(w.operator), twice)
		want(t, err, scheduling.ErrRotaOverlap)
		twice.Duty.Session, twice.Duty.Start, twice.Duty.End = scheduling.Afternoon, hm(14, 0), hm(17, 0)
		if _, err = w.s.createRota(w.as(w.operator), twice); err != nil {
			t.Fatal(err)
		}
		r.Duty.Seats = 12
		changed, err := w.s.updateRota(w.as(w.operator), r)
		if err != nil || changed.Version != 2 {
			t.Fatal(err)
		}
		_, err = w.s.updateRota(w.as(w.operator), r)
		want(t, err, scheduling.ErrStale)
		w.due()
		if w.number(`SELECT COUNT(*) FROM schedule WHERE tenant_id = $1 AND session = 'morning' AND capacity = 12`, w.tenant) < 25 {
			t.Error("sessions that nobody booked follow the rule")
		}
		w.sound()
	})
}
