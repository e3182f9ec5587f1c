package rotafile

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/directory"
	"xinglin/internal/scheduling"
)

// TestPlace: the file's names become the directory's ids, and what was new is counted.
func TestPlace(t *testing.T) {
	plan, sink, err := parse(t, head+sound+
		",,张三,110310000000001,,2026-03-09,全天,,,,,,,,停诊\n"+
		",,王五,110310000000009,,2026-03-09,上午,,,,,,,,停诊\n")
	if err != nil || sink.Total != 0 {
		t.Fatal(err, sink.Rows)
	}
	if d := cmp.Diff(directory.Roster{
		Campuses: []string{"本部"}, Departments: []directory.RosterDepartment{{Campus: "本部", Name: "内科"}},
		Doctors: []directory.RosterDoctor{{Licence: "110310000000001", Name: "张三", Title: "主任医师", Campus: "本部", Department: "内科"}},
	}, plan.Roster()); d != "" {
		t.Error("a doctor without a duty is the directory's own: ", d)
	}
	campus, department := directory.CampusID{15: 1}, directory.DepartmentID{15: 2}
	zhang, wang := scheduling.PractitionerID{15: 3}, scheduling.PractitionerID{15: 4}
	placed := directory.Placed{
		Campuses: map[string]directory.CampusID{"本部": campus}, Departments: map[directory.RosterDepartmentKey]directory.DepartmentID{{Campus: "本部", Name: "内科"}: department},
		Doctors: map[string]directory.PractitionerID{"110310000000001": zhang}, New: []string{"科室 本部 内科", "医师 张三"},
	}
	rules, exceptions := plan.Place(placed, map[string]scheduling.PractitionerID{"110310000000009": wang})
	if len(rules) != 1 || rules[0].Duty.Practitioner != zhang || rules[0].Duty.Campus != campus || rules[0].Duty.Department != department {
		t.Errorf("%+v", rules)
	}
	absent := map[scheduling.PractitionerID]int{}
	for _, e := range exceptions {
		absent[e.Duty.Practitioner]++
		if !e.Duty.Department.IsZero() || !e.Duty.Campus.IsZero() {
			t.Errorf("leave has no place: %+v", e)
		}
	}
	if len(absent) != 2 || absent[zhang] == 0 || absent[wang] == 0 {
		t.Errorf("%v", absent)
	}
	var got scheduling.ImportReport
	plan.CountPlaces(placed, &got)
	want := scheduling.ImportReport{Campuses: scheduling.Change{Same: 1}, Departments: scheduling.Change{New: 1}, Doctors: scheduling.Change{New: 1, Same: 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
