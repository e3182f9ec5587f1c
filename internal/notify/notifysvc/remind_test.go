package notifysvc

import (
	"context"
	"strings"
	"testing"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/pushsim"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestRemindAt: between 18:00 and 20:00 of the evening before, at the same time for the
// same visit, spread over them, and not for who books late.
func TestRemindAt(t *testing.T) {
	day := clock.NewDate(2026, 3, 9)
	eve := day.Add(-1)
	var early, late int
	for i := range 200 {
		v := scheduling.Visit{Date: day, Appointment: id.New[scheduling.Appointment](testkit.Start.Add(time.Duration(i) * time.Second))}
		at := remindAt(v, testkit.Start)
		if at.Before(eve.At(18*60)) || !at.Before(eve.At(20*60)) {
			t.Fatalf("%s", at)
		}
		if again := remindAt(v, eve.At(15*60-1)); !again.Equal(at) {
			t.Errorf("%s, then %s", at, again)
		}
		if at.Before(eve.At(19 * 60)) {
			early++
		} else {
			late++
		}
	}
	if early < 60 || late < 60 {
		t.Errorf("%d in the first hour, %d in the second", early, late)
	}
	v := scheduling.Visit{Date: day, Appointment: id.ID[scheduling.Appointment]{1}}
	for _, now := range []time.Time{eve.At(15 * 60), eve.At(19 * 60), day.At(8 * 60), day.Add(3).At(0)} {
		if at := remindAt(v, now); !at.IsZero() {
			t.Errorf("booked at %s: %s", now, at)
		}
	}
	if at := remindAt(scheduling.Visit{}, testkit.Start); !at.IsZero() {
		t.Errorf("without a date: %s", at)
	}
}

// TestWakeAt: what of the night a message about a visit respects.
func TestWakeAt(t *testing.T) {
	v := scheduling.Visit{Date: clock.NewDate(2026, 3, 9)}
	eve, morning := clock.NewDate(2026, 3, 8).At(23*60), clock.NewDate(2026, 3, 9).At(5*60)
	for name, tt := range map[string]struct {
		template string
		now      time.Time
		starts   int // o'clock
		asleep   bool
	}{
		"an ordinary message the evening before": {"scheduling.cancelled", eve, 14, true},
		"an ordinary message of the day":         {"scheduling.cancelled", morning, 14, true},
		"a closed clinic of tomorrow":            {"scheduling.stopped", eve, 14, false},
		"a closed clinic of tomorrow evening":    {"scheduling.stopped", eve, 18, true},
		"a closed clinic of today":               {"scheduling.stopped", morning, 18, false},
	} {
		start := v
		start.StartsAt = v.Date.At(tt.starts * 60)
		due := usual().due(tt.now, wakeAt(composeJob{Template: tt.template, Visit: start}, tt.now))
		if due.IsZero() == tt.asleep {
			t.Errorf("%s: %s", name, due)
		}
	}
}

// booking is a day's visit and its number.
func booking(h *house) scheduling.AppointmentBooked {
	return scheduling.AppointmentBooked{Visit: visit(h.who.Account), Number: 18}
}

func (h *house) tell(from string, e event.Event) {
	h.t.Helper()
	h.hear(from, 1, []event.Event{e})
	for h.run() > 0 {
	}
}

func (h *house) phoneKnown() {
	h.t.Helper()
	if err := h.s.SetContact(h.t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
		h.t.Fatal(err)
	}
}

func TestReminder(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.phoneKnown()
		h.tell("scheduling", booking(h))
		eve := clock.NewDate(2026, 3, 8)
		h.clk.Set(eve.At(18*60 - 1))
		if n := h.run(); n != 0 {
			t.Errorf("%d jobs before the evening", n)
		}
		h.clk.Set(eve.At(20 * 60))
		for h.run() > 0 {
		}
		got := noticesOf(t, h)["Your visit"]
		if got == nil || !strings.HasPrefix(got["body"].(string), "您预约了明天（3月9日 周一）08:30 东院区心血管内科，林知夏 主任医师，就诊号 A018。") ||
			!strings.HasPrefix(got["body_en"].(string), "You have an appointment tomorrow (Monday, 9 Mar) at 08:30,") || !strings.HasPrefix(got["link"].(string), "/m/visits/") {
			t.Errorf("%v", got)
		}
		if texts := h.sim.Messages(0); len(texts) != 2 || !strings.HasPrefix(texts[0].Text, "您预约了明天（") || strings.Contains(texts[1].Text, "医保卡") {
			t.Errorf("%+v", texts)
		}
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// TestDayWords: a date as it is said on the day itself, on the eve, and on other days.
func TestDayWords(t *testing.T) {
	day := clock.NewDate(2026, 3, 9)
	for today, want := range map[clock.Date][2]string{
		day.Add(-2): {"3月9日（周一）", "on Monday, 9 Mar"},
		day.Add(-1): {"明天（3月9日 周一）", "tomorrow (Monday, 9 Mar)"},
		day:         {"今天（3月9日 周一）", "today (Monday, 9 Mar)"},
		day.Add(1):  {"3月9日（周一）", "on Monday, 9 Mar"},
	} {
		if zh, en := dayWords(day, today); zh != want[0] || en != want[1] {
			t.Errorf("on %s: %q %q", today, zh, en)
		}
	}
}

// Who books after the reminder's hour is told once, at once and plainly: tomorrow, and what to bring. A confirmation that
// waits for the end of the night is the morning's reminder and says today. Nothing is said twice.
func TestBookedLate(t *testing.T) {
	eve := clock.NewDate(2026, 3, 8)
	for name, tt := range map[string]struct {
		booked time.Time
		starts int       // minute of the day of the visit
		sent   time.Time // when the text leaves
		want   string
	}{
		"at 20:00 for 8:30":  {eve.At(20 * 60), 8*60 + 30, eve.At(20 * 60), "明天（3月9日 周一）08:30，东院区心血管内科，林知夏 主任医师，就诊号 A018。" + bringZH},
		"at 23:00 for 8:30":  {eve.At(23 * 60), 8*60 + 30, eve.At(23 * 60), "明天（3月9日 周一）08:30，东院区心血管内科，林知夏 主任医师，就诊号 A018。" + bringZH},
		"at 23:00 for 14:00": {eve.At(23 * 60), 14 * 60, eve.At(31 * 60), "今天（3月9日 周一）14:00，东院区心血管内科，林知夏 主任医师，就诊号 A018。" + bringZH},
		"on the day itself":  {eve.At(34 * 60), 14 * 60, eve.At(34 * 60), "今天（3月9日 周一）14:00，东院区心血管内科，林知夏 主任医师，就诊号 A018。" + bringZH},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				h.phoneKnown()
				h.clk.Set(tt.booked)
				b := booking(h)
				b.StartsAt = b.Date.At(tt.starts)
				h.tell("scheduling", b)
				if tt.sent.After(tt.booked) {
					h.clk.Set(tt.sent.Add(-time.Second))
					h.run()
					if n := len(h.sim.Messages(0)); n != 0 {
						t.Errorf("%d texts in the night", n)
					}
					h.clk.Set(tt.sent)
					for h.run() > 0 {
					}
				}
				if texts := h.sim.Messages(0); len(texts) != 1 || texts[0].Text != tt.want {
					t.Errorf("%+v", texts)
				}
				for at := tt.sent; at.Before(b.StartsAt.Add(time.Hour)); at = at.Add(30 * time.Minute) {
					h.clk.Set(at)
					for h.run() > 0 {
					}
				}
				if n := len(h.sim.Messages(0)); n != 1 {
					t.Errorf("%d texts until the visit", n)
				}
				// In the app it is said as it is seen by who reads it.
				h.clk.Set(b.Date.Add(1).At(9 * 60))
				n := noticesOf(t, h)
				if got := n["Booked"]; len(n) != 1 || got == nil || !strings.HasPrefix(got["body"].(string), "3月9日（周一）") || !strings.HasSuffix(got["body_en"].(string), bringEN) {
					t.Errorf("%v", n)
				}
			})
		})
	}
}

// A visit that is called off is not reminded of, in whichever order the two are heard,
// nor one that has begun when the process comes back.
func TestNoReminder(t *testing.T) {
	for name, f := range map[string]func(h *house, b scheduling.AppointmentBooked){
		"called off": func(h *house, b scheduling.AppointmentBooked) {
			h.tell("scheduling", b)
			h.tell("scheduling", scheduling.AppointmentCancelled{Visit: b.Visit, Number: 18})
		},
		"heard the other way round": func(h *house, b scheduling.AppointmentBooked) {
			h.tell("scheduling", scheduling.AppointmentCancelled{Visit: b.Visit, Number: 18})
			h.tell("scheduling", b)
		},
		"booked in the evening before": func(h *house, b scheduling.AppointmentBooked) {
			h.clk.Set(clock.NewDate(2026, 3, 8).At(17 * 60))
			h.tell("scheduling", b)
		},
		"the process was away": func(h *house, b scheduling.AppointmentBooked) {
			h.tell("scheduling", b)
			h.clk.Set(b.StartsAt.Add(time.Minute))
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				h.phoneKnown()
				f(h, booking(h))
				if at := clock.NewDate(2026, 3, 8).At(20 * 60); h.clk.Now().Before(at) {
					h.clk.Set(at)
				}
				for h.run() > 0 {
				}
				if got := noticesOf(t, h)["Your visit"]; got != nil {
					t.Errorf("%v", got)
				}
			})
		})
	}
}

// A closed clinic is told with the refund and the way to book again; a cancellation says
// who did it.
func TestStoppedAndCancelled(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.phoneKnown()
		v, w := visit(h.who.Account), visit(h.who.Account)
		h.hear("scheduling", 2, []event.Event{scheduling.AppointmentCancelled{Visit: v, Number: 18, Reason: scheduling.ByStop, Refund: 2500}},
			[]event.Event{scheduling.AppointmentCancelled{Visit: w, Number: 19, Reason: scheduling.ByStaff}})
		for h.run() > 0 {
		}
		got := noticesOf(t, h)
		n := got["The clinic is closed"]
		if n == nil || n["title"] != "医生停诊，预约已取消" ||
			n["body"] != "很抱歉，3月9日 08:30 心血管内科 林知夏 主任医师 停诊，您的预约已由医院取消，请不要前来。挂号费 ¥25.00 将退还：网上支付的原路退回，付现金的请到窗口领取。您可以在手机上重新预约，这次取消不影响您以后挂号。" ||
			n["link"] != "/m/book/"+heartID.String() {
			t.Errorf("%v", n)
		}
		if n := got["Cancelled"]; n == nil || n["body"] != "3月9日 08:30 心血管内科 林知夏 主任医师 的预约已由医院取消。未产生费用。" || !strings.Contains(n["body_en"].(string), "cancelled by the hospital.") {
			t.Errorf("%v", n)
		}
	})
}

// TestTurns: a first call comes by push and in the app, the second and third by text
// message too, a missed turn by both; at night as well, and not when it is over.
func TestTurns(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.phoneKnown()
		h.device(h.who, "a")
		h.clk.Set(clock.NewDate(2026, 3, 2).At(22*60 + 30)) // an evening clinic that runs late
		step := clinic.Step{Account: h.who.Account, Appointment: id.New[scheduling.Appointment](testkit.Start), Number: 18, At: h.clk.Now()}
		before := h.states()
		for _, tt := range []struct {
			name  string
			event event.Event
			want  string
			texts int
		}{
			{"first call", clinic.TurnCalled{Step: step, Calls: 1}, "in_app sent, push sent", 0},
			{"second call", clinic.TurnCalled{Step: step, Calls: 2}, "in_app sent, push sent, sms sent", 1},
			{"third call", clinic.TurnCalled{Step: step, Calls: 3}, "in_app sent, push sent, sms sent", 1},
			{"fourth call", clinic.TurnCalled{Step: step, Calls: 4}, "in_app sent, push sent", 0},
			{"missed", clinic.TurnMissed{Step: step}, "in_app sent, sms sent, push sent", 1},
			{"somebody without an account", clinic.TurnMissed{Step: clinic.Step{Number: 19, At: step.At}}, "", 0},
		} {
			texts := len(h.sim.Messages(0))
			h.tell("clinic", tt.event)
			if got := h.tail(before); got != tt.want || len(h.sim.Messages(0))-texts != tt.texts {
				t.Errorf("%s: %q and %d texts, want %q and %d", tt.name, got, len(h.sim.Messages(0))-texts, tt.want, tt.texts)
			}
			before = h.states()
		}
		if m := h.air.Messages(1)[0]; m.Urgency != "high" || !strings.Contains(string(m.Payload), "您已过号") || strings.Contains(string(m.Payload), "18号") {
			t.Errorf("%s %s", m.Urgency, m.Payload)
		}
		n := noticesOf(t, h)["It is your turn"]
		if n == nil || n["body"] != "现在叫到您的号（18号），请马上到诊室就诊。没有到会过号，要重新等候。" {
			t.Errorf("%v", n)
		}
		late := step
		late.At = h.clk.Now().Add(-time.Hour) // heard when it is over
		h.tell("clinic", clinic.TurnCalled{Step: late, Calls: 2})
		if got := h.tail(before); got != "in_app sent, push failed expired, sms failed expired" {
			t.Errorf("late: %q", got)
		}
		before = h.states()
		h.air.Fault(pushsim.Gone, 1)
		h.tell("clinic", clinic.TurnCalled{Step: step, Calls: 1})
		if got := h.tail(before); got != "in_app sent, push failed no_device, sms sent" {
			t.Errorf("no browser any more: %q", got)
		}
	})
}

// Calls are not to be switched off by the night, but by the person.
func TestTurnsNotWanted(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.phoneKnown()
		off := wish(func(b fields) { b["topics"].(fields)["queue"] = fields{"sms": false, "mail": false, "push": false} })
		h.Do(h.who, "PUT", "/notice-preferences", off, apitest.IfMatch(0)).Want(t, 200)
		h.tell("clinic", clinic.TurnCalled{Step: clinic.Step{Account: h.who.Account, Appointment: id.New[scheduling.Appointment](testkit.Start), Number: 1, At: h.clk.Now()}, Calls: 2})
		if got := h.states(); got != "in_app sent" {
			t.Errorf("%s", got)
		}
	})
}

// Housekeeping forgets a visit that was called off when its day is over.
func TestCalledOffIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.phoneKnown()
		b := booking(h)
		h.tell("scheduling", scheduling.AppointmentCancelled{Visit: b.Visit, Number: 18})
		rows := func() (n int) {
			err := h.base.DB.Read(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
				return tx.QueryRow(ctx, `SELECT COUNT(*) FROM called_off WHERE tenant_id = $1`, apitest.Main).Scan(&n)
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, step := range []struct {
			at   time.Time
			want int
		}{{clock.NewDate(2026, 3, 9).At(23 * 60), 1}, {clock.NewDate(2026, 3, 10).At(4 * 60), 0}} {
			h.clk.Set(step.at)
			h.run()
			if n := rows(); n != step.want {
				t.Errorf("%d rows at %s", n, step.at)
			}
		}
		if err := h.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error { return h.s.store.callOff(ctx, tx, b.Visit) }); err != nil {
			t.Fatal(err)
		}
		if n := rows(); n != 0 {
			t.Errorf("a visit of the past was kept: %d", n)
		}
	})
}
