package auditsvc

import (
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns.
func data() dataclass.Schema {
	return dataclass.Schema{
		"audit_event": {
			dataclass.ID:     "tenant_id id object number",
			dataclass.Fact:   "at context action noun policy class collected_at position",
			dataclass.Actor:  "actor",
			dataclass.Text:   "why",
			dataclass.Record: "changed",
			dataclass.Origin: "origin trace",
		},
		"log_leaf": {
			dataclass.ID:     "tenant_id ref",
			dataclass.Fact:   "position kind class collected_at",
			dataclass.Record: "data",
		},
		"log_state":    {dataclass.ID: "tenant_id", dataclass.Fact: "size heads segments sealed generation beginning"},
		"log_tile":     {dataclass.ID: "tenant_id", dataclass.Fact: "level place nodes"},
		"log_head":     {dataclass.ID: "tenant_id", dataclass.Fact: "number size at note witnessed_at anchored_at"},
		"log_key":      {dataclass.ID: "tenant_id fingerprint", dataclass.Fact: "generation place since", dataclass.Public: "public"},
		"log_segment":  {dataclass.ID: "tenant_id", dataclass.Fact: "number first behind sealed_at"},
		"log_disposal": {dataclass.ID: "tenant_id", dataclass.Fact: "segment class entries due_at logged_at done_at"},
	}
}

// masks: the events go back to where they came from, and the copy's log grows from nothing under the copy's keys. A log
// with other words in it would be a forged one.
func masks() []mask.Rule {
	return []mask.Rule{
		{Table: "audit_event", Row: mask.AuditRow},
		{Table: "log_leaf", Drop: true},
		{Table: "log_state", Drop: true},
		{Table: "log_tile", Drop: true},
		{Table: "log_head", Drop: true},
		{Table: "log_key", Drop: true},
		{Table: "log_segment", Drop: true},
		{Table: "log_disposal", Drop: true},
		{Table: "job", Drop: true}, // the collector's rows make new ones
	}
}
