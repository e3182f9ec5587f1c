package app

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/config"
	"xinglin/internal/testkit/dbtest"
)

// short are sealed columns that nothing brings to another key, because they live for minutes.
var short = []string{}

// A sealed column that no context declares for rotation would stay under old keys for ever, and a blind index without its second
// column could not rotate at all.
func TestEverySealedColumnRotates(t *testing.T) {
	for _, d := range Descriptions() {
		declared := map[string]bool{}
		for _, s := range d.Keys.Sealed {
			for _, c := range s.Columns {
				declared[s.Table+"."+c.Name] = true
			}
		}
		for _, b := range d.Keys.Blind {
			declared[b.Table+"."+b.Odd], declared[b.Table+"."+b.Even] = true, true
		}
		for table, classes := range d.Data {
			for class, names := range classes {
				for _, name := range strings.Fields(names) {
					column := table + "." + name
					switch {
					case class.IsSealed() && !declared[column] && !slices.Contains(short, column):
						t.Errorf("%s: %s is sealed and nobody brings it to another key", d.Name, column)
					case !class.IsSealed() && class != dataclass.Index && declared[column]:
						t.Errorf("%s: %s is declared and neither sealed nor an index", d.Name, column)
					case strings.HasSuffix(name, "_even") && !declared[column]:
						t.Errorf("%s: %s is no declared index", d.Name, column)
					}
					delete(declared, column)
				}
			}
		}
		for column := range declared {
			t.Errorf("%s: %s is declared and not there", d.Name, column)
		}
	}
}

// The whole product's rows come to new generations, from the command line, on both engines: twice, and with the root key in between.
func TestRotateKeys(t *testing.T) {
	for _, e := range dbtest.Engines {
		t.Run(string(e), func(t *testing.T) {
			where := source(t, e)
			before := persons(t, where)
			for n := 2; n <= 3; n++ {
				rotateHere(t, where)
				var list bytes.Buffer
				if err := ListKeys(t.Context(), where, DefaultTenant, &list); err != nil {
					t.Fatal(err)
				}
				for _, line := range strings.Split(list.String(), "\n") {
					f := strings.Fields(line)
					if len(f) == 4 && f[1] == "tenant" && f[2] != fmt.Sprint(n) || len(f) == 4 && f[2] == "unknown" {
						t.Errorf("generation %d: %s", n, line)
					}
				}
				if !strings.Contains(list.String(), "patient.patient.number_index") || !strings.Contains(list.String(), "patient.patient.name") {
					t.Errorf("the list lacks something:\n%s", list.String())
				}
				if err := RotateKeys(t.Context(), where, KeyRotation{Tenant: DefaultTenant, Root: true}, &list); err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				if err := Verify(t.Context(), where, &out); err != nil {
					t.Errorf("verify: %v\n%s", err, out.String())
				}
			}
			if after := persons(t, where); !maps.Equal(before, after) {
				t.Errorf("%d persons before, %d afterwards, or not the same", len(before), len(after))
			}
		})
	}
}

// rotateHere rotates to the end, by whoever can: on PostgreSQL a house of our own instead of a serving process.
func rotateHere(t *testing.T, where config.Where) {
	t.Helper()
	var out bytes.Buffer
	if err := RotateKeys(t.Context(), where, KeyRotation{Tenant: DefaultTenant}, &out); err != nil {
		t.Fatal(err)
	}
	if where.DB == "" {
		if !strings.Contains(out.String(), "done in") {
			t.Fatal(out.String())
		}
		return
	}
	h, closeAll, err := Offline(t.Context(), where, false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	if err := h.rekeyHere(t.Context(), DefaultTenant, &out); err != nil {
		t.Fatal(err)
	}
}
