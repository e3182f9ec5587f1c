package schedulingsvc

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
)

// TestDecided: what is told of an entry whose lottery has ended.
func TestDecided(t *testing.T) {
	at := time.Date(2026, 3, 20, 0, 30, 0, 0, time.UTC)
	until := at.Add(30 * time.Minute)
	slot := lottery.SlotID{7}
	v := lottery.Draw{Seal: lottery.Seal{Count: 9, Seats: []lottery.Seat{{Slot: lottery.SlotID{6}}, {Slot: slot, StartsAt: at}}}}
	sch := scheduling.Schedule{ID: lottery.ID{1}, Date: day("2026-03-20"), Session: scheduling.Morning, Fee: 2500}
	base := scheduling.Visit{Appointment: id.ID[scheduling.Appointment]{2}, Schedule: sch.ID, Date: sch.Date, Session: sch.Session, Fee: sch.Fee}
	seat := base
	seat.Slot, seat.StartsAt = slot, at
	tests := map[string]struct {
		entry lottery.Entrant
		payBy time.Time
		want  scheduling.LotteryDecided
	}{
		"won":          {lottery.Entrant{Outcome: lottery.Won, Slot: slot}, until, scheduling.LotteryDecided{Visit: seat, Outcome: "won", PayBy: until}},
		"won, paid":    {lottery.Entrant{Outcome: lottery.Won, Slot: slot}, time.Time{}, scheduling.LotteryDecided{Visit: seat, Outcome: "won"}},
		"lost":         {lottery.Entrant{}, time.Time{}, scheduling.LotteryDecided{Visit: base, Outcome: "lost"}},
		"refused":      {lottery.Entrant{Outcome: lottery.Refused, Reason: "x.y"}, time.Time{}, scheduling.LotteryDecided{Visit: base, Outcome: "refused", Reason: "x.y"}},
		"nothing else": {lottery.Entrant{Outcome: lottery.Refused, Reason: "x.y"}, until, scheduling.LotteryDecided{Visit: base, Outcome: "refused", Reason: "x.y"}},
	}
	for name, tt := range tests {
		tt.entry.ID, tt.want.Rank, tt.want.Of = base.Appointment, 3, 9
		if got := lottery.Decided(v, sch, tt.entry, 3, tt.payBy); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

// decided are the outcomes that were told of a lottery, and the messages that tell them.
func (w *world) decided(l lottery.Draw) (out []scheduling.LotteryDecided, messages int) {
	w.t.Helper()
	err := w.base.DB.Read(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT payload FROM outbox WHERE tenant_id = $1 AND name = $2`, w.tenant, scheduling.LotteryDecided{}.EventName())
		payloads, err := db.Collect(rows, err, func(r db.Rows, b *[]byte) error { return r.Scan(b) })
		if err != nil {
			return err
		}
		for _, b := range payloads {
			text, err := outbox.Unpack(b)
			if err != nil {
				return err
			}
			var some []scheduling.LotteryDecided
			if err := json.Unmarshal(text, &some); err != nil {
				return err
			}
			if some[0].Schedule == l.Lottery {
				out, messages = append(out, some...), messages+1
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out, messages
}

// checkDecided: every entry of a lottery that has ended was told its outcome once, in one
// message for all.
func (w *world) checkDecided(l lottery.Draw) {
	w.t.Helper()
	ctx := context.Background()
	v := w.stored(l)
	entries, err1 := w.s.store.entries(ctx, w.tenant, l.Lottery)
	ranks, err2 := w.s.ranking(ctx, w.tenant, v)
	if err1 != nil || err2 != nil {
		w.t.Fatal(err1, err2)
	}
	told, messages := w.decided(l)
	if v.State != lottery.Done || len(told) != len(entries) || messages != min(len(entries), 1) {
		w.t.Fatalf("%s: %d outcomes of %d entries in %d messages", v.State, len(told), len(entries), messages)
	}
	by := map[id.ID[scheduling.Appointment]]scheduling.LotteryDecided{}
	for _, d := range told {
		by[d.Appointment] = d
	}
	for _, e := range entries {
		d := by[e.ID]
		if string(d.Outcome) != string(e.StateIn(v)) || d.Reason != e.Reason || d.Slot != e.Slot || d.Rank != ranks[e.ID] || d.Of != len(entries) ||
			d.Account != e.Account || d.Patient != e.Patient || d.StartsAt.IsZero() != e.Slot.IsZero() || d.Department.IsZero() || d.Fee == 0 {
			w.t.Errorf("told %+v of %+v", d, e)
		}
		if pending := d.Outcome == lottery.Won; pending != d.PayBy.After(w.clock.Now()) {
			w.t.Errorf("%s, to be paid until %s", d.Outcome, d.PayBy)
		}
	}
}

// TestLotteryDecidedMany: more entries than one message takes are some messages.
func TestLotteryDecidedMany(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.ClosesAt)
		v := w.stored(l)
		ranked := make([]lottery.Entrant, 2*decidedBatch+1)
		for i := range ranked {
			ranked[i].ID = key(w.clock.Now())
		}
		err := w.base.DB.Write(context.Background(), w.tenant, func(ctx context.Context, tx db.Tx) error { return tellDecided(ctx, tx, v, ranked) })
		if err != nil {
			t.Fatal(err)
		}
		told, messages := w.decided(l)
		if len(told) != len(ranked) || messages != 3 {
			t.Errorf("%d outcomes in %d messages", len(told), messages)
		}
	})
}
