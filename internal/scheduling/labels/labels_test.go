package labels

import (
	"context"
	"errors"
	"testing"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// TestOf: a name is asked for once, in questions of a bounded size, and apart for each
// tenant; what is unknown is asked for again; an error is the caller's.
func TestOf(t *testing.T) {
	one, other := scheduling.TenantID{1}, scheduling.TenantID{2}
	unknown := id.Random[directory.Practitioner]()
	asked, fails := 0, false
	k := New(func(_ context.Context, _ scheduling.TenantID, ps []scheduling.PractitionerID, ds []scheduling.DepartmentID, cs []scheduling.CampusID) (directory.Labels, error) {
		if fails {
			return directory.Labels{}, errors.New("away")
		}
		if len(ps) > atATime || len(ds) > atATime || len(cs) > atATime {
			t.Errorf("%d, %d, %d ids in a question", len(ps), len(ds), len(cs))
		}
		asked += len(ps) + len(ds) + len(cs)
		out := directory.Labels{Practitioners: map[scheduling.PractitionerID]directory.Label{}, Departments: map[scheduling.DepartmentID]directory.Label{}}
		for _, p := range ps {
			if p != unknown {
				out.Practitioners[p] = directory.Label{Name: p.String()}
			}
		}
		for _, d := range ds {
			out.Departments[d] = directory.Label{Name: d.String()}
		}
		return out, nil
	})
	ids := NewIDs()
	for range 450 {
		ids.Add(id.Random[directory.Practitioner](), id.Random[directory.Department](), scheduling.CampusID{})
	}
	ids.Add(unknown, id.Random[directory.Department](), scheduling.CampusID{})
	ask := func(of scheduling.TenantID, want int) {
		t.Helper()
		asked = 0
		l, err := k.Of(t.Context(), of, ids)
		if err != nil || len(l.Practitioners) != 450 || len(l.Departments) != 451 || asked != want {
			t.Errorf("%d doctors, %d departments, %d asked, %v", len(l.Practitioners), len(l.Departments), asked, err)
		}
		for p, v := range l.Practitioners {
			if v.Name != p.String() {
				t.Fatalf("%s is called %s", p, v.Name)
			}
		}
	}
	ask(one, 451+451+1)
	ask(one, 2) // the unknown doctor and the unknown campus
	ask(other, 451+451+1)
	fails = true
	if _, err := k.Of(t.Context(), one, ids); err == nil {
		t.Error("no error")
	}
}
