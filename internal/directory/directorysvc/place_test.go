package directorysvc

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

var small = directory.Roster{
	Campuses:    []string{"东院区"},
	Departments: []directory.RosterDepartment{{Campus: "东院区", Name: "心血管内科", Location: "3层"}},
	Doctors: []directory.RosterDoctor{
		doctor("1101", "林知夏", "东院区", "心血管内科", "高血压"),
		doctor("1101", "林知夏", "西院区", "急诊科", "高血压"),
		doctor("1102", "单雄信", "东院区", "骨科", ""),
	},
}

func TestPlace(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		before := b.rows()
		dry, err := b.s.Place(cli(apitest.Main), small, true)
		if err != nil {
			t.Fatal(err)
		}
		if n := b.rows(); n != before {
			t.Fatalf("a dry run wrote %d rows", n-before)
		}
		p := b.place(small)
		if !slices.Equal(p.New, dry.New) || len(p.New) != 8 {
			t.Errorf("new %q, the dry run said %q", p.New, dry.New)
		}
		if len(p.Campuses) != 2 || len(p.Departments) != 3 || len(p.Doctors) != 2 {
			t.Errorf("placed %+v", p)
		}
		after := b.rows()
		again := b.place(small)
		if len(again.New) != 0 || fmt.Sprint(again.Campuses, again.Departments, again.Doctors) != fmt.Sprint(p.Campuses, p.Departments, p.Doctors) {
			t.Errorf("again: %+v, first %+v", again, p)
		}
		if n := b.rows(); n != after {
			t.Errorf("the same again wrote %d rows", n-after)
		}
		got, err := b.s.Practitioner(t.Context(), apitest.Main, p.Doctors["1101"])
		if err != nil || got.DepartmentName != "心血管内科" || got.CampusName != "东院区" || got.Name != "林知夏" || got.Version != 1 {
			t.Errorf("the main place is the first: %+v, %v", got, err)
		}
		// another tenant has its own
		q, err := b.s.Place(cli(apitest.Other), small, false)
		if err != nil || len(q.New) != 8 || q.Doctors["1101"] == p.Doctors["1101"] {
			t.Errorf("another tenant: %+v, %v", q, err)
		}
		if _, err := b.s.Practitioner(t.Context(), apitest.Other, p.Doctors["1101"]); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("another tenant's doctor: %v", err)
		}
		if br := b.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

func TestPlaceRefuses(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.place(small)
		before := b.rows()
		for name, tc := range map[string]struct {
			r    directory.Roster
			want error
		}{
			"a licence of another":  {directory.Roster{Campuses: []string{"北院区"}, Doctors: []directory.RosterDoctor{doctor("1101", "林知冬", "东院区", "骨科", "")}}, directory.ErrLicenceTaken},
			"twice in one roster":   {directory.Roster{Doctors: []directory.RosterDoctor{doctor("1199", "甲", "东院区", "骨科", ""), doctor("1199", "乙", "东院区", "骨科", "")}}, directory.ErrLicenceTaken},
			"no licence":            {directory.Roster{Doctors: []directory.RosterDoctor{doctor("", "甲", "东院区", "骨科", "")}}, directory.ErrInvalid},
			"no department":         {directory.Roster{Doctors: []directory.RosterDoctor{doctor("1", "甲", "东院区", "", "")}}, directory.ErrInvalid},
			"department of nowhere": {directory.Roster{Departments: []directory.RosterDepartment{{Name: "骨科"}}}, directory.ErrInvalid},
			"campus without a name": {directory.Roster{Campuses: []string{" "}}, directory.ErrInvalid},
			"too many":              {directory.Roster{Campuses: make([]string, maxRoster+1)}, directory.ErrInvalid},
		} {
			for _, dry := range []bool{true, false} {
				if _, err := b.s.Place(cli(apitest.Main), tc.r, dry); !errors.Is(err, tc.want) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Staff(apitest.Main, auth.Doctor, auth.SystemAdmin)} {
			if _, err := b.s.Place(testkit.As(t.Context(), who), small, true); !errors.Is(err, authz.ErrDenied) {
				t.Errorf("%s: %v", who.Kind, err)
			}
		}
		if _, err := b.s.Place(t.Context(), small, true); !errors.Is(err, auth.ErrNone) {
			t.Errorf("nobody: %v", err)
		}
		if n := b.rows(); n != before {
			t.Errorf("refusals wrote %d rows", n-before)
		}
	})
}

// Many imports at once make each entry once, whatever their order.
func TestImportsAtOnce(t *testing.T) {
	clk := testkit.Clock()
	base := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	b1, b2 := newBench(t, base.Open(t, dbtest.WithClock(clk)), clk), newBench(t, base.Open(t, dbtest.WithClock(clk)), clk)
	var r directory.Roster
	for i := range 8 {
		r.Doctors = append(r.Doctors, doctor(fmt.Sprintf("11%02d", i/2), fmt.Sprintf("医师%d", i/2), fmt.Sprintf("院区%d", i%2), fmt.Sprintf("科室%d", i%3), ""))
	}
	placed := make([]directory.Placed, 6)
	var wg sync.WaitGroup
	for i := range placed {
		wg.Go(func() {
			mine := r
			mine.Doctors = slices.Clone(r.Doctors)
			if i%2 == 1 {
				slices.Reverse(mine.Doctors) // the other way round: they must not stop each other
			}
			var err error
			if placed[i], err = []*bench{b1, b2}[i%2].s.Place(cli(apitest.Main), mine, false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	made := 0
	for _, p := range placed {
		made += len(p.New)
		if fmt.Sprint(p.Doctors, p.Departments, p.Campuses) != fmt.Sprint(placed[0].Doctors, placed[0].Departments, placed[0].Campuses) {
			t.Errorf("ids differ: %v, %v", p, placed[0])
		}
	}
	for table, want := range map[string]int{"campus": 2, "department": 6, "practitioner": 4, "practitioner_role": 8} {
		if n := b1.count(apitest.Main, "SELECT COUNT(*) FROM "+table+" WHERE tenant_id = $1"); n != want {
			t.Errorf("%s: %d rows, want %d", table, n, want)
		}
	}
	if made != 2+6+4+4 {
		t.Errorf("%d entries were called new", made)
	}
	if br := b1.broken(); len(br) != 0 {
		t.Errorf("verify: %v", br)
	}
}

func tree(b *bench, names ...string) map[string]directory.DepartmentID {
	var r directory.Roster
	for _, n := range names {
		r.Departments = append(r.Departments, directory.RosterDepartment{Campus: "东院区", Name: n})
	}
	out := map[string]directory.DepartmentID{}
	for k, v := range b.place(r).Departments {
		out[k.Name] = v
	}
	return out
}

func (b *bench) move(child, parent directory.DepartmentID) error {
	return b.s.Describe(cli(apitest.Main), nil, []directory.Department{{ID: child, Parent: parent}}, nil)
}

func TestTreeHasNoLoop(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		d := tree(b, "甲", "乙", "丙", "丁")
		for _, m := range []struct {
			child, parent string
			want          error
		}{
			{"甲", "甲", directory.ErrLoop},
			{"乙", "甲", nil},
			{"甲", "乙", directory.ErrLoop},
			{"丙", "乙", nil},
			{"甲", "丙", directory.ErrLoop},
			{"丁", "丙", nil},
			{"乙", "丁", directory.ErrLoop},
			{"丁", "甲", nil},
			{"丙", "丁", nil},
		} {
			err := b.move(d[m.child], d[m.parent])
			if m.want == nil && err != nil || m.want != nil && !errors.Is(err, m.want) {
				t.Errorf("%s below %s: %v", m.child, m.parent, err)
			}
		}
		west := b.place(directory.Roster{Departments: []directory.RosterDepartment{{Campus: "西院区", Name: "甲"}}})
		there, err := b.s.Place(cli(apitest.Other), directory.Roster{Departments: []directory.RosterDepartment{{Campus: "东院区", Name: "甲"}}}, false)
		if err != nil {
			t.Fatal(err)
		}
		for name, parent := range map[string]directory.DepartmentID{
			"another campus": west.Departments[directory.RosterDepartmentKey{Campus: "西院区", Name: "甲"}],
			"another tenant": there.Departments[directory.RosterDepartmentKey{Campus: "东院区", Name: "甲"}],
			"nowhere":        id.New[directory.Department](testkit.Start),
		} {
			if err := b.move(d["丁"], parent); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("below one of %s: %v", name, err)
			}
			if err := b.move(parent, d["丁"]); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("one of %s below ours: %v", name, err)
			}
		}
		if br := b.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// Two moves at once that would close a loop together: one is refused.
func TestLoopsAtOnce(t *testing.T) {
	clk := testkit.Clock()
	b := newBench(t, dbtest.Make(t, db.Postgres, testkit.Sets(Describe())).Open(t, dbtest.WithClock(clk)), clk)
	for i := range 8 {
		names := []string{fmt.Sprint("甲", i), fmt.Sprint("乙", i), fmt.Sprint("丙", i)}
		d := tree(b, names...)
		errs := make([]error, 3)
		var wg sync.WaitGroup
		for j := range errs {
			wg.Go(func() { errs[j] = b.move(d[names[j]], d[names[(j+1)%3]]) })
		}
		wg.Wait()
		refused := 0
		for _, err := range errs {
			if errors.Is(err, directory.ErrLoop) {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		if refused != 1 {
			t.Errorf("%d refused: %v", refused, errs)
		}
	}
	if br := b.broken(); len(br) != 0 {
		t.Errorf("verify: %v", br)
	}
}

func TestDescribeAndOrganization(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if _, err := b.s.Organization(t.Context(), apitest.Main); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("before: %v", err)
		}
		p := b.place(small)
		o, err := b.s.SetOrganization(cli(apitest.Main), directory.Organization{Name: "杏林医院", NameEN: "Xinglin", Licences: []directory.Licence{{Kind: "医疗机构执业许可证", Number: "X1"}}})
		if err != nil || o.Version != 2 { // the import made an unnamed one
			t.Fatalf("%+v, %v", o, err)
		}
		got, err := b.s.Organization(t.Context(), apitest.Main)
		if err != nil || got.Name != "杏林医院" || len(got.Licences) != 1 || got.ID != o.ID {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := b.s.SetOrganization(cli(apitest.Main), directory.Organization{}); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("no name: %v", err)
		}
		if _, err := b.s.SetOrganization(testkit.As(t.Context(), b.op), o); !errors.Is(err, authz.ErrDenied) {
			t.Errorf("the operator: %v", err)
		}
		east := p.Campuses["东院区"]
		if err := b.s.Describe(cli(apitest.Main), []directory.Campus{{ID: east, NameEN: "East", Address: "1号", Phone: "010"}}, nil,
			[]directory.Practitioner{{ID: p.Doctors["1102"], Specialty: "脊柱", PractisingFrom: 10000}}); err != nil {
			t.Fatal(err)
		}
		if err := b.s.Describe(cli(apitest.Main), []directory.Campus{{ID: east, Address: "2号"}}, nil, nil); err != nil {
			t.Fatal(err)
		}
		cs, err := b.s.Campuses(t.Context(), apitest.Main)
		if err != nil || len(cs) != 2 || cs[0].NameEN != "East" || cs[0].Address != "2号" || cs[0].Phone != "010" || cs[0].Organization != o.ID {
			t.Errorf("%+v, %v", cs, err)
		}
		d, err := b.s.Practitioner(t.Context(), apitest.Main, p.Doctors["1102"])
		if err != nil || d.Specialty != "脊柱" || d.PractisingFrom != 10000 || d.Version != 2 {
			t.Errorf("%+v, %v", d, err)
		}
		for _, err := range []error{
			b.s.Describe(cli(apitest.Other), []directory.Campus{{ID: east, Address: "x"}}, nil, nil),
			b.s.Describe(cli(apitest.Other), nil, nil, []directory.Practitioner{{ID: d.ID, Specialty: "x"}}),
		} {
			if !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("another tenant's: %v", err)
			}
		}
	})
}

func TestLabels(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		p := b.place(small)
		east := p.Campuses["东院区"]
		dep := p.Departments[directory.RosterDepartmentKey{Campus: "东院区", Name: "心血管内科"}]
		ask := func(tenant directory.TenantID, n int) (directory.Labels, error) {
			ps := []directory.PractitionerID{p.Doctors["1101"], id.New[directory.Practitioner](testkit.Start)}
			for len(ps) < n {
				ps = append(ps, p.Doctors["1102"])
			}
			return b.s.Labels(t.Context(), tenant, ps, []directory.DepartmentID{dep}, []directory.CampusID{east})
		}
		l, err := ask(apitest.Main, maxLabels)
		if err != nil || len(l.Practitioners) != 2 || l.Practitioners[p.Doctors["1101"]].Title != "主任医师" || l.Departments[dep].Location != "3层" || l.Campuses[east].Name != "东院区" {
			t.Errorf("%+v, %v", l, err)
		}
		if l, err := ask(apitest.Other, 2); err != nil || len(l.Practitioners)+len(l.Departments)+len(l.Campuses) != 0 {
			t.Errorf("another tenant: %+v, %v", l, err)
		}
		if _, err := ask(apitest.Main, maxLabels+1); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("too many: %v", err)
		}
		if l, err := b.s.Labels(t.Context(), apitest.Main, nil, nil, nil); err != nil || l.Practitioners == nil {
			t.Errorf("none: %+v, %v", l, err)
		}
	})
}
