package crypt

import (
	"context"
	"crypto/hmac"
	"errors"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// The kinds of a tenant's keys.
const (
	kindWrap   = "wrap"
	kindSeal   = "seal"
	kindIndex  = "index"
	kindDigest = "digest"
	kindPerson = "person"
)

// every tenant has a key of these from its first use on.
var everyTenant = []string{kindWrap, kindSeal, kindIndex, kindDigest}

const indexKeySize = 32

// tenantFresh is how long a tenant's keys are used without asking whether there is a newer generation: the bound on how long a
// process seals under the one before.
const tenantFresh = 2 * time.Second

// tenantKeys are a tenant's key sets by kind. They do not change once in the cache.
type tenantKeys map[string]*keySet

// whole tells that the tenant has what everybody needs.
func (t tenantKeys) whole() bool {
	for _, kind := range everyTenant {
		if t[kind] == nil {
			return false
		}
	}
	return true
}

// tenantEntry is what the cache has of a tenant.
type tenantEntry struct {
	keys    tenantKeys
	checked time.Time // when the store was asked, by the monotonic clock
	asking  atomic.Bool
}

// LoadTenant puts the tenant's keys into the cache, making them when it has none.
// Call it outside of transactions before Digest, Seal or Open inside one.
func (r *Ring) LoadTenant(ctx context.Context, tenant id.ID[auth.Tenant]) error {
	_, err := r.tenant(ctx, tenant)
	return err
}

// RefreshTenant asks the store for generations that this process does not know yet.
func (r *Ring) RefreshTenant(ctx context.Context, tenant id.ID[auth.Tenant]) error {
	if _, err := r.tenant(ctx, tenant); err != nil {
		return err
	}
	_, err := r.reloadTenant(ctx, tenant)
	return err
}

// tenant gives the tenant's keys. When they are no longer fresh one caller asks the store and the others go on with what they have, as
// does whoever is inside a transaction: old generations stay good.
func (r *Ring) tenant(ctx context.Context, tenant id.ID[auth.Tenant]) (tenantKeys, error) {
	if e, ok := r.tenants.get(tenant); ok {
		if r.mono().Sub(e.checked) < tenantFresh || !e.asking.CompareAndSwap(false, true) {
			return e.keys, nil
		}
		defer e.asking.Store(false)
		if t, err := r.reloadTenant(ctx, tenant); err == nil && t.whole() {
			return t, nil
		}
		return e.keys, nil
	}
	if tenant.IsZero() {
		return nil, errors.New("crypt: no tenant")
	}
	t, err := r.reloadTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if t.whole() {
		return t, nil
	}
	return r.addKinds(ctx, tenant, t, everyTenant)
}

// addKinds makes the first generation of the kinds that the tenant has none of.
func (r *Ring) addKinds(ctx context.Context, tenant id.ID[auth.Tenant], t tenantKeys, kinds []string) (tenantKeys, error) {
	want := map[string]int{}
	for _, kind := range kinds {
		if t[kind] == nil {
			want[kind] = 1
		}
	}
	if len(want) == 0 {
		return t, nil
	}
	return r.addGenerations(ctx, tenant, want)
}

// addGenerations makes these generations, by kind, unless they are there, and gives what the tenant has then.
func (r *Ring) addGenerations(ctx context.Context, tenant id.ID[auth.Tenant], want map[string]int) (tenantKeys, error) {
	for range rollTries {
		at := r.root()
		var add []row
		for kind, generation := range want {
			v, err := r.newTenantRow(tenant, kind, generation)
			if err != nil {
				return nil, err
			}
			add = append(add, v)
		}
		err := r.addTenantKeys(ctx, tenant, at, add)
		if errors.Is(err, errOtherRoot) {
			if _, err := r.follow(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		return r.reloadTenant(ctx, tenant)
	}
	return nil, ErrRotating.Because("the root key was replaced %d times meanwhile", rollTries)
}

// reloadTenant reads the tenant's keys from the store; keys that are known keep their
// count of uses. Incomplete sets are not cached. Keys under another root key than this process knows were wrapped by a rotation: the
// reference is read once more, and so are the rows.
func (r *Ring) reloadTenant(ctx context.Context, tenant id.ID[auth.Tenant]) (t tenantKeys, err error) {
	for range rollTries {
		if t, err = r.readTenant(ctx, tenant); !errors.Is(err, errOtherRoot) {
			return t, err
		}
		if _, err := r.follow(ctx); err != nil {
			return nil, err
		}
	}
	return nil, ErrUnreadable.Wrap(err)
}

func (r *Ring) readTenant(ctx context.Context, tenant id.ID[auth.Tenant]) (tenantKeys, error) {
	asked := r.mono() // before the question: the answer is at least as new
	rows, err := r.tenantRows(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var old tenantKeys
	if e, ok := r.tenants.get(tenant); ok {
		old = e.keys
	}
	t := tenantKeys{}
	for _, v := range rows {
		k := old[v.kind].find(v.id)
		if k == nil {
			if k, err = r.root().unwrap(tenant, v); err != nil {
				return nil, err
			}
		}
		if t[v.kind] == nil {
			t[v.kind] = &keySet{}
		}
		t[v.kind].keys = append(t[v.kind].keys, k)
	}
	if t.whole() {
		r.tenants.put(tenant, &tenantEntry{keys: t, checked: asked})
	}
	return t, nil
}

func (r *Ring) newTenantRow(tenant id.ID[auth.Tenant], kind string, generation int) (row, error) {
	return r.newTenantRowAs(tenant, kind, generation, r.alg)
}

// newTenantRowAs makes a generation of an algorithm, wrapped under the root key.
func (r *Ring) newTenantRowAs(tenant id.ID[auth.Tenant], kind string, generation int, alg Algorithm) (row, error) {
	var k *key
	var err error
	switch kind {
	case kindIndex, kindDigest:
		k = newIndexKey(r.clock.Now(), alg, generation)
	case kindSM2, kindP256:
		k, err = newSigningKey(r.clock.Now(), alg, kind, generation)
	default:
		k, err = newKey(r.clock.Now(), alg, generation)
	}
	if err != nil {
		return row{}, err
	}
	wrapped := r.root().wraps[alg].seal(wrapAAD(tenant, kind, id.ID[id.Any]{}, k.id), k.raw)
	return row{id: k.id, kind: kind, generation: generation, alg: alg, wrapped: wrapped}, nil
}

// unwrap makes a stored key ready for use.
func (r *root) unwrap(tenant id.ID[auth.Tenant], v row) (*key, error) {
	raw, err := r.open(tenant, v)
	if err != nil {
		return nil, err
	}
	if v.kind == kindIndex || v.kind == kindDigest || signs(v.kind) {
		return &key{id: v.id, alg: v.alg, generation: v.generation, raw: raw}, nil
	}
	return makeKey(v.id, v.alg, v.generation, raw)
}

// open unwraps a tenant's key; errOtherRoot when it lies under another root key.
func (r *root) open(tenant id.ID[auth.Tenant], v row) ([]byte, error) {
	h, err := parse(v.wrapped)
	if err != nil {
		return nil, ErrUnreadable.Because("tenant key %s: %w", v.id, err)
	}
	if h.key != r.id {
		return nil, errOtherRoot
	}
	w := r.wraps[h.alg]
	if w == nil {
		return nil, ErrUnreadable.Because("tenant key %s: unknown algorithm", v.id)
	}
	raw, err := w.open(wrapAAD(tenant, v.kind, id.ID[id.Any]{}, v.id), h)
	if err != nil {
		return nil, ErrUnreadable.Because("tenant key %s: %w", v.id, err)
	}
	return raw, nil
}

// tenantKey is the tenant's key of a kind for one more use; it rolls when it is used up.
func (r *Ring) tenantKey(ctx context.Context, tenant id.ID[auth.Tenant], kind string) (*key, error) {
	for range rollTries {
		t, err := r.tenant(ctx, tenant)
		if err != nil {
			return nil, err
		}
		k := t[kind].current()
		if k.alg == r.alg && k.spend() {
			return k, nil
		}
		if err := r.renewTenant(ctx, tenant, kind, k); err != nil {
			if isCold(err) && k.overdraw() {
				return k, nil
			}
			return nil, err
		}
	}
	return nil, ErrColdKey.Because("%s key: no use left after %d tries", kind, rollTries)
}

// renewTenant takes another block of uses or, when there is none or the configured
// algorithm is another one, makes the next generation.
func (r *Ring) renewTenant(ctx context.Context, tenant id.ID[auth.Tenant], kind string, k *key) error {
	if k.alg == r.alg {
		n := k.block(tenantBlock, r.limit)
		ok, err := r.reserveTenant(ctx, tenant, k.id, n)
		if err != nil {
			return err
		}
		if ok {
			k.grant(n)
			return nil
		}
	}
	_, err := r.addGenerations(ctx, tenant, map[string]int{kind: k.generation + 1})
	return err
}

// Digest is a keyed hash of a value: 32 bytes, the same for the same tenant, purpose and value, meaningless without the tenant's
// digest key. It is for what lives for minutes or cannot be guessed: codes, budgets, hashes of requests, pseudonyms of random ids. Its
// key does not rotate; what people are found by for years is a Blind. Inside a transaction it needs LoadTenant before.
func (r *Ring) Digest(ctx context.Context, tenant id.ID[auth.Tenant], purpose, value string) ([]byte, error) {
	t, err := r.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return t[kindDigest].current().digest(purpose, value), nil
}

// Blind is the blind index of a value under a generation of the tenant's index key (from 1): 32 bytes, the same for the same tenant,
// purpose and value. The index of a generation is made of the index of the one before, so that one column follows from the other
// without opening what it stands for (ADR 0024). Normalise the value first. Which generations are in force in a context's tables
// package blind tells. crypt.cold_key inside a transaction when this process does not know the generation yet (RefreshTenant).
func (r *Ring) Blind(ctx context.Context, tenant id.ID[auth.Tenant], purpose, value string, generation int) ([]byte, error) {
	keys, err := r.indexKeys(ctx, tenant, generation)
	if err != nil {
		return nil, err
	}
	x := keys[0].digest(purpose, value)
	for _, k := range keys[1:generation] {
		x = k.next(x)
	}
	return x, nil
}

// BlindNext makes the index of a generation (from 2) of that of the one before.
func (r *Ring) BlindNext(ctx context.Context, tenant id.ID[auth.Tenant], before []byte, generation int) ([]byte, error) {
	keys, err := r.indexKeys(ctx, tenant, generation)
	if err != nil {
		return nil, err
	}
	return keys[generation-1].next(before), nil
}

// indexKeys are the tenant's index keys, at least as many as asked for.
func (r *Ring) indexKeys(ctx context.Context, tenant id.ID[auth.Tenant], generation int) ([]*key, error) {
	t, err := r.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if len(t[kindIndex].keys) < generation {
		if t, err = r.reloadTenant(ctx, tenant); err != nil {
			return nil, err
		}
	}
	if generation < 1 || len(t[kindIndex].keys) < generation {
		return nil, ErrUnreadable.Because("no index key of generation %d", generation)
	}
	return t[kindIndex].keys, nil
}

func (k *key) digest(purpose, value string) []byte {
	return mac(k.alg, k.raw, "xinglin/index/v1", purpose, value)
}

// next binds the index of the generation before.
func (k *key) next(before []byte) []byte {
	return mac(k.alg, k.raw, "xinglin/index-next/v1", string(before))
}

// Equal compares two blind indexes in constant time.
func Equal(a, b []byte) bool { return hmac.Equal(a, b) }
