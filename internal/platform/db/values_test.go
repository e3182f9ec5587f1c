package db

import "testing"

// TestFew: lists of a few lengths, the last value repeated, behind the arguments that are there.
func TestFew(t *testing.T) {
	for n, want := range []string{"", "$2", "$2,$3", "$2,$3,$4,$5", "$2,$3,$4,$5", "$2,$3,$4,$5,$6,$7,$8,$9"} {
		values := make([]int, n)
		for i := range values {
			values[i] = i
		}
		list, args := Few([]any{"t"}, values)
		if list != want || len(args) < n+1 || args[0] != "t" {
			t.Errorf("%d values: %q, %v", n, list, args)
		}
		for i, a := range args[1:] {
			if a != min(i, n-1) {
				t.Errorf("%d values: %v", n, args)
			}
		}
	}
}
