package crypt

import (
	"context"
	"crypto/hmac"
	"errors"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// The kinds of a tenant's keys.
const (
	kindWrap   = "wrap"
	kindSeal   = "seal"
	kindIndex  = "index"
	kindPerson = "person"
)

const indexKeySize = 32

// tenantKeys are a tenant's key sets by kind. They do not change once in the cache.
type tenantKeys map[string]*keySet

// LoadTenant puts the tenant's keys into the cache, making them when it has none.
// Call it outside of transactions before Index, Seal or Open inside one.
func (r *Ring) LoadTenant(ctx context.Context, tenant id.ID[auth.Tenant]) error {
	_, err := r.tenant(ctx, tenant)
	return err
}

func (r *Ring) tenant(ctx context.Context, tenant id.ID[auth.Tenant]) (tenantKeys, error) {
	if t, ok := r.tenants.get(tenant); ok {
		return t, nil
	}
	if tenant.IsZero() {
		return nil, errors.New("crypt: no tenant")
	}
	t, err := r.reloadTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var add []row
	for _, kind := range []string{kindWrap, kindSeal, kindIndex} {
		if t[kind] != nil {
			continue
		}
		v, err := r.newTenantRow(tenant, kind, 1)
		if err != nil {
			return nil, err
		}
		add = append(add, v)
	}
	if len(add) == 0 {
		return t, nil
	}
	if err := r.addTenantKeys(ctx, tenant, add); err != nil {
		return nil, err
	}
	return r.reloadTenant(ctx, tenant)
}

// reloadTenant reads the tenant's keys from the store; keys that are known keep their
// count of uses. Incomplete sets are not cached.
func (r *Ring) reloadTenant(ctx context.Context, tenant id.ID[auth.Tenant]) (tenantKeys, error) {
	rows, err := r.tenantRows(ctx, tenant)
	if err != nil {
		return nil, err
	}
	old, _ := r.tenants.get(tenant)
	t := tenantKeys{}
	for _, v := range rows {
		k := old[v.kind].find(v.id)
		if k == nil {
			if k, err = r.unwrapTenant(tenant, v); err != nil {
				return nil, err
			}
		}
		if t[v.kind] == nil {
			t[v.kind] = &keySet{}
		}
		t[v.kind].keys = append(t[v.kind].keys, k)
	}
	if t[kindWrap] != nil && t[kindSeal] != nil && t[kindIndex] != nil {
		r.tenants.put(tenant, t)
	}
	return t, nil
}

func (r *Ring) newTenantRow(tenant id.ID[auth.Tenant], kind string, generation int) (row, error) {
	var k *key
	var err error
	switch kind {
	case kindIndex:
		k = newIndexKey(r.clock.Now(), r.alg, generation)
	case kindSM2, kindP256:
		k, err = newSigningKey(r.clock.Now(), r.alg, kind, generation)
	default:
		k, err = newKey(r.clock.Now(), r.alg, generation)
	}
	if err != nil {
		return row{}, err
	}
	wrapped := r.root.wraps[r.alg].seal(wrapAAD(tenant, kind, id.ID[id.Any]{}, k.id), k.raw)
	return row{id: k.id, kind: kind, generation: generation, alg: r.alg, wrapped: wrapped}, nil
}

func (r *Ring) unwrapTenant(tenant id.ID[auth.Tenant], v row) (*key, error) {
	h, err := parse(v.wrapped)
	if err != nil {
		return nil, ErrUnreadable.Because("tenant key %s: %w", v.id, err)
	}
	w := r.root.wraps[h.alg]
	if w == nil {
		return nil, ErrUnreadable.Because("tenant key %s: unknown algorithm", v.id)
	}
	raw, err := w.open(wrapAAD(tenant, v.kind, id.ID[id.Any]{}, v.id), h)
	if err != nil {
		return nil, ErrUnreadable.Because("tenant key %s: %w", v.id, err)
	}
	if v.kind == kindIndex || signs(v.kind) {
		return &key{id: v.id, alg: v.alg, generation: v.generation, raw: raw}, nil
	}
	return makeKey(v.id, v.alg, v.generation, raw)
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
	v, err := r.newTenantRow(tenant, kind, k.generation+1)
	if err != nil {
		return err
	}
	if err := r.addTenantKeys(ctx, tenant, []row{v}); err != nil {
		return err
	}
	_, err = r.reloadTenant(ctx, tenant)
	return err
}

// Index is the blind index of a value: 32 bytes, the same for the same tenant, purpose
// (a table's column, say) and value, meaningless without the tenant's index key.
// Normalise the value first. Inside a transaction it needs LoadTenant before.
func (r *Ring) Index(ctx context.Context, tenant id.ID[auth.Tenant], purpose, value string) ([]byte, error) {
	t, err := r.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return t[kindIndex].current().index(purpose, value), nil
}

// IndexPrevious is the index under the generation before, for the second column
// during a rotation; nil when there is none.
func (r *Ring) IndexPrevious(ctx context.Context, tenant id.ID[auth.Tenant], purpose, value string) ([]byte, error) {
	t, err := r.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	keys := t[kindIndex].keys
	if len(keys) < 2 {
		return nil, nil
	}
	return keys[len(keys)-2].index(purpose, value), nil
}

func (k *key) index(purpose, value string) []byte {
	return mac(k.alg, k.raw, "xinglin/index/v1", purpose, value)
}

// Equal compares two blind indexes in constant time.
func Equal(a, b []byte) bool { return hmac.Equal(a, b) }
