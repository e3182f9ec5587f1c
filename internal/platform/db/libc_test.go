package db_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestLibc: SQLite here is C that was transpiled against one version of a libc, and runs
// on memory that this libc hands out. With another version it may crash the process, so
// both must be the pair that its authors tested.
func TestLibc(t *testing.T) {
	t.Parallel()
	wants, err := os.ReadFile(list(t, "modernc.org/sqlite", "{{.GoMod}}"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`modernc\.org/libc (v\S+)`).FindSubmatch(wants)
	if m == nil {
		t.Fatal("modernc.org/sqlite names no libc")
	}
	if got := list(t, "modernc.org/libc", "{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}"); got != string(m[1]) {
		t.Errorf("modernc.org/libc is %s, modernc.org/sqlite was made for %s: change the replace in go.mod", got, m[1])
	}
}

func list(t *testing.T, module, format string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", format, module).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}
