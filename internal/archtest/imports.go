package archtest

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// production passes files that are no tests.
func production(kinds ...ZoneKind) func(*File, Zone) bool {
	return func(f *File, z Zone) bool { return !f.Test && slices.Contains(kinds, z.Kind) }
}

// contractImports: a contract imports the standard library, kernel and other contracts.
func contractImports(t *Tree) (out []Violation) {
	t.imports(production(Contract), func(f *File, z Zone, im *ast.ImportSpec, p string) {
		switch to := t.zoneOfImport(p); {
		case standard(p) && p != "net/http" && p != "database/sql":
		case to.Kind == Kernel, to.Kind == Contract:
		default:
			out = append(out, t.at(f, im, "contract-imports", "the contract %s imports %s; a contract sees the standard library, kernel and contracts", z.Context, p))
		}
	})
	return out
}

// svcOnlyByApp: a behaviour is imported by the wiring and by itself, tests included.
// An inner folder belongs to its house; the wiring and test/ may take its words and sums.
func svcOnlyByApp(t *Tree) (out []Violation) {
	all := func(*File, Zone) bool { return true }
	t.imports(all, func(f *File, z Zone, im *ast.ImportSpec, p string) {
		to := t.zoneOfImport(p)
		switch {
		case to.Kind != Behaviour && to.Kind != Inner, to.Context == z.Context:
		case to.Kind == Behaviour && z.Kind == App:
		case to.Kind == Inner && (z.Kind == App || z.Kind == Elsewhere): // the wiring, and test/
		default:
			out = append(out, t.at(f, im, "svc-only-by-app", "%s is the inside of %s; use the contract internal/%s", p, to.Context, to.Context))
		}
	})
	return out
}

// cmdImports: the command line reaches contexts and databases through internal/app.
func cmdImports(t *Tree) (out []Violation) {
	t.imports(production(Cmd), func(f *File, _ Zone, im *ast.ImportSpec, p string) {
		to := t.zoneOfImport(p)
		if to.Kind == Contract || strings.HasPrefix(p, Module+"/internal/platform/db") {
			out = append(out, t.at(f, im, "cmd-imports", "cmd imports %s; it goes through internal/app", p))
		}
	})
	return out
}

// kernelImports: kernel sees the standard library and kernel.
func kernelImports(t *Tree) (out []Violation) {
	t.imports(production(Kernel), func(f *File, _ Zone, im *ast.ImportSpec, p string) {
		if !standard(p) && t.zoneOfImport(p).Kind != Kernel {
			out = append(out, t.at(f, im, "kernel-imports", "kernel imports %s; it sees the standard library only", p))
		}
	})
	return out
}

// platformImports: machines and simulators know no context, no wiring and no demo,
// not even in their tests; kernel tests neither.
func platformImports(t *Tree) (out []Violation) {
	frames := func(_ *File, z Zone) bool {
		return z.Kind == Kernel || z.Kind == Platform || z.Kind == Simulator
	}
	t.imports(frames, func(f *File, z Zone, im *ast.ImportSpec, p string) {
		switch to := t.zoneOfImport(p); to.Kind {
		case Contract, Behaviour, Inner, App, Demo, Bench, Cmd:
			out = append(out, t.at(f, im, "platform-knows-no-context", "%s imports %s", z.Kind, p))
		case Simulator:
			if !f.Test && z.Kind != Simulator {
				out = append(out, t.at(f, im, "platform-knows-no-context", "%s imports the simulator %s", z.Kind, p))
			}
		}
	})
	return out
}

// testOnly: what ships imports no test code; contexts know no simulator and no wiring.
func testOnly(t *Tree) (out []Violation) {
	ships := func(f *File, z Zone) bool {
		return !f.Test && z.Kind != Testkit && z.Kind != Archtest && z.Kind != Bench && z.Kind != Elsewhere
	}
	t.imports(ships, func(f *File, z Zone, im *ast.ImportSpec, p string) {
		to := t.zoneOfImport(p).Kind
		inside := z.Kind == Contract || z.Kind == Behaviour || z.Kind == Inner
		switch {
		case to == Testkit || to == Archtest || p == "testing":
			out = append(out, t.at(f, im, "test-only", "%s is for tests", p))
		case inside && (to == App || to == Demo || to == Bench || to == Simulator || to == Cmd):
			out = append(out, t.at(f, im, "test-only", "the context %s imports %s; the wiring knows contexts, not the reverse", z.Context, p))
		}
	})
	return out
}

// readable are the machines that only read: an inner folder may use them.
func readable(p string) bool {
	return inPackage(p, Module+"/internal/platform/calendar") || inPackage(p, Module+"/internal/platform/sheet")
}

// twoRooms: an inner folder holds words and sums: it may see what a contract sees and
// nothing that stores, sends or serves.
func twoRooms(t *Tree) (out []Violation) {
	t.imports(production(Inner), func(f *File, z Zone, im *ast.ImportSpec, p string) {
		to := t.zoneOfImport(p)
		switch {
		case strings.HasPrefix(p, Module+"/internal/platform/") && !readable(p),
			to.Kind == Behaviour, p == "net/http", p == "database/sql":
			out = append(out, t.at(f, im, "two-rooms", "%s imports %s; what stores, sends or serves belongs to internal/%s/%ssvc", f.Dir, p, z.Context, z.Context))
		}
	})
	return out
}

func inPackage(p, pkg string) bool { return p == pkg || strings.HasPrefix(p, pkg+"/") }

// dbInStore: in a behaviour only store*.go sees the database. Consumers and jobs (on_*.go,
// job_*.go) are handed a transaction: they may name the type db.Tx, to pass it to the
// store, and nothing else.
func dbInStore(t *Tree) (out []Violation) {
	const db = Module + "/internal/platform/db"
	t.imports(production(Behaviour), func(f *File, _ Zone, im *ast.ImportSpec, p string) {
		handed := p == db && (strings.HasPrefix(f.Name, "on_") || strings.HasPrefix(f.Name, "job_"))
		if !inPackage(p, db) || strings.HasPrefix(f.Name, "store") {
			return
		}
		if !handed {
			out = append(out, t.at(f, im, "db-in-store", "only store*.go imports %s", p))
			return
		}
		inspect(f, func(s *ast.SelectorExpr) {
			if f.pkgOf(s.X) == db && s.Sel.Name != "Tx" {
				out = append(out, t.at(f, s, "db-in-store", "%s names db.%s; it may name db.Tx only", f.Name, s.Sel.Name))
			}
		})
	})
	return out
}

// httpInHTTP: in a behaviour only http*.go sees the web.
func httpInHTTP(t *Tree) (out []Violation) {
	t.imports(production(Behaviour, Inner), func(f *File, _ Zone, im *ast.ImportSpec, p string) {
		web := p == "net/http" || inPackage(p, Module+"/internal/platform/httpx") || strings.HasPrefix(p, "github.com/danielgtaylor/huma")
		if web && !strings.HasPrefix(f.Name, "http") {
			out = append(out, t.at(f, im, "http-in-http", "only http*.go imports %s", p))
		}
	})
	return out
}

// drivers: only platform/db knows which SQL drivers there are.
func drivers(t *Tree) (out []Violation) {
	named := []string{"database/sql", "github.com/jackc/pgx", "modernc.org/sqlite", "github.com/pressly/goose", "github.com/XSAM/otelsql"}
	all := func(f *File, z Zone) bool {
		return z.Kind != Testkit && z.Kind != Archtest && !inPackage(f.Dir, "internal/platform/db")
	}
	t.imports(all, func(f *File, _ Zone, im *ast.ImportSpec, p string) {
		for _, d := range named {
			if inPackage(p, d) && p != "database/sql/driver" {
				out = append(out, t.at(f, im, "drivers", "only platform/db imports %s", p))
			}
		}
	})
	return out
}

// textPairs: two texts for one operation come as store_X_pg.go and store_X_sqlite.go.
func textPairs(t *Tree) (out []Violation) {
	have := map[string]bool{}
	for _, f := range t.Files {
		have[f.Path] = true
	}
	for _, f := range t.Files {
		for mine, theirs := range map[string]string{"_pg.go": "_sqlite.go", "_sqlite.go": "_pg.go"} {
			base, ok := strings.CutSuffix(f.Name, mine)
			if ok && strings.HasPrefix(f.Name, "store_") && !have[path.Join(f.Dir, base+theirs)] {
				out = append(out, Violation{f.Path, 0, "text-pairs", base + theirs + " is missing"})
			}
		}
	}
	return out
}
