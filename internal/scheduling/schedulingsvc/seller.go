package schedulingsvc

import (
	"context"
	"encoding/binary"
	"errors"

	"xinglin/internal/platform/batch"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/soldout"
)

// sold is what one request of a batch came to.
type sold struct {
	row appointmentRow
	hit bool
}

// combined is the product's seller: what waits becomes one transaction, and a session
// that is sold out answers from memory.
type combined struct {
	store   store
	marks   *soldout.Marks
	combine *batch.Combiner[scheduling.TenantID, *holding, sold]
}

func newCombined(s store, m *soldout.Marks, opt batch.Options) *combined {
	c := &combined{store: s, marks: m}
	opt.Name = "scheduling.hold"
	opt.Writers = s.writers()
	c.combine = batch.New(opt, s.sell)
	return c
}

// hold implements seller.
func (c *combined) hold(ctx context.Context, t scheduling.TenantID, h *holding) (appointmentRow, bool, error) {
	key := soldout.Key{Tenant: t, Schedule: h.Session.ID}
	switch c.marks.Look(ctx, key, h.Request) {
	case soldout.Sold:
		return appointmentRow{}, false, noSeat(h.Request)
	case soldout.Known: // booked before the sell-out: the reply was lost
		v, err := c.store.appointment(ctx, t, h.Request.ID)
		switch {
		case err == nil && h.same(v):
			return v, true, nil
		case err == nil:
			return v, false, scheduling.ErrKeyReused.New()
		case !errors.Is(err, scheduling.ErrNotFound):
			return v, false, err
		}
	}
	v, err := c.combine.Do(ctx, t, writerOf(h), h)
	if isNoSeat(err) {
		c.marks.Set(ctx, key)
	}
	return v.row, v.hit, err
}

// noSeat is the refusal of a request for which there is no seat.
func noSeat(r scheduling.HoldRequest) error {
	if r.Any {
		return scheduling.ErrFull.New()
	}
	return scheduling.ErrSlotTaken.New()
}

// writerOf sends the requests of one department and day to one writer, so that most of
// what contends for a seat or a person's day is decided in one transaction.
func writerOf(h *holding) uint64 {
	d := h.Session.Department
	return binary.BigEndian.Uint64(d[8:]) + uint64(h.Session.Date)*0x9e3779b97f4a7c15>>32
}
