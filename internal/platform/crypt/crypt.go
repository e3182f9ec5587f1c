// Package crypt keeps the keys of the product and seals fields under them: root key
// -> tenant key -> person key. The root key lives outside the database (a file, an
// environment variable, or wrapped by a KMS or a module: wrapped.go), tenant and person keys lie wrapped in a store of their own,
// the context "keys", whose backups must expire within 30 days: destroying a person's
// key (Shred) makes every field sealed under it unreadable, in backups of the other
// contexts too.
//
// AES-256-GCM or SM4-GCM (RFC 8998) by configuration; each sealed field names its
// algorithm and key, so both may stand in one column. The format is in format.go and
// any implementation opens it with an exported key. Software SM2/SM3/SM4 is no
// certified module for 密评 (R60, R70).
//
// Rotation (rotate.go, root.go): a tenant gets new generations, which are in force within seconds; package rekey brings the rows to
// them. The root key is replaced by wrapping the tenants' keys anew, in one transaction.
//
// Callers seal and open before or after a transaction. Inside one the store cannot be
// asked: what is not in this process's cache then fails with crypt.cold_key. Warm,
// EnsurePerson and LoadTenant fill the cache.
package crypt

import (
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"sync/atomic"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
)

// What may go wrong with keys.
var (
	ErrShredded = fault.Register(fault.Gone, "crypt.shredded",
		"该人员的数据已销毁", "This person's data was destroyed")
	ErrUnreadable = fault.Register(fault.Internal, "crypt.unreadable",
		"数据无法解密", "The data cannot be decrypted")
	ErrColdKey = fault.Register(fault.Unavailable, "crypt.cold_key",
		"系统繁忙，请稍后再试", "A key was not loaded before the transaction, try again")
	ErrTooLarge = fault.Register(fault.TooLarge, "crypt.too_large",
		"内容过长", "The value is too large to be sealed")
	ErrWrongKeys = fault.Register(fault.Unavailable, "crypt.wrong_keys",
		"密钥与数据库不匹配", "The database was made with other keys; start with the --keys it was made with")
	ErrKeysMissing = fault.Register(fault.Unavailable, "crypt.keys_missing",
		"缺少根密钥", "The root key is missing; name it with --keys file:PATH, env:NAME or wrapped:PATH")
	ErrKeysUnreadable = fault.Register(fault.Unavailable, "crypt.keys_unreadable",
		"根密钥无法使用", "The root key cannot be used")
	ErrRotating = fault.Register(fault.Conflict, "crypt.rotating",
		"密钥轮换正在进行，请等待其完成", "A rotation is going on; wait for its end (xinglin keys list)")
)

// Options opens a Ring.
type Options struct {
	DB        *db.DB      // the store of the context "keys"
	Keys      string      // the root key: file:PATH, env:NAME or wrapped:PATH
	Create    bool        // make a missing file, when the store is new
	Algorithm string      // aes-256-gcm (also when empty) or sm4-gcm: for what is sealed from now on
	Clock     clock.Clock // nil is the system's
}

// Migrations has the tables of the context "keys".
func Migrations() db.Set {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return db.Set{Name: "keys", FS: sub}
}

//go:embed migrations/*.sql
var migrations embed.FS

const (
	maxPersons = 8192 // key sets in the cache
	maxTenants = 1024
	// fresh is how long a person's keys are used without asking whether they were
	// destroyed: the bound on how long a shredded person stays readable anywhere.
	fresh = time.Second
	// grace is how old they may be for sealing inside a transaction. What is sealed
	// under a key that was just destroyed is unreadable, so it harms nobody.
	grace = 30 * time.Second
)

type personRef struct {
	tenant id.ID[auth.Tenant]
	person id.ID[id.Any]
}

// Ring gives out sealed and opened fields. It is safe for concurrent use and holds no
// goroutine and no file.
type Ring struct {
	db    *db.DB
	ref   string // of the root key
	held  atomic.Pointer[root]
	seed  []byte // of derived keys; a rotation of the root key leaves it
	alg   Algorithm
	clock clock.Clock
	mono  func() time.Time
	limit int64 // uses of one key

	tenants *lru[id.ID[auth.Tenant], *tenantEntry]
	persons *lru[personRef, *keySet]
}

// Open reads the root key and checks that the store was made with it:
// crypt.wrong_keys when not.
func Open(ctx context.Context, o Options) (*Ring, error) {
	alg, err := ParseAlgorithm(o.Algorithm)
	if err != nil {
		return nil, err
	}
	if o.DB == nil {
		return nil, errors.New("crypt: no key store")
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	r := &Ring{
		db: o.DB, ref: o.Keys, alg: alg, clock: o.Clock, mono: clock.Mono, limit: useLimit,
		tenants: newLRU[id.ID[auth.Tenant], *tenantEntry](maxTenants),
		persons: newLRU[personRef, *keySet](maxPersons),
	}
	made, err := r.rootCheck(ctx)
	if err != nil {
		return nil, err
	}
	// A store that has keys never gets a new root key: it could open nothing.
	roots, err := loadRoots(o.Keys, o.Create && made.print == "")
	if err != nil {
		return nil, err
	}
	if made.print == "" {
		first, err := roots[0].open(ctx)
		if err != nil {
			return nil, err
		}
		if made, err = r.putRootCheck(ctx, first); err != nil {
			return nil, err
		}
	}
	named := choose(roots, made.print)
	if named == nil {
		return nil, ErrWrongKeys.Because("store %s, given %s", made.print, roots[0].print)
	}
	at, err := named.open(ctx)
	if err != nil {
		return nil, err
	}
	if r.seed, err = at.openSeed(made.seed); err != nil {
		return nil, err
	}
	r.held.Store(at)
	return r, nil
}

func (r *Ring) root() *root { return r.held.Load() }

// Fingerprint names the keys of the installation without showing any: 32 hex digits, for the process register. A rotation of the
// root key leaves it.
func (r *Ring) Fingerprint() string {
	return hex.EncodeToString(mac(AES256GCM, r.seed, "xinglin/seed-id/v1")[:16])
}

// Derive is a 32-byte key for another purpose of the platform (sealed cursors), the same
// in every process of the installation.
func (r *Ring) Derive(purpose string) []byte {
	return mac(AES256GCM, r.seed, "xinglin/derived/v1", purpose)
}

// Algorithm is what this ring seals with.
func (r *Ring) Algorithm() Algorithm { return r.alg }
