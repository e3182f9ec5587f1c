package authz

import (
	"slices"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// Relation is what the one who asks is to the item that the question is about.
type Relation string

// The relations of the permission matrix. A person's item is own, of the family (a person for whom the account proved to
// act), or somebody else's. To the staff it is of the own account, the own session, of the campus that the role was
// granted for, or of another campus.
const (
	Own         Relation = "own"
	Family      Relation = "family"
	OwnSession  Relation = "session"
	Here        Relation = "here"
	OtherCampus Relation = "elsewhere"
	Somebody    Relation = "others"
)

// Caller is a column of the permission matrix.
type Caller struct {
	Name      string
	Kind      auth.Kind
	Role      auth.Role // of staff
	Relations []Relation
}

// Callers are the columns: a person with an account, and each role of the staff alone, after two factors.
func Callers() []Caller {
	out := []Caller{{Name: "patient", Kind: auth.Patient, Relations: []Relation{Own, Family, Somebody}}}
	for _, r := range Roles {
		c := Caller{Name: string(r), Kind: auth.Staff, Role: r, Relations: []Relation{Own, Here, OtherCampus}}
		if r == auth.Doctor {
			c.Relations = []Relation{Own, OwnSession, Here, OtherCampus}
		}
		out = append(out, c)
	}
	return out
}

// Invented ids: a question of the matrix is about nobody.
var (
	asker     = id.Must[auth.Account]("0190aaaa-0000-7000-8000-000000000001")
	somebody  = id.Must[auth.Account]("0190aaaa-0000-7000-8000-000000000002")
	campus    = id.Must[auth.Organization]("0190aaaa-0000-7000-8000-000000000003")
	elsewhere = id.Must[auth.Organization]("0190aaaa-0000-7000-8000-000000000004")
)

// facts are those of an item in a relation to who asks; each policy takes those that it looks at.
func facts(r Relation) map[string]any {
	account := somebody
	if r == Own {
		account = asker
	}
	return map[string]any{
		"account": account.String(), "linked": r == Own || r == Family, "proven": r == Family, "own": r == OwnSession, "decides": r == Own,
	}
}

// Cell tells for which relations a caller may do what an action names, by asking the policies. from is where the action's
// facts come from, if it looks at any: with Self there is no item but the caller's own, with Placed it lies at a campus.
func (e *Engine) Cell(action string, c Caller, from Source) (may []Relation, err error) {
	set, ok := e.byAct[action]
	if !ok {
		return nil, nil
	}
	for _, r := range c.Relations {
		if from.Self && r != Own {
			continue
		}
		p := auth.Principal{Kind: c.Kind, Account: asker, Factors: 1}
		if c.Kind == auth.Staff {
			g := auth.Grant{Role: c.Role, Organization: campus}
			if Administers(c.Role) { // they look after the tenant as a whole
				g.Organization = id.ID[auth.Organization]{}
			}
			p.Grants, p.Factors = []auth.Grant{g}, 2
		}
		q := Request{Action: action, Noun: "Any", ID: "any", Attrs: facts(r)}
		if from.Placed {
			q.At = []id.ID[auth.Organization]{campus}
			if r == OtherCampus {
				q.At = []id.ID[auth.Organization]{elsewhere}
			}
		}
		ok, _, err := ask(set, p, q)
		if err != nil {
			return nil, err
		}
		if ok {
			may = append(may, r)
		}
	}
	return may, nil
}

// All reports whether the relations are all that the caller has.
func (c Caller) All(may []Relation) bool {
	return !slices.ContainsFunc(c.Relations, func(r Relation) bool { return !slices.Contains(may, r) })
}
