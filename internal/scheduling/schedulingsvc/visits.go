package schedulingsvc

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/scheduling"
)

// Visits to come are found by day and person, where the hot table has an index anyway;
// those that are past or cancelled are filed under their account, or under their person when
// they have none (see filePast).
const (
	visitsBack  = 7  // days that are looked at although they are past: the filing may be late
	visitsAhead = 62 // beyond the longest booking window
)

// mark of a page: what comes before this visit, the latest day first.
type visitMark struct {
	Day clock.Date
	ID  id.ID[scheduling.Appointment]
}

// List gives the account's own appointments of the persons that it is linked to, and those
// that the window booked without an account for persons whose link is proved, the latest
// day of visit first.
func (s *Service) List(ctx context.Context, state scheduling.State, p page.Request) (out page.Page[scheduling.Appointment], err error) {
	who, _, err := s.may(ctx, "scheduling.list_appointments", "Appointments")
	if err != nil {
		return out, err
	}
	from, err := readMark(p.Cursor)
	if err != nil {
		return out, err
	}
	links, err := s.patients.Linked(ctx, who.Tenant, who.Account)
	if err != nil {
		return out, err
	}
	size := p.Size()
	q := visitQuery{Account: who.Account, Today: clock.DateOf(s.base.Clock.Now()), State: state, Before: from, Limit: size + 1}
	for _, l := range links {
		q.People = append(q.People, l.Patient)
		if l.Proven {
			q.Proven = append(q.Proven, l.Patient)
		}
	}
	items, err := s.store.visits(ctx, who.Tenant, q)
	if err != nil {
		return out, err
	}
	more := len(items) > size
	for _, v := range items[:min(size, len(items))] {
		out.Items = append(out.Items, s.shown(v.Appointment))
	}
	if more {
		last := out.Items[size-1]
		out.Next = strconv.Itoa(int(last.Date)) + " " + last.ID.String()
	}
	return out, nil
}

// readMark reads the cursor of List; empty begins with the latest.
func readMark(cursor string) (m visitMark, err error) {
	if cursor == "" {
		return visitMark{Day: 1 << 30}, nil
	}
	day, rest, _ := strings.Cut(cursor, " ")
	n, err := strconv.ParseInt(day, 10, 32)
	if err == nil {
		m.Day = clock.Date(n)
		m.ID, err = id.Parse[scheduling.Appointment](rest)
	}
	if err != nil {
		return m, scheduling.ErrInput.At("cursor", "not a cursor of this list")
	}
	return m, nil
}

// laterVisit orders visits as List shows them.
func laterVisit(a, b appointmentRow) int {
	if a.Date != b.Date {
		return int(b.Date - a.Date)
	}
	return slices.Compare(b.ID[:], a.ID[:])
}
