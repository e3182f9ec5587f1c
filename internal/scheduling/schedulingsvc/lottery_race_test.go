package schedulingsvc

import (
	"context"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
	"xinglin/internal/testkit"
)

// TestLotteryOnePerson: 200 requests at once for one person, each with its own key, are
// one entry; so are a bot's hundred.
func TestLotteryOnePerson(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt)
		p, v := w.person()
		const n = 200
		keys := make([]lottery.EntryRequest, n)
		for i := range n {
			keys[i] = w.wish(l, v)
		}
		got := make([]receipted, n)
		hits := make([]bool, n)
		errs := many(n, func(i int) error {
			return busy(func() (err error) { got[i], hits[i], err = w.s.enter(w.as(p), keys[i]); return err })
		})
		fresh := 0
		for i := range n {
			if !hits[i] {
				fresh++
			}
			if got[i].ID != got[0].ID || string(got[i].Receipt.Signature) != string(got[0].Receipt.Signature) {
				t.Fatalf("two entries: %s %s", got[i].ID, got[0].ID)
			}
		}
		if c := codes(errs); c["ok"] != n || fresh != 1 || w.number(`SELECT COUNT(*) FROM lottery_entry WHERE tenant_id = $1`, w.tenant) != 1 {
			t.Errorf("%v, %d fresh", c, fresh)
		}
	})
}

// TestLotteryOnePerAccount: persons of one account at once under PerAccount: one is in.
func TestLotteryOnePerAccount(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerAccount)
		w.clock.Set(l.OpensAt)
		p, _ := w.person()
		const n = 30
		keys := make([]lottery.EntryRequest, n)
		for i := range n {
			keys[i] = w.wish(l, w.adult(p))
		}
		c := codes(many(n, func(i int) error {
			return busy(func() error { _, _, err := w.s.enter(w.as(p), keys[i]); return err })
		}))
		if c["ok"] != 1 || c["scheduling.lottery_entered"] != n-1 {
			t.Errorf("%v", c)
		}
	})
}

// TestLotterySealRace: people enter in the very moment of sealing: whoever got an answer
// is under the root, everybody else was refused, and nobody comes in after it.
func TestLotterySealRace(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.ClosesAt)
		ctx := testkit.AsSystem(context.Background(), w.tenant, "job:"+jobDraw)
		const n, batch = 60, 3
		rows := make([][]lottery.Entrant, n)
		for i := range n {
			for range batch {
				e := lottery.Entrant{ID: key(w.clock.Now()), Lottery: l.Lottery, Account: id.Random[auth.Account](), Patient: scheduling.PatientID(id.Random[id.Any]())}
				if err := w.s.pseudonyms(ctx, w.tenant, l, &e); err != nil {
					t.Fatal(err)
				}
				rows[i] = append(rows[i], e)
			}
		}
		out := make([][]entered, n)
		errs := many(n+1, func(i int) error {
			if i == n/2 { // started in their middle
				return busy(func() error { return w.s.store.sealLottery(ctx, w.tenant, l.Lottery, "test") })
			}
			return busy(func() error {
				j := min(i, n-1)
				if i > n/2 {
					j = i - 1
				}
				out[j] = w.s.store.enter(ctx, w.tenant, l.Lottery, rows[j])
				if f := fault.Of(out[j][0].err); f != nil && f.Code != scheduling.ErrLotteryClosed {
					return out[j][0].err
				}
				return nil
			})
		})
		if c := codes(errs); c["ok"] != n+1 {
			t.Fatalf("%v", c)
		}
		in := map[lottery.Hash]bool{}
		for i := range out {
			for _, e := range out[i] {
				switch f := fault.Of(e.err); {
				case e.err == nil:
					in[e.Leaf] = true
				case f == nil || f.Code != scheduling.ErrLotteryClosed:
					t.Errorf("%v", e.err)
				}
			}
		}
		sealed := w.stored(l)
		leaves := make([]lottery.Hash, 0, len(in))
		for leaf := range in {
			leaves = append(leaves, leaf)
		}
		if sealed.Count != len(in) || lottery.Root(leaves) != sealed.Root || w.number(`SELECT COUNT(*) FROM lottery_entry WHERE tenant_id = $1`, w.tenant) != len(in) {
			t.Errorf("%d acknowledged, %d sealed", len(in), sealed.Count)
		}
		// The operator's own hand: nothing gets in once the list is sealed, on any clock.
		w.clock.Set(l.OpensAt)
		late := w.s.store.enter(ctx, w.tenant, l.Lottery, []lottery.Entrant{{ID: key(w.clock.Now()), Account: id.Random[auth.Account](), Patient: scheduling.PatientID(id.Random[id.Any]()), Nonce: []byte("n")}})
		want(t, late[0].err, scheduling.ErrLotteryClosed)
	})
}

// TestLotteryBatch: many entries in one transaction, each with its own outcome: new ones,
// a person twice, a key twice, a repeat, and a lottery that nobody knows.
func TestLotteryBatch(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt)
		ctx := context.Background()
		entry := func() lottery.Entrant {
			e := lottery.Entrant{ID: key(w.clock.Now()), Lottery: l.Lottery, Account: id.Random[auth.Account](), Patient: scheduling.PatientID(id.Random[id.Any]())}
			if err := w.s.pseudonyms(ctx, w.tenant, l, &e); err != nil {
				t.Fatal(err)
			}
			return e
		}
		rows := make([]lottery.Entrant, 0, 150)
		for range 140 {
			rows = append(rows, entry())
		}
		twice, stolen, other := rows[139], entry(), entry()
		twice.ID = key(w.clock.Now())
		stolen.ID = rows[139].ID
		other.Patient = rows[139].Patient
		rows = append(rows, twice, other, rows[0])
		out := w.s.store.enter(ctx, w.tenant, l.Lottery, rows)
		for i, e := range out[:140] {
			if e.err != nil || e.hit || e.ID != rows[i].ID {
				t.Fatalf("%d: %+v", i, e)
			}
		}
		if e := out[140]; e.err != nil || !e.hit || e.ID != rows[139].ID {
			t.Errorf("the person twice: %+v", e)
		}
		want(t, out[141].err, scheduling.ErrLotteryEntered)
		if e := out[142]; e.err != nil || e.ID != rows[0].ID {
			t.Errorf("the repeat: %+v", e)
		}
		want(t, w.s.store.enter(ctx, w.tenant, l.Lottery, []lottery.Entrant{stolen})[0].err, scheduling.ErrKeyReused)
		if n := w.number(`SELECT COUNT(*) FROM lottery_entry WHERE tenant_id = $1`, w.tenant); n != 140 {
			t.Errorf("%d entries", n)
		}
		for _, e := range w.s.store.enter(ctx, w.tenant, lottery.ID{1}, rows[:2]) {
			want(t, e.err, scheduling.ErrNotFound)
		}
	})
}

// TestLotteryDrawnTwice: two processes do the same draw at once; there is one outcome.
func TestLotteryDrawnTwice(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
		w.clock.Set(l.OpensAt)
		for range 20 {
			w.entered(l)
		}
		w.clock.Set(l.ClosesAt)
		ctx := testkit.AsSystem(context.Background(), w.tenant, "job:"+jobDraw)
		errs := many(4, func(int) error { return w.s.drawJob(ctx, aboutLottery{l.Lottery}) })
		if codes(errs)["ok"] == 0 {
			t.Fatalf("%v", errs)
		}
		w.due()
		if _, rep := w.verified(l, lottery.Trust{}); rep.Won != 8 || rep.Lost != 12 {
			t.Errorf("%+v", rep)
		}
		w.checkDecided(l)
		w.sound()
	})
}
