package archtest

// Rule is one rule with its name.
type Rule struct {
	Name  string
	Check func(*Tree) []Violation
}

// Rules are all rules, in the order of ARCHITECTURE.md.
var Rules = []Rule{
	{"contract-imports", contractImports},
	{"svc-only-by-app", svcOnlyByApp},
	{"cmd-imports", cmdImports},
	{"kernel-imports", kernelImports},
	{"platform-knows-no-context", platformImports},
	{"test-only", testOnly},
	{"two-rooms", twoRooms},
	{"db-in-store", dbInStore},
	{"http-in-http", httpInHTTP},
	{"sql-in-store", sqlInStore},
	{"drivers", drivers},
	{"text-pairs", textPairs},
	{"context-table", contextTable},
	{"package-comment", packageComment},
	{"package-name", packageName},
	{"tenant-in-sql", tenantInSQL},
	{"migrations", migrations},
	{"no-floats", noFloats},
	{"clock", clockOnly},
	{"doors", doors},
	{"every-tenant", everyTenant},
	{"fault-codes", faultCodes},
	{"event-names", eventNames},
	{"event-fields", eventFields},
	{"golden", golden},
	{"sizes", sizes},
	{"root-entries", rootEntries},
	{"honest-tests", honestTests},
}

// Check runs every rule.
func Check(t *Tree) []Violation {
	var all []Violation
	for _, r := range Rules {
		all = append(all, r.Check(t)...)
	}
	return sorted(all)
}
