// Package authz decides who may do what. The policies are Cedar texts that an auditor
// can read, one file a context; relationship facts (own record, guardian, campus) are
// attributes that the use case looks up before it asks. The deciding policy's name
// goes into the audit row.
package authz

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// ErrDenied is the refusal when no policy permits the act.
var ErrDenied = fault.Register(fault.Forbidden, "authz.denied", "没有权限", "You may not do this")

// Policies is one context's Cedar text. Every policy needs an @id annotation
// (context.words) and must name its action with == or in. @zh and @en say what it is
// for, to the people who ask why somebody may do something. @step_up("a.b a.c") names those of its actions
// that it permits a person only right after a proof (auth.Principal.Fresh).
type Policies struct {
	Context string
	Text    []byte
}

// Request asks for one decision. The principal comes from the context.
type Request struct {
	Action string         // scheduling.hold: the operation's id
	Noun   string         // the resource's type: Patient, Appointment
	ID     string         // the resource's id; empty for a kind as a whole
	Attrs  map[string]any // bool, string, int64, []string
	// At are the places that the resource lies in: its campus, and the institution above it. A role that was granted for
	// another place does not count. Empty: the resource lies nowhere in particular, and every role counts.
	At []id.ID[auth.Organization]
}

// Decision names the policy that permitted.
type Decision struct{ Policy string }

// Engine holds the compiled policies, indexed by action because Cedar's cost grows
// with the number of policies it looks at.
type Engine struct {
	byAct map[string]*cedar.PolicySet
	list  []Permission
	fresh map[grant]bool  // what @step_up marks
	alike map[string]bool // actions whose policies do not look at who exactly asks, or for which one
	known sync.Map        // alikeRequest -> Decision
}

// alikeRequest is what a decision of an action that treats all alike depends on, for principals without roles. Its values
// come from code, so there are few.
type alikeRequest struct {
	action, noun, attr string
	value              bool
	kind               auth.Kind
	factors            int
}

// spoken are the annotations for people, which stand beside the policy's text and not in it.
var spoken = regexp.MustCompile(`(?m)^@(zh|en)\("(?:[^"\\]|\\.)*"\)\n`)

// particular are the words of a policy that looks at one principal or one resource.
var particular = regexp.MustCompile(`account|(principal|resource) *(==|!=|in\b|has\b)|(==|!=|\bin|contains\() *(principal|resource)\b *[^.]`)

// grant is one action of one policy.
type grant struct{ action, policy string }

type named struct {
	id cedar.PolicyID
	p  *cedar.Policy
}

// Words say one thing to people, in Chinese and in English.
type Words struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Permission is one row of the generated catalogue: a policy of an action.
type Permission struct {
	Context, Action, Policy, Text string
	Forbids                       bool
	Words                         Words // the annotations @zh and @en
	StepUp                        bool  // a person has to have proved it just before
}

// New compiles the policies and refuses one without an @id or without an action.
func New(sets ...Policies) (*Engine, error) {
	e := &Engine{byAct: map[string]*cedar.PolicySet{}, fresh: map[grant]bool{}, alike: map[string]bool{}}
	acts := map[string][]named{}
	taken := map[string]bool{}
	for _, s := range sets {
		parsed, err := cedar.NewPolicyListFromBytes(s.Context+"/policy.cedar", s.Text)
		if err != nil {
			return nil, fmt.Errorf("authz: %s: %w", s.Context, err)
		}
		for _, p := range parsed {
			name := string(p.Annotations()["id"])
			if !strings.HasPrefix(name, s.Context+".") {
				return nil, fmt.Errorf("authz: %s: a policy has @id %q, want %s.…", s.Context, name, s.Context)
			}
			if taken[name] {
				return nil, fmt.Errorf("authz: two policies are called %s", name)
			}
			taken[name] = true
			text := spoken.ReplaceAllString(string(p.MarshalCedar()), "")
			found := actionsIn(text)
			if len(found) == 0 {
				return nil, fmt.Errorf("authz: policy %s names no action", name)
			}
			for _, a := range strings.Fields(string(p.Annotations()["step_up"])) {
				if !slices.Contains(found, a) {
					return nil, fmt.Errorf("authz: policy %s: @step_up names %s, which it does not permit", name, a)
				}
				e.fresh[grant{a, name}] = true
			}
			for _, a := range found {
				acts[a] = append(acts[a], named{cedar.PolicyID(name), p})
				e.list = append(e.list, Permission{
					Context: s.Context, Action: a, Policy: name, Text: text, Forbids: p.Effect() == cedar.Forbid, StepUp: e.fresh[grant{a, name}],
					Words: Words{ZH: string(p.Annotations()["zh"]), EN: string(p.Annotations()["en"])},
				})
			}
		}
	}
	for a, ps := range acts {
		set := cedar.NewPolicySet()
		e.alike[a] = true
		for _, n := range ps {
			set.Add(n.id, n.p)
			if particular.Match(spoken.ReplaceAll(n.p.MarshalCedar(), nil)) || e.fresh[grant{a, string(n.id)}] {
				e.alike[a] = false
			}
		}
		e.byAct[a] = set
	}
	sort.Slice(e.list, func(i, j int) bool {
		return e.list[i].Action+e.list[i].Policy < e.list[j].Action+e.list[j].Policy
	})
	return e, nil
}

// ContextOf is the context that a text's policies are of, by their names; all are of one.
func ContextOf(file string, text []byte) (string, error) {
	parsed, err := cedar.NewPolicyListFromBytes(file, text)
	if err != nil {
		return "", fmt.Errorf("authz: %s: %w", file, err)
	}
	context := ""
	for _, p := range parsed {
		name, _, ok := strings.Cut(string(p.Annotations()["id"]), ".")
		if !ok || name == "" || context != "" && context != name {
			return "", fmt.Errorf("authz: %s: a policy has @id %q; want context.words, and one context in a file", file, p.Annotations()["id"])
		}
		context = name
	}
	if context == "" {
		return "", fmt.Errorf("authz: %s: no policy", file)
	}
	return context, nil
}

// actionsIn finds Action::"..." in the canonical text of one policy.
func actionsIn(text string) []string {
	var out []string
	const mark = `Action::"`
	for {
		i := strings.Index(text, mark)
		if i < 0 {
			return out
		}
		text = text[i+len(mark):]
		j := strings.IndexByte(text, '"')
		if j < 0 {
			return out
		}
		if !slices.Contains(out, text[:j]) {
			out = append(out, text[:j])
		}
		text = text[j:]
	}
}

// Permissions lists what is permitted to whom, for the generated reference.
func (e *Engine) Permissions() []Permission { return e.list }

// Check decides. The error is auth.ErrNone without a principal, ErrDenied without a
// permitting policy. Resource attributes are visible to policies as resource.<name>,
// the principal as principal.kind, .roles (set, those that count where the resource
// lies), .account, .organizations, .factors. auth.ErrStepUp when every policy that permits it to a person
// asks for a proof just before.
func (e *Engine) Check(ctx context.Context, r Request) (Decision, error) {
	p, err := auth.From(ctx)
	if err != nil {
		return Decision{}, err
	}
	set, ok := e.byAct[r.Action]
	if !ok {
		return Decision{}, ErrDenied.Because("no policy for %s", r.Action)
	}
	key, alike := e.alikeOf(p, r)
	if alike {
		if d, ok := e.known.Load(key); ok {
			return d.(Decision), nil
		}
	}
	d, err := e.decide(set, p, r)
	if alike && err == nil { // a refusal says why each time
		e.known.Store(key, d)
	}
	return d, err
}

// alikeOf is what the decision depends on, when that is little.
func (e *Engine) alikeOf(p auth.Principal, r Request) (k alikeRequest, ok bool) {
	if !e.alike[r.Action] || len(p.Grants) > 0 || len(r.Attrs) > 1 {
		return k, false
	}
	k = alikeRequest{action: r.Action, noun: r.Noun, kind: p.Kind, factors: p.Factors}
	for name, v := range r.Attrs {
		if k.value, ok = v.(bool); !ok {
			return k, false
		}
		k.attr = name
	}
	return k, true
}

func (e *Engine) decide(set *cedar.PolicySet, p auth.Principal, r Request) (Decision, error) {
	ok, diag, err := ask(set, p, r)
	if err != nil {
		return Decision{}, err
	}
	if !ok {
		return Decision{}, ErrDenied.Because("%s by %s on %s: %d errors", r.Action, p.Kind, r.Noun, len(diag.Errors))
	}
	d := Decision{} // of several the first by name, so that the audit is the same each time
	for _, by := range diag.Reasons {
		name := string(by.PolicyID)
		if p.Person() && !p.Fresh && e.fresh[grant{r.Action, name}] {
			continue
		}
		if d.Policy == "" || name < d.Policy {
			d.Policy = name
		}
	}
	if d.Policy == "" {
		return Decision{}, auth.ErrStepUp.New()
	}
	return d, nil
}

// ask puts one question to the policies of an action.
func ask(set *cedar.PolicySet, p auth.Principal, r Request) (bool, cedar.Diagnostic, error) {
	who := types.NewEntityUID(types.EntityType(kindName(p.Kind)), types.String(p.Actor()))
	what := types.NewEntityUID(types.EntityType(r.Noun), types.String(r.ID))
	attrs, err := record(r.Attrs)
	if err != nil {
		return false, cedar.Diagnostic{}, err
	}
	entities := types.EntityMap{
		who:  types.Entity{UID: who, Attributes: principal(p, r.At)},
		what: types.Entity{UID: what, Attributes: attrs},
	}
	ok, diag := cedar.Authorize(set, entities, cedar.Request{
		Principal: who,
		Action:    types.NewEntityUID("Action", types.String(r.Action)),
		Resource:  what,
		Context:   types.NewRecord(nil),
	})
	return ok == cedar.Allow, diag, nil
}

func kindName(k auth.Kind) string {
	switch k {
	case auth.Patient:
		return "Person"
	case auth.Staff:
		return "Staff"
	case auth.Client:
		return "Client"
	case auth.CLI:
		return "CLI"
	}
	return "System"
}

// Counts reports whether a grant holds for something that lies at these places: it was given for the whole tenant or for
// one of them. What lies nowhere in particular is everybody's work.
func Counts(g auth.Grant, at []id.ID[auth.Organization]) bool {
	return len(at) == 0 || g.Organization.IsZero() || slices.Contains(at, g.Organization)
}

func principal(p auth.Principal, at []id.ID[auth.Organization]) types.Record {
	var roles, orgs []types.Value
	for _, g := range p.Grants {
		if Counts(g, at) {
			roles = append(roles, types.String(g.Role))
		}
		orgs = append(orgs, types.String(g.Organization.String()))
	}
	account := ""
	if p.Account != (id.ID[auth.Account]{}) {
		account = p.Account.String()
	}
	return types.NewRecord(types.RecordMap{
		"kind":          types.String(p.Kind),
		"account":       types.String(account),
		"roles":         types.NewSet(roles...),
		"organizations": types.NewSet(orgs...),
		"factors":       types.Long(p.Factors),
	})
}

func record(m map[string]any) (types.Record, error) {
	out := types.RecordMap{}
	for k, v := range m {
		switch x := v.(type) {
		case bool:
			out[types.String(k)] = types.Boolean(x)
		case string:
			out[types.String(k)] = types.String(x)
		case int:
			out[types.String(k)] = types.Long(x)
		case int64:
			out[types.String(k)] = types.Long(x)
		case []string:
			var vs []types.Value
			for _, s := range x {
				vs = append(vs, types.String(s))
			}
			out[types.String(k)] = types.NewSet(vs...)
		default:
			return types.Record{}, fmt.Errorf("authz: attribute %s has type %T", k, v)
		}
	}
	return types.NewRecord(out), nil
}
