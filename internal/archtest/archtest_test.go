package archtest

import (
	"os"
	"testing"
)

// TestArchitecture runs every rule over the repository.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) < 10 || len(tree.Root) < 3 {
		t.Fatalf("only %d Go files and %d root entries: this is not the repository", len(tree.Files), len(tree.Root))
	}
	for _, v := range Check(tree) {
		t.Error(v)
	}
}
