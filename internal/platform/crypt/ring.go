package crypt

import (
	"context"
	"errors"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

const (
	rollTries = 4
	warmBatch = 200
)

func isCold(err error) bool { return errors.Is(err, ErrColdKey) }

// Seal encrypts plain (at most MaxPlain bytes) for its place. The person's key is made
// when there is none yet. Refusals: crypt.shredded, crypt.cold_key, crypt.too_large.
func (r *Ring) Seal(ctx context.Context, f Field, plain []byte) ([]byte, error) {
	aad, err := f.aad()
	if err != nil {
		return nil, err
	}
	if len(plain) > MaxPlain {
		return nil, ErrTooLarge.New()
	}
	k, err := r.sealKey(ctx, f)
	if err != nil {
		return nil, err
	}
	return k.seal(aad, plain), nil
}

// Open decrypts what Seal made for the same place. Refusals: crypt.shredded,
// crypt.unreadable (changed, moved, or another key), crypt.cold_key.
func (r *Ring) Open(ctx context.Context, f Field, sealed []byte) ([]byte, error) {
	aad, err := f.aad()
	if err != nil {
		return nil, err
	}
	h, err := parse(sealed)
	if err != nil {
		return nil, ErrUnreadable.Wrap(err)
	}
	k, err := r.openKey(ctx, f, h.key)
	if err != nil {
		return nil, err
	}
	plain, err := k.open(aad, h)
	if err != nil {
		return nil, ErrUnreadable.Because("%s.%s %s: %w", f.Table, f.Column, f.Row, err)
	}
	return plain, nil
}

// SealText is Seal for personal data. An empty text becomes nil (NULL).
func (r *Ring) SealText(ctx context.Context, f Field, t secret.Text) ([]byte, error) {
	if t.Empty() {
		return nil, nil
	}
	return r.Seal(ctx, f, []byte(t.Reveal()))
}

// OpenText is Open for personal data; nil opens as the empty text.
func (r *Ring) OpenText(ctx context.Context, f Field, sealed []byte) (secret.Text, error) {
	if len(sealed) == 0 {
		return secret.Text{}, nil
	}
	b, err := r.Open(ctx, f, sealed)
	return secret.New(string(b)), err
}

// EnsurePerson makes the person's key when there is none and loads it. Call it before
// the transaction that seals. crypt.shredded when the key was destroyed.
func (r *Ring) EnsurePerson(ctx context.Context, tenant id.ID[auth.Tenant], person id.ID[id.Any]) error {
	s, err := r.person(ctx, personRef{tenant, person}, fresh)
	if err != nil || s.current() != nil {
		return err
	}
	return r.makePerson(ctx, personRef{tenant, person}, 1)
}

// Warm loads the tenant's keys and those of the persons that have one. Destroyed keys
// are no error here: Open reports them, one by one.
func (r *Ring) Warm(ctx context.Context, tenant id.ID[auth.Tenant], persons ...id.ID[id.Any]) error {
	if err := r.LoadTenant(ctx, tenant); err != nil {
		return err
	}
	for len(persons) > 0 {
		n := min(len(persons), warmBatch)
		if _, err := r.loadPersons(ctx, tenant, persons[:n]); err != nil {
			return err
		}
		persons = persons[n:]
	}
	return nil
}

// Shred destroys the person's keys, all generations. The row stays; what was sealed
// never opens again: at once here, within a second in every other process. Repeating
// it is no error. Backups of the key store hold the key until they expire (30 days).
func (r *Ring) Shred(ctx context.Context, tenant id.ID[auth.Tenant], person id.ID[id.Any]) error {
	if tenant.IsZero() || person.IsZero() {
		return errors.New("crypt: shred needs a tenant and a person")
	}
	if err := r.destroyPerson(ctx, tenant, person); err != nil {
		return err
	}
	r.persons.put(personRef{tenant, person}, &keySet{destroyed: true, checked: r.mono()})
	return nil
}

// sealKey is the key for one more seal of the field.
func (r *Ring) sealKey(ctx context.Context, f Field) (*key, error) {
	if f.Person.IsZero() {
		return r.tenantKey(ctx, f.Tenant, kindSeal)
	}
	ref := personRef{f.Tenant, f.Person}
	for range rollTries {
		s, err := r.person(ctx, ref, fresh)
		if isCold(err) {
			s, err = r.person(ctx, ref, grace)
		}
		if err != nil {
			return nil, err
		}
		k := s.current()
		if k != nil && k.alg == r.alg && k.spend() {
			return k, nil
		}
		err = r.renewPerson(ctx, ref, k)
		if isCold(err) && k != nil && k.overdraw() {
			return k, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, ErrColdKey.Because("person key: no use left after %d tries", rollTries)
}

// openKey is the key that a sealed field names.
func (r *Ring) openKey(ctx context.Context, f Field, kid keyID) (*key, error) {
	if f.Person.IsZero() {
		return r.tenantKeyByID(ctx, f.Tenant, kindSeal, kid)
	}
	ref := personRef{f.Tenant, f.Person}
	s, err := r.person(ctx, ref, fresh)
	if err != nil {
		return nil, err
	}
	if k := s.find(kid); k != nil {
		return k, nil
	}
	// Another process may have rolled the key since.
	if s, err = r.person(ctx, ref, 0); err != nil {
		return nil, err
	}
	if k := s.find(kid); k != nil {
		return k, nil
	}
	return nil, ErrUnreadable.Because("%s.%s %s: no key %s", f.Table, f.Column, f.Row, kid)
}

// person gives the person's keys, at most age old; crypt.shredded when destroyed. The
// set is empty when the person has none.
func (r *Ring) person(ctx context.Context, ref personRef, age time.Duration) (*keySet, error) {
	if ref.tenant.IsZero() || ref.person.IsZero() {
		return nil, errors.New("crypt: no tenant or no person")
	}
	s, ok := r.persons.get(ref)
	if ok && s.destroyed {
		return nil, ErrShredded.New() // for ever
	}
	if !ok || r.mono().Sub(s.checked) >= age {
		sets, err := r.loadPersons(ctx, ref.tenant, []id.ID[id.Any]{ref.person})
		if err != nil {
			return nil, err
		}
		s = sets[ref.person]
	}
	if s.destroyed {
		return nil, ErrShredded.New()
	}
	return s, nil
}

// loadPersons reads the persons' keys from the store into the cache. Persons without
// a key get an empty set, which is not cached.
func (r *Ring) loadPersons(ctx context.Context, tenant id.ID[auth.Tenant], persons []id.ID[id.Any]) (map[id.ID[id.Any]]*keySet, error) {
	asked := r.mono() // before the question: the answer is at least as new
	rows, err := r.personRows(ctx, tenant, persons)
	if err != nil {
		return nil, err
	}
	sets := make(map[id.ID[id.Any]]*keySet, len(persons))
	for _, p := range persons {
		sets[p] = &keySet{checked: asked}
	}
	for _, v := range rows {
		s := sets[v.person]
		if v.destroyed {
			s.destroyed = true
			continue
		}
		old, _ := r.persons.get(personRef{tenant, v.person})
		k := old.find(v.id)
		if k == nil {
			if k, err = r.unwrapPerson(ctx, tenant, v); err != nil {
				return nil, err
			}
		}
		s.keys = append(s.keys, k)
	}
	for p, s := range sets {
		if len(s.keys) > 0 || s.destroyed {
			r.persons.put(personRef{tenant, p}, s)
		}
	}
	return sets, nil
}

// tenantKeyByID finds a tenant's key in the cache or the store.
func (r *Ring) tenantKeyByID(ctx context.Context, tenant id.ID[auth.Tenant], kind string, kid keyID) (*key, error) {
	t, err := r.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if k := t[kind].find(kid); k != nil {
		return k, nil
	}
	if t, err = r.reloadTenant(ctx, tenant); err != nil {
		return nil, err
	}
	if k := t[kind].find(kid); k != nil {
		return k, nil
	}
	return nil, ErrUnreadable.Because("no %s key %s", kind, kid)
}

func (r *Ring) unwrapPerson(ctx context.Context, tenant id.ID[auth.Tenant], v row) (*key, error) {
	h, err := parse(v.wrapped)
	if err != nil {
		return nil, ErrUnreadable.Because("person key %s: %w", v.id, err)
	}
	w, err := r.tenantKeyByID(ctx, tenant, kindWrap, h.key)
	if err != nil {
		return nil, err
	}
	raw, err := w.open(wrapAAD(tenant, kindPerson, v.person, v.id), h)
	if err != nil {
		return nil, ErrUnreadable.Because("person key %s: %w", v.id, err)
	}
	k, err := makeKey(v.id, v.alg, v.generation, raw)
	if err != nil {
		return nil, err
	}
	k.under = w.generation
	return k, nil
}

// renewPerson takes another block of uses or, when there is none or the configured
// algorithm is another one, makes the next generation. Old generations stay readable.
func (r *Ring) renewPerson(ctx context.Context, ref personRef, k *key) error {
	if k == nil {
		return r.makePerson(ctx, ref, 1)
	}
	if k.alg == r.alg {
		n := k.block(personBlock, r.limit)
		ok, err := r.reservePerson(ctx, ref.tenant, k.id, n)
		if err != nil {
			return err
		}
		if ok {
			k.grant(n)
			return nil
		}
	}
	return r.makePerson(ctx, ref, k.generation+1)
}

// makePerson adds a generation, with a block of uses taken, and loads what stands in
// the store then: this one or the one that another process made first.
func (r *Ring) makePerson(ctx context.Context, ref personRef, generation int) error {
	w, err := r.tenantKey(ctx, ref.tenant, kindWrap)
	if err != nil {
		return err
	}
	k, err := newKey(r.clock.Now(), r.alg, generation)
	if err != nil {
		return err
	}
	n := min(personBlock, r.limit)
	made, err := r.addPersonKey(ctx, ref.tenant, row{
		id: k.id, person: ref.person, generation: generation, alg: k.alg, uses: n,
		wrapped: w.seal(wrapAAD(ref.tenant, kindPerson, ref.person, k.id), k.raw),
	})
	if err != nil {
		return err
	}
	s, err := r.person(ctx, ref, 0)
	if err != nil {
		return err
	}
	if made {
		if k := s.find(k.id); k != nil {
			k.grant(n)
		}
	}
	return nil
}
