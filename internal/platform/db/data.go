package db

import "xinglin/internal/kernel/dataclass"

// FrameData are the classes of the tables that every context carries. Payloads of facts and jobs are ids, codes, dates and
// amounts (archtest).
func FrameData() dataclass.Schema {
	return dataclass.Schema{
		"outbox": {
			dataclass.ID:     "tenant_id id number",
			dataclass.Fact:   "name payload created_at incarnation seq claimed",
			dataclass.Origin: "trace",
		},
		"inbox":          {dataclass.ID: "tenant_id id", dataclass.Fact: "name at"},
		"inbox_position": {dataclass.ID: "tenant_id incarnation", dataclass.Fact: "seq"},
		"dead_letter": {
			dataclass.ID:     "tenant_id id number",
			dataclass.Fact:   "source kind payload attempts created_at replayed_at",
			dataclass.Text:   "error",
			dataclass.Origin: "trace",
		},
		"idempotency": {
			dataclass.ID:     "tenant_id resource",
			dataclass.Actor:  "actor",
			dataclass.Fact:   "op status at",
			dataclass.Secret: "key hash",
		},
		"trail": {
			dataclass.ID:     "tenant_id id object number",
			dataclass.Fact:   "at action noun policy",
			dataclass.Actor:  "actor",
			dataclass.Text:   "why",
			dataclass.Record: "changed acts",
			dataclass.Origin: "origin trace",
		},
		"job": {
			dataclass.ID:     "tenant_id id key number",
			dataclass.Fact:   "kind payload run_at state attempts max again lease_until created_at done_at",
			dataclass.Text:   "error",
			dataclass.Origin: "owner trace",
		},
		"blind_generation": {dataclass.ID: "tenant_id", dataclass.Fact: "oldest newest"},
	}
}
