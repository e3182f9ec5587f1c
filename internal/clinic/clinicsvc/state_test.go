package clinicsvc

import (
	"testing"

	"xinglin/internal/clinic"
)

// TestTurns: the machine has no dead ends but being seen and being gone, and whoever was
// seen stays seen.
func TestTurns(t *testing.T) {
	if err := turns.Check(); err != nil {
		t.Fatal(err)
	}
	all := []clinic.State{clinic.Expected, clinic.Waiting, clinic.Called, clinic.Missed, clinic.Done, clinic.Gone}
	allowed := map[clinic.State][]clinic.State{
		clinic.Expected: {clinic.Waiting, clinic.Gone},
		clinic.Waiting:  {clinic.Called, clinic.Gone},
		clinic.Called:   {clinic.Called, clinic.Missed, clinic.Done, clinic.Gone},
		clinic.Missed:   {clinic.Waiting, clinic.Gone},
	}
	for _, from := range all {
		if final := len(allowed[from]) == 0; turns.IsFinal(from) != final {
			t.Errorf("%s is final: %v", from, !final)
		}
		for _, to := range all {
			want := false
			for _, x := range allowed[from] {
				want = want || x == to
			}
			if turns.Can(from, to) != want {
				t.Errorf("%s to %s: %v", from, to, !want)
			}
		}
	}
}
