package reference

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// docs/adr/0013 has a line for each module that the code imports, and no other.
func TestDependencies(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/adr/0013-dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	goPart, _, _ := strings.Cut(string(b), "## Go tools")
	listed := map[string]bool{} // module -> imported
	for _, m := range regexp.MustCompile(`(?m)^\| ((?:[a-z]+\.)+[a-z]+/[^ ,|]+)(, otel/sdk, otel/trace)?`).FindAllStringSubmatch(goPart, -1) {
		listed[m[1]] = false
	}
	missing := map[string]string{}
	for _, dir := range []string{"../../internal", "../../cmd", "../../test"} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(name, ".go"):
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, im := range f.Imports {
				p, _ := strconv.Unquote(im.Path.Value)
				if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") {
					continue
				}
				found := false
				for m := range listed {
					if p == m || strings.HasPrefix(p, m+"/") {
						listed[m], found = true, true
					}
				}
				if !found {
					missing[p] = name
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for p, name := range missing {
		t.Errorf("%s imports %s, which has no line", name, p)
	}
	for m, used := range listed {
		if !used {
			t.Errorf("%s has a line, but nothing imports it", m)
		}
	}
	if len(listed) < 15 {
		t.Errorf("only %d lines were found: the page has another form", len(listed))
	}
}
