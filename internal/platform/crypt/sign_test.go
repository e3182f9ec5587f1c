package crypt

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"xinglin/internal/platform/db"
)

// TestSigners: a tenant has one SM2 and one P-256 key, the same in every process and
// under either cipher, and no other tenant's; the sealing keys are untouched by them.
func TestSigners(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tenant, other := newTenant(), newTenant()
		message := []byte("a head")
		var first []Signer
		for _, alg := range []string{"", "sm4-gcm", ""} {
			r := b.ring(t, alg)
			f := field(tenant, newPerson())
			sealed := must(r.Seal(t.Context(), f, []byte("x")))(t)
			got := must(r.Signers(t.Context(), tenant, 1))(t)
			if len(got) != 2 {
				t.Fatalf("%d signers", len(got))
			}
			if first == nil {
				first = got
			}
			for i, s := range got {
				if !bytes.Equal(s.Public(), first[i].Public()) {
					t.Errorf("%s: another key %d", alg, i)
				}
				verify(t, s.Public(), message, must(s.Sign(message))(t), i == 0)
			}
			if plain := must(r.Open(t.Context(), f, sealed))(t); string(plain) != "x" {
				t.Errorf("%q", plain)
			}
		}
		theirs := must(b.ring(t, "").Signers(t.Context(), other, 1))(t)
		if bytes.Equal(theirs[0].Public(), first[0].Public()) || bytes.Equal(theirs[1].Public(), first[1].Public()) {
			t.Error("two tenants share a key")
		}
	})
}

func verify(t *testing.T, der, message, sig []byte, national bool) {
	t.Helper()
	pub, ok := must(smx509.ParsePKIXPublicKey(der))(t).(*ecdsa.PublicKey)
	if !ok || (pub.Curve == sm2.P256()) != national {
		t.Fatalf("key of %T", pub)
	}
	digest := sha256.Sum256(message)
	good := func(m []byte) bool {
		if national {
			return sm2.VerifyASN1WithSM2(pub, nil, m, sig)
		}
		digest = sha256.Sum256(m)
		return ecdsa.VerifyASN1(pub, digest[:], sig)
	}
	if !good(message) || good([]byte("another")) {
		t.Error("the signature")
	}
}

// TestSignerGenerations: the next generation is another key, the one before goes on
// signing, and a process that has not heard of it finds it.
func TestSignerGenerations(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tenant := newTenant()
		old, other := b.ring(t, ""), b.ring(t, "")
		first := must(old.Signers(t.Context(), tenant, 1))(t)
		must(other.Signers(t.Context(), tenant, 1))(t)
		second := must(old.Signers(t.Context(), tenant, 2))(t)
		for i := range second {
			if bytes.Equal(first[i].Public(), second[i].Public()) {
				t.Errorf("key %d is the one before", i)
			}
		}
		for generation, want := range map[int][]Signer{1: first, 2: second} {
			for i, s := range must(other.Signers(t.Context(), tenant, generation))(t) {
				if !bytes.Equal(s.Public(), want[i].Public()) {
					t.Errorf("generation %d, key %d differs", generation, i)
				}
				verify(t, s.Public(), []byte("m"), must(s.Sign([]byte("m")))(t), i == 0)
			}
		}
	})
}

// TestSignersRace: many processes at once make one key of each kind.
func TestSignersRace(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tenant := newTenant()
		out := make(chan string, 8)
		for range cap(out) {
			r := b.ring(t, "")
			go func() {
				s, err := r.Signers(context.Background(), tenant, 1)
				if err != nil || len(s) != 2 {
					out <- "failed"
					return
				}
				out <- string(s[0].Public()) + string(s[1].Public())
			}()
		}
		want := <-out
		for range cap(out) - 1 {
			if got := <-out; got != want {
				t.Error("two processes have different keys")
			}
		}
	})
}

// TestSigningKeysAreWrapped: nothing of a private key lies open in the store.
func TestSigningKeysAreWrapped(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tenant := newTenant()
		r := b.ring(t, "")
		must(r.Signers(t.Context(), tenant, 1))(t)
		err := r.read(t.Context(), tenant, func(ctx context.Context, tx db.Tx) error {
			var n int
			if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM tenant_key WHERE tenant_id = $1 AND kind IN ('sign_sm2', 'sign_p256')", tenant).Scan(&n); err != nil || n != 2 {
				t.Errorf("%d rows, %v", n, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		rows := must(r.tenantRows(t.Context(), tenant))(t)
		for _, v := range rows {
			if !signs(v.kind) {
				continue
			}
			k := must(r.root().unwrap(tenant, v))(t)
			if bytes.Contains(v.wrapped, k.raw[len(k.raw)-16:]) || k.aead != nil {
				t.Errorf("%s lies open", v.kind)
			}
		}
	})
}
