package terminologysvc

import "xinglin/internal/kernel/dataclass"

// data are the classes of the columns: codes and names of diagnoses, of nobody.
func data() dataclass.Schema {
	return dataclass.Schema{
		"code_system": {dataclass.ID: "tenant_id", dataclass.Fact: "system version concepts updated_at"},
		"concept":     {dataclass.ID: "tenant_id", dataclass.Public: "system code name search", dataclass.Fact: "version"},
	}
}
