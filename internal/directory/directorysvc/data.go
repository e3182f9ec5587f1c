package directorysvc

import (
	"context"
	"strings"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns. What a hospital is and where is public; who works there is shown to everybody too, but of a
// person.
func data() dataclass.Schema {
	return dataclass.Schema{
		"organization": {
			dataclass.ID:     "tenant_id id",
			dataclass.Public: "name name_en licences",
			dataclass.Fact:   "version",
		},
		"campus": {
			dataclass.ID:     "tenant_id id organization_id",
			dataclass.Public: "name name_en address",
			dataclass.Phone:  "phone",
			dataclass.Fact:   "version",
		},
		"department": {
			dataclass.ID:     "tenant_id id campus_id parent_id",
			dataclass.Public: "name name_en location",
			dataclass.Text:   "intro",
			dataclass.Fact:   "version",
		},
		"practitioner": {
			dataclass.ID:     "tenant_id id",
			dataclass.Number: "licence",
			dataclass.Name:   "name",
			dataclass.Public: "title",
			dataclass.Text:   "specialty",
			dataclass.Record: "search",
			dataclass.Fact:   "practising_from version",
		},
		"practitioner_role": {dataclass.ID: "tenant_id practitioner_id department_id", dataclass.Fact: "main"},
		"identifier": {
			dataclass.ID:     "tenant_id entry_id",
			dataclass.Fact:   "noun created_at",
			dataclass.Public: "system",
			dataclass.Number: "value",
		},
	}
}

func masks() []mask.Rule {
	return []mask.Rule{
		{Table: "practitioner", Row: maskPractitioner},
		{Table: "identifier", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
			if r.Text("noun") != "Practitioner" { // a number of the hospital's, not of a person
				r.Set("value", r.Text("value"))
			}
			return nil
		}},
	}
}

// maskPractitioner keeps the words of places that a search looks in, behind the new name and its pinyin. The name is the same
// wherever the doctor is named.
func maskPractitioner(_ context.Context, c *mask.Copy, r *mask.Row) error {
	was, title, special := r.Text("name"), r.Text("title"), r.Text("specialty")
	name, text := c.Name(secret.New(was), "").Reveal(), c.Text(special)
	places, _ := strings.CutPrefix(r.Text("search"), searchText(was, title, special))
	if places == r.Text("search") {
		places = ""
	}
	r.Set("name", name)
	r.Set("specialty", text)
	r.Set("search", searchText(name, title, text)+places)
	return nil
}
