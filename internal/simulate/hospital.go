package simulate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
)

// empties refuses an installation that holds more than what was just made.
func (r *run) empties(ctx context.Context) error {
	var n int
	err := r.site.read(ctx, "tenant", tenantID{}, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "-- global: an empty installation has one tenant\nSELECT COUNT(*) FROM tenant").Scan(&n)
	})
	if err != nil {
		return err
	}
	tenant, err := r.tenant(ctx)
	if err != nil || n != 1 {
		return ErrNotEmpty.Wrap(err)
	}
	err = r.site.read(ctx, "scheduling", tenant, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM schedule WHERE tenant_id = $1`, tenant).Scan(&n)
	})
	if err == nil && n != len(r.plan.Sessions) {
		err = ErrNotEmpty.New()
	}
	return err
}

// tenant is the one tenant of the installation.
func (r *run) tenant(ctx context.Context) (t tenantID, err error) {
	err = r.site.read(ctx, "tenant", tenantID{}, func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "-- global: the one tenant\nSELECT id FROM tenant WHERE code = 'main'").Scan(&t)
	})
	return t, err
}

// rules set the shortest hold; all else stays as the standard preset.
func (r *run) rules(ctx context.Context, op *account) error {
	base := r.site.procs[0].url()
	var now struct {
		Values  map[string]any `json:"values"`
		Version int64          `json:"version"`
	}
	if _, err := r.wire.must(ctx, call{base: base, method: http.MethodGet, path: "/booking-rules", who: op}, &now); err != nil {
		return err
	}
	now.Values["hold_minutes"] = holdMinutes
	for _, list := range []string{"pauses", "caps", "returns"} {
		if now.Values[list] == nil || list == "pauses" { // an empty list is read as null and wanted as a list
			now.Values[list] = []any{}
		}
	}
	_, err := r.wire.must(ctx, call{
		base: base, method: http.MethodPut, path: "/booking-rules", who: op, match: fmt.Sprintf("%q", fmt.Sprint(now.Version)),
		body: map[string]any{"preset": "standard", "values": now.Values},
	}, nil)
	return err
}

// find reads the ids of the planned sessions.
func (r *run) find(ctx context.Context, day clock.Date) error {
	base := r.site.procs[0].url()
	var departments struct {
		Items []struct{ ID, Name string } `json:"items"`
	}
	if _, err := r.wire.must(ctx, call{base: base, method: http.MethodGet, path: "/departments"}, &departments); err != nil {
		return err
	}
	byDoctor := map[string]*session{}
	numerals := []rune("零一二三四五六七八九")
	for i := range r.plan.Sessions {
		byDoctor["模拟"+string(numerals[1+i])] = &r.plan.Sessions[i]
	}
	found := 0
	for _, d := range departments.Items {
		q := url.Values{"department_id": {d.ID}, "from": {day.String()}, "to": {day.String()}}
		var list struct {
			Items []struct {
				ID       string `json:"id"`
				Doctor   string `json:"practitioner_name"`
				Capacity int    `json:"capacity"`
			} `json:"items"`
		}
		if _, err := r.wire.must(ctx, call{base: base, method: http.MethodGet, path: "/schedules?" + q.Encode()}, &list); err != nil {
			return err
		}
		for _, s := range list.Items {
			mine := byDoctor[s.Doctor]
			if mine == nil || s.Capacity != mine.seats {
				return fmt.Errorf("an unknown session of %s with %d seats", s.Doctor, s.Capacity)
			}
			mine.id = s.ID
			if err := r.findSlots(ctx, base, mine); err != nil {
				return err
			}
			found++
		}
	}
	if found != len(r.plan.Sessions) {
		return fmt.Errorf("%d of %d sessions were found", found, len(r.plan.Sessions))
	}
	return nil
}

func (r *run) findSlots(ctx context.Context, base string, s *session) error {
	var list struct {
		Items []struct {
			ID       string `json:"id"`
			Capacity int    `json:"capacity"`
		} `json:"items"`
	}
	if _, err := r.wire.must(ctx, call{base: base, method: http.MethodGet, path: "/schedules/" + s.id + "/slots"}, &list); err != nil {
		return err
	}
	first := 1
	for _, x := range list.Items {
		s.slots = append(s.slots, slot{x.ID, first, x.Capacity})
		first += x.Capacity
	}
	if first-1 != s.seats || len(s.slots) > maxSlots {
		return fmt.Errorf("a session of %d seats has %d in %d slots", s.seats, first-1, len(s.slots))
	}
	return nil
}

// channel sets the payment simulator's faults.
func (r *run) channel(ctx context.Context, faults map[string]any) error {
	_, err := r.wire.must(ctx, call{base: r.site.payURL, method: http.MethodPost, path: "/sim/faults", body: faults}, nil)
	return err
}
