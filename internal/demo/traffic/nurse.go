package traffic

import (
	"context"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
)

const (
	round    = 15 * time.Second // of the nurse past the rooms
	together = 3 * time.Minute  // a person is with the doctor
)

// nurse calls the people in who arrived, room by room, until ctx ends.
func (h *House) nurse(ctx context.Context) {
	c, in := client.New(h.Base), false
	tick := time.NewTicker(round)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, round)
		var err error
		if !in {
			err = c.DemoStaff(one, h.Nurse)
		}
		if err == nil {
			in = true
			err = h.rooms(one, c)
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			in = client.StatusOf(err) != 401 && in
			h.Log.Debug("nurse", "refused", client.CodeOf(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *House) rooms(ctx context.Context, c *client.Client) error {
	now := h.Clock.Now()
	lines, err := c.Lines(ctx, clock.DateOf(now).String())
	if err != nil {
		return err
	}
	for _, l := range lines {
		if l.State != "running" || l.Practitioner == h.Spared {
			continue
		}
		key := h.key()
		switch busy := l.Current != nil; {
		case busy && now.Sub(l.Current.CalledAt) < together:
			continue
		case l.Waiting > 0:
			err = c.CallNext(ctx, l.ScheduleID, l.Version, key)
		case busy:
			err = c.Finish(ctx, l.Current.AppointmentID, key)
		}
		if err != nil && client.StatusOf(err) != 409 && client.StatusOf(err) != 412 { // the line moved meanwhile: next round
			return err
		}
	}
	return nil
}
