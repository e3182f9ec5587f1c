// Package idem makes a request with the same key take effect once: the key, the
// input's hash and what came of it are one row in the use case's own transaction. Rows
// hold ids only and are kept for seven days.
package idem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/db"
)

// Refusals that a caller sees.
var (
	ErrKey    = fault.Register(fault.Malformed, "idem.key_malformed", "请求号格式不正确", "The idempotency key must have 1 to 128 characters")
	ErrReused = fault.Register(fault.Invalid, "idem.key_reused", "该请求号已用于其他内容", "This idempotency key was used with another input")
	ErrFlight = fault.Register(fault.Conflict, "idem.in_flight", "相同请求正在处理中", "The same request is being handled")
)

// Keep is how long a key is remembered.
const Keep = 7 * 24 * time.Hour

const (
	maxKey     = 128
	sweepBatch = 500
)

// Key names one request of one actor.
type Key struct {
	Op    string // operation id: scheduling.hold
	Actor string // auth.Principal.Actor
	Key   string // the caller's Idempotency-Key
	Hash  []byte // HashOf the input
}

// Hit is what came of the request the first time.
type Hit struct {
	Status   int    // HTTP status of the first answer
	Resource string // id of what it made or changed
}

// Claim takes the key within tx. hit tells that the request has already had its
// effect: the caller renders the answer again. Otherwise the caller goes on and ends
// with Done in the same transaction. Codes: idem.key_malformed, idem.key_reused,
// idem.in_flight.
func Claim(ctx context.Context, tx db.Tx, k Key, now time.Time) (h Hit, hit bool, err error) {
	if len(k.Key) == 0 || len(k.Key) > maxKey {
		return h, false, ErrKey.New()
	}
	n, err := tx.Exec(ctx, `INSERT INTO idempotency (tenant_id, actor, op, key, hash, at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (tenant_id, actor, op, key) DO NOTHING`, tx.Tenant(), k.Actor, k.Op, k.Key, k.Hash, now.UnixMicro())
	if err != nil {
		return h, false, fmt.Errorf("idem: claim: %w", err)
	}
	if n == 1 {
		return h, false, nil
	}
	var hash []byte
	err = tx.QueryRow(ctx, `SELECT hash, status, resource FROM idempotency
		WHERE tenant_id = $1 AND actor = $2 AND op = $3 AND key = $4`, tx.Tenant(), k.Actor, k.Op, k.Key).
		Scan(&hash, &h.Status, &h.Resource)
	switch {
	case err != nil:
		return h, false, fmt.Errorf("idem: look: %w", err)
	case !bytes.Equal(hash, k.Hash):
		return Hit{}, false, ErrReused.New()
	case h.Status == 0:
		return Hit{}, false, ErrFlight.New()
	}
	return h, true, nil
}

// Done keeps what came of the request, in the transaction that claimed the key.
func Done(ctx context.Context, tx db.Tx, k Key, status int, resource string) error {
	n, err := tx.Exec(ctx, `UPDATE idempotency SET status = $5, resource = $6
		WHERE tenant_id = $1 AND actor = $2 AND op = $3 AND key = $4`, tx.Tenant(), k.Actor, k.Op, k.Key, status, resource)
	if err != nil {
		return fmt.Errorf("idem: done: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("idem: done without claim: %s", k.Op)
	}
	return nil
}

// HashOf is the SHA-256 of v's canonical JSON: object keys sorted, no white space. v is
// the decoded request, so it can always be written as JSON.
func HashOf(v any) []byte {
	sum := sha256.Sum256(canonical(v))
	return sum[:]
}

func canonical(v any) []byte {
	first, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("idem: input is no JSON: %v", err)) // a programming error: inputs come from JSON
	}
	// Numbers keep their digits; maps come out sorted.
	dec := json.NewDecoder(bytes.NewReader(first))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		panic(fmt.Sprintf("idem: own JSON cannot be read: %v", err))
	}
	out, err := json.Marshal(plain)
	if err != nil {
		panic(fmt.Sprintf("idem: own JSON cannot be written: %v", err))
	}
	return out
}

// Sweep forgets keys that are older than Keep, in batches, and says how many.
func Sweep(ctx context.Context, d *db.DB, now time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		err := d.WriteAll(ctx, func(ctx context.Context, tx db.Tx) (err error) {
			n, err = tx.Exec(ctx, `-- global: a sweep over all tenants
				DELETE FROM idempotency WHERE (tenant_id, actor, op, key) IN
				(SELECT tenant_id, actor, op, key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2)`,
				now.Add(-Keep).UnixMicro(), sweepBatch)
			return err
		})
		total += n
		if err != nil || n < sweepBatch {
			return total, err
		}
	}
}
