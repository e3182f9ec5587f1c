package process

import "xinglin/internal/kernel/dataclass"

// Data are the classes of the register's columns. No copy has its rows.
func Data() dataclass.Schema {
	return dataclass.Schema{"process": {
		dataclass.ID:     "tenant_id id",
		dataclass.Fact:   "version modules broker started_at lease_until",
		dataclass.Key:    "keys",
		dataclass.Origin: "host",
	}}
}
