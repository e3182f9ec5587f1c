package app

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/authz"
)

// ErrPolicies is the refusal of policies that do not hold what their tests say.
var ErrPolicies = fault.Register(fault.Invalid, "app.policies_fail", "策略没有通过测试", "The policies do not pass their tests")

// maxPolicyFile bounds a file of policies or of tests.
const maxPolicyFile = 1 << 20

// CheckPolicies is `xinglin policy check`: the policies of this binary, or with a folder those in its files NAME.cedar, each with
// its tests in NAME.tests. It changes nothing: a file that does not parse is reported, and what is in force stays so.
func CheckPolicies(dir string, out io.Writer) error {
	sets, cases, err := builtinPolicies()
	if dir != "" {
		sets, cases, err = policiesIn(os.DirFS(dir))
	}
	if err != nil {
		return err
	}
	e, err := authz.New(sets...)
	if err != nil {
		return ErrPolicies.Wrap(err)
	}
	ran := e.Run(cases)
	for _, f := range ran.Failed {
		fmt.Fprintln(out, f)
	}
	fmt.Fprintf(out, "%d policies, %d tests, %d failures\n", ran.Policies, ran.Cases, len(ran.Failed))
	if len(ran.Failed) > 0 {
		return ErrPolicies.New()
	}
	return nil
}

func builtinPolicies() (sets []authz.Policies, cases []authz.Case, err error) {
	type both struct {
		name            string
		policies, tests []byte
	}
	all := []both{{"ops", opsPolicy, opsTests}}
	for _, d := range Descriptions() {
		all = append(all, both{d.Name, d.Policies, d.PolicyTests})
	}
	for _, b := range all {
		sets = append(sets, authz.Policies{Context: b.name, Text: b.policies})
		cs, err := authz.ReadCases(b.name, b.tests)
		if err != nil {
			return nil, nil, err
		}
		cases = append(cases, cs...)
	}
	return sets, cases, nil
}

// policiesIn reads a folder and those below it. A context's files may stand in any of them, as they do in the repository.
func policiesIn(dir fs.FS) (sets []authz.Policies, cases []authz.Case, err error) {
	texts := map[string][]byte{}
	err = fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".cedar":
			return nil
		}
		text, err := readSmall(dir, name)
		if err != nil {
			return err
		}
		context, err := authz.ContextOf(name, text)
		if err != nil {
			return ErrPolicies.Wrap(err)
		}
		texts[context] = append(append(texts[context], text...), '\n')
		tests := strings.TrimSuffix(name, ".cedar") + ".tests"
		text, err = readSmall(dir, tests)
		if err != nil {
			return err
		}
		cs, err := authz.ReadCases(tests, text)
		cases = append(cases, cs...)
		return err
	})
	for _, context := range sortedNames(texts) {
		sets = append(sets, authz.Policies{Context: context, Text: texts[context]})
	}
	if err == nil && len(sets) == 0 {
		err = ErrPolicies.Because("no file of policies (*.cedar) in the folder")
	}
	return sets, cases, err
}

func sortedNames(m map[string][]byte) (out []string) {
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// readSmall reads a file within the bound.
func readSmall(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, ErrPolicies.Wrap(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	if err == nil && len(b) > maxPolicyFile {
		err = fmt.Errorf("%s: larger than 1 MiB", name)
	}
	if err != nil {
		return nil, ErrPolicies.Wrap(err)
	}
	return b, nil
}
