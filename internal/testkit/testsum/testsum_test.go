package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// last is the closing line of a run over files that stand for commands' output.
func runOn(t *testing.T, suites ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), suites, &b)
	return code, b.String()
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const goEvents = `{"Action":"start","Package":"x/a"}
{"Action":"run","Package":"x/a","Test":"TestStore"}
{"Action":"run","Package":"x/a","Test":"TestStore/sqlite"}
{"Action":"output","Package":"x/a","Test":"TestStore/sqlite","Output":"quiet words\n"}
{"Action":"pass","Package":"x/a","Test":"TestStore/sqlite","Elapsed":0.25}
{"Action":"run","Package":"x/a","Test":"TestStore/postgres"}
{"Action":"run","Package":"x/a","Test":"TestStore/postgres/race"}
%s
{"Action":"pass","Package":"x/a","Test":"TestPlain","Elapsed":1.5}
%s
`

func TestGo(t *testing.T) {
	t.Parallel()
	good := `{"Action":"pass","Package":"x/a","Test":"TestStore/postgres/race","Elapsed":2}
{"Action":"pass","Package":"x/a","Test":"TestStore/postgres","Elapsed":2}
{"Action":"pass","Package":"x/a","Test":"TestStore","Elapsed":2.25}`
	bad := strings.NewReplacer(`"pass","Package":"x/a","Test":"TestStore`, `"fail","Package":"x/a","Test":"TestStore`).Replace(good)
	skip := strings.Replace(good, `"pass","Package":"x/a","Test":"TestStore/postgres/race"`, `"skip","Package":"x/a","Test":"TestStore/postgres/race"`, 1)
	loud := `{"Action":"output","Package":"x/a","Test":"TestStore/postgres/race","Output":"sold twice\n"}` + "\n" +
		`{"Action":"output","Package":"x/a","Test":"TestStore/postgres/race","Output":"    store_test.go:12: two have seat 3\n"}` + "\n"
	end := func(a string) string { return `{"Action":"` + a + `","Package":"x/a","Elapsed":4}` }
	for _, tc := range []struct {
		name, middle, tail, command string
		want                        []string
		not                         string
		code                        int
	}{
		{
			name: "all pass", middle: good, tail: end("pass"), not: "quiet words",
			want: []string{"\n3 passed, 0 failed\n", "sqlite        1 passed    0 failed", "postgres      1 passed    0 failed", "neither       1 passed"},
		},
		{
			name: "a leaf fails", middle: loud + bad, tail: end("fail"), code: 1,
			want: []string{"\n2 passed, 1 failed\n", "sold twice", "postgres      0 passed    1 failed", "  x/a TestStore/postgres/race\n      store_test.go:12: two have seat 3\n"},
		},
		{name: "a skip fails", middle: skip, tail: end("pass"), code: 1, want: []string{"\n2 passed, 1 failed\n", "--- SKIP"}},
		{
			name: "the package fails alone", middle: good, tail: `{"Action":"output","Package":"x/a","Output":"panic in TestMain\n"}` + "\n" + end("fail"), code: 1,
			want: []string{"\n3 passed, 1 failed\n", "panic in TestMain"},
		},
		{name: "it does not build", middle: good, tail: `{"ImportPath":"x/b","Action":"build-output","Output":"undefined: y\n"}
{"ImportPath":"x/b","Action":"build-fail"}
{"Action":"fail","Package":"x/b","Elapsed":0,"FailedBuild":"x/b"}`, code: 1, want: []string{"\n3 passed, 1 failed\n", "undefined: y"}},
		{name: "a package without tests", middle: good, tail: `{"Action":"skip","Package":"x/c","Elapsed":0}`, want: []string{"\n3 passed, 0 failed\n"}},
		{name: "killed half-way", middle: good, tail: "not json", command: "; exit 2", code: 1, want: []string{"\n3 passed, 1 failed\n", "not json", "exit status 2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(strings.Replace(goEvents, "%s", tc.middle, 1), "%s", tc.tail, 1)
			code, out := runOn(t, "go=cat "+file(t, text)+tc.command)
			check(t, code, tc.code, out, tc.want...)
			if tc.not != "" && strings.Contains(out, tc.not) {
				t.Errorf("output of a passed test is shown:\n%s", out)
			}
		})
	}
}

func check(t *testing.T, code, wantCode int, out string, want ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("exit code %d, want %d", code, wantCode)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%q is missing in:\n%s", w, out)
		}
	}
}

func TestOtherSuites(t *testing.T) {
	t.Parallel()
	report := `{"numTotalTests":2,"testResults":[{"name":"a.test.ts","status":"passed","message":"","assertionResults":[
{"fullName":"money prints fen","status":"passed","duration":1500,"failureMessages":[]},
{"fullName":"date prints","status":"STATUS","duration":2,"failureMessages":["expected 1 to be 2"]}]}]}`
	report = strings.ReplaceAll(report, "\n", "")
	for _, tc := range []struct {
		name, suite, text string
		code              int
		want              []string
	}{
		{"vitest passes", "vitest=cat", "> web@1 test\n" + strings.Replace(report, "STATUS", "passed", 1) + "\n", 0, []string{"\n2 passed, 0 failed\n", "1.50 s  a.test.ts money"}},
		{"vitest fails", "vitest=cat", strings.Replace(report, "STATUS", "failed", 1), 1, []string{"\n1 passed, 1 failed\n", "expected 1 to be 2"}},
		{"vitest skips", "vitest=cat", strings.Replace(report, "STATUS", "skipped", 1), 1, []string{"\n1 passed, 1 failed\n"}},
		{"vitest cannot load a file", "vitest=cat", `{"testResults":[{"name":"b.test.ts","status":"failed","message":"no such import","assertionResults":[]}]}`, 1, []string{"\n0 passed, 1 failed\n", "no such import"}},
		{"vitest ran nothing", "vitest=cat", `{"testResults":[]}`, 1, []string{"ran no test", "\n0 passed, 1 failed\n"}},
		{"plain counts", "plain=cat", "step 1\n5 passed, 0 failed\n", 0, []string{"step 1", "\n5 passed, 0 failed\n"}},
		{"plain with failures", "plain=cat", "e2e: 5 passed, 2 failed, 1 skipped\n", 1, []string{"\n5 passed, 3 failed\n"}},
		{"plain without counts", "plain=cat", "fine\n", 0, []string{"\n1 passed, 0 failed\n"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out := runOn(t, tc.suite+" "+file(t, tc.text))
			check(t, code, tc.code, out, tc.want...)
		})
	}
}

func TestExitCodesAndOrder(t *testing.T) {
	t.Parallel()
	code, out := runOn(t, "plain=false", "plain=echo 2 passed, 0 failed; exit 3", "plain=true")
	check(t, code, 1, out, "\n3 passed, 2 failed\n", "exit status 3")
	if code, _ := runOn(t); code != 2 {
		t.Errorf("without suites: exit code %d", code)
	}
	if code, _ := runOn(t, "pytest=true"); code != 2 {
		t.Errorf("unknown kind: exit code %d", code)
	}
}
