package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/trail"
)

// Refusals of questions about rights.
var (
	ErrNoAction = fault.Register(fault.Invalid, "app.no_action", "没有这个操作", "There is no such action")
	ErrNoItem   = fault.Register(fault.Invalid, "app.item_needed", "这个操作要看具体对象，请填写对象编号", "This action is decided for one item: give its id")
)

// sources puts those of all contexts together; no action has two.
func sources(ms []*module.Module) (map[string]authz.Source, error) {
	out := map[string]authz.Source{}
	for _, m := range ms {
		for _, f := range m.Facts {
			for _, a := range f.Actions {
				if _, twice := out[a]; twice || !strings.HasPrefix(a, m.Name+".") {
					return nil, fmt.Errorf("facts of %s: %s is not its own or stands there twice", m.Name, a)
				}
				out[a] = f
			}
		}
	}
	return out, nil
}

type actionBody struct {
	ID      string      `json:"id"`
	Context string      `json:"context"`
	Words   authz.Words `json:"words"`
	Noun    string      `json:"noun,omitempty" doc:"Of the items that it is decided for; empty when the decision looks at none"`
}

type roleBody struct {
	Role           string `json:"role"`
	OrganizationID string `json:"organization_id,omitempty" doc:"Where it was granted for; empty for the whole tenant"`
	Counts         bool   `json:"counts" doc:"Whether it holds where the item lies"`
}

type factBody struct {
	Name  string      `json:"name"`
	Words authz.Words `json:"words"`
	Holds bool        `json:"holds"`
}

type policyBody struct {
	ID      string      `json:"id"`
	Forbids bool        `json:"forbids"`
	StepUp  bool        `json:"step_up" doc:"It permits only right after a proof that the person is there"`
	Words   authz.Words `json:"words"`
	Text    string      `json:"text" doc:"Cedar, as it is compiled in"`
}

type needBody struct {
	Policies []policyBody `json:"policies" nullable:"false" doc:"That would permit then"`
	Role     string       `json:"role,omitempty" doc:"A role that the account has not"`
	Instead  bool         `json:"instead" doc:"The role instead of those that the account has: an administrator has no other"`
	Facts    []factBody   `json:"facts" nullable:"false" doc:"What would have to hold of the item, or not"`
}

type explainIn struct {
	Account string `query:"account_id" required:"true" format:"uuid" doc:"Of a member of the staff"`
	Action  string `query:"action" required:"true" maxLength:"80" example:"clinic.call_next"`
	Item    string `query:"resource_id" maxLength:"36" doc:"The item's id; for actions with a noun"`
}

type explainOut struct {
	Body struct {
		Action   actionBody   `json:"action"`
		Allowed  bool         `json:"allowed"`
		Disabled bool         `json:"disabled" doc:"The account is disabled: it may do nothing, whatever the policies say"`
		Roles    []roleBody   `json:"roles" nullable:"false"`
		Facts    []factBody   `json:"facts" nullable:"false" doc:"What the policies looked at, as it is for this account"`
		Policies []policyBody `json:"policies" nullable:"false" doc:"That permitted or forbade; none when nothing permits"`
		Needs    []needBody   `json:"needs" nullable:"false" doc:"After a refusal: each alone would be enough, at most 12"`
	}
}

// described is an action with its words.
func (o *operator) described(op httpx.Op) actionBody {
	b := actionBody{ID: op.ID, Context: op.Module, Words: authz.Words{ZH: actionWords[op.ID], EN: op.Summary}}
	if f, ok := o.house.facts[op.ID]; ok && !f.Self {
		b.Noun = f.Noun
	}
	return b
}

// decided are the routes that a policy decides about, by id.
func (o *operator) decided() []httpx.Op {
	out := slices.DeleteFunc(o.api.Ops(), func(op httpx.Op) bool { return op.Public || op.Machine || !o.house.Authz.Knows(op.ID) })
	slices.SortFunc(out, func(a, b httpx.Op) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (o *operator) actions(ctx context.Context, _ *struct{}) (*listBody[actionBody], error) {
	if _, _, err := o.may(ctx, "ops.list_actions"); err != nil {
		return nil, err
	}
	out := &listBody[actionBody]{}
	out.Body.Items = []actionBody{}
	for _, op := range o.decided() {
		out.Body.Items = append(out.Body.Items, o.described(op))
	}
	return out, nil
}

// explain answers from the same policies and the same facts that decide. It tells of an item whether facts hold for the
// account, never whose it is or what is in it, and of accounts of patients nothing at all.
func (o *operator) explain(ctx context.Context, in *explainIn) (*explainOut, error) {
	who, d, err := o.may(ctx, "ops.explain_access")
	if err != nil {
		return nil, err
	}
	account, err := httpx.ID[auth.Account](in.Account)
	if err != nil {
		return nil, err
	}
	subject, active, err := o.house.Identity.Acting(ctx, who.Tenant, account)
	if err == nil && subject.Kind != auth.Staff {
		err = identity.ErrNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	ops := o.decided()
	i := slices.IndexFunc(ops, func(op httpx.Op) bool { return op.ID == in.Action })
	if i < 0 {
		return nil, ErrNoAction.At("action", "not one of GET /access/actions")
	}
	r := authz.Request{Action: in.Action, Noun: "Operations", ID: who.Tenant.String()}
	item, err := o.look(ctx, subject, &r, in.Item)
	if err != nil {
		return nil, err
	}
	x, err := o.house.Authz.Explain(subject, r)
	if err != nil {
		return nil, err
	}
	answer := "refused"
	if x.Allowed && active {
		answer = "allowed"
	}
	// The question goes into the trail of who grants, before the answer leaves.
	err = o.house.DBs["identity"].Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := trail.Record(ctx, tx, trail.Entry{
			Action: "ops.explain_access", Noun: "Account", ID: account.String(), Policy: d.Policy,
			Changed: map[string]trail.Change{"action": {To: in.Action}, "item": {To: strings.TrimSpace(r.Noun + " " + r.ID)}, "answer": {To: answer}},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &explainOut{}
	b := &out.Body
	b.Action, b.Allowed, b.Disabled = o.described(ops[i]), answer == "allowed", !active
	b.Roles, b.Facts, b.Policies, b.Needs = []roleBody{}, factsOf(x.Facts), policiesOf(x.Policies), []needBody{}
	for _, g := range subject.Grants {
		row := roleBody{Role: string(g.Role), Counts: authz.Counts(g, item.At)}
		if !g.Organization.IsZero() {
			row.OrganizationID = g.Organization.String()
		}
		b.Roles = append(b.Roles, row)
	}
	for _, n := range x.Needs {
		b.Needs = append(b.Needs, needBody{Policies: policiesOf(o.policies(in.Action, n.Policies)), Role: string(n.Role), Instead: n.Instead, Facts: factsOf(n.Facts)})
	}
	return out, nil
}

// look fills the question with the item's facts.
func (o *operator) look(ctx context.Context, subject auth.Principal, r *authz.Request, text string) (authz.Item, error) {
	f, ok := o.house.facts[r.Action]
	switch {
	case !ok: // the decision looks at no item
		return authz.Item{}, nil
	case f.Self:
		item := authz.Self(subject)
		r.Noun, r.ID, r.Attrs = f.Noun, subject.Account.String(), item.Attrs
		return item, nil
	case text == "":
		return authz.Item{}, ErrNoItem.At("resource_id", "of "+f.Noun)
	}
	what, err := httpx.ID[id.Any](text)
	if err != nil {
		return authz.Item{}, err
	}
	item, err := f.Look(ctx, subject, what.String())
	r.Noun, r.ID, r.Attrs, r.At = f.Noun, what.String(), item.Attrs, item.At
	return item, err
}

// policies are those of an action by their names.
func (o *operator) policies(action string, names []string) (out []authz.Permission) {
	for _, p := range o.house.Authz.Permissions() {
		if p.Action == action && slices.Contains(names, p.Policy) {
			out = append(out, p)
		}
	}
	return out
}

func policiesOf(ps []authz.Permission) []policyBody {
	out := []policyBody{}
	for _, p := range ps {
		out = append(out, policyBody{ID: p.Policy, Forbids: p.Forbids, StepUp: p.StepUp, Words: p.Words, Text: p.Text})
	}
	return out
}

func factsOf(m map[string]bool) []factBody {
	out := []factBody{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, factBody{Name: name, Words: factWords[name], Holds: m[name]})
	}
	return out
}
