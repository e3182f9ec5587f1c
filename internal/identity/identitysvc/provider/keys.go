package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/crypt"
)

// The life of a signing key: it is published, a day later it signs for thirty days, and it stays published for a day after
// its last token. What reads hints knows it for longer: a hint may be old.
const (
	keyTime    = 30 * 24 * time.Hour
	keyLead    = 24 * time.Hour
	keyUrgent  = 10 * time.Minute // of a rotation by hand; longer than any process's cache and than max-age of the key set
	keyAfter   = 24 * time.Hour
	hintTime   = 90 * 24 * time.Hour
	keysFresh  = time.Minute
	maxTenants = 1024
)

// storedKey is a row of the table.
type storedKey struct {
	number  int
	kid     string
	public  []byte
	sealed  []byte
	created time.Time
	signs   time.Time
}

// signer is a key that can sign.
type signer struct {
	kid     string
	private *ecdsa.PrivateKey
}

// keyring remembers each tenant's keys for a minute, and opened private keys for as long as they are among them.
type keyring struct {
	mono func() time.Time
	mu   sync.Mutex
	m    map[identity.TenantID]cachedKeys
}

type cachedKeys struct {
	rows   []storedKey // by number
	opened map[string]*ecdsa.PrivateKey
	read   time.Time
}

func newKeyring() *keyring {
	return &keyring{mono: clock.Mono, m: map[identity.TenantID]cachedKeys{}}
}

func (k *keyring) get(t identity.TenantID) (cachedKeys, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.m[t]
	return c, ok && k.mono().Sub(c.read) < keysFresh
}

func (k *keyring) put(t identity.TenantID, rows []storedKey, read time.Time) cachedKeys {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.m) >= maxTenants {
		clear(k.m)
	}
	c := cachedKeys{rows: rows, opened: map[string]*ecdsa.PrivateKey{}, read: read}
	for kid, p := range k.m[t].opened {
		c.opened[kid] = p
	}
	k.m[t] = c
	return c
}

func (k *keyring) forget(t identity.TenantID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, t)
}

func (k *keyring) opened(t identity.TenantID, kid string) *ecdsa.PrivateKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.m[t].opened[kid]
}

func (k *keyring) open(t identity.TenantID, kid string, p *ecdsa.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := k.m[t]; ok {
		c.opened[kid] = p
	}
}

// signingKeys are the tenant's keys; the first comes to be when somebody first asks.
func (s *Service) signingKeys(ctx context.Context, t identity.TenantID) ([]storedKey, error) {
	if c, ok := s.keys.get(t); ok {
		return c.rows, nil
	}
	read := s.keys.mono()
	rows, err := s.Store.signingKeys(ctx, t)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		now := s.now()
		first, err := s.newKey(ctx, t, 1, now, now)
		if err != nil {
			return nil, err
		}
		if _, err := s.Store.addKey(ctx, t, first, clientActor(t, identity.ClientID{}), byClient); err != nil {
			return nil, err
		}
		if rows, err = s.Store.signingKeys(ctx, t); err != nil { // maybe another process's
			return nil, err
		}
	}
	return s.keys.put(t, rows, read).rows, nil
}

func keyField(t identity.TenantID, number int) crypt.Field {
	return crypt.Field{Tenant: t, Table: "signing_key", Column: "sealed", Row: strconv.Itoa(number)}
}

// newKey makes a key that is published now and signs from then on, sealed and ready to be saved.
func (s *Service) newKey(ctx context.Context, t identity.TenantID, number int, now, signs time.Time) (storedKey, error) {
	k := storedKey{number: number, created: now, signs: signs}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return k, err
	}
	raw, err := private.Bytes()
	if err != nil {
		return k, err
	}
	if k.public, err = point(&private.PublicKey); err != nil {
		return k, err
	}
	k.kid = b64.EncodeToString(tokenHash(string(k.public))[:12])
	k.sealed, err = s.Crypt.Seal(ctx, keyField(t, number), raw)
	return k, err
}

// current is the newest key that signs now; rows are in the order of their numbers.
func current(rows []storedKey, now time.Time) (k storedKey, at int) {
	at = -1
	for i, r := range rows {
		if !r.signs.After(now) {
			k, at = r, i
		}
	}
	return k, at
}

// published are the keys of the key set at an instant: those to come, the one that signs, and those whose last token may
// still be about.
func published(rows []storedKey, now time.Time, after time.Duration) (out []storedKey) {
	for i, r := range rows {
		if i+1 < len(rows) && rows[i+1].signs.Add(idTime+after).Before(now) {
			continue
		}
		out = append(out, r)
	}
	return out
}

// signer opens the key that signs now.
func (s *Service) signer(ctx context.Context, t identity.TenantID) (signer, error) {
	rows, err := s.signingKeys(ctx, t)
	if err != nil {
		return signer{}, err
	}
	k, at := current(rows, s.now())
	if at < 0 { // the clock went back to before the first one
		k = rows[0]
	}
	if p := s.keys.opened(t, k.kid); p != nil {
		return signer{k.kid, p}, nil
	}
	raw, err := s.Crypt.Open(ctx, keyField(t, k.number), k.sealed)
	if err != nil {
		return signer{}, err
	}
	p, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return signer{}, err
	}
	s.keys.open(t, k.kid, p)
	return signer{k.kid, p}, nil
}

// verifier finds the tenant's public keys by their names, which are compared and never used as anything else.
func (s *Service) verifier(ctx context.Context, t identity.TenantID) (func(kid string) *ecdsa.PublicKey, error) {
	rows, err := s.signingKeys(ctx, t)
	if err != nil {
		return nil, err
	}
	return func(kid string) *ecdsa.PublicKey {
		for _, r := range published(rows, s.now(), hintTime) {
			if r.kid == kid {
				if k, err := readPoint(r.public); err == nil {
					return k
				}
			}
		}
		return nil
	}, nil
}

// rotateKey publishes the next key now and lets it sign soon: for when the one that signs may have become known. It stays
// published for its tokens' last minutes. identity.key_waits while one waits already.
func (s *Service) rotateKey(ctx context.Context) ([]storedKey, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.Authz.Check(ctx, authz.Request{Action: "identity.rotate_signing_key", Noun: "SigningKey"})
	if err != nil {
		return nil, err
	}
	s.keys.forget(who.Tenant)
	rows, err := s.signingKeys(ctx, who.Tenant)
	if err != nil {
		return nil, err
	}
	now := s.now()
	last, soon := rows[len(rows)-1], now.Add(keyUrgent)
	switch {
	case !last.signs.After(now):
		next, err := s.newKey(ctx, who.Tenant, last.number+1, now, soon)
		if err != nil {
			return nil, err
		}
		made, err := s.Store.addKey(ctx, who.Tenant, next, who, d.Policy)
		if err != nil {
			return nil, err
		}
		if !made {
			return nil, identity.ErrKeyTooSoon.New()
		}
	case last.signs.After(soon): // published by the calendar, so known to all by now or in ten minutes
		if err := s.Store.hastenKey(ctx, who.Tenant, last, soon, who, d.Policy); err != nil {
			return nil, err
		}
	default:
		return nil, identity.ErrKeyTooSoon.New()
	}
	s.keys.forget(who.Tenant)
	return s.signingKeys(ctx, who.Tenant)
}

// listKeys are the tenant's signing keys.
func (s *Service) listKeys(ctx context.Context) ([]storedKey, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Authz.Check(ctx, authz.Request{Action: "identity.list_signing_keys", Noun: "SigningKey"}); err != nil {
		return nil, err
	}
	s.keys.forget(who.Tenant)
	return s.signingKeys(ctx, who.Tenant)
}

// Tend publishes the tenant's next key in time and deletes what nobody needs any more. A job calls it every ten minutes.
func (s *Service) Tend(ctx context.Context, t identity.TenantID) error {
	rows, err := s.Store.signingKeys(ctx, t)
	if err != nil {
		return err
	}
	if n := len(rows); n > 0 { // a tenant without clients has none
		last, now := rows[n-1], s.now()
		if due := last.signs.Add(keyTime); !now.Before(due.Add(-keyLead)) {
			signs := due
			if soon := now.Add(keyLead); soon.After(due) { // no process ran for a while: the lead counts more than the month
				signs = soon
			}
			next, err := s.newKey(ctx, t, last.number+1, now, signs)
			if err != nil {
				return err
			}
			if _, err := s.Store.addKey(ctx, t, next, auth.Principal{Kind: auth.System, Tenant: t, Name: "job:identity.sweep"}, byClient); err != nil {
				return err
			}
			s.keys.forget(t)
		}
	}
	old := []int{}
	kept := len(published(rows, s.now(), hintTime))
	for _, r := range rows[:len(rows)-kept] {
		old = append(old, r.number)
	}
	return s.Store.sweep(ctx, t, s.now(), old)
}
