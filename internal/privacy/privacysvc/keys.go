package privacysvc

import "xinglin/internal/platform/rekey"

// keyed is what lies under keys: a person's own, and a dossier's own, whose id is its person in the key store.
func keyed() rekey.Columns {
	column := func(table, name string) rekey.Column {
		return rekey.Column{Name: name, Table: "privacy." + table, Column: name}
	}
	return rekey.Columns{Sealed: []rekey.Sealed{
		{Table: "request", Key: "id", Person: "patient_id", Columns: []rekey.Column{
			column("request", "reason"), column("request", "wanted"), column("request", "was"), column("request", "answer"),
		}},
		{Table: "copy_part", Key: "id", Person: "patient_id", Columns: []rekey.Column{column("copy_part", "sealed")}},
		{Table: "retained", Key: "id", Person: "id", Columns: []rekey.Column{column("retained", "sealed")}},
	}}
}
