package script

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/testkit"
)

const (
	patience = 45 * time.Second
	maxBig   = 64 << 20
)

// actor is somebody in front of a server.
type actor struct {
	*client.Client
	at *server
}

// person is patient, doctor and attacker:
//
//	patient NAME login PHONE             with a code from the demo's inbox
//	doctor NAME login USERNAME           with the demo's password and one-time code
//	KIND NAME [OPTIONS] METHOD PATH [BODY]
//
// OPTIONS: -at SERVER, -key KEY|new, -match N, -H Name:Value, -host HOST, -origin ORIGIN
// (none takes it away), -file FILE, -big BYTES. An attacker sends no Origin of itself.
// Without ! a refusal fails the script, with ! a success does.
func person(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: NAME [OPTIONS] METHOD PATH [BODY]")
	}
	s := on(ts)
	name, args := args[0], args[1:]
	r := request{kind: name}
	args = r.options(ts, s, args)
	who := s.enter(ts, name, r.at)
	if len(args) < 2 {
		ts.Fatalf("METHOD PATH [BODY] wanted")
	}
	var err error
	if args[0] == "login" {
		s.last, err = who.login(context.Background(), args[1])
	} else {
		var in any = r.content
		if len(args) > 2 {
			in = args[2]
		} else if r.content == "" {
			in = nil
		}
		s.last, err = who.Raw(context.Background(), args[0], args[1], in, r.headers...)
	}
	if err != nil {
		ts.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	fmt.Fprintf(ts.Stdout(), "%d %s\n%s\n", s.last.Status, s.last.Code, s.last.Body)
	switch {
	case neg && s.last.Status < 400:
		ts.Fatalf("%s: %d", strings.Join(args, " "), s.last.Status)
	case !neg && s.last.Status >= 400:
		ts.Fatalf("%s: %d %s\n%s", strings.Join(args, " "), s.last.Status, s.last.Code, s.last.Body)
	}
}

// enter puts a person before a server; the session stays with the person.
func (s *stage) enter(ts *testscript.TestScript, name, at string) *actor {
	p := s.server(ts, at)
	switch old := s.actors[name]; {
	case old == nil:
		s.actors[name] = &actor{client.New(p.URL), p}
	case old.at != p:
		s.actors[name] = &actor{old.At(p.URL), p}
	}
	return s.actors[name]
}

type request struct {
	kind    string
	at      string
	headers []client.Header
	content string
}

// options takes the options off the front.
func (r *request) options(ts *testscript.TestScript, s *stage, args []string) []string {
	r.at = "main"
	add := func(name, value string) { r.headers = append(r.headers, client.Header{Name: name, Value: value}) }
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		v := args[1]
		switch args[0] {
		case "-at":
			r.at = v
		case "-key":
			if v == "new" {
				v = testkit.KeyAt[id.Any](clock.System{}.Now().Add(s.server(ts, r.at).shift)).String()
				ts.Setenv("KEY", v)
			}
			add("Idempotency-Key", v)
		case "-match":
			add("If-Match", strconv.Quote(v))
		case "-host":
			add("Host", v)
		case "-origin":
			if v == "none" {
				v = ""
			}
			add("Origin", v)
		case "-H":
			name, value, _ := strings.Cut(v, ":")
			add(name, strings.TrimSpace(value))
		case "-file":
			r.content = ts.ReadFile(v)
		case "-big":
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > maxBig {
				ts.Fatalf("-big %s", v)
			}
			r.content = `{"x":"` + strings.Repeat("x", n) + `"}`
		default:
			ts.Fatalf("unknown option %s", args[0])
		}
		args = args[2:]
	}
	return args
}

// login logs in as the demo shows it: a phone, or a name of staff.
func (a *actor) login(ctx context.Context, who string) (client.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if who[0] >= '0' && who[0] <= '9' {
		me, err := a.Login(ctx, who, client.DemoInbox{Client: a.Client})
		return answer(me, err)
	}
	code, password, err := a.shown(ctx, who)
	if err != nil {
		return client.Answer{}, err
	}
	me, err := a.LoginStaff(ctx, who, password, code)
	if client.CodeOf(err) != "identity.login_wrong" {
		return answer(me, err)
	}
	// A code is good once, and a folder that was put back may know of the one of this half minute: the next one.
	used := code
	err = client.Until(ctx, "the next code of "+who, func(ctx context.Context) (bool, error) {
		code, _, err = a.shown(ctx, who)
		return code != used, err
	})
	if err != nil {
		return client.Answer{}, err
	}
	return answer(a.LoginStaff(ctx, who, password, code))
}

// shown is what the demo's login page says of a name of staff.
func (a *actor) shown(ctx context.Context, who string) (code, password string, err error) {
	var list struct {
		Items []struct{ Username, Password, TOTP string }
	}
	if _, err := a.Do(ctx, "GET", "/demo/accounts", nil, &list); err != nil {
		return "", "", err
	}
	for _, x := range list.Items {
		if x.Username == who {
			return x.TOTP, x.Password, nil
		}
	}
	return "", "", fmt.Errorf("the demo shows no %s", who)
}

func answer(me client.Me, err error) (client.Answer, error) {
	if err != nil {
		if status := client.StatusOf(err); status != 0 {
			return client.Answer{Status: status, Code: client.CodeOf(err)}, nil
		}
		return client.Answer{}, err
	}
	b, err := json.Marshal(me)
	return client.Answer{Status: 201, Body: b}, err
}

// expect STATUS [CODE] looks at the last answer.
func expect(ts *testscript.TestScript, neg bool, args []string) {
	s := on(ts)
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: expect STATUS [CODE]")
	}
	if got := strconv.Itoa(s.last.Status); got != args[0] {
		ts.Fatalf("status %s, want %s\n%s", got, args[0], s.last.Body)
	}
	if len(args) > 1 && s.last.Code != args[1] {
		ts.Fatalf("code %q, want %s\n%s", s.last.Code, args[1], s.last.Body)
	}
}

// body PATTERN matches the last answer's body.
func body(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: body PATTERN")
	}
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	if re.Match(on(ts).last.Body) == neg {
		ts.Fatalf("%s: matches %t\n%s", args[0], !neg, on(ts).last.Body)
	}
}

// header NAME PATTERN looks at a header of the last answer.
func header(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: header NAME PATTERN")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	if got := on(ts).last.Header.Get(args[0]); re.MatchString(got) == neg {
		ts.Fatalf("%s: %q matches %s: %t", args[0], got, args[1], !neg)
	}
}

// let NAME PATH sets a variable from the last answer: items.0.id, items.name=全科.id.
func let(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: let NAME PATH")
	}
	v, err := at(on(ts).last.Body, args[1])
	if err != nil {
		ts.Fatalf("%v\n%s", err, on(ts).last.Body)
	}
	ts.Setenv(args[0], v)
}

// location NAME PARAMETER sets a variable from the address that the last answer leads to; with - as NAME the second word must be
// in that address.
func location(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: location NAME PARAMETER")
	}
	last := on(ts).last
	to := last.Header.Get("Location")
	u, err := url.Parse(to)
	if err != nil || to == "" {
		ts.Fatalf("%d leads nowhere\n%s", last.Status, last.Body)
	}
	switch v := u.Query().Get(args[1]); {
	case args[0] == "-" && !strings.Contains(to, args[1]):
		ts.Fatalf("%s: no %s", to, args[1])
	case args[0] == "-":
	case v == "":
		ts.Fatalf("%s: no %s", to, args[1])
	default:
		ts.Setenv(args[0], v)
	}
}

// said NAME PATTERN sets a variable from what the program printed last: the pattern's first group.
func said(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: said NAME PATTERN")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("%s: not said", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// until NAME PATH FIELD VALUE reads as a person until the field has the value.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: until NAME PATH FIELD VALUE")
	}
	s := on(ts)
	who := s.enter(ts, args[0], "main")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := client.Until(ctx, args[1], func(ctx context.Context) (bool, error) {
		res, err := who.Raw(ctx, "GET", args[1], nil)
		if err != nil {
			return false, err
		}
		s.last = res
		v, err := at(res.Body, args[2])
		return err == nil && v == args[3], nil
	})
	if err != nil {
		ts.Fatalf("%v: %s\n%s", err, args[2]+" never was "+args[3], s.last.Body)
	}
}

// at reads a value out of JSON: names, indexes, n for the length, name=value for the
// first item that has it.
func at(raw []byte, path string) (string, error) {
	var v any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "", err
	}
	for _, part := range strings.Split(path, ".") {
		next, ok := step(v, part)
		if !ok {
			return "", fmt.Errorf("%s: there is no %s", path, part)
		}
		v = next
	}
	switch x := v.(type) {
	case string:
		return x, nil
	case nil:
		return "", nil
	case map[string]any, []any:
		b, err := json.Marshal(x)
		return string(b), err
	}
	return fmt.Sprint(v), nil
}

func step(v any, part string) (any, bool) {
	switch x := v.(type) {
	case map[string]any:
		y, ok := x[part]
		return y, ok
	case []any:
		if part == "n" {
			return len(x), true
		}
		if name, value, ok := strings.Cut(part, "="); ok {
			for _, item := range x {
				if m, ok := item.(map[string]any); ok && fmt.Sprint(m[name]) == value {
					return m, true
				}
			}
			return nil, false
		}
		if n, err := strconv.Atoi(part); err == nil && n >= 0 && n < len(x) {
			return x[n], true
		}
	}
	return nil, false
}
