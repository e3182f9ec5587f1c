package app

// Context is one row of the table of contexts: whom it calls through a contract and
// whose events it hears. archtest compares it with the code.
type Context struct {
	Name  string
	Calls []string
	Hears []string
}

// Contexts is the map of the product. Calls have no cycle; hearing may.
var Contexts = []Context{
	{Name: "tenant"},
	{Name: "directory"},
	{Name: "audit"},
	{Name: "ledger"},
	{Name: "notify", Calls: []string{"directory"}, Hears: []string{"clinic", "payment", "scheduling"}},
	{Name: "identity", Calls: []string{"notify", "tenant"}},
	{Name: "patient", Calls: []string{"identity"}},
	{Name: "privacy", Calls: []string{"audit", "identity", "patient"}},
	{Name: "terminology"},
	{Name: "interop", Calls: []string{"directory", "patient", "scheduling", "terminology"}},
	{Name: "payment", Calls: []string{"ledger"}, Hears: []string{"scheduling"}},
	{Name: "scheduling", Calls: []string{"directory", "patient", "payment", "tenant"}, Hears: []string{"clinic", "payment"}},
	{Name: "clinic", Calls: []string{"directory", "patient", "scheduling"}, Hears: []string{"scheduling"}},
}
