package crypt

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// Rotation is one of a tenant's keys: new generations of the keys that wrap, seal and index. They are in force at once; package rekey
// brings the rows to them, table by table.
type Rotation struct {
	ID              id.ID[Rotation]
	Tenant          id.ID[auth.Tenant]
	IndexGeneration int // that the blind indexes come to
	Started, Ended  time.Time
	Parts           []Part
}

// Phase is where a part of a rotation is.
type Phase string

// A table of sealed columns walks until a whole pass changes nothing. A blind index walks (its second column is filled), is filled,
// clears its first column when all of the context's are filled, and is done.
const (
	Waiting  Phase = "waiting"
	Walking  Phase = "walking"
	Filled   Phase = "filled"
	Clearing Phase = "clearing"
	Done     Phase = "done"
)

// The kinds of parts.
const (
	SealPart  = "seal"
	IndexPart = "index"
)

// Part is a table of a context, or a blind index in one, on its way to the new generations.
type Part struct {
	Context, Name, Kind string
	Phase               Phase
	Pass                int       // of the walk, from 1
	Position            string    // the last row that was looked at
	Seen                int64     // rows of the present pass
	Found, Skipped      int64     // of them: under an older key; those that do not open, which stay as they are
	Changed             int64     // rows of all passes
	Pause               time.Time // before it nothing is to be done
}

// Generation is one of a tenant's keys.
type Generation struct {
	ID         string // as sealed fields name it, a UUID
	Kind       string // wrap, seal, index, digest, sign_sm2, sign_p256
	Number     int
	Algorithm  string
	Uses       int64 // of those that seal: taken from its limit
	Made       time.Time
	Wrapped    string // fingerprint of the root key over it
	PersonKeys int64  // of wrap: how many persons' keys lie under it
}

// rotated are the kinds that a rotation makes a new generation of. Signing keys stay: heads that were signed are checked with them.
var rotated = []string{kindWrap, kindSeal, kindIndex}

// Rotate begins a rotation of the tenant's keys with these parts. Every process seals under the new generation at the latest after two
// seconds, and opens what is under one that it does not know yet by asking the store. crypt.rotating while another one is going on.
func (r *Ring) Rotate(ctx context.Context, tenant id.ID[auth.Tenant], parts []Part) (Rotation, error) {
	for range rollTries {
		if err := r.RefreshTenant(ctx, tenant); err != nil {
			return Rotation{}, err
		}
		t, err := r.tenant(ctx, tenant)
		if err != nil {
			return Rotation{}, err
		}
		alg := t[kindSeal].current().alg // what the processes seal with
		at := r.root()                   // before the keys are wrapped
		v := Rotation{ID: id.New[Rotation](r.clock.Now()), Tenant: tenant, Started: r.clock.Now().UTC(), Parts: parts}
		var add []row
		for _, kind := range rotated {
			k, err := r.newTenantRowAs(tenant, kind, t[kind].current().generation+1, alg)
			if err != nil {
				return Rotation{}, err
			}
			add = append(add, k)
			if kind == kindIndex {
				v.IndexGeneration = k.generation
			}
		}
		err = r.addRotation(ctx, v, at, add)
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err != nil {
			return Rotation{}, err
		}
		_, err = r.reloadTenant(ctx, tenant)
		return v, err
	}
	return Rotation{}, ErrRotating.Because("overtaken %d times by other new generations", rollTries)
}

// Rotations are those that are going on, of all tenants, at most 1,000, with their parts.
func (r *Ring) Rotations(ctx context.Context) ([]Rotation, error) { return r.openRotations(ctx) }

// LastRotation is the tenant's present or latest one; the zero one when there was none.
func (r *Ring) LastRotation(ctx context.Context, tenant id.ID[auth.Tenant]) (Rotation, error) {
	return r.lastRotation(ctx, tenant)
}

// SavePart keeps how far a part has come; with the last one that is done the rotation ends.
func (r *Ring) SavePart(ctx context.Context, v Rotation, p Part) error { return r.savePart(ctx, v, p) }

// Generations are the tenant's keys without the keys themselves, by kind and age.
func (r *Ring) Generations(ctx context.Context, tenant id.ID[auth.Tenant]) ([]Generation, error) {
	return r.generations(ctx, tenant)
}

// Adopt makes the ring seal with the algorithm that the tenant's processes seal with. It is for commands, before any other use.
func (r *Ring) Adopt(ctx context.Context, tenant id.ID[auth.Tenant]) error {
	t, err := r.tenant(ctx, tenant)
	if err == nil {
		r.alg = t[kindSeal].current().alg
	}
	return err
}

// Renew gives each of the persons whose key is of the algorithm before, or lies under an older key of the tenant, the next
// generation, in one transaction for each 200. Destroyed persons stay destroyed; who has no key gets none.
func (r *Ring) Renew(ctx context.Context, tenant id.ID[auth.Tenant], persons []id.ID[id.Any]) error {
	for len(persons) > 0 {
		some := persons[:min(len(persons), warmBatch)]
		persons = persons[len(some):]
		t, err := r.tenant(ctx, tenant)
		if err != nil {
			return err
		}
		wrap := t[kindWrap].current().generation
		sets, err := r.loadPersons(ctx, tenant, some)
		if err != nil {
			return err
		}
		var old []id.ID[id.Any]
		for _, p := range some {
			if k := sets[p].current(); k != nil && !sets[p].destroyed && (k.under < wrap || k.alg != r.alg) {
				old = append(old, p)
			}
		}
		if err := r.rollPersons(ctx, tenant, old, sets); err != nil {
			return err
		}
	}
	return nil
}

// rollPersons makes the next generation of each.
func (r *Ring) rollPersons(ctx context.Context, tenant id.ID[auth.Tenant], persons []id.ID[id.Any], sets map[id.ID[id.Any]]*keySet) error {
	if len(persons) == 0 {
		return nil
	}
	n := min(personBlock, r.limit)
	rows := make([]row, 0, len(persons))
	for _, p := range persons {
		w, err := r.tenantKey(ctx, tenant, kindWrap)
		if err != nil {
			return err
		}
		k, err := newKey(r.clock.Now(), r.alg, sets[p].current().generation+1)
		if err != nil {
			return err
		}
		rows = append(rows, row{
			id: k.id, person: p, generation: k.generation, alg: k.alg, uses: n, wrapped: w.seal(wrapAAD(tenant, kindPerson, p, k.id), k.raw),
		})
	}
	if err := r.rollPersonKeys(ctx, tenant, rows); err != nil {
		return err
	}
	made, err := r.loadPersons(ctx, tenant, persons)
	if err != nil {
		return err
	}
	for _, v := range rows {
		if k := made[v.person].find(v.id); k != nil { // ours, not another process's
			k.grant(n)
		}
	}
	return nil
}

// Reseal gives the value sealed under the present generation, for the same place; nil when it is already. The person is renewed before
// (Renew). Refusals as those of Open and Seal.
func (r *Ring) Reseal(ctx context.Context, f Field, sealed []byte) ([]byte, error) {
	h, err := parse(sealed)
	if err != nil {
		return nil, ErrUnreadable.Wrap(err)
	}
	var k *key
	if f.Person.IsZero() {
		t, err := r.tenant(ctx, f.Tenant)
		if err != nil {
			return nil, err
		}
		k = t[kindSeal].current()
	} else {
		s, err := r.person(ctx, personRef{f.Tenant, f.Person}, grace)
		if err != nil {
			return nil, err
		}
		k = s.current()
	}
	if k != nil && k.id == h.key && k.alg == r.alg {
		return nil, nil
	}
	plain, err := r.Open(ctx, f, sealed)
	if err != nil {
		return nil, err
	}
	return r.Seal(ctx, f, plain)
}

// PersonGenerations tells the generation of each key of the persons, by the key's id, also of destroyed ones.
func (r *Ring) PersonGenerations(ctx context.Context, tenant id.ID[auth.Tenant], persons []id.ID[id.Any]) (map[string]int, error) {
	out := map[string]int{}
	for len(persons) > 0 {
		n := min(len(persons), warmBatch)
		rows, err := r.personRows(ctx, tenant, persons[:n])
		if err != nil {
			return nil, err
		}
		for _, v := range rows {
			out[v.id.String()] = v.generation
		}
		persons = persons[n:]
	}
	return out, nil
}

// KeyOf reads the key's id from a sealed value; false when it is none.
func KeyOf(sealed []byte) (string, bool) {
	h, err := parse(sealed)
	return h.key.String(), err == nil
}
