package directorysvc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

const npi = "http://hl7.org/fhir/sid/us-npi"

func ids(values ...string) (out []directory.Identifier) {
	for _, v := range values {
		out = append(out, directory.Identifier{System: npi, Value: v})
	}
	return out
}

// take brings entries in and wants these outcomes.
func (b *bench) take(in []directory.Incoming, dryRun bool, want ...directory.Outcome) []directory.Taken {
	b.t.Helper()
	out, err := b.s.Take(cli(apitest.Main), in, dryRun)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, v := range out {
		if v.Outcome != want[i] {
			b.t.Errorf("entry %d: %s %v, want %s", i, v.Outcome, v.Err, want[i])
		}
	}
	return out
}

// hospital takes an institution, a campus and a department, and gives the department's id.
func (b *bench) hospital() directory.DepartmentID {
	b.t.Helper()
	o := b.take([]directory.Incoming{{Identifiers: ids("org-1"), Organization: &directory.Organization{Name: "杏林医院"}}}, false, directory.Created)
	c := b.take([]directory.Incoming{{Identifiers: ids("loc-1"), Campus: &directory.Campus{
		Organization: id.As[auth.Organization](o[0].ID), Name: "东院区", Address: "春风路1号", Phone: "010-12345678",
	}}}, false, directory.Created)
	d := b.take([]directory.Incoming{{Department: &directory.Department{Campus: id.As[directory.Campus](c[0].ID), Name: "心内科"}}}, false, directory.Created)
	return id.As[directory.Department](d[0].ID)
}

func doc(licence, name string, d directory.DepartmentID) directory.Incoming {
	return directory.Incoming{Identifiers: ids(licence), Practitioner: &directory.Practitioner{Licence: licence, Name: name, Title: "主任医师", Specialty: "心血管", Department: d}}
}

func TestTake(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		dep := b.hospital()
		all := []directory.Incoming{doc("110000000000001", "李时珍", dep), doc("110000000000002", "孙思邈", dep)}

		before := b.rows() + b.identifiers()
		b.take(all, true, directory.Created, directory.Created)
		if n := b.rows() + b.identifiers(); n != before {
			t.Errorf("a dry run wrote %d rows", n-before)
		}
		out := b.take(all, false, directory.Created, directory.Created)
		before = b.rows() + b.identifiers()
		for _, v := range b.take(all, false, directory.Same, directory.Same) {
			if v.Place != directory.Same {
				t.Errorf("place: %s", v.Place)
			}
		}
		if n := b.rows() + b.identifiers(); n != before {
			t.Errorf("the same again wrote %d rows", n-before)
		}

		// A change is a new version, heard and audited; the words of a search follow.
		changed := doc("110000000000001", "李东璧", dep)
		b.take([]directory.Incoming{changed}, false, directory.Changed)
		p, err := b.s.Practitioner(t.Context(), apitest.Main, id.As[directory.Practitioner](out[0].ID))
		if err != nil || p.Name != "李东璧" || p.Version != 2 || p.DepartmentName != "心内科" || p.CampusName != "东院区" {
			t.Errorf("%+v %v", p, err)
		}
		found, err := b.s.Practitioners(t.Context(), apitest.Main, directory.Query{Text: "东璧"})
		if err != nil || len(found.Items) != 1 {
			t.Errorf("search: %v %v", found.Items, err)
		}
		got, err := b.s.Identified(t.Context(), apitest.Main, directory.NounPractitioner, ids("110000000000001")[0])
		if err != nil || got != out[0].ID {
			t.Errorf("identified: %v %v", got, err)
		}
		if _, err := b.s.Identified(t.Context(), apitest.Other, directory.NounPractitioner, ids("110000000000001")[0]); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("another tenant: %v", err)
		}

		// A further place of work, of somebody whom the list only points to.
		d2 := b.take([]directory.Incoming{{Department: &directory.Department{Campus: p.Campus, Name: "急诊科"}}}, false, directory.Created)
		point := directory.Incoming{Identifiers: ids("110000000000001"), Practitioner: &directory.Practitioner{Department: id.As[directory.Department](d2[0].ID)}}
		if v := b.take([]directory.Incoming{point}, false, directory.Same); v[0].Place != directory.Created {
			t.Errorf("further place: %s", v[0].Place)
		}
		if broken := b.broken(); len(broken) > 0 {
			t.Errorf("verify: %v", broken)
		}
	})
}

// TestTakeRefuses: one bad entry does not take the others with it, and a refusal has no values.
func TestTakeRefuses(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		dep := b.hospital()
		b.take([]directory.Incoming{doc("110000000000001", "李时珍", dep), doc("110000000000002", "孙思邈", dep)}, false, directory.Created, directory.Created)
		foreign := doc("110000000000003", "张仲景", id.New[directory.Department](testkit.Start))
		two := doc("110000000000004", "华佗", dep)
		two.Identifiers = ids("110000000000001", "110000000000002")
		licence := doc("110000000000001", "钱乙", dep)
		licence.Identifiers = ids("elsewhere-7")
		nobody := directory.Incoming{Identifiers: ids("nobody"), Practitioner: &directory.Practitioner{Department: dep}}
		nameless := directory.Incoming{Identifiers: ids("x"), Campus: &directory.Campus{}}
		plain := directory.Incoming{Organization: &directory.Organization{Name: "无编号医院"}}
		other := directory.Incoming{Identifiers: ids("loc-9"), Campus: &directory.Campus{Name: "东院区"}}
		good := doc("110000000000005", "扁鹊", dep)
		out := b.take([]directory.Incoming{foreign, two, licence, nobody, nameless, plain, other, good}, false,
			directory.Refused, directory.Refused, directory.Refused, directory.Refused, directory.Refused, directory.Refused, directory.Refused, directory.Created)
		for i, want := range []error{
			directory.ErrNotFound, directory.ErrIdentifierTaken, directory.ErrLicenceTaken, directory.ErrNotFound,
			directory.ErrInvalid, directory.ErrInvalid, directory.ErrNameTaken,
		} {
			if !errors.Is(out[i].Err, want) {
				t.Errorf("entry %d: %v, want %v", i, out[i].Err, want)
			}
			if s := out[i].Err.Error(); strings.Contains(s, "华佗") || strings.Contains(s, "1100") {
				t.Errorf("entry %d tells %s", i, s)
			}
		}
		if n := b.count(apitest.Main, "SELECT COUNT(*) FROM practitioner WHERE tenant_id = $1"); n != 3 {
			t.Errorf("%d practitioners", n)
		}
		if _, err := b.s.Take(testkit.As(t.Context(), apitest.Staff(apitest.Main, auth.Registrar)), nil, false); err == nil {
			t.Error("a registrar took a list: that is the operator's")
		}
		if broken := b.broken(); len(broken) > 0 {
			t.Errorf("verify: %v", broken)
		}
	})
}

// TestTakeOverNames: what a rota named first is the same place, and the own institution
// stays the own one beside imported ones.
func TestTakeOverNames(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		placed := b.place(directory.Roster{Doctors: []directory.RosterDoctor{doctor("110000000000001", "李时珍", "东院区", "心内科", "")}})
		dep := b.hospital2()
		if dep != placed.Departments[directory.RosterDepartmentKey{Campus: "东院区", Name: "心内科"}] {
			t.Error("a second department of the same name")
		}
		out := b.take([]directory.Incoming{doc("110000000000001", "李时珍", dep)}, false, directory.Changed)
		if id.As[directory.Practitioner](out[0].ID) != placed.Doctors["110000000000001"] || out[0].Place != directory.Same {
			t.Errorf("%+v", out[0])
		}
		o, err := b.s.SetOrganization(cli(apitest.Main), directory.Organization{Name: "自家医院"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.s.Organization(t.Context(), apitest.Main)
		if err != nil || got.ID != o.ID || got.Name != "自家医院" {
			t.Errorf("own institution: %+v %v", got, err)
		}
		err = b.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO identifier (tenant_id, noun, system, value, entry_id, created_at) VALUES ($1, 'Campus', '', 'lost', $2, 0)`, apitest.Main, apitest.Main)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := b.broken()["directory: an identifier of another system names an entry of its noun"]; n != 1 {
			t.Errorf("verify sees %d", n)
		}
	})
}

// hospital2 is hospital for names that are there.
func (b *bench) hospital2() directory.DepartmentID {
	b.t.Helper()
	o := b.take([]directory.Incoming{{Identifiers: ids("org-1"), Organization: &directory.Organization{Name: "杏林医院"}}}, false, directory.Created)
	c := b.take([]directory.Incoming{{Identifiers: ids("loc-1"), Campus: &directory.Campus{Organization: id.As[auth.Organization](o[0].ID), Name: "东院区"}}}, false, directory.Changed)
	d := b.take([]directory.Incoming{{Department: &directory.Department{Campus: id.As[directory.Campus](c[0].ID), Name: "心内科"}}}, false, directory.Same)
	return id.As[directory.Department](d[0].ID)
}

func (b *bench) identifiers() int {
	return b.count(apitest.Main, "SELECT COUNT(*) FROM identifier WHERE tenant_id = $1")
}

// TestTakeRace: many imports of one list at once make each entry once, and nobody is refused.
func TestTakeRace(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		dep := b.hospital()
		var all []directory.Incoming
		for n := range 20 {
			all = append(all, doc(fmt.Sprintf("1100000000001%02d", n), "李时珍", dep))
		}
		all = append(all, directory.Incoming{Identifiers: ids("org-2"), Organization: &directory.Organization{Name: "分院"}},
			directory.Incoming{Identifiers: ids("loc-2"), Campus: &directory.Campus{Name: "西院区"}})
		var wg sync.WaitGroup
		made := make([]int, 4)
		for g := range made {
			wg.Go(func() {
				out, err := b.s.Take(cli(apitest.Main), all, false)
				if err != nil {
					t.Error(err)
				}
				for _, v := range out {
					switch v.Outcome {
					case directory.Created:
						made[g]++
					case directory.Refused:
						t.Errorf("%v", v.Err)
					}
				}
			})
		}
		wg.Wait()
		if n := made[0] + made[1] + made[2] + made[3]; n != len(all) {
			t.Errorf("made %d entries of %d", n, len(all))
		}
		if n := b.count(apitest.Main, "SELECT COUNT(*) FROM practitioner WHERE tenant_id = $1"); n != 20 {
			t.Errorf("%d practitioners", n)
		}
		if broken := b.broken(); len(broken) > 0 {
			t.Errorf("verify: %v", broken)
		}
	})
}
