package schedulingsvc

import (
	"context"
	"sync"
	"testing"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// TestSessionsTogether: one read brings the sessions of a department's day, by session and
// by slot, and no others; what there is not is kept as such and never shown.
func TestSessionsTogether(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.rota(0, 40, 30)
		first := w.on("2026-03-04")
		campus, dept, other := w.dir.doctor("本部", "心内科", "李四", "110310000000002")
		if campus != w.campus || dept != w.dept {
			t.Fatal("another department")
		}
		mine := w.doctor
		w.doctor = other
		w.rota(0, 40, 30)
		second, later := w.on("2026-03-04"), w.on("2026-03-05")
		w.doctor = mine

		v, err := w.s.sessionOf(ctx, w.tenant, scheduling.HoldRequest{Schedule: first.ID, Any: true})
		if err != nil || len(v.slots) != 8 || v.labels.Practitioners[v.Practitioner].Name != "张三" {
			t.Fatalf("%+v, %v", v, err)
		}
		beside, ok := w.s.kept.look(w.tenant, sessionAsk{schedule: second.ID})
		if !ok || beside == nil || len(beside.slots) != 8 || beside.labels.Practitioners[other].Name != "李四" {
			t.Fatalf("the other session of the day: %+v, %t", beside, ok)
		}
		if by, ok := w.s.kept.look(w.tenant, sessionAsk{slot: beside.slots[3].ID}); !ok || by != beside {
			t.Error("not found by its slot")
		}
		if _, ok := w.s.kept.look(w.tenant, sessionAsk{schedule: later.ID}); ok {
			t.Error("another day was read")
		}

		slot := w.slots(later.ID)[2].ID
		if v, err = w.s.sessionOf(ctx, w.tenant, scheduling.HoldRequest{Slot: slot}); err != nil || v.ID != later.ID {
			t.Fatalf("by slot: %+v, %v", v, err)
		}
		for _, r := range []scheduling.HoldRequest{
			{Schedule: id.Random[scheduling.Schedule](), Any: true}, {Slot: id.Random[scheduling.Slot]()}, {Schedule: scheduleID(slot), Any: true},
		} {
			_, err := w.s.sessionOf(ctx, w.tenant, r)
			want(t, err, scheduling.ErrNotFound)
			if v, ok := w.s.kept.look(w.tenant, sessionAsk{schedule: r.Schedule, slot: r.Slot}); v != nil || !ok {
				t.Errorf("%v: %v, %t", r, v, ok)
			}
		}
		if _, err := w.s.sessionOf(ctx, apitest.Other, scheduling.HoldRequest{Schedule: first.ID, Any: true}); err == nil {
			t.Error("another hospital sees it")
		}
	})
}

// TestSessionsAtOnce: a crowd that asks for all sessions at once gets each.
func TestSessionsAtOnce(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 40, 30)
		var days []scheduling.Schedule
		for _, d := range []string{"2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"} {
			days = append(days, w.on(d))
		}
		w.s.kept.forget()
		var all sync.WaitGroup
		for n := range 400 {
			all.Go(func() {
				sch := days[n%len(days)]
				v, err := w.s.sessionOf(context.Background(), w.tenant, scheduling.HoldRequest{Schedule: sch.ID, Any: true})
				if err != nil || v.ID != sch.ID || v.Date != sch.Date || len(v.slots) != 8 {
					t.Errorf("%v, %v", v, err)
				}
			})
		}
		all.Wait()
	})
}

// TestPlanOfOtherProcess: what this process keeps of a plan goes when another one writes it.
func TestPlanOfOtherProcess(t *testing.T) {
	dbtest.EachDatabase(t, testkit.Sets(Describe()), func(t *testing.T, d *dbtest.Database) {
		near, far, _ := pair(t, d)
		rule := near.rota(0, 40, 30)
		sch := near.on("2026-03-04")
		r := scheduling.HoldRequest{Schedule: sch.ID, Any: true}
		if _, err := near.s.sessionOf(context.Background(), near.tenant, r); err != nil {
			t.Fatal(err)
		}
		rule.Duty.Seats = 16
		if _, err := far.s.updateRota(far.as(far.operator), rule); err != nil {
			t.Fatal(err)
		}
		far.due()
		begin := clock.Mono()
		eventually(t, "the new plan", func() bool {
			v, err := near.s.sessionOf(context.Background(), near.tenant, r)
			return err == nil && v.Capacity == 16
		})
		if waited := clock.Mono().Sub(begin); waited > sessionTime/2 {
			t.Errorf("after %s: no word came", waited)
		}
	})
}
