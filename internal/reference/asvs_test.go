package reference

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// asvs are the requirements of ASVS 4.0.3, levels 1 and 2: a section and its numbers.
const asvs = `1.1:1-7 1.2:1-4 1.4:1,4-5 1.5:1-4 1.6:1-4 1.7:1-2 1.8:1-2 1.9:1-2 1.10:1 1.11:1-2 1.12:2 1.14:1-6
2.1:1-12 2.2:1-3 2.3:1-3 2.4:1-6 2.5:1-7 2.6:1-3 2.7:1-6 2.8:1-7 2.9:1-3 2.10:1-4
3.1:1 3.2:1-4 3.3:1-4 3.4:1-5 3.5:1-3 3.7:1 4.1:1-3,5 4.2:1-2 4.3:1-3
5.1:1-5 5.2:1-8 5.3:1-10 5.4:1-3 5.5:1-4 6.1:1-3 6.2:1-6 6.3:1-2 6.4:1-2
7.1:1-4 7.2:1-2 7.3:1,3-4 7.4:1-3 8.1:1-4 8.2:1-3 8.3:1-8 9.1:1-3 9.2:1-4 10.2:1-2 10.3:1-3
11.1:1-8 12.1:1-3 12.2:1 12.3:1-6 12.4:1-2 12.5:1-2 12.6:1 13.1:1,3-5 13.2:1-3,5-6 13.3:1-2 13.4:1-2
14.1:1-4 14.2:1-6 14.3:2-3 14.4:1-7 14.5:1-4`

func asvsNumbers(t *testing.T) (out []string) {
	t.Helper()
	for _, section := range strings.Fields(asvs) {
		name, list, _ := strings.Cut(section, ":")
		for _, span := range strings.Split(list, ",") {
			a, b, two := strings.Cut(span, "-")
			if !two {
				b = a
			}
			from, err1 := strconv.Atoi(a)
			to, err2 := strconv.Atoi(b)
			if err1 != nil || err2 != nil || from > to {
				t.Fatalf("%s", section)
			}
			for n := from; n <= to; n++ {
				out = append(out, fmt.Sprintf("%s.%d", name, n))
			}
		}
	}
	return out
}

// docs/asvs.md answers every requirement once, in order, and each "yes" and "part" says by what; its files and tests exist.
func TestASVS(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/asvs.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(string(b), -1)
	want := asvsNumbers(t)
	if len(rows) != len(want) {
		t.Errorf("%d lines for %d requirements", len(rows), len(want))
	}
	for i, r := range rows {
		if i < len(want) && r[1] != want[i] {
			t.Fatalf("line %d is about %s, want %s", i+1, r[1], want[i])
		}
		switch r[3] {
		case "yes", "part", "open", "n.a.":
		default:
			t.Errorf("%s: answer %q", r[1], r[3])
		}
	}
	if files, tests := promises(t, string(b)); files < 150 || tests < 150 {
		t.Errorf("only %d files and %d tests were found: the page has another form", files, tests)
	}
}

// promises checks that the files of a page exist, and that a test file has the tests named after it.
func promises(t *testing.T, page string) (files, tests int) {
	t.Helper()
	file := regexp.MustCompile("`((?:internal|web|test|cmd|[A-Z]+\\.md)[^`\\s]*\\.[a-z]+)`([^;|`]*)")
	name := regexp.MustCompile(`\bTest[A-Z]\w*`)
	for _, m := range file.FindAllStringSubmatch(page, -1) {
		src, err := os.ReadFile("../../" + m[1])
		if err != nil {
			t.Errorf("%s: %v", m[1], err)
			continue
		}
		files++
		for _, n := range name.FindAllString(m[2], -1) {
			tests++
			if !strings.Contains(string(src), "func "+n+"(") {
				t.Errorf("%s has no %s", m[1], n)
			}
		}
	}
	return files, tests
}

// The evidence of docs/dengbao.md is there: the packages and tests that its commands run, the files that it names.
func TestDengbao(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/dengbao.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`go test \./(\S+) -run '?([A-Za-z0-9|\\]+)'? -v`).FindAllStringSubmatch(string(b), -1)
	for _, c := range commands {
		sources, err := filepath.Glob("../../" + c[1] + "/*_test.go")
		if err != nil || len(sources) == 0 {
			t.Errorf("%s has no tests", c[1])
			continue
		}
		var all strings.Builder
		for _, s := range sources {
			text, err := os.ReadFile(s)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		for _, n := range strings.Split(strings.ReplaceAll(c[2], `\`, ""), "|") {
			if !strings.Contains(all.String(), "func "+n+"(") {
				t.Errorf("%s has no %s", c[1], n)
			}
		}
	}
	for _, name := range regexp.MustCompile(`(?:docs|deploy)/[a-z/-]+(?:\.[a-z]+)?`).FindAllString(string(b), -1) {
		if _, err := os.Stat("../../" + name); err != nil {
			t.Error(err)
		}
	}
	lines := strings.Count(string(b), "\n| 8.1.")
	if len(commands) < 18 || lines < 30 {
		t.Errorf("only %d commands in %d lines: the page has another form", len(commands), lines)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, "| 8.1.") && strings.Count(strings.ReplaceAll(l, `\|`, ""), "|") != 5 {
			t.Errorf("not four columns: %s", l)
		}
	}
}
