package notifysvc

import (
	"context"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestOfLottery: which message an outcome is, and how long a winner has.
func TestOfLottery(t *testing.T) {
	at := testkit.Start
	v := scheduling.Visit{Appointment: id.ID[scheduling.Appointment]{1}, Fee: 2500}
	tests := map[string]struct {
		e    scheduling.LotteryDecided
		want composeJob
	}{
		"won": {
			scheduling.LotteryDecided{Outcome: scheduling.LotteryWon, PayBy: at.Add(30 * time.Minute)},
			composeJob{Template: "scheduling.lottery_won", Fen: 2500, Until: at.Add(30 * time.Minute), Minutes: 30},
		},
		"won a moment ago": { // a begun minute is one
			scheduling.LotteryDecided{Outcome: scheduling.LotteryWon, PayBy: at.Add(29*time.Minute + time.Millisecond)},
			composeJob{Template: "scheduling.lottery_won", Fen: 2500, Until: at.Add(29*time.Minute + time.Millisecond), Minutes: 30},
		},
		"won, too late to pay":     {scheduling.LotteryDecided{Outcome: scheduling.LotteryWon, PayBy: at}, composeJob{Template: "scheduling.lottery_won", Fen: 2500}},
		"won, nothing to wait for": {scheduling.LotteryDecided{Outcome: scheduling.LotteryWon}, composeJob{Template: "scheduling.lottery_won", Fen: 2500}},
		"lost":                     {scheduling.LotteryDecided{Outcome: scheduling.LotteryLost}, composeJob{Template: "scheduling.lottery_lost"}},
		"refused": {
			scheduling.LotteryDecided{Outcome: scheduling.LotteryRefused, Reason: "scheduling.limit_reached"},
			composeJob{Template: "scheduling.lottery_refused", Reason: "scheduling.limit_reached"},
		},
	}
	for name, tt := range tests {
		tt.e.Visit, tt.e.Rank, tt.e.Of = v, 3, 9
		tt.want.Visit, tt.want.Rank, tt.want.Of = v, 3, 9
		if got := ofLottery(event.Meta{At: at}, tt.e); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

// TestPayWords: how long a seat waits for its payment.
func TestPayWords(t *testing.T) {
	tests := map[string]struct {
		c      composeJob
		zh, en string
	}{
		"to be paid": {composeJob{Fen: 5050, Until: testkit.Start, Minutes: 30}, "请在 30 分钟内（09:00 前）支付挂号费 ¥50.50，逾期号源将释放。", " Pay the fee of ¥50.50 within 30 min (before 09:00), or the seat is free again."},
		"free":       {composeJob{}, "无需支付。", " Nothing is to be paid."},
		"over":       {composeJob{Fen: 5050}, "", ""},
	}
	for name, tt := range tests {
		if zh, en := payWords(tt.c); zh != tt.zh || en != tt.en {
			t.Errorf("%s: %q %q", name, zh, en)
		}
	}
}

// TestLotteryNotices: one message of a draw, delivered twice, tells each who entered the
// outcome once: in the app, and a winner by text message too.
func TestLotteryNotices(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		entry := func(o scheduling.LotteryOutcome, rank int) scheduling.LotteryDecided {
			e := scheduling.LotteryDecided{Visit: visit(h.who.Account), Outcome: o, Rank: rank, Of: 120}
			e.Schedule, e.Fee = id.New[scheduling.Schedule](testkit.Start), 2500
			if o != scheduling.LotteryWon {
				e.StartsAt = time.Time{}
			}
			return e
		}
		won, lost, refused := entry(scheduling.LotteryWon, 3), entry(scheduling.LotteryLost, 87), entry(scheduling.LotteryRefused, 5)
		won.PayBy, refused.Reason = h.clk.Now().Add(30*time.Minute), "scheduling.limit_reached"
		events := []event.Event{won, lost, refused}
		for range 60 { // of other accounts
			other := entry(scheduling.LotteryLost, 88)
			other.Account = apitest.Patient(apitest.Main).Account
			events = append(events, other)
		}
		h.hear("scheduling", 1, events)
		for h.run() > 0 {
		}
		got := noticesOf(t, h)
		for title, want := range map[string][4]string{
			"You won a seat": {
				"已中签", "抽签第 3 名（共 120 人），号源为您保留：3月9日 08:30，东院区心血管内科，林知夏 主任医师。请在 30 分钟内（09:30 前）支付挂号费 ¥25.00，逾期号源将释放。",
				"Rank 3 of 120 in the draw. This seat is kept for you: 9 Mar 08:30, 东院区, Cardiology, 林知夏. Pay the fee of ¥25.00 within 30 min (before 09:30), or the seat is free again.",
				"/m/visits/" + won.Appointment.String(),
			},
			"Not drawn": {
				"未中签", "3月9日上午 心血管内科 林知夏 主任医师 的抽签，您是第 87 名（共 120 人），您选的时间在前面的名次已分完。剩余号源已开放普通预约。",
				"Your rank in the draw for 9 Mar, morning, Cardiology, 林知夏 is 87 of 120; the times you asked for went to the ranks before. What is left is on ordinary sale.",
				"/m/lottery/" + lost.Schedule.String(),
			},
			"The seat could not be given": {
				"抽签未能给号", "3月9日上午 心血管内科 林知夏 主任医师 的抽签，您是第 5 名（共 120 人），但号源未能留给您：同一就诊人同一天同一科室只能预约一次。",
				"Your rank in the draw for 9 Mar, morning, Cardiology, 林知夏 is 5 of 120, but the seat could not be given to you: One booking per person, department and day.",
				"/m/lottery/" + refused.Schedule.String(),
			},
		} {
			n := got[title]
			if n == nil || n["title"] != want[0] || n["body"] != want[1] || n["body_en"] != want[2] || n["link"] != want[3] {
				t.Errorf("%s: %v", title, n)
			}
		}
		if len(got) != 3 || strings.Count(h.states(), "in_app sent") != len(events) || strings.Count(h.states(), "sms") != 1 {
			t.Errorf("%d notices: %s", len(got), h.states())
		}
		if texts := h.sim.Messages(0); len(texts) != 1 || !strings.Contains(texts[0].Text, "抽签第 3 名") {
			t.Errorf("%d text messages", len(texts))
		}
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// TestLotteryMessageTwice: the inbox drops a repeat; past it, the jobs of a message and its
// deliveries are still the same ones.
func TestLotteryMessageTwice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		m := event.Meta{ID: id.New[event.Row](testkit.Start), Tenant: apitest.Main, At: testkit.Start}
		e := scheduling.LotteryDecided{Visit: visit(h.who.Account), Outcome: scheduling.LotteryLost, Rank: 2, Of: 2}
		for range 2 {
			err := h.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error { return compose(ctx, tx, m, ofLottery(m, e)) })
			if err != nil {
				t.Fatal(err)
			}
			for h.run() > 0 {
			}
		}
		if got := h.states(); got != "in_app sent" {
			t.Error(got)
		}
	})
}
