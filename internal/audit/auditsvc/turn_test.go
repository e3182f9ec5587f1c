package auditsvc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/trail"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// cli is the operator at the machine.
func (b *bench) cli() context.Context { return testkit.AsCLI(b.t.Context(), b.tenant()) }

func (b *bench) life() tlog.Lineage {
	b.t.Helper()
	l, _, err := b.s.Life(context.Background(), b.tenant())
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

func (b *bench) rotate() (audit.Head, tlog.Lineage) {
	b.t.Helper()
	h, life, err := b.s.RotateKeys(b.cli())
	if err != nil {
		b.t.Fatal(err)
	}
	return h, life
}

// TestRotateKeys: the old keys sign the change, which stands in the log; heads of either
// time hold under the keys of their time, and whoever was told either can check all of it.
func TestRotateKeys(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if _, _, err := b.s.RotateKeys(b.cli()); !errors.Is(err, audit.ErrNoLog) {
			t.Fatalf("an empty log: %v", err)
		}
		b.collect(rows(apitest.Main, 40))
		first := b.sign()
		before := b.life()
		b.collect(rows(apitest.Main, 50)[40:])
		h, life := b.rotate()
		if h.Number != 3 || h.Size != 51 || life.Generation() != 2 || !life.Follows(before) || before.Follows(life) {
			t.Fatalf("%+v, generation %d", h, life.Generation())
		}
		if _, by, err := life.Open(h.Note); err != nil || !life.Current().All(by) {
			t.Errorf("the head behind: %v", err)
		}
		if _, _, err := before.All().Open(h.Note); err == nil {
			t.Error("the old keys signed the head behind the change")
		}
		b.collect(rows(apitest.Main, 60)[50:])
		last := b.sign()
		_, life = b.rotate()
		pins := []Pinned{pinned(first), pinned(h), pinned(last)}
		for name, ks := range map[string]tlog.Keys{"first": before.All(), "one of the first": before.All()[1:], "last": life.Current(), "none": nil} {
			rep := b.clean(Pins{Keys: ks, KeysOf: name, Heads: pins})
			if rep.Outside != 3 || rep.Heads != 5 || len(rep.Told) != 2 || !strings.Contains(rep.Told[0], "keys of generation 2") {
				t.Errorf("%s: %+v", name, rep)
			}
		}
		for _, ks := range []tlog.Keys{before.All()[:1], life.Current()[1:]} {
			var file bytes.Buffer
			if _, err := b.s.Export(t.Context(), apitest.Main, 0, 0, &file); err != nil {
				t.Fatal(err)
			}
			rep, err := tlog.VerifyBundle(&file, tlog.Trust{Keys: ks}, nil)
			if err != nil || rep.Earlier != 4 {
				t.Errorf("bundle: %+v %v", rep, err)
			}
		}
		v := b.Do(b.boss, "GET", "/audit/log", nil).Want(t, 200).Map(t)
		if changes := v["key_changes"].([]any); len(changes) != 2 || v["generation"] != 3.0 || changes[0].(map[string]any)["from_head"] != 3.0 {
			t.Errorf("%v", v)
		}
	})
}

// TestWhoTurnsTheLog: the machine's operator alone, and each turn is an act.
func TestWhoTurnsTheLog(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collect(rows(apitest.Main, 4))
		h := b.sign()
		before := b.count("trail", apitest.Main)
		for _, role := range []auth.Role{auth.AuditAdmin, auth.SystemAdmin, auth.SecurityAdmin, auth.Operator} {
			as := testkit.As(t.Context(), apitest.Staff(apitest.Main, role))
			if _, _, err := b.s.RotateKeys(as); !errors.Is(err, authz.ErrDenied) {
				t.Errorf("%s rotates: %v", role, err)
			}
			if _, err := b.s.BeginAnew(as, Known{h.Note, b.life()}); !errors.Is(err, authz.ErrDenied) {
				t.Errorf("%s begins: %v", role, err)
			}
		}
		if n := b.count("trail", apitest.Main); n != before {
			t.Errorf("refusals left %d rows", n-before)
		}
		b.rotate()
		if n := b.count("trail", apitest.Main); n != before+1 {
			t.Errorf("a rotation left %d rows", n-before)
		}
	})
}

// TestRotateRace: of many who change the keys at once, each change follows from the one
// before, whoever signs meanwhile.
func TestRotateRace(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collect(rows(apitest.Main, 5))
		b.sign()
		mine := rows(apitest.Main, 100)
		var all sync.WaitGroup
		done := make(chan bool, 6)
		for i := range cap(done) {
			all.Go(func() {
				_, _, err := b.s.RotateKeys(b.cli())
				if err != nil && !errors.Is(err, audit.ErrRotated) {
					t.Error(err)
				}
				done <- err == nil
			})
			all.Go(func() {
				if err := b.s.Collect(context.Background(), "shelf", mine[10*i:10*i+10]); err != nil {
					t.Error(err)
				}
				if _, err := b.s.sign(context.Background(), b.tenant(), nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		close(done)
		n := 0
		for ok := range done {
			if ok {
				n++
			}
		}
		b.sign()
		if g := b.life().Generation(); n == 0 || g != n+1 {
			t.Errorf("%d changes, generation %d", n, g)
		}
		b.clean(Pins{})
	})
}

type thief struct{ key *ecdsa.PrivateKey }

func (s thief) Public() []byte {
	der, err := smx509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		panic(err)
	}
	return der
}

func (s thief) Sign(m []byte) ([]byte, error) {
	d := sha256.Sum256(m)
	return ecdsa.SignASN1(rand.Reader, s.key, d[:])
}

// TestForgedRotation: somebody with the whole database, but without the log's keys, writes
// a change to his own ones and signs on.
func TestForgedRotation(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collect(rows(apitest.Main, 20))
		good := b.sign()
		trusted := b.keys()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		own := []tlog.Signer{thief{key}}
		ks, err := tlog.KeysOf(own[0].Public())
		if err != nil {
			t.Fatal(err)
		}
		text, err := tlog.SignRotation(tlog.Rotation{Log: origin(apitest.Main), Generation: 2, From: 2, At: good.At, Old: trusted, New: ks}, own)
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.s.store.chain(t.Context(), b.base.DB, apitest.Main)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := b.s.store.rotate(b.cli(), b.base.DB, apitest.Main, c.state, rotation{text, ks, good.At}, trail.Entry{Action: "audit.rotate_keys", Noun: "AuditLog", Policy: "audit.command_line"})
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		root, err := b.s.store.rootAt(t.Context(), b.base.DB, apitest.Main, 21)
		if err != nil {
			t.Fatal(err)
		}
		note, err := tlog.Sign(tlog.Head{Origin: origin(apitest.Main), Number: 2, Size: 21, Root: root, At: good.At}, own)
		if err != nil {
			t.Fatal(err)
		}
		st := c.state
		st.generation = 2
		if ok, err = b.s.store.putHead(t.Context(), b.base.DB, apitest.Main, signed{number: 2, size: 21, at: good.At, note: note}, st, ks, nil); err != nil || !ok {
			t.Fatal(ok, err)
		}
		for name, pins := range map[string]Pins{"given keys": {Keys: trusted, Heads: []Pinned{pinned(good)}}, "no keys": {}} {
			rep := b.inspect(pins)
			if got := strings.Join(rep.Findings, "\n"); !strings.Contains(got, "entry 20: the change of keys is false") || !strings.Contains(got, "head 2 is not signed by the log's keys") {
				t.Errorf("%s: %s", name, got)
			}
		}
		// With its beginning forged too, the database alone believes itself; the keys that were handed over do not.
		b.do("DELETE FROM log_key WHERE tenant_id = $1 AND generation = 1")
		if rep := b.inspect(Pins{Keys: trusted}); rep.Clean() {
			t.Error("not found")
		}
		if _, err := b.s.sign(t.Context(), apitest.Main, nil); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("signed over it: %v", err)
		}
	})
}

// setBack is a log whose database was restored: 30 entries under its own last head, 45
// under the one that left the house.
func (b *bench) setBack(o *outside) Known {
	b.t.Helper()
	mine := rows(apitest.Main, 60)
	b.collect(mine[:30])
	b.sign()
	b.collect(mine[:45])
	lost := b.sign()
	life := b.life()
	if o != nil {
		if err := o.Write(lost.Note, life); err != nil {
			b.t.Fatal(err)
		}
	}
	tile := b.tile(30)
	b.do("DELETE FROM log_head WHERE tenant_id = $1 AND number = 2", "DELETE FROM audit_event WHERE tenant_id = $1 AND position >= 30",
		"UPDATE log_state SET size = 30, heads = 1 WHERE tenant_id = $1")
	err := b.base.DB.Write(context.Background(), b.tenant(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE log_tile SET nodes = $2 WHERE tenant_id = $1 AND level = 0 AND place = 0", tx.Tenant(), tile)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return Known{lost.Note, life}
}

// tile is the lowest tile at an earlier size.
func (b *bench) tile(size int) (nodes []byte) {
	b.t.Helper()
	err := b.base.DB.Read(context.Background(), b.tenant(), func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT nodes FROM log_tile WHERE tenant_id = $1 AND level = 0 AND place = 0", tx.Tenant()).Scan(&nodes)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return nodes[:size*2*merkle.HashSize]
}

// TestBeginAnew: a log that was set back is not signed under its name; it begins anew
// under another, and says which head is lost.
func TestBeginAnew(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		o := &outside{}
		b.s.UseOutside(o, nil)
		known := b.setBack(o)
		lost, _, err := tlog.Parse(known.Note)
		if err != nil {
			t.Fatal(err)
		}
		pin := Pinned{Origin: lost.Origin, Number: lost.Number, Size: lost.Size, Root: lost.Root, Source: "anchor", Line: 2}
		b.collect(rows(apitest.Main, 35)[30:]) // others than were there
		if _, err := b.s.sign(t.Context(), apitest.Main, nil); !errors.Is(err, audit.ErrSetBack) {
			t.Fatalf("signed a fork: %v", err)
		}
		if rep := b.inspect(Pins{Heads: []Pinned{pin}}); rep.Clean() {
			t.Fatal("not found")
		}
		h, err := b.s.BeginAnew(b.cli(), known)
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := b.life().Open(h.Note)
		if err != nil || p.Origin != origin(apitest.Main)+"/2" || p.Number != 2 || p.Size != 36 {
			t.Fatalf("%+v %v", p, err)
		}
		first := pinned(audit.Head{Number: 1, Note: b.note(1)})
		rep := b.clean(Pins{Keys: b.keys(), Heads: []Pinned{first, pin, pinned(h)}})
		if rep.Outside != 2 || rep.Lost != 1 || len(rep.Told) != 1 || !strings.Contains(rep.Told[0], "head 2 of 45 entries was known and 30 entries are kept") {
			t.Errorf("%+v", rep)
		}
		if _, err := b.s.BeginAnew(b.cli(), known); !errors.Is(err, audit.ErrOtherLog) {
			t.Errorf("again: %v", err)
		}
		if _, err := b.s.BeginAnew(b.cli(), Known{h.Note, b.life()}); !errors.Is(err, audit.ErrFitting) {
			t.Errorf("with its own head: %v", err)
		}
		b.collect(rows(apitest.Main, 50))
		b.rotate()
		for name, bad := range map[string]Pinned{
			"a later head of the log before": {Origin: lost.Origin, Number: 3, Size: 46, Root: lost.Root},
			"another of that size":           {Origin: lost.Origin, Number: 2, Size: 45, Root: merkle.Leaf([]byte("x"))},
			"what is kept":                   {Origin: lost.Origin, Number: 1, Size: 30, Root: lost.Root},
			"of a beginning after":           {Origin: origin(apitest.Main) + "/3", Number: 9, Size: 90, Root: lost.Root},
			"the new one, longer":            {Origin: origin(apitest.Main) + "/2", Number: 9, Size: 900, Root: lost.Root},
		} {
			bad.Source = "anchor"
			if rep := b.inspect(Pins{Heads: []Pinned{bad}}); rep.Clean() {
				t.Errorf("%s is not found", name)
			}
		}
		b.clean(Pins{Heads: []Pinned{first, pin, pinned(h)}})
		v := b.Do(b.boss, "GET", "/audit/log", nil).Want(t, 200).Map(t)
		begun, ok := v["beginnings"].([]any)
		if !ok || len(begun) != 1 || v["beginning"] != 2.0 || begun[0].(map[string]any)["lost_size"] != 45.0 || begun[0].(map[string]any)["kept"] != 30.0 {
			t.Errorf("%v", v)
		}
	})
}

func (b *bench) note(number int64) (text string) {
	b.t.Helper()
	err := b.base.DB.Read(context.Background(), b.tenant(), func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, "SELECT note FROM log_head WHERE tenant_id = $1 AND number = $2", tx.Tenant(), number).Scan(&text)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// TestBeginAnewRefusals: a head of another log, one that fits, and a log whose rows were
// changed.
func TestBeginAnewRefusals(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collect(rows(apitest.Main, 9))
		h := b.sign()
		fits := Known{h.Note, b.life()}
		if _, err := b.s.BeginAnew(b.cli(), fits); !errors.Is(err, audit.ErrFitting) {
			t.Errorf("fits: %v", err)
		}
		b.collect(rows(apitest.Other, 9))
		other, err := b.s.sign(t.Context(), apitest.Other, nil)
		if err != nil {
			t.Fatal(err)
		}
		theirs, _, err := b.s.Life(t.Context(), apitest.Other)
		if err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string]Known{"another tenant's": {other.Note, theirs}, "its keys": {h.Note, theirs}, "no keys": {h.Note, tlog.Lineage{}}, "nothing": {}} {
			if _, err := b.s.BeginAnew(b.cli(), k); !errors.Is(err, audit.ErrOtherLog) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := b.count("log_leaf", apitest.Main); n != 0 {
			t.Errorf("refusals left %d entries", n)
		}
		b.do("UPDATE log_head SET note = replace(note, 'number 1', 'number 5') WHERE tenant_id = $1")
		if _, err := b.s.BeginAnew(b.cli(), fits); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("a changed head: %v", err)
		}
	})
}
