package authz

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// Tests of policies are lines of a text beside the policies, so that who reviews a policy reads what it must and must not
// permit without knowing Go:
//
//	# a comment
//	allow doctor   clinic.call_next   own               by clinic.own_line
//	deny  doctor   clinic.call_next
//	deny  nurse@east  clinic.read_queue  at=west
//	allow security_admin  identity.put_grants  account=other
//
// The second word says who asks: patient, cli, system, client, staff (without a role), or roles joined by +, each with @place
// where it was granted for one; :1 behind it is a session of one factor (staff: two). Then the action, then facts of the item:
// name (it is so), account=own or account=other, at=place. A fact that is not named is not so; the account is another's.
// by names the policy: without it any will do.

// ErrCase is the refusal of a policy test that cannot be read.
var ErrCase = fault.Register(fault.Invalid, "authz.case_invalid", "策略测试写法不对", "A test of a policy is not written as it must be")

// Case is one line of a policy's tests.
type Case struct {
	File   string
	Line   int
	Allow  bool
	Who    auth.Principal
	Action string
	Attrs  map[string]any
	At     []id.ID[auth.Organization]
	Policy string
	text   string
}

const maxCases = 10_000

// ReadCases reads the tests of a file.
func ReadCases(file string, text []byte) (out []Case, err error) {
	in := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		c, err := readCase(words)
		if err != nil {
			return nil, ErrCase.Because("%s:%d: %v", file, n, err)
		}
		c.File, c.Line, c.text = file, n, strings.Join(words, " ")
		if out = append(out, c); len(out) > maxCases {
			return nil, ErrCase.Because("%s: more than %d cases", file, maxCases)
		}
	}
	return out, in.Err()
}

func readCase(words []string) (c Case, err error) {
	if len(words) < 3 {
		return c, fmt.Errorf("want: allow or deny, who, action, facts")
	}
	switch words[0] {
	case "allow", "deny":
		c.Allow = words[0] == "allow"
	default:
		return c, fmt.Errorf("%q is neither allow nor deny", words[0])
	}
	if c.Who, err = readWho(words[1]); err != nil {
		return c, err
	}
	c.Action = words[2]
	c.Attrs = map[string]any{"account": somebody.String()}
	for i := 3; i < len(words); i++ {
		name, value, valued := strings.Cut(words[i], "=")
		switch {
		case name == "by" && !valued && i == len(words)-2:
			c.Policy = words[i+1]
			return c, nil
		case name == "at" && value != "":
			c.At = append(c.At, place(value))
		case name == "account" && value == "own":
			c.Attrs[name] = asker.String()
		case name == "account" && value == "other":
		case !valued && name != "by" && name != "account" && name != "at":
			c.Attrs[name] = true
		default:
			return c, fmt.Errorf("%q is no fact", words[i])
		}
	}
	return c, nil
}

func readWho(text string) (p auth.Principal, err error) {
	text, factors, short := strings.Cut(text, ":")
	p = auth.Principal{Kind: auth.Staff, Account: asker, Factors: 2}
	switch text {
	case "patient":
		p.Kind, p.Factors = auth.Patient, 1
	case "cli":
		p = auth.Principal{Kind: auth.CLI, Name: "test"}
	case "system":
		p = auth.Principal{Kind: auth.System, Name: "test"}
	case "client":
		p = auth.Principal{Kind: auth.Client, Name: "test"}
	case "staff":
	default:
		for one := range strings.SplitSeq(text, "+") {
			role, where, placed := strings.Cut(one, "@")
			if !slices.Contains(Roles, auth.Role(role)) || placed && where == "" {
				return p, fmt.Errorf("%q is nobody that is known", one)
			}
			g := auth.Grant{Role: auth.Role(role)}
			if placed {
				g.Organization = place(where)
			}
			p.Grants = append(p.Grants, g)
		}
	}
	switch {
	case short && factors == "1":
		p.Factors = 1
	case short:
		return p, fmt.Errorf(":%s is no number of factors that a test needs", factors)
	}
	return p, nil
}

// place is an invented id for a name, the same each time.
func place(name string) (out id.ID[auth.Organization]) {
	out = campus
	copy(out[8:], name+"........")
	out[8] = out[8]&0x3f | 0x80
	return out
}

// Ran is what a run of tests found.
type Ran struct {
	Cases, Policies int
	Failed          []string // a line each
}

// Run tries the cases on the policies. A policy that no case permits or forbids by is a failure too: nobody has said what it
// is for. A forbidding policy wants a case that is denied, named in its by.
func (e *Engine) Run(cases []Case) (out Ran) {
	tried := map[string]bool{}
	for _, c := range cases {
		out.Cases++
		at := fmt.Sprintf("%s:%d: %s", c.File, c.Line, c.text)
		set, known := e.byAct[c.Action]
		if !known {
			out.Failed = append(out.Failed, at+": no policy names this action")
			continue
		}
		attrs := map[string]any{}
		for _, name := range e.Looks(c.Action) {
			if name != "account" {
				attrs[name] = false
			}
		}
		for name, v := range c.Attrs {
			if _, looked := attrs[name]; !looked && name != "account" {
				out.Failed = append(out.Failed, at+": no policy of the action looks at "+name)
			}
			attrs[name] = v
		}
		allowed, diag, err := ask(set, c.Who, Request{Action: c.Action, Noun: "Any", ID: "any", Attrs: attrs, At: c.At})
		var by []string
		for _, r := range diag.Reasons {
			by = append(by, string(r.PolicyID))
		}
		slices.Sort(by)
		switch {
		case err != nil:
			out.Failed = append(out.Failed, at+": "+err.Error())
		case allowed != c.Allow:
			out.Failed = append(out.Failed, at+": is "+map[bool]string{true: "allowed", false: "denied"}[allowed]+because(by))
		case c.Policy != "" && !slices.Contains(by, c.Policy):
			out.Failed = append(out.Failed, at+": decided"+because(by))
		}
		for _, name := range by {
			tried[name] = true
		}
	}
	var names []string
	for _, p := range e.list {
		if !slices.Contains(names, p.Policy) {
			names = append(names, p.Policy)
		}
	}
	slices.Sort(names)
	out.Policies = len(names)
	for _, name := range names {
		if !tried[name] {
			out.Failed = append(out.Failed, name+": no test is decided by it")
		}
	}
	return out
}

func because(by []string) string {
	if len(by) == 0 {
		return " by no policy"
	}
	return " by " + strings.Join(by, ", ")
}
