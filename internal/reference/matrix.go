package reference

import (
	"slices"
	"strings"

	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/httpx"
)

const matrixIntro = `# Permission matrix

Who may use which route, for which items: each cell is the answer of the compiled policies (permissions.md) to a question with
the facts of that relation. Nothing here is written by hand. test/proof TestPermissionMatrix asks the running program the same over HTTP.

- **yes**: whatever the item is. **–**: never.
- Of a person: **own**, **family** (of somebody for whom the account proved to act), else other people's, which do not exist for the account (404).
- Of the staff: **own** account, **own session** (the doctor's), **own campus** (the role was granted for it, or for the whole institution),
  **others'** (anything but the own account).
- **any session**: no policy looks; whoever is signed in may. **everyone**: no session; what the route needs is in the request (a code, a
  secret, a signature), or it is public.
- Another tenant's items do not exist for anybody: a session is of one tenant, and items are looked up in it (test/proof TestRoutes).
- A role alone, after two factors. Who has two roles may what either may, except that the no_administrator policies forbid.
`

// matrix asks the policies about each route, each caller and each relation.
func (r *renderer) matrix() (string, error) {
	var p page
	p.f("%s", matrixIntro)
	callers := authz.Callers()
	head := []string{"Route", "Operation"}
	for _, c := range callers {
		head = append(head, c.Name)
	}
	var mods []string
	for _, o := range r.Ops {
		mods = append(mods, o.Module)
	}
	for _, m := range distinct(mods) {
		p.f("\n## %s\n\n", m)
		p.head(head...)
		ops := slices.SortedFunc(slices.Values(r.Ops), func(a, b httpx.Op) int { return strings.Compare(a.ID, b.ID) })
		for _, o := range ops {
			if o.Module != m {
				continue
			}
			row := []string{o.Method + " " + code(o.Path), code(o.ID)}
			for _, c := range callers {
				text, err := r.cell(o, c)
				if err != nil {
					return "", err
				}
				row = append(row, text)
			}
			p.row(row...)
		}
	}
	return p.String(), nil
}

func (r *renderer) cell(o httpx.Op, c authz.Caller) (string, error) {
	switch {
	case o.Public || o.Machine:
		return "everyone", nil
	case r.Policies == nil || !r.Policies.Knows(o.ID):
		return "any session", nil
	}
	may, err := r.Policies.Cell(o.ID, c, r.Facts[o.ID])
	return cellWords(c, may), err
}

// cellWords says in a few words for which of a caller's relations the answer is yes.
func cellWords(c authz.Caller, may []authz.Relation) string {
	has := func(x authz.Relation) bool { return slices.Contains(may, x) }
	switch {
	case len(may) == 0:
		return "–"
	case c.All(may):
		return "yes"
	case !has(authz.Own) && has(authz.Here) && has(authz.OtherCampus):
		return "others'"
	case has(authz.Here) && !has(authz.OtherCampus):
		return "own campus"
	}
	var out []string
	for _, x := range may {
		switch x {
		case authz.OwnSession:
			out = append(out, "own session")
		case authz.OtherCampus:
			out = append(out, "another campus")
		case authz.Here:
			out = append(out, "own campus")
		default:
			out = append(out, string(x))
		}
	}
	return strings.Join(out, ", ")
}
