package main

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// result is one test that ended.
type result struct {
	Package string
	Name    string
	OK      bool
	Seconds float64
	Why     []string // the lines of a failure that say what is wrong, few
}

var saysWhy = regexp.MustCompile(`^\s*(?:FAIL\b|panic: |fatal error: |[a-z0-9_]+_test\.go:\d+: )`)

// reasons are the first lines of a failed test's output that say what is wrong. They stand again at the end of a run:
// who gets a long log gets its beginning and its end.
func reasons(output string) []string {
	var out []string
	for line := range strings.Lines(output) {
		if saysWhy.MatchString(line) && len(out) < maxReasons {
			line = strings.TrimSpace(line)
			out = append(out, line[:min(len(line), maxReason)])
		}
	}
	return out
}

// engine is the database that a test names in its path, or "".
func (r result) engine() string {
	for _, part := range strings.Split(r.Name, "/") {
		if part == "sqlite" || part == "postgres" {
			return part
		}
	}
	return ""
}

// summary is everything that ended so far.
type summary struct {
	tests []result
	suite string // the running command
	plain bool   // it printed no counts: its exit code is its one test
}

func (s *summary) add(r result) { s.tests = append(s.tests, r) }

// close ends a suite that began with test number before.
func (s *summary) close(before int, err error, out io.Writer) {
	ran := s.tests[before:]
	bad := slices.ContainsFunc(ran, func(r result) bool { return !r.OK })
	switch {
	case err != nil && !bad:
		fmt.Fprintf(out, "\n--- FAIL %s: %v\n", s.suite, err)
		s.add(result{Package: s.suite, Name: "(suite)"})
	case err == nil && len(ran) == 0 && s.plain:
		s.add(result{Package: s.suite, Name: "(exit code)", OK: true})
	case err == nil && len(ran) == 0:
		fmt.Fprintf(out, "\n--- FAIL %s: it ran no test\n", s.suite)
		s.add(result{Package: s.suite, Name: "(no test)"})
	}
	s.plain = false
}

// line prints a package's end: the sign of life of a long run.
func (s *summary) line(out io.Writer, pkg, action string, seconds float64) {
	passed, failed := count(s.tests, func(r result) bool { return r.Package == pkg })
	fmt.Fprintf(out, "%-4s %-60s %4d passed %3d failed %7.1f s\n", action, pkg, passed, failed, seconds)
}

func count(tests []result, in func(result) bool) (passed, failed int) {
	for _, r := range tests {
		switch {
		case !in(r):
		case r.OK:
			passed++
		default:
			failed++
		}
	}
	return passed, failed
}

// print writes the totals and gives the exit code.
func (s *summary) print(out io.Writer) int {
	byTime := slices.Clone(s.tests)
	slices.SortStableFunc(byTime, func(a, b result) int { return cmp.Compare(b.Seconds, a.Seconds) })
	fmt.Fprintf(out, "\nSlowest tests\n")
	for _, r := range byTime[:min(slowest, len(byTime))] {
		if r.Seconds > 0 {
			fmt.Fprintf(out, "%8.2f s  %s %s\n", r.Seconds, r.Package, r.Name)
		}
	}
	fmt.Fprintf(out, "\nTests per engine\n")
	for _, e := range []string{"sqlite", "postgres", ""} {
		passed, failed := count(s.tests, func(r result) bool { return r.engine() == e })
		fmt.Fprintf(out, "%-9s %5d passed %4d failed\n", cmp.Or(e, "neither"), passed, failed)
	}
	passed, failed := count(s.tests, func(result) bool { return true })
	if failed > 0 {
		fmt.Fprintf(out, "\nFailed\n")
		for _, r := range s.tests {
			if !r.OK {
				fmt.Fprintf(out, "  %s %s\n", r.Package, r.Name)
				for _, why := range r.Why {
					fmt.Fprintf(out, "      %s\n", why)
				}
			}
		}
	}
	if passed+failed == 0 {
		failed = 1
	}
	fmt.Fprintf(out, "\n%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return 1
	}
	return 0
}
