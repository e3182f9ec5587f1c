package authz

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// Item is what the policies see of one item for one principal: its facts, and the places it lies in. It holds no personal
// data: ids, codes and whether something is so.
type Item struct {
	Attrs map[string]any
	At    []id.ID[auth.Organization]
}

// Source says where a context finds the facts of its items, for the actions that ask about one of them. Its use cases take
// them from the same place, so an explanation tells what really decided.
type Source struct {
	Noun    string // the resource's type
	Actions []string
	// Self: the actions are about whoever asks, and about no other item.
	Self bool
	// Placed: the items lie at a campus, and roles that were granted elsewhere do not count.
	Placed bool
	// Look reads the facts of an item of the principal's tenant, as they are for the principal; the context's own
	// not_found for what the tenant has not. Nil with Self.
	Look func(ctx context.Context, who auth.Principal, item string) (Item, error)
}

// Self is what an item of the principal's own account looks like.
func Self(who auth.Principal) Item {
	return Item{Attrs: map[string]any{"account": who.Account.String()}}
}

// Need is what would have to be otherwise for a refusal to become a permission: one role more, facts of the item, a second
// factor. What does not stand here may stay as it is.
type Need struct {
	Policies []string // that would permit then
	Role     auth.Role
	Instead  bool            // of all roles that the principal has: an administrator has no other
	Facts    map[string]bool // name and the value that it must have
	Factors  int             // 0: as many as there are
}

// Explanation tells how the policies came to a decision.
type Explanation struct {
	Allowed  bool
	Policies []Permission    // those that permitted, or else those that forbade; by name
	Facts    map[string]bool // facts of the item that policies of the action look at, as yes or no
	Roles    []auth.Role     // of the principal that count for this item
	Needs    []Need          // after a refusal: the smallest changes that permit, at most maxNeeds
}

const maxNeeds = 12

// Roles lists what staff may be.
var Roles = []auth.Role{auth.Doctor, auth.Nurse, auth.Registrar, auth.Operator, auth.PrivacyOfficer, auth.SystemAdmin, auth.SecurityAdmin, auth.AuditAdmin}

// Administers reports whether the role is one of the three administrators' (R58).
func Administers(r auth.Role) bool {
	return r == auth.SystemAdmin || r == auth.SecurityAdmin || r == auth.AuditAdmin
}

func administers(p auth.Principal) bool {
	return slices.ContainsFunc(p.Grants, func(g auth.Grant) bool { return Administers(g.Role) })
}

// attribute finds the facts that a policy looks at.
var attribute = regexp.MustCompile(`\bresource(?:\.([a-z_]+)| has ([a-z_]+))`)

// Looks lists the facts of an item that the policies of an action look at, sorted.
func (e *Engine) Looks(action string) []string {
	var out []string
	for _, p := range e.list {
		if p.Action != action {
			continue
		}
		for _, m := range attribute.FindAllStringSubmatch(p.Text, -1) {
			out = append(out, m[1]+m[2])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Knows reports whether there is a policy for the action.
func (e *Engine) Knows(action string) bool { return e.byAct[action] != nil }

// Explain decides as Check does for this principal, and says why. Nothing is remembered or recorded.
func (e *Engine) Explain(p auth.Principal, r Request) (Explanation, error) {
	out := Explanation{Facts: map[string]bool{}}
	set, ok := e.byAct[r.Action]
	if !ok {
		return out, ErrDenied.Because("no policy for %s", r.Action)
	}
	allowed, diag, err := ask(set, p, r)
	if err != nil {
		return out, err
	}
	out.Allowed = allowed
	out.Policies = e.named(r.Action, diag.Reasons)
	for _, name := range e.Looks(r.Action) {
		if v, ok := truth(p, name, r.Attrs[name]); ok {
			out.Facts[name] = v
		}
	}
	for _, g := range p.Grants {
		if Counts(g, r.At) && !slices.Contains(out.Roles, g.Role) {
			out.Roles = append(out.Roles, g.Role)
		}
	}
	if !allowed {
		out.Needs = e.needs(set, p, r, out)
	}
	return out, nil
}

// named are the policies of a diagnosis.
func (e *Engine) named(action string, reasons []cedar.DiagnosticReason) (out []Permission) {
	for _, p := range e.list { // sorted by action and name
		if p.Action == action && slices.ContainsFunc(reasons, func(r cedar.DiagnosticReason) bool { return string(r.PolicyID) == p.Policy }) {
			out = append(out, p)
		}
	}
	return out
}

// truth is a fact as yes or no. Of an account it says whether it is the principal's own: whose it is, is nobody's business.
func truth(p auth.Principal, name string, v any) (is, ok bool) {
	switch x := v.(type) {
	case bool:
		return x, true
	case string:
		if name == "account" {
			return x == p.Account.String(), true
		}
	}
	return false, false
}

// change is one thing that could be otherwise.
type change struct {
	role    auth.Role
	fact    string
	to      bool
	factors int
}

// needs tries what would permit by asking the policies again: first one change, then two, then three. A set that holds a
// smaller one that is enough already says nothing new.
func (e *Engine) needs(set *cedar.PolicySet, p auth.Principal, r Request, now Explanation) (out []Need) {
	var all []change
	for _, role := range Roles {
		has := slices.Contains(now.Roles, role) && (Administers(role) || !administers(p))
		if p.Kind == auth.Staff && !has {
			all = append(all, change{role: role})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Facts)) {
		all = append(all, change{fact: name, to: !now.Facts[name]})
	}
	if p.Factors < 2 {
		all = append(all, change{factors: 2})
	}
	var enough [][]int
	for size := 1; size <= 3; size++ {
		each(len(all), size, func(pick []int) {
			if len(out) >= maxNeeds || !sensible(all, pick) || slices.ContainsFunc(enough, func(less []int) bool { return within(less, pick) }) {
				return
			}
			who, q, need := apply(p, r, all, pick)
			ok, diag, err := ask(set, who, q)
			if err != nil || !ok {
				return
			}
			for _, x := range e.named(r.Action, diag.Reasons) {
				need.Policies = append(need.Policies, x.Policy)
			}
			enough = append(enough, slices.Clone(pick))
			out = append(out, need)
		})
	}
	return out
}

// sensible leaves out more than one new role: one is enough wherever a role is asked for.
func sensible(all []change, pick []int) bool {
	roles := 0
	for _, i := range pick {
		if all[i].role != "" {
			roles++
		}
	}
	return roles <= 1
}

func within(less, pick []int) bool {
	for _, i := range less {
		if !slices.Contains(pick, i) {
			return false
		}
	}
	return true
}

// each calls f with every set of size numbers below n, in order.
func each(n, size int, f func([]int)) {
	var pick []int
	var from func(i int)
	from = func(i int) {
		if len(pick) == size {
			f(pick)
			return
		}
		for ; i < n; i++ {
			pick = append(pick, i)
			from(i + 1)
			pick = pick[:len(pick)-1]
		}
	}
	from(0)
}

// apply is the question with some things otherwise.
func apply(p auth.Principal, r Request, all []change, pick []int) (auth.Principal, Request, Need) {
	need := Need{Facts: map[string]bool{}}
	p.Grants = slices.Clone(p.Grants)
	r.Attrs = maps.Clone(r.Attrs)
	for _, i := range pick {
		switch c := all[i]; {
		case c.role != "":
			need.Role, need.Instead = c.role, len(p.Grants) > 0 && (Administers(c.role) || administers(p))
			if need.Instead {
				p.Grants = nil
			}
			p.Grants = append(p.Grants, auth.Grant{Role: c.role})
		case c.factors > 0:
			need.Factors, p.Factors = c.factors, c.factors
		default:
			need.Facts[c.fact] = c.to
			r.Attrs[c.fact] = otherwise(p, c)
		}
	}
	return p, r, need
}

// otherwise is the value that a fact would have.
func otherwise(p auth.Principal, c change) any {
	switch {
	case c.fact != "account":
		return c.to
	case c.to:
		return p.Account.String()
	}
	return strings.Repeat("0", 8) // no account has this id
}
