// Package page has the shape of every list: keyset pages with a sealed cursor, at
// most 100 items, no total.
package page

// MaxLimit bounds every list.
const MaxLimit = 100

// Request asks for one page. Cursor is what the page before returned; empty is the first.
type Request struct {
	Cursor string
	Limit  int
}

// Size is the limit within bounds; 0 means 20.
func (r Request) Size() int {
	switch {
	case r.Limit <= 0:
		return 20
	case r.Limit > MaxLimit:
		return MaxLimit
	}
	return r.Limit
}

// Page is one page of T. Next is empty on the last.
type Page[T any] struct {
	Items []T
	Next  string
}
