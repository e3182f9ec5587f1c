// Package labels keeps the names that lists show of doctors, departments and campuses, so
// that a crowd that looks at the same lists asks the directory once a minute.
package labels

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"

	"xinglin/internal/directory"
	"xinglin/internal/scheduling"
)

const (
	keep    = time.Minute // how long a new name may stay unseen; in the calendar, which keeps its own, twice as long
	most    = 20000       // names a process
	atATime = 200         // ids of a kind in one question
)

// IDs gathers the ids of a list without repeats.
type IDs struct {
	ps map[scheduling.PractitionerID]bool
	ds map[scheduling.DepartmentID]bool
	cs map[scheduling.CampusID]bool
}

// NewIDs is none.
func NewIDs() IDs {
	return IDs{map[scheduling.PractitionerID]bool{}, map[scheduling.DepartmentID]bool{}, map[scheduling.CampusID]bool{}}
}

// Add takes those of one row.
func (n IDs) Add(p scheduling.PractitionerID, d scheduling.DepartmentID, c scheduling.CampusID) {
	n.ps[p], n.ds[d], n.cs[c] = true, true, true
}

// Ask is the directory's Labels.
type Ask func(ctx context.Context, t scheduling.TenantID, ps []scheduling.PractitionerID, ds []scheduling.DepartmentID, cs []scheduling.CampusID) (directory.Labels, error)

// Keeper keeps names.
type Keeper struct {
	ask  Ask
	kept *otter.Cache[key, directory.Label]
}

// key is an item of the directory.
type key struct {
	tenant scheduling.TenantID
	item   [16]byte
}

// New keeps what ask says.
func New(ask Ask) *Keeper {
	return &Keeper{ask: ask, kept: otter.Must(&otter.Options[key, directory.Label]{MaximumSize: most, ExpiryCalculator: otter.ExpiryWriting[key, directory.Label](keep)})}
}

// Of gives the names of items; what the directory does not know is left out. Its errors
// are the directory's.
func (k *Keeper) Of(ctx context.Context, t scheduling.TenantID, ids IDs) (directory.Labels, error) {
	out := directory.Labels{
		Practitioners: map[scheduling.PractitionerID]directory.Label{}, Departments: map[scheduling.DepartmentID]directory.Label{}, Campuses: map[scheduling.CampusID]directory.Label{},
	}
	ps, ds, cs := missing(k, t, ids.ps, out.Practitioners), missing(k, t, ids.ds, out.Departments), missing(k, t, ids.cs, out.Campuses)
	for len(ps)+len(ds)+len(cs) > 0 {
		l, err := k.ask(ctx, t, some(&ps), some(&ds), some(&cs))
		if err != nil {
			return out, err
		}
		put(k, t, out.Practitioners, l.Practitioners)
		put(k, t, out.Departments, l.Departments)
		put(k, t, out.Campuses, l.Campuses)
	}
	return out, nil
}

// missing puts what is kept into a set and gives the ids of the others.
func missing[K ~[16]byte](k *Keeper, t scheduling.TenantID, ids map[K]bool, into map[K]directory.Label) (out []K) {
	for i := range ids {
		if v, ok := k.kept.GetIfPresent(key{t, i}); ok {
			into[i] = v
		} else {
			out = append(out, i)
		}
	}
	return out
}

// some takes the ids of one question.
func some[K any](ids *[]K) []K {
	n := min(len(*ids), atATime)
	out := (*ids)[:n:n]
	*ids = (*ids)[n:]
	return out
}

func put[K ~[16]byte](k *Keeper, t scheduling.TenantID, into, from map[K]directory.Label) {
	for i, v := range from {
		into[i] = v
		k.kept.Set(key{t, i}, v)
	}
}
