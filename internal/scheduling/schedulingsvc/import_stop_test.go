package schedulingsvc

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
	"xinglin/internal/scheduling/schedulingsvc/rotas"
	"xinglin/internal/testkit"
)

// leave is a file in which the world's doctor is away in the mornings from..to.
func leave(from, to string) string {
	return head + fmt.Sprintf("本部,内科,张三,110310000000001,主任医师,,上午,,,,,,%s,%s,停诊\n", from, to)
}

// agreed loads a file with consent to its stops.
func (w *world) agreed(text string) (scheduling.ImportReport, error) {
	r := scheduling.ImportRequest{File: bytes.NewReader([]byte(text)), StopVisits: true, From: day("2026-03-02")}
	return w.s.Import(testkit.AsCLI(context.Background(), w.tenant), r)
}

// written is a digest of all that an import may write.
func (w *world) written() string {
	w.t.Helper()
	out := []int{w.dir.writes}
	for _, table := range []string{"rota_rule", "rota_exception", "schedule", "slot", "session_stop", "outbox", "trail", "job"} {
		out = append(out, w.number(`SELECT COUNT(*) FROM `+table+` WHERE tenant_id = $1`, w.tenant))
	}
	for _, table := range []string{"rota_rule", "schedule", "slot", "appointment"} {
		out = append(out, w.number(`SELECT CAST(COALESCE(SUM(version), 0) AS BIGINT) FROM `+table+` WHERE tenant_id = $1`, w.tenant))
	}
	return fmt.Sprint(out)
}

// TestImportStops: a file that stops booked sessions is refused with the list and writes
// nothing, not even in the directory; a dry run tells the same; with consent it is loaded and
// the visits go the way of every stop.
func TestImportStops(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		sch := w.on("2026-03-05")
		p, v := w.person()
		held := w.hold(p, w.ask(v, sch.ID))
		q, x := w.person()
		paid := w.booked(q, w.ask(x, sch.ID))
		r, y := w.person()
		back := w.booked(r, w.ask(y, sch.ID))
		if _, err := w.s.Cancel(w.as(r), scheduling.CancelRequest{ID: back.ID, Version: back.Version}); err != nil {
			t.Fatal(err)
		}
		text := leave("2026-03-05", "2026-03-06") + strings.NewReplacer("110310000000001", "110310000000002", "张三", "王五").Replace(sound)
		stops := []scheduling.StoppedSession{
			{Date: day("2026-03-05"), Session: scheduling.Morning, Department: "心内科", Doctor: "张三", Visits: 2},
			{Date: day("2026-03-06"), Session: scheduling.Morning, Department: "心内科", Doctor: "张三"},
		}
		before := w.written()
		dry, err := w.load([]byte(text), true)
		if d := cmp.Diff(stops, dry.Stops); err != nil || d != "" || dry.StopCount != 2 || dry.StopVisits != 2 || dry.Exceptions.New != 1 || dry.Doctors.New != 1 {
			t.Fatalf("%v %+v %s", err, dry, d)
		}
		if got := w.written(); got != before {
			t.Errorf("a dry run wrote: %s, before %s", got, before)
		}
		s, z := w.person() // books after the dry run
		late := w.hold(s, w.ask(z, sch.ID))
		stops[0].Visits, before = 3, w.written()
		rep, err := w.load([]byte(text), false)
		want(t, err, scheduling.ErrImportStops)
		if d := cmp.Diff(stops, rep.Stops); d != "" || rep.StopCount != 2 || rep.StopVisits != 3 || rep.Rules.New+rep.Exceptions.New+rep.Schedules.New+rep.Doctors.New != 0 {
			t.Errorf("%+v %s", rep, d)
		}
		if f := fault.Of(err); len(f.Details) != 1 || f.Details[0].Path != "2026-03-05 morning" || !strings.Contains(f.Details[0].Message, "心内科 张三：已有 3 人预约") {
			t.Errorf("%+v", f.Details)
		}
		if got := w.written(); got != before {
			t.Errorf("a refused import wrote: %s, before %s", got, before)
		}
		rep, err = w.agreed(text)
		if d := cmp.Diff(stops, rep.Stops); err != nil || d != "" || rep.Exceptions.New != 1 || rep.Doctors.New != 1 || rep.Schedules.New == 0 {
			t.Fatalf("%v %+v %s", err, rep, d)
		}
		stop, err := w.s.readStop(w.as(w.operator), sch.ID)
		if err != nil || !stop.ByRota || stop.Affected != 3 || stop.Refund != 2500 || stop.Pending != 3 {
			t.Errorf("%v %+v", err, stop)
		}
		w.due()
		for _, a := range []struct {
			who auth.Principal
			a   scheduling.Appointment
		}{{p, held}, {q, paid}, {s, late}} {
			if got := w.get(a.who, a.a.ID); got.State != scheduling.Cancelled || got.CancelReason != scheduling.ByStop {
				t.Errorf("%+v", got)
			}
		}
		if w.on("2026-03-06").State != scheduling.ScheduleHalted || w.told(scheduling.ScheduleStopped{}) != 1 || w.payments.refunded() != 5000 { // the patient's own, and the paid one
			t.Errorf("%+v, %d messages, %d back", w.on("2026-03-06"), w.told(scheduling.ScheduleStopped{}), w.payments.refunded())
		}
		if n := w.number(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'scheduling.import_rota' AND why = '2 sessions stop, 3 visits'`, w.tenant); n != 1 {
			t.Errorf("%d audit rows of the stops", n)
		}
		w.sound()
		again, err := w.load([]byte(text), false)
		if err != nil || again.StopCount != 0 || again.Exceptions.Same != 1 {
			t.Errorf("%v %+v", err, again)
		}
		free, err := w.load([]byte(leave("2026-03-10", "2026-03-10")), false) // nobody is there: nobody is asked
		if err != nil || free.StopCount != 1 || free.StopVisits != 0 || w.on("2026-03-10").State != scheduling.ScheduleHalted {
			t.Errorf("%v %+v", err, free)
		}
		w.sound()
	})
}

// TestImportStopsRace: people book while files that stop their sessions come in without
// consent. Of each session either the file or the people win; nobody loses a visit.
func TestImportStopsRace(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 40, 30)
		days := []string{"2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"}
		const people, files = 6, 2
		var ids []scheduleID
		var who []auth.Principal
		var asks []scheduling.HoldRequest
		for _, d := range days {
			sch := w.on(d).ID
			ids = append(ids, sch)
			for range people {
				p, v := w.person()
				who, asks = append(who, p), append(asks, w.ask(v, sch))
			}
		}
		errs := many(len(asks)+files*len(days), func(i int) error {
			if n := i - len(asks); n >= 0 {
				d := days[n%len(days)]
				return busy(func() error { _, err := w.load([]byte(leave(d, d)), false); return err })
			}
			return busy(func() error { _, _, err := w.s.Hold(w.as(who[i]), asks[i]); return err })
		})
		w.due()
		for k, d := range days {
			held, loaded := codes(errs[k*people:(k+1)*people]), map[string]int{}
			for f := range files {
				loaded = add(loaded, codes(errs[len(asks)+f*len(days)+k:][:1]))
			}
			live := w.number(`SELECT COUNT(*) FROM appointment a JOIN slot s ON s.tenant_id = a.tenant_id AND s.id = a.slot_id WHERE a.tenant_id = $1 AND s.schedule_id = $2 AND a.state = 'booked'`, w.tenant, ids[k])
			halted := w.on(d).State == scheduling.ScheduleHalted
			if halted && (live != 0 || held["scheduling.schedule_stopped"] != people || loaded["ok"] != files) || !halted && (live != held["ok"] || live != people || loaded["scheduling.import_stops"] != files) {
				t.Errorf("%s: stopped %v, %d visits; people %v, files %v", d, halted, live, held, loaded)
			}
		}
		if n := w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND state = 'cancelled'`, w.tenant); n != 0 {
			t.Errorf("%d visits were cancelled and nobody was asked", n)
		}
		w.sound()
	})
}

// add sums counts.
func add(a, b map[string]int) map[string]int {
	for k, n := range b {
		a[k] += n
	}
	return a
}

// TestImportStopsFar: sessions beyond the days that are planned today count too, those with
// visits are named first, and at most fifty.
func TestImportStopsFar(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rules(func(r *scheduling.BookingRules) { r.LastDay = 60 })
		w.rota(0, 10, 30)
		p, v := w.person()
		far := w.hold(p, w.ask(v, w.on("2026-04-20").ID))
		w.rules(func(r *scheduling.BookingRules) { r.LastDay = 7 })
		w.due()
		text := leave("2026-03-10", "2026-04-29")
		rep, err := w.load([]byte(text), false)
		want(t, err, scheduling.ErrImportStops)
		if rep.StopCount != 51 || rep.StopVisits != 1 || len(rep.Stops) != 50 || rep.Stops[0].Date != far.Date || rep.Stops[0].Visits != 1 || rep.Stops[1].Date != day("2026-03-10") {
			t.Errorf("%d sessions, %d visits, %+v", rep.StopCount, rep.StopVisits, rep.Stops[:2])
		}
		if rep, err = w.agreed(text); err != nil || rep.StopCount != 51 {
			t.Fatalf("%v %+v", err, rep)
		}
		w.due()
		if got := w.get(p, far.ID); got.State != scheduling.Cancelled {
			t.Errorf("%+v", got)
		}
		w.sound()
	})
}

// TestImportStopsLottery: entries are no visits; a session that stops tells them as ever.
func TestImportStopsLottery(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt.Add(time.Second))
		e := w.entered(l)
		if rep, err := w.load([]byte(leave("2026-03-20", "2026-03-20")), false); err != nil || rep.StopCount != 1 {
			t.Fatalf("%v %+v", err, rep)
		}
		w.due()
		if m := w.mine(e); m.State != lottery.EntryRefused || m.Reason != "scheduling.schedule_stopped" {
			t.Errorf("%+v", m)
		}
		w.sound()
	})
}

// TestRotaKeepsVisits: a rule that no longer works on a day stops that day's session when
// nobody is there; one with a visit stays as it was sold, as long as it has one.
func TestRotaKeepsVisits(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		r := w.rota(2500, 10, 30)
		p, v := w.person()
		a := w.booked(p, w.ask(v, w.on("2026-03-05").ID))
		r.Recurrence = "FREQ=WEEKLY;BYDAY=MO"
		seen, err := w.s.previewRota(w.as(w.operator), r, day("2026-03-02"), day("2026-03-15"))
		days := w.number(`SELECT COUNT(*) FROM schedule WHERE tenant_id = $1 AND day > $2 AND (day - $2) % 7 <> 0`, w.tenant, day("2026-03-02")) // all but Mondays
		if err != nil || len(seen.Drops) != days || rotas.Visits(seen.Drops) != 1 || seen.Drops[0].Date != a.Date || len(seen.Sessions) != 2 {
			t.Errorf("%v: %d of %d sessions, %+v", err, len(seen.Drops), days, seen.Drops[:min(len(seen.Drops), 2)])
		}
		if _, err := w.s.updateRota(w.as(w.operator), r); err != nil {
			t.Fatal(err)
		}
		w.due()
		if w.on("2026-03-05").State != scheduling.ScheduleOpen || w.on("2026-03-06").State != scheduling.ScheduleHalted || w.get(p, a.ID).State != scheduling.Booked {
			t.Fatalf("%+v %+v", w.on("2026-03-05"), w.on("2026-03-06"))
		}
		extend := func() scheduling.ExtendReport {
			rep, err := w.s.ExtendRota(testkit.AsCLI(context.Background(), w.tenant), clock.DateOf(w.clock.Now()).Add(30))
			if err != nil {
				t.Fatal(err)
			}
			return rep
		}
		if rep := extend(); rep.Kept != 1 {
			t.Errorf("%+v", rep)
		}
		same, err := w.load([]byte(oneRow), false) // a file about that doctor that takes nothing more
		if err != nil || same.StopCount != 0 {
			t.Errorf("%v %+v", err, same)
		}
		a = w.get(p, a.ID)
		if _, err := w.s.Cancel(w.as(p), scheduling.CancelRequest{ID: a.ID, Version: a.Version}); err != nil {
			t.Fatal(err)
		}
		if rep := extend(); rep.Kept != 0 || w.on("2026-03-05").State != scheduling.ScheduleHalted {
			t.Errorf("%+v %+v", rep, w.on("2026-03-05"))
		}
		w.sound()
	})
}
