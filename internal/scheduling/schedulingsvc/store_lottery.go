package schedulingsvc

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/platform/trail"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/scheduling/lottery"
)

const lotteryColumns = `id, state, per, opens_at, closes_at, commitment, seed_sealed, seed, witness_key, root, entries, seats, sealed_at, signature, signed_at, winners`

func scanLottery(r db.Row, v *lottery.Draw) error {
	var commitment, root []byte
	err := r.Scan(&v.Lottery, (*string)(&v.State), (*string)(&v.Per), db.Instant(&v.OpensAt), db.Instant(&v.ClosesAt), &commitment, &v.SeedSealed, &v.Seed, &v.WitnessKey,
		&root, &v.Count, db.JSONInto(&v.Seats), db.Instant(&v.SealedAt), &v.Signature, db.Instant(&v.SignedAt), &v.Winners)
	copy(v.Commitment[:], commitment)
	copy(v.Root[:], root)
	v.Window = v.ClosesAt.Sub(v.OpensAt)
	return err
}

func lotteryIn(ctx context.Context, tx db.Tx, l lottery.ID) (v lottery.Draw, err error) {
	err = one(scanLottery(tx.QueryRow(ctx, `SELECT `+lotteryColumns+` FROM lottery WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), l), &v))
	return v, err
}

func (s store) lottery(ctx context.Context, t scheduling.TenantID, l lottery.ID) (v lottery.Draw, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		v, err = lotteryIn(ctx, tx, l)
		return err
	})
	return v, err
}

const entryColumns = `id, lottery_id, account_id, patient_id, person, grp, nonce, wishes, leaf, outcome, slot_id, reason, created_at`

func scanEntry(r db.Row, v *lottery.Entrant) error {
	var person, group, leaf []byte
	v.Wishes = nil
	err := r.Scan(&v.ID, &v.Lottery, &v.Account, &v.Patient, &person, &group, &v.Nonce, db.JSONInto(&v.Wishes), &leaf, (*string)(&v.Outcome), &v.Slot, &v.Reason, db.Instant(&v.CreatedAt))
	copy(v.Person[:], person)
	copy(v.Group[:], group)
	copy(v.Leaf[:], leaf)
	v.Handle = lottery.Handle(v.ID, v.Nonce)
	return err
}

// ---- announcing ----

// openLotteries writes announcements, all or none. A schedule that has the same lottery
// already keeps it, with its seed.
func (s store) openLotteries(ctx context.Context, t scheduling.TenantID, rows []lottery.Draw, policy string) (out []lottery.Draw, err error) {
	err = s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = out[:0]
		for _, v := range rows {
			made, err := s.openLottery(ctx, tx, v, policy)
			if err != nil {
				return err
			}
			out = append(out, made)
		}
		return nil
	})
	return out, err
}

func (s store) openLottery(ctx context.Context, tx db.Tx, v lottery.Draw, policy string) (lottery.Draw, error) {
	now := tx.Now()
	sch, err := lockSchedule(ctx, tx, v.Lottery)
	if err != nil {
		return v, err
	}
	switch old, err := lotteryIn(ctx, tx, v.Lottery); {
	case err == nil && old.Per == v.Per && old.Window == v.Window:
		return old, nil
	case err == nil:
		return v, scheduling.ErrLotteryExists.New()
	case !errors.Is(err, scheduling.ErrNotFound):
		return v, err
	case sch.Stopped:
		return v, scheduling.ErrScheduleStopped.New()
	case sch.ReleasedAt.Before(now.Add(lottery.Notice)):
		return v, scheduling.ErrLotteryLate.New()
	}
	var sold int
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND taken <> 0`, tx.Tenant(), v.Lottery).Scan(&sold)
	if err != nil {
		return v, err
	}
	if sold > 0 {
		return v, scheduling.ErrLotteryLate.New()
	}
	v.State, v.OpensAt, v.ClosesAt = lottery.Open, sch.ReleasedAt, sch.ReleasedAt.Add(v.Window)
	_, err = tx.Exec(ctx, `UPDATE schedule SET lottery_s = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2`,
		tx.Tenant(), v.Lottery, int64(v.Window/time.Second), now.UnixMicro())
	if err != nil {
		return v, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO lottery (tenant_id, id, state, per, opens_at, closes_at, commitment, seed_sealed, witness_key, entries, winners, created_at, updated_at)
		VALUES ($1, $2, 'open', $3, $4, $5, $6, $7, $8, 0, 0, $9, $9)`,
		tx.Tenant(), v.Lottery, string(v.Per), v.OpensAt.UnixMicro(), v.ClosesAt.UnixMicro(), v.Commitment[:], v.SeedSealed, nullBytes(v.WitnessKey), now.UnixMicro())
	if err != nil {
		return v, err
	}
	err = job.Enqueue(ctx, tx, job.Spec{Kind: jobDraw, Key: v.Lottery.String(), RunAt: v.ClosesAt, Payload: aboutLottery{v.Lottery}, Max: workMax})
	if err != nil {
		return v, err
	}
	s.changed(ctx, tx, v.Lottery)
	return v, noteLottery(ctx, tx, v.Lottery, "scheduling.open_lottery", policy, "", lottery.Open)
}

// nullBytes is NULL for nothing.
func nullBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// noteLottery writes the audit row of a lottery's step. Entries have none: their rows
// never change before the draw, and the sealed root covers them.
func noteLottery(ctx context.Context, tx db.Tx, l lottery.ID, action, policy string, from, to lottery.State) error {
	_, err := trail.Record(ctx, tx, trail.Entry{
		Action: action, Noun: "Lottery", ID: l.String(), Policy: policy, Changed: map[string]trail.Change{"state": {From: string(from), To: string(to)}},
	})
	return err
}

// ---- entering ----

// entryOffer is what an entry is decided by, as it is before its transaction.
type entryOffer struct {
	Known       *lottery.Entrant // the key is known already
	Lottery     lottery.Draw
	Schedule    scheduleRow
	Rules       scheduling.BookingRules
	Past        bookingrules.Incidents
	Limited     bool // the person has a visit that counts against the limit
	Wishes      int
	WishesFound int // of them, times to come of this schedule
}

func (s store) entryOffer(ctx context.Context, t scheduling.TenantID, r lottery.EntryRequest, account scheduling.AccountID, today clock.Date) (o entryOffer, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		o = entryOffer{Wishes: len(r.Wishes)}
		if o.Lottery, err = lotteryIn(ctx, tx, r.Lottery); err != nil {
			return err
		}
		var known lottery.Entrant
		err := scanEntry(tx.QueryRow(ctx, `SELECT `+entryColumns+` FROM lottery_entry WHERE tenant_id = $1 AND id = $2`, t, r.ID), &known)
		if err == nil {
			o.Known = &known
			return nil
		}
		if !errors.Is(err, db.ErrNoRows) {
			return err
		}
		if o.Schedule, err = scheduleIn(ctx, tx, r.Lottery); err != nil {
			return err
		}
		if o.Rules, _, err = rulesIn(ctx, tx); err != nil {
			return err
		}
		if o.Rules.NoShow.Count > 0 || len(o.Rules.Returns) > 0 {
			if o.Past, err = incidentsIn(ctx, tx, r.Patient, today); err != nil {
				return err
			}
		}
		return o.look(ctx, tx, r, account)
	})
	return o, err
}

// look reads the wishes and the limit.
func (o *entryOffer) look(ctx context.Context, tx db.Tx, r lottery.EntryRequest, account scheduling.AccountID) error {
	if len(r.Wishes) > 0 {
		args := []any{tx.Tenant(), r.Lottery, tx.Now().UnixMicro()}
		for _, w := range r.Wishes {
			args = append(args, w)
		}
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM slot WHERE tenant_id = $1 AND schedule_id = $2 AND starts_at > $3 AND capacity > 0 AND id IN (`+db.In(4, len(r.Wishes))+`)`, args...).
			Scan(&o.WishesFound)
		if err != nil {
			return err
		}
	}
	sch := o.Schedule
	var err error
	o.Limited, err = limited(ctx, tx, usesOf(o.Rules.Limit, sch.Schedule, r.Patient, account))
	return err
}

// entered is the outcome of one entry of a batch.
type entered struct {
	lottery.Entrant
	hit bool
	err error
}

// entryBatch is how many rows one statement carries.
const entryBatch = 64

// enter writes entries of one lottery in one transaction: one statement for up to 64 of
// them, and a look only where something stood in the way. It holds a share of the
// lottery's lock, so that sealing comes before or after all of them and none is lost.
func (s store) enter(ctx context.Context, t scheduling.TenantID, l lottery.ID, rows []lottery.Entrant) []entered {
	var out []entered
	err := s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out = make([]entered, 0, len(rows))
		if err := mayStillEnter(ctx, tx, l); err != nil {
			return err
		}
		for part := range slices.Chunk(rows, entryBatch) {
			made, err := enterIn(ctx, tx, l, part)
			if err != nil {
				return err
			}
			out = append(out, made...)
		}
		return nil
	})
	if err != nil {
		out = make([]entered, len(rows))
		for i := range out {
			out[i].err = err
		}
	}
	return out
}

// mayStillEnter takes the share and refuses a lottery that is sealed or full.
func mayStillEnter(ctx context.Context, tx db.Tx, l lottery.ID) error {
	share := shareLotterySQLite
	if tx.Engine() == db.Postgres {
		share = shareLotteryPG
	}
	var state string
	if err := one(tx.QueryRow(ctx, share, tx.Tenant(), l).Scan(&state)); err != nil {
		return err
	}
	if state != string(lottery.Open) {
		return scheduling.ErrLotteryClosed.New()
	}
	var full int
	err := tx.QueryRow(ctx, `SELECT 1 FROM lottery_entry WHERE tenant_id = $1 AND lottery_id = $2 LIMIT 1 OFFSET $3`, tx.Tenant(), l, lottery.MaxEntries-1).Scan(&full)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return scheduling.ErrLotteryFull.New()
}

func enterIn(ctx context.Context, tx db.Tx, l lottery.ID, rows []lottery.Entrant) ([]entered, error) {
	sorted := slices.SortedStableFunc(slices.Values(rows), func(a, b lottery.Entrant) int { return slices.Compare(a.Patient[:], b.Patient[:]) }) // one order of locks
	var text strings.Builder
	text.WriteString(`INSERT INTO lottery_entry (tenant_id, id, lottery_id, account_id, patient_id, person, grp, nonce, wishes, leaf, outcome, reason, created_at) VALUES `)
	args := make([]any, 0, 13*len(rows))
	for i, e := range sorted {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString("(" + db.In(len(args)+1, 13) + ")")
		var group any
		if !e.Group.IsZero() {
			group = e.Group[:]
		}
		args = append(args, tx.Tenant(), e.ID, l, e.Account, e.Patient, e.Person[:], group, e.Nonce, db.JSON(e.WishList()), e.Leaf[:], "", "", tx.Now().UnixMicro())
	}
	text.WriteString(` ON CONFLICT DO NOTHING`)
	n, err := tx.Exec(ctx, text.String(), args...)
	if err != nil {
		return nil, err
	}
	out := make([]entered, len(rows))
	for i, e := range rows {
		e.Lottery, e.CreatedAt = l, tx.Now()
		out[i].Entrant = e
	}
	if n == int64(len(rows)) {
		return out, nil
	}
	return out, rivals(ctx, tx, l, out)
}

// rivals says of each entry whether it is in, was in before, or what stands in its way.
func rivals(ctx context.Context, tx db.Tx, l lottery.ID, out []entered) error {
	args := []any{tx.Tenant(), l}
	for _, e := range out {
		args = append(args, e.Patient)
	}
	rows, err := tx.Query(ctx, `SELECT `+entryColumns+` FROM lottery_entry WHERE tenant_id = $1 AND lottery_id = $2 AND patient_id IN (`+db.In(3, len(out))+`)`, args...)
	found, err := db.Collect(rows, err, func(r db.Rows, v *lottery.Entrant) error { return scanEntry(r, v) })
	if err != nil {
		return err
	}
	in := make(map[scheduling.PatientID]lottery.Entrant, len(found))
	for _, v := range found {
		in[v.Patient] = v
	}
	for i := range out {
		e := &out[i]
		switch v, ok := in[e.Patient]; {
		case ok && v.ID == e.ID && bytes.Equal(v.Nonce, e.Nonce): // just written
		case ok && v.ID == e.ID && !e.Same(v):
			e.err = scheduling.ErrKeyReused.New()
		case ok && v.Account == e.Account:
			e.Entrant, e.hit = v, true
		case ok:
			e.err = scheduling.ErrLotteryEntered.New()
		default: // another person's entry has the key, or the account has entered
			var n int
			err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM lottery_entry WHERE tenant_id = $1 AND id = $2`, tx.Tenant(), e.ID).Scan(&n)
			if err != nil {
				return err
			}
			if e.err = scheduling.ErrLotteryEntered.New(); n > 0 {
				e.err = scheduling.ErrKeyReused.New()
			}
		}
	}
	return nil
}

// maxOwnEntries bounds the entries of one account in one lottery that a list shows.
const maxOwnEntries = 50

func (s store) ownEntries(ctx context.Context, t scheduling.TenantID, l lottery.ID, account scheduling.AccountID) (v lottery.Draw, out []lottery.Entrant, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		if v, err = lotteryIn(ctx, tx, l); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+entryColumns+` FROM lottery_entry WHERE tenant_id = $1 AND account_id = $2 AND lottery_id = $3 ORDER BY created_at, id LIMIT $4`,
			t, account, l, maxOwnEntries)
		out, err = db.Collect(rows, err, func(r db.Rows, e *lottery.Entrant) error { return scanEntry(r, e) })
		return err
	})
	return v, out, err
}

// entryPage is how many entries one statement reads.
const entryPage = 5000

// entries reads a sealed lottery's entries, at most MaxLotteryEntries and one batch.
func (s store) entries(ctx context.Context, t scheduling.TenantID, l lottery.ID) (out []lottery.Entrant, err error) {
	err = s.db.Read(ctx, t, func(ctx context.Context, tx db.Tx) error {
		out, err = entriesIn(ctx, tx, l)
		return err
	})
	return out, err
}

func entriesIn(ctx context.Context, tx db.Tx, l lottery.ID) (out []lottery.Entrant, err error) {
	var after scheduling.PatientID
	for {
		rows, err := tx.Query(ctx, `SELECT `+entryColumns+` FROM lottery_entry WHERE tenant_id = $1 AND lottery_id = $2 AND patient_id > $3 ORDER BY patient_id LIMIT $4`,
			tx.Tenant(), l, after, entryPage)
		page, err := db.Collect(rows, err, func(r db.Rows, e *lottery.Entrant) error { return scanEntry(r, e) })
		out = append(out, page...)
		if err != nil || len(page) < entryPage {
			return out, err
		}
		after = page[len(page)-1].Patient
	}
}

// ---- sealing, drawing, ending ----

// sealLottery ends the entering and fixes the root of what is in, once. Entries that hold
// their share at this moment are waited for and are in; those after it are refused.
func (s store) sealLottery(ctx context.Context, t scheduling.TenantID, l lottery.ID, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		now := tx.Now()
		n, err := tx.Exec(ctx, `UPDATE lottery SET updated_at = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'open'`, t, l, now.UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		v, err := lotteryIn(ctx, tx, l)
		if err != nil {
			return err
		}
		if now.Before(v.ClosesAt) { // the clock went back
			return scheduling.ErrLotteryNotDrawn.After(v.ClosesAt.Sub(now))
		}
		entries, err := entriesIn(ctx, tx, l)
		if err != nil {
			return err
		}
		leaves := make([]lottery.Hash, len(entries))
		for i, e := range entries {
			leaves[i] = e.Leaf
		}
		root := lottery.Root(leaves)
		seats, err := freeSeats(ctx, tx, l)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE lottery SET state = 'sealed', root = $3, entries = $4, seats = $5, sealed_at = $6, updated_at = $6 WHERE tenant_id = $1 AND id = $2 AND state = 'open'`,
			t, l, root[:], len(entries), db.JSON(seats), now.UnixMicro())
		if err != nil {
			return err
		}
		return noteLottery(ctx, tx, l, "scheduling.draw_lottery", policy, lottery.Open, lottery.Sealed)
	})
}

// freeSeats are the seats that the lottery gives away: of times to come.
func freeSeats(ctx context.Context, tx db.Tx, l lottery.ID) ([]lottery.Seat, error) {
	slots, err := slotsIn(ctx, tx, l)
	if err != nil {
		return nil, err
	}
	out := []lottery.Seat{}
	for _, v := range slots {
		if v.Remaining > 0 && v.StartsAt.After(tx.Now()) {
			out = append(out, lottery.Seat{Slot: v.ID, StartsAt: v.StartsAt.UTC(), Free: v.Remaining})
		}
	}
	return out, nil
}

// drawLottery keeps the witness's signature and shows the seed, once.
func (s store) drawLottery(ctx context.Context, t scheduling.TenantID, v lottery.Draw, policy string) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE lottery SET state = 'drawn', seed = $3, signature = $4, signed_at = $5, updated_at = $6 WHERE tenant_id = $1 AND id = $2 AND state = 'sealed'`,
			t, v.Lottery, v.Seed, nullBytes(v.Signature), db.Micros(v.SignedAt), tx.Now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		return noteLottery(ctx, tx, v.Lottery, "scheduling.draw_lottery", policy, lottery.Sealed, lottery.Drawn)
	})
}

// recordOutcome keeps what became of an entry, once.
func (s store) recordOutcome(ctx context.Context, t scheduling.TenantID, e lottery.Entrant) error {
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE lottery_entry SET outcome = $3, slot_id = $4, reason = $5 WHERE tenant_id = $1 AND id = $2 AND outcome = ''`,
			t, e.ID, string(e.Outcome), id.Null(e.Slot), e.Reason)
		if err == nil && n == 0 {
			return errRaced // another process allots too: the job begins anew with what that one wrote
		}
		return err
	})
}

// endLottery counts the winners, opens the rest of the seats to everybody, and tells
// what the draw came to for each entry.
func (s store) endLottery(ctx context.Context, t scheduling.TenantID, v lottery.Draw, ranked []lottery.Entrant, policy string) error {
	l := v.Lottery
	return s.db.Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		now := tx.Now().UnixMicro()
		n, err := tx.Exec(ctx, `UPDATE lottery SET state = 'done', winners = (SELECT COUNT(*) FROM lottery_entry WHERE tenant_id = $1 AND lottery_id = $2 AND outcome = 'won'), updated_at = $3
			WHERE tenant_id = $1 AND id = $2 AND state = 'drawn'`, t, l, now)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE schedule SET lottery_s = 0, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2`, t, l, now)
		if err != nil {
			return err
		}
		if err := tellDecided(ctx, tx, v, ranked); err != nil {
			return err
		}
		s.changed(ctx, tx, l)
		return noteLottery(ctx, tx, l, "scheduling.draw_lottery", policy, lottery.Drawn, lottery.Done)
	})
}

// decidedBatch is how many outcomes one message tells.
const decidedBatch = 500

// tellDecided tells the outcomes in the order of the ranks, some hundred in a message.
func tellDecided(ctx context.Context, tx db.Tx, v lottery.Draw, ranked []lottery.Entrant) error {
	sch, err := scheduleIn(ctx, tx, v.Lottery)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT a.id, a.state_at FROM lottery_entry e JOIN appointment a ON a.tenant_id = e.tenant_id AND a.id = e.id
		WHERE e.tenant_id = $1 AND e.lottery_id = $2 AND e.outcome = 'won' AND a.state = 'pending'`, tx.Tenant(), v.Lottery)
	payBy := map[id.ID[scheduling.Appointment]]time.Time{}
	_, err = db.Collect(rows, err, func(r db.Rows, a *id.ID[scheduling.Appointment]) error {
		var at time.Time
		err := r.Scan(a, db.Instant(&at))
		payBy[*a] = at
		return err
	})
	if err != nil {
		return err
	}
	told := make([]event.Event, len(ranked))
	for i, e := range ranked {
		told[i] = lottery.Decided(v, sch.Schedule, e, i+1, payBy[e.ID])
	}
	for some := range slices.Chunk(told, decidedBatch) {
		if err := outbox.Add(ctx, tx, some...); err != nil {
			return err
		}
	}
	return nil
}
