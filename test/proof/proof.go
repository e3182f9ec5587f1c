// Package proof holds the promises of the product, tried on real processes: a seat is
// never sold twice whatever dies, an event has its effect once whatever is lost, and no
// tenant sees another. `make test` runs modest sizes, XINGLIN_SOAK=1 the full ones.
package proof

import (
	"os"
	"testing"
)

// Soak tells that the full sizes are wanted.
func Soak() bool { return os.Getenv("XINGLIN_SOAK") != "" }

// Size is small, or full in a soak.
func Size(small, full int) int {
	if Soak() {
		return full
	}
	return small
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
