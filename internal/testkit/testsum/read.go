package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// goEvent is one line of go test -json.
type goEvent struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

// readGo reads the events of go test -json. Lines that are no events pass through.
func readGo(r io.Reader, out io.Writer, sum *summary) error {
	g := &goRun{out: out, sum: sum, output: map[string]*bytes.Buffer{}, parents: map[string]bool{}, failed: map[string]bool{}}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var e goEvent
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				out.Write(line)
			} else {
				g.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// goRun is what is known of the tests that have not ended yet.
type goRun struct {
	out     io.Writer
	sum     *summary
	output  map[string]*bytes.Buffer // by package and test
	parents map[string]bool          // tests that have subtests
	failed  map[string]bool          // packages and tests with a failed test below them
}

func (g *goRun) event(e goEvent) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			g.parents[e.Package+" "+e.Test[:i]] = true
		}
	case "output":
		g.buffer(key).WriteString(e.Output)
	case "build-output":
		g.buffer(e.ImportPath).WriteString(e.Output)
	case "build-fail":
		fmt.Fprintf(g.out, "\n--- BUILD FAILED %s\n%s", e.ImportPath, g.buffer(e.ImportPath))
	case "pass", "fail", "skip":
		if e.Test == "" {
			g.packageEnd(e)
		} else {
			g.testEnd(e, key)
		}
		delete(g.output, key)
	}
}

func (g *goRun) buffer(key string) *bytes.Buffer {
	b := g.output[key]
	if b == nil {
		b = &bytes.Buffer{}
		g.output[key] = b
	}
	return b
}

// testEnd counts a leaf; a test with subtests counts only for a failure of its own.
func (g *goRun) testEnd(e goEvent, key string) {
	if e.Action != "pass" {
		for name := e.Test; ; {
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				break
			}
			name = name[:i]
			g.failed[e.Package+" "+name] = true
		}
		g.failed[e.Package] = true
		fmt.Fprintf(g.out, "\n--- %s %s %s\n%s", strings.ToUpper(e.Action), e.Package, e.Test, g.buffer(key))
	}
	if g.parents[key] && (e.Action == "pass" || g.failed[key]) {
		return
	}
	r := result{Package: e.Package, Name: e.Test, OK: e.Action == "pass", Seconds: e.Elapsed}
	if !r.OK {
		r.Why = reasons(g.buffer(key).String())
	}
	g.sum.add(r)
}

// packageEnd prints a package's line; a failure outside its tests (build, TestMain, a
// panic, a time-out) counts as one failed test.
func (g *goRun) packageEnd(e goEvent) {
	if e.Action == "skip" { // no test files
		return
	}
	if e.Action == "fail" && !g.failed[e.Package] {
		fmt.Fprintf(g.out, "\n--- FAIL %s\n%s", e.Package, g.buffer(e.Package+" "))
		for key, b := range g.output { // the tests that were running
			if name, ok := strings.CutPrefix(key, e.Package+" "); ok && name != "" {
				fmt.Fprintf(g.out, "--- unfinished %s\n%s", name, b)
			}
		}
		g.sum.add(result{Package: e.Package, Name: "(package)", Seconds: e.Elapsed, Why: reasons(g.buffer(e.Package + " ").String())})
	}
	g.sum.line(g.out, e.Package, e.Action, e.Elapsed)
}

// jestReport is the JSON report of vitest (and jest).
type jestReport struct {
	Results []struct {
		Name    string `json:"name"`
		Status  string `json:"status"`
		Message string `json:"message"`
		Tests   []struct {
			Name     string   `json:"fullName"`
			Status   string   `json:"status"`
			Duration float64  `json:"duration"` // ms
			Messages []string `json:"failureMessages"`
		} `json:"assertionResults"`
	} `json:"testResults"`
}

// readVitest reads the report, one line of JSON among what else the command prints
// (npm prints its own lines before it).
func readVitest(r io.Reader, out io.Writer, sum *summary) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		var rep jestReport
		if bytes.HasPrefix(line, []byte("{")) && json.Unmarshal(line, &rep) == nil && rep.Results != nil {
			rep.add(out, sum)
		} else if len(bytes.TrimSpace(line)) > 0 {
			out.Write(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (rep jestReport) add(out io.Writer, sum *summary) {
	for _, file := range rep.Results {
		if file.Status != "passed" && len(file.Tests) == 0 {
			fmt.Fprintf(out, "\n--- FAIL %s\n%s\n", file.Name, file.Message)
			sum.add(result{Package: file.Name, Name: "(file)"})
		}
		for _, t := range file.Tests {
			ok := t.Status == "passed"
			if !ok {
				fmt.Fprintf(out, "\n--- %s %s %s\n%s\n", strings.ToUpper(t.Status), file.Name, t.Name, strings.Join(t.Messages, "\n"))
			}
			sum.add(result{Package: file.Name, Name: t.Name, OK: ok, Seconds: t.Duration / 1000})
		}
	}
}

var plainLine = regexp.MustCompile(`^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$`)

// readPlain passes the output through and counts by its last "N passed, N failed".
func readPlain(r io.Reader, out io.Writer, sum *summary) error {
	passed, failed, found := 0, 0, false
	var said strings.Builder
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if m := plainLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			p, _ := strconv.Atoi(m[1]) // digits; absurdly many count as none and fail the suite
			f, _ := strconv.Atoi(m[2])
			s, _ := strconv.Atoi(m[3])
			passed, failed, found = p, f+s, true
		} else {
			io.WriteString(out, line) // our own closing line must stay the only one
			if strings.HasPrefix(line, "FAIL ") {
				said.WriteString(line)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	sum.plain = !found
	for i := range passed + failed {
		r := result{Package: sum.suite, Name: "#" + strconv.Itoa(i+1), OK: i < passed}
		if i == passed { // the failures have no names of their own: all that was said stands at the first
			r.Why = reasons(said.String())
		}
		sum.add(r)
	}
	return nil
}
