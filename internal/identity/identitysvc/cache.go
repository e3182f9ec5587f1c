package identitysvc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
)

// What a session shows.
type tokenKind string

const (
	cookie  tokenKind = "cookie"
	access  tokenKind = "access"
	refresh tokenKind = "refresh"
)

const (
	tokenSize = 32 // bytes
	maxToken  = 64 // characters that are worth hashing
)

// newToken is 256 random bits for the caller and their SHA-256 for the store.
func newToken() (secret.Text, []byte) {
	b := make([]byte, tokenSize)
	_, _ = rand.Read(b) // never fails
	t := base64.RawURLEncoding.EncodeToString(b)
	return secret.New(t), tokenHash(t)
}

func tokenHash(t string) []byte {
	h := sha256.Sum256([]byte(t))
	return h[:]
}

// The bounds of the cache: a revoked session or a changed right is seen within
// cacheTime also where the signal got lost.
const (
	cacheTime = 500 * time.Millisecond
	cacheSize = 8192
)

type cacheKey struct {
	tenant identity.TenantID
	kind   tokenKind
	hash   [sha256.Size]byte
}

type cached struct {
	principal auth.Principal
	proved    time.Time // by the product's clock, as until
	until     time.Time // by the product's clock: the session's or token's end
	read      time.Time // monotonic, taken before the question
}

// at is the principal at this moment: a proof grows old.
func (c cached) at(now time.Time) auth.Principal {
	p := c.principal
	p.Fresh = now.Sub(c.proved) < freshTime
	return p
}

// cache remembers who showed a token for half a second.
type cache struct {
	mono func() time.Time
	mu   sync.Mutex
	m    map[cacheKey]cached
}

func newCache(mono func() time.Time) *cache { return &cache{mono: mono, m: map[cacheKey]cached{}} }

func (c *cache) get(k cacheKey) (cached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[k]
	if !ok || c.mono().Sub(v.read) >= cacheTime {
		return cached{}, false
	}
	return v, true
}

func (c *cache) put(k cacheKey, v cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= cacheSize {
		clear(c.m) // full within half a second: reading again is cheap
	}
	c.m[k] = v
}

// drop forgets one session of the account, or all when s is zero.
func (c *cache) drop(t identity.TenantID, a identity.AccountID, s identity.SessionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range c.m {
		if k.tenant == t && v.principal.Account == a && (s.IsZero() || v.principal.Session == s) {
			delete(c.m, k)
		}
	}
}
