package reference

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// docs/compliance.md promises files and tests: each of them exists.
func TestCompliance(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/compliance.md")
	if err != nil {
		t.Fatal(err)
	}
	file := regexp.MustCompile("`((?:internal|web)/[^`]+\\.[a-z]+|[a-z_]+_test\\.go)`([^;|]*)")
	name := regexp.MustCompile(`\bTest[A-Z]\w*`)
	files, tests := 0, 0
	for _, m := range file.FindAllStringSubmatch(string(b), -1) {
		where := m[1]
		if !strings.Contains(where, "/") { // in the table of the registration rules
			where = path.Join("internal/scheduling/bookingrules", where)
		}
		src, err := os.ReadFile("../../" + where)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		files++
		if !strings.HasSuffix(where, "_test.go") {
			continue
		}
		for _, n := range name.FindAllString(m[2], -1) {
			tests++
			if !strings.Contains(string(src), "func "+n+"(") {
				t.Errorf("%s has no %s", where, n)
			}
		}
	}
	if files < 20 || tests < 20 {
		t.Errorf("only %d files and %d tests were found: the page has another form", files, tests)
	}
}
