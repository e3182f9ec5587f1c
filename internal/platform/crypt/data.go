package crypt

import "xinglin/internal/kernel/dataclass"

// Data are the classes of the key store's columns. No copy has its rows: a copy is sealed under keys of its own.
func Data() dataclass.Schema {
	return dataclass.Schema{
		"root_check": {dataclass.ID: "tenant_id id", dataclass.Key: "fingerprint", dataclass.Key.Sealed(): "seed", dataclass.Fact: "created_at"},
		"rotation":   {dataclass.ID: "tenant_id id", dataclass.Fact: "index_generation started_at ended_at"},
		"rotation_part": {
			dataclass.ID:   "tenant_id rotation_id position",
			dataclass.Fact: "context name kind phase pass seen found changed skipped pause_until updated_at",
		},
		"tenant_key": {
			dataclass.ID:           "tenant_id id",
			dataclass.Fact:         "kind generation algorithm uses created_at",
			dataclass.Key.Sealed(): "wrapped",
		},
		"person_key": {
			dataclass.ID:           "tenant_id id person_id",
			dataclass.Fact:         "generation algorithm uses created_at destroyed_at",
			dataclass.Key.Sealed(): "wrapped",
		},
	}
}
