package crypt

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"xinglin/internal/kernel/id"
)

type stored struct{}

type keyID = id.ID[stored]

const (
	// useLimit is half of what 96-bit random nonces allow (2^32), which leaves room
	// for uses inside transactions that a crash leaves uncounted.
	useLimit    = 1 << 31
	personBlock = 256
	tenantBlock = 1 << 16
	// overdraft bounds the uses of a cached key inside transactions, where no block
	// of uses can be taken.
	overdraft = 1024
)

// key is one generation of one key. Its uses are taken from the store in blocks.
type key struct {
	id         keyID
	generation int
	alg        Algorithm
	raw        []byte
	aead       cipher.AEAD // nil for index keys
	under      int         // of a person's key: the generation of the tenant's key that wraps it

	mu   sync.Mutex
	left int64 // uses taken from the store and not spent; negative is overdrawn
}

func newKey(now time.Time, alg Algorithm, generation int) (*key, error) {
	return makeKey(id.New[stored](now), alg, generation, random(alg.keySize()))
}

func newIndexKey(now time.Time, alg Algorithm, generation int) *key {
	return &key{id: id.New[stored](now), alg: alg, generation: generation, raw: random(indexKeySize)}
}

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(fmt.Sprintf("crypt: no randomness: %v", err)) // crypto/rand never fails on supported systems
	}
	return b
}

// makeKey prepares raw for use.
func makeKey(kid keyID, alg Algorithm, generation int, raw []byte) (*key, error) {
	k := &key{id: kid, generation: generation, alg: alg, raw: raw}
	var err error
	k.aead, err = alg.aead(raw)
	return k, err
}

func (k *key) spend() bool { return k.take(1) }

// overdraw spends a use that was not taken from the store yet.
func (k *key) overdraw() bool { return k.take(1 - overdraft) }

func (k *key) take(floor int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left < floor {
		return false
	}
	k.left--
	return true
}

// block is how many uses to take from the store: size, and what is overdrawn.
func (k *key) block(size, limit int64) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return min(size-min(k.left, 0), limit)
}

func (k *key) grant(n int64) {
	k.mu.Lock()
	k.left += n
	k.mu.Unlock()
}

// keySet has the generations of one person's key, or of one kind of a tenant's, the
// oldest first. It does not change once it is in the cache.
type keySet struct {
	keys      []*key
	destroyed bool
	checked   time.Time // when the store was asked, by the monotonic clock
}

func (s *keySet) current() *key {
	if len(s.keys) == 0 {
		return nil
	}
	return s.keys[len(s.keys)-1]
}

func (s *keySet) find(kid keyID) *key {
	if s == nil {
		return nil
	}
	for _, k := range s.keys {
		if k.id == kid {
			return k
		}
	}
	return nil
}
