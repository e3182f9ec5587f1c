package auditsvc

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/trail"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

func (b *bench) as() context.Context { return testkit.As(b.t.Context(), b.boss) }

// system is a job of the tenant.
func (b *bench) system() context.Context { return testkit.AsSystem(b.t.Context(), b.tenant(), "job") }

func (b *bench) sign() audit.Head {
	b.t.Helper()
	h, err := b.s.sign(b.t.Context(), b.tenant(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

func (b *bench) inspect(pins Pins) Inspection {
	b.t.Helper()
	rep, err := b.s.Inspect(b.t.Context(), b.tenant(), pins)
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

func (b *bench) clean(pins Pins) Inspection {
	b.t.Helper()
	rep := b.inspect(pins)
	if !rep.Clean() {
		b.t.Fatalf("found %q", rep.Findings)
	}
	return rep
}

// do runs statements by hand, as somebody with the database's password would.
func (b *bench) do(statements ...string) {
	b.t.Helper()
	err := b.base.DB.Write(context.Background(), b.tenant(), func(ctx context.Context, tx db.Tx) error {
		for _, text := range statements {
			if _, err := tx.Exec(ctx, text, tx.Tenant()); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) keys() tlog.Keys {
	b.t.Helper()
	life, _, err := b.s.Life(context.Background(), b.tenant())
	if err != nil {
		b.t.Fatal(err)
	}
	return life.All()
}

func pinned(h audit.Head) Pinned {
	p, _, err := tlog.Parse(h.Note)
	if err != nil {
		panic(err)
	}
	return Pinned{Origin: p.Origin, Number: p.Number, Size: p.Size, Root: p.Root, Source: "anchor", Line: int(p.Number)}
}

// TestLogGrows: rows and other entries get positions in one order, heads are signed under
// both keys and grow from each other, and the same again changes nothing.
func TestLogGrows(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if _, err := b.s.SignHead(b.as()); !errors.Is(err, audit.ErrNoLog) {
			t.Fatalf("an empty log: %v", err)
		}
		mine := rows(apitest.Main, 700)
		b.collect(mine[:300])
		first := b.sign()
		leaf := audit.Leaf{Kind: "rx.prescription.v1", Ref: id.Random[id.Any](), Class: audit.Record, Data: `{"id":"1"}`}
		for range 2 {
			at, err := b.s.Append(b.t.Context(), apitest.Main, leaf)
			if err != nil || len(at) != 1 || at[0] != 300 {
				t.Fatal(at, err)
			}
		}
		b.collect(mine)
		b.collect(rows(apitest.Other, 5))
		second := b.sign()
		if first.Number != 1 || first.Size != 300 || second.Number != 2 || second.Size != 701 {
			t.Fatalf("%+v %+v", first, second)
		}
		if again := b.sign(); again.Number != 2 || again.Note != second.Note {
			t.Errorf("signed twice: %+v", again)
		}
		ks := b.keys()
		if len(ks) != 2 || ks[0].Algorithm != tlog.SM2 || ks[1].Algorithm != tlog.P256 {
			t.Fatalf("keys %v", ks)
		}
		for _, h := range []audit.Head{first, second} {
			p, by, err := ks.Open(h.Note)
			if err != nil || !ks.All(by) || p.Size != h.Size || p.Origin != origin(apitest.Main) {
				t.Errorf("%+v %v", p, err)
			}
		}
		path, err := b.s.store.consistency(b.t.Context(), b.base.DB, apitest.Main, 300, 701)
		if err != nil || merkle.VerifyConsistency(300, 701, path, pinned(first).Root, pinned(second).Root) != nil {
			t.Errorf("consistency: %v", err)
		}
		rep := b.clean(Pins{Heads: []Pinned{pinned(first), pinned(second)}})
		if rep.Entries != 701 || rep.Heads != 2 || rep.Outside != 2 || rep.Unsigned != 0 {
			t.Errorf("%+v", rep)
		}
	})
}

// TestAppendRefusals: what cannot stand in a log is refused, as is another text for the
// same entry.
func TestAppendRefusals(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		good := audit.Leaf{Kind: "rx.prescription.v1", Ref: id.Random[id.Any](), Class: audit.Record, Data: "x"}
		for name, change := range map[string]func(*audit.Leaf){
			"kind":     func(l *audit.Leaf) { l.Kind = "a b" },
			"no kind":  func(l *audit.Leaf) { l.Kind = "" },
			"ours":     func(l *audit.Leaf) { l.Kind = audit.KindDisposal },
			"event":    func(l *audit.Leaf) { l.Kind = audit.KindEvent },
			"ref":      func(l *audit.Leaf) { l.Ref = id.ID[id.Any]{} },
			"class":    func(l *audit.Leaf) { l.Class = "forever" },
			"NUL":      func(l *audit.Leaf) { l.Data = "a\x00" },
			"no UTF-8": func(l *audit.Leaf) { l.Data = "a\xff" },
			"large":    func(l *audit.Leaf) { l.Data = strings.Repeat("x", tlog.MaxData+1) },
		} {
			l := good
			change(&l)
			if _, err := b.s.Append(b.t.Context(), apitest.Main, l); !errors.Is(err, audit.ErrLeaf) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := b.s.Append(b.t.Context(), audit.TenantID{}, good); !errors.Is(err, audit.ErrLeaf) {
			t.Errorf("no tenant: %v", err)
		}
		if _, err := b.s.Append(b.t.Context(), apitest.Main, make([]audit.Leaf, maxLeaves+1)...); !errors.Is(err, audit.ErrLeaf) {
			t.Errorf("too many: %v", err)
		}
		if at, err := b.s.Append(b.t.Context(), apitest.Main); err != nil || at != nil {
			t.Error(at, err)
		}
		if _, err := b.s.Append(b.t.Context(), apitest.Main, good); err != nil {
			t.Fatal(err)
		}
		other := good
		other.Data = "y"
		if _, err := b.s.Append(b.t.Context(), apitest.Main, audit.Leaf{Kind: "rx.x.v1", Ref: id.Random[id.Any](), Class: audit.Record, Data: "z"}, other); !errors.Is(err, audit.ErrDiffers) {
			t.Errorf("another text: %v", err)
		}
		if n := b.count("log_leaf", apitest.Main); n != 1 {
			t.Errorf("a refused batch left %d rows", n)
		}
		b.clean(Pins{})
	})
}

// TestGrowRace: many at once, each entry has one position and the tree is one.
func TestGrowRace(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 120)
		var work sync.WaitGroup
		var mu sync.Mutex
		heads := map[int64]string{}
		for i := range 12 {
			work.Go(func() {
				if err := b.s.Collect(context.Background(), "shelf", mine[i*10:min(i*10+20, 120)]); err != nil {
					t.Error(err)
				}
				h, err := b.s.sign(context.Background(), apitest.Main, nil)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if was, ok := heads[h.Number]; ok && was != h.Note {
					t.Errorf("two heads %d", h.Number)
				}
				heads[h.Number] = h.Note
			})
		}
		work.Wait()
		b.sign()
		if rep := b.clean(Pins{}); rep.Size != 120 || rep.Entries != 120 || rep.Unsigned != 0 {
			t.Errorf("%+v", rep)
		}
	})
}

// attack is something done to the database by hand; want is in the first finding.
type attack struct {
	name string
	do   []string
	want string
}

// attacks are things done to the database by hand.
func attacks(e db.Engine) []attack {
	swap := `UPDATE log_tile SET nodes = (SELECT t.nodes FROM log_tile t WHERE t.tenant_id = $1 AND t.level = 0 AND t.place = 1) WHERE tenant_id = $1 AND level = 0 AND place = 0`
	noIndex := "DROP INDEX audit_event_position"
	if e == db.Postgres { // the login role may not
		noIndex = ""
	}
	const mine = " WHERE tenant_id = $1 AND position = "
	out := []attack{
		{"edit", []string{"UPDATE audit_event SET actor = 'staff:9'" + mine + "17"}, "entry 17 (event"},
		{"edit what changed", []string{`UPDATE audit_event SET changed = '["phone"]'` + mine + "17"}, "entry 17 (event"},
		{"edit the instant", []string{"UPDATE audit_event SET at = at + 1" + mine + "17"}, "entry 17 (event"},
		{"edit the class", []string{"UPDATE audit_event SET class = 'record'" + mine + "3"}, "entry 3 (event"},
		{"edit another entry", []string{"UPDATE log_leaf SET data = 'other' WHERE tenant_id = $1"}, "entry 600 (rx.prescription.v1"},
		{"delete", []string{"DELETE FROM audit_event" + mine + "17"}, "entry 17 is missing"},
		{"delete and close the gap", append([]string{"DELETE FROM audit_event" + mine + "17"}, shift("audit_event", ">", 17, -1)...), "entry 17 (event"},
		{"insert behind", []string{insert(601)}, "entry 601"},
		{"insert between", append(shift("audit_event", ">=", 17, 1), insert(17)), "entry 17 (event"},
		{"reorder", []string{
			"UPDATE audit_event SET position = -1" + mine + "17", "UPDATE audit_event SET position = 17" + mine + "18", "UPDATE audit_event SET position = 18" + mine + "-1",
		}, "entry 17 (event"},
		{"truncate rows", []string{"DELETE FROM audit_event WHERE tenant_id = $1 AND position >= 500", "DELETE FROM log_leaf WHERE tenant_id = $1"}, "entry 500 is missing"},
		{"truncate rows and size", []string{
			"DELETE FROM audit_event WHERE tenant_id = $1 AND position >= 500", "DELETE FROM log_leaf WHERE tenant_id = $1", "UPDATE log_state SET size = 500 WHERE tenant_id = $1",
		}, "the first missing entry is 500"},
		{"set the size back", []string{"UPDATE log_state SET size = 500 WHERE tenant_id = $1"}, "the first missing entry is 500"},
		{"truncate with heads", []string{
			"DELETE FROM audit_event WHERE tenant_id = $1 AND position >= 300", "DELETE FROM log_leaf WHERE tenant_id = $1", "UPDATE log_state SET size = 300, heads = 1 WHERE tenant_id = $1",
			"DELETE FROM log_head WHERE tenant_id = $1 AND number > 1", "DELETE FROM log_tile WHERE tenant_id = $1 AND level = 0 AND place > 1",
		}, "the first missing entry is 300"},
		{"delete all", []string{
			"DELETE FROM audit_event WHERE tenant_id = $1", "DELETE FROM log_leaf WHERE tenant_id = $1", "DELETE FROM log_state WHERE tenant_id = $1",
			"DELETE FROM log_head WHERE tenant_id = $1", "DELETE FROM log_tile WHERE tenant_id = $1",
		}, "the first missing entry is 0"},
		{"delete a head", []string{"DELETE FROM log_head WHERE tenant_id = $1 AND number = 1"}, "head 1 is missing"},
		{"delete the last head", []string{"DELETE FROM log_head WHERE tenant_id = $1 AND number = 2"}, "heads 2 to 2 are missing"},
		{"edit a head", []string{"UPDATE log_head SET note = replace(note, 'number 1', 'number 3') WHERE tenant_id = $1 AND number = 1"}, "head 1 is not signed"},
		{"change the tree", []string{swap}, "entry 0 (event"},
		{"change the upper tree", []string{"DELETE FROM log_tile WHERE tenant_id = $1 AND level = 1"}, "the tree was changed"},
	}
	if noIndex != "" {
		out = append(out, attack{"insert beside", []string{noIndex, insert(17)}, "entry 17 stands there 2 times"})
	}
	return out
}

// insert writes an invented act at a position.
func insert(at int) string {
	return fmt.Sprintf(`INSERT INTO audit_event SELECT tenant_id, %s, at, context, actor, action, noun, object, policy, why, changed, origin, trace, number, class, collected_at, %d
		FROM audit_event WHERE tenant_id = $1 AND position = 4`, "$2", at)
}

// shift moves the rows at and behind a position by one, past the unique index.
func shift(table, from string, at, by int) []string {
	return []string{
		fmt.Sprintf("UPDATE %s SET position = -1000000 - position WHERE tenant_id = $1 AND position %s %d", table, from, at),
		fmt.Sprintf("UPDATE %s SET position = -1000000 - position + %d WHERE tenant_id = $1 AND position < -1000", table, by),
	}
}

// TestAttacks is Proof 4: whatever is done to the rows by hand is found, and the first
// bad entry is named. Each attack has a tenant of its own.
func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, a := range attacks(b.base.DB.Engine()) {
			t.Run(a.name, func(t *testing.T) {
				b := &bench{Harness: b.Harness, t: t, s: b.s, base: b.base, clk: b.clk, own: id.Random[auth.Tenant]()}
				mine := rows(b.own, 600)
				b.collect(mine[:300])
				first := b.sign()
				b.collect(mine)
				if _, err := b.s.Append(t.Context(), b.own, audit.Leaf{Kind: "rx.prescription.v1", Ref: id.Random[id.Any](), Class: audit.Record, Data: "x"}); err != nil {
					t.Fatal(err)
				}
				second := b.sign()
				pins := Pins{Heads: []Pinned{pinned(first), pinned(second)}}
				b.clean(pins)
				for _, text := range a.do {
					b.byHand(text)
				}
				rep := b.inspect(pins)
				if rep.Clean() || !strings.Contains(rep.Findings[0], a.want) {
					t.Fatalf("found %q, want %q", rep.Findings, a.want)
				}
			})
		}
	})
}

// byHand runs one statement; $2 is a new id.
func (b *bench) byHand(text string) {
	b.t.Helper()
	err := b.base.DB.Write(context.Background(), b.tenant(), func(ctx context.Context, tx db.Tx) error {
		var args []any
		if strings.Contains(text, "$1") {
			args = append(args, tx.Tenant())
		}
		if strings.Contains(text, "$2") {
			args = append(args, id.Random[id.Any]())
		}
		n, err := tx.Exec(ctx, text, args...)
		if err == nil && n == 0 && len(args) > 0 {
			err = errors.New("no row was changed")
		}
		return err
	})
	if err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
}

// TestRollBack: a database that was set back whole is consistent in itself; what lies
// outside of it shows it, also after it went on another way.
func TestRollBack(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 40)
		b.collect(mine[:10])
		first := b.sign()
		b.collect(mine[:20])
		second := b.sign()
		pins := Pins{Heads: []Pinned{pinned(first), pinned(second)}}
		b.clean(pins)
		b.do("DELETE FROM audit_event WHERE tenant_id = $1 AND position >= 10", "UPDATE log_state SET size = 10, heads = 1 WHERE tenant_id = $1",
			"DELETE FROM log_head WHERE tenant_id = $1 AND number > 1")
		b.clean(Pins{}) // nothing inside tells
		if rep := b.inspect(pins); rep.Clean() || !strings.Contains(rep.Findings[0], "head 2 (anchor line 2) signed 20 entries and the database has 10") {
			t.Errorf("set back: %q", rep.Findings)
		}
		b.clk.Add(time.Second)
		b.collect(mine[25:40])
		b.sign()
		rep := b.inspect(pins)
		if rep.Clean() || !strings.Contains(rep.Findings[0], "head 2 (anchor line 2) signed other entries: the first that was changed is one of 10 to 19") {
			t.Errorf("went on another way: %q", rep.Findings)
		}
	})
}

// TestNeverSignedOver: a log that does not fit its last head gets no new one.
func TestNeverSignedOver(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for name, text := range map[string]string{
			"tree":  "DELETE FROM log_tile WHERE tenant_id = $1",
			"size":  "UPDATE log_state SET size = 20 WHERE tenant_id = $1",
			"heads": "DELETE FROM log_head WHERE tenant_id = $1",
			"note":  "UPDATE log_head SET note = replace(note, 'sm3 ', 'sm4 ') WHERE tenant_id = $1",
			"count": "UPDATE log_state SET heads = 7 WHERE tenant_id = $1",
		} {
			t.Run(name, func(t *testing.T) {
				b := &bench{t: t, s: b.s, base: b.base, own: id.Random[auth.Tenant]()}
				b.collect(rows(b.own, 30))
				b.sign()
				b.do(text)
				if err := b.s.signJob(b.system(), struct{}{}); !errors.Is(err, audit.ErrBroken) {
					t.Errorf("signed: %v", err)
				}
			})
		}
	})
}

// TestOneText: the text of an event is the same from the trail and from either database,
// and it is this one: it may never change.
func TestOneText(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := trail.Row{
			Tenant: apitest.Main, ID: id.Must[trail.Act]("0190aaaa-0000-7000-8000-000000000001"), At: testkit.Start, Actor: "staff:1", Action: "shelf.put", Noun: "Book",
			Object: "o-1", Policy: "shelf.own", Why: "a <b> & \"c\" 中", Changed: json.RawMessage(`{"z": {"to":"2", "from":"1"},"a":{"from":"","to":"<"}}`), Origin: "http 192.0.2.1", Trace: "t", Number: "REG-1",
		}
		b.collect([]trail.Row{r})
		b.sign()
		p, err := b.s.Proof(b.as(), id.As[id.Any](r.ID))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"id":"0190aaaa-0000-7000-8000-000000000001","at_us":1772413200000000,"context":"shelf","actor":"staff:1","action":"shelf.put","noun":"Book","object":"o-1",` +
			`"policy":"shelf.own","why":"a <b> & \"c\" 中","changed":{"a":{"from":"","to":"<"},"z":{"from":"1","to":"2"}},"origin":"http 192.0.2.1","trace":"t","number":"REG-1",` +
			`"class":"operation","collected_at_us":1772413200000000}`
		if p.Kind != "audit.event.v1" || p.Data != want {
			t.Errorf("%s\n%s", p.Kind, p.Data)
		}
	})
}

// outside records what leaves the house.
type outside struct {
	notes []string
	fail  error
	key   ed25519.PrivateKey
}

func (o *outside) Write(note string, _ tlog.Lineage) error {
	o.notes = append(o.notes, note)
	return nil
}

func (o *outside) Last(origin string) string {
	for i := len(o.notes) - 1; i >= 0; i-- {
		if h, _, err := tlog.Parse(o.notes[i]); err == nil && h.Origin == origin {
			return o.notes[i]
		}
	}
	return ""
}

func (o *outside) Key() ed25519.PublicKey { return o.key.Public().(ed25519.PublicKey) }

func (o *outside) Cosign(ctx context.Context, note string, _ tlog.Lineage, prove func(context.Context, uint64) ([]merkle.Node, error)) (string, error) {
	if o.fail != nil {
		return "", o.fail
	}
	h, _, err := tlog.Parse(note)
	if err != nil {
		return "", err
	}
	if _, err := prove(ctx, 1); err != nil {
		return "", err
	}
	return tlog.Cosign(h, o.key, testkit.Start), nil
}

// TestAnchorJob: the head goes into the file, then the witness signs, and both know it;
// a witness that is away is asked again.
func TestAnchorJob(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		o := &outside{key: ed25519.NewKeyFromSeed(make([]byte, 32)), fail: errors.New("away")}
		b.s.UseOutside(o, o)
		if err := b.s.anchorJob(b.system(), struct{}{}); err != nil || len(o.notes) != 0 {
			t.Fatalf("no head: %v", err)
		}
		b.collect(rows(apitest.Main, 9))
		h := b.sign()
		if err := b.s.anchorJob(b.system(), struct{}{}); err == nil || len(o.notes) != 1 || o.notes[0] != h.Note {
			t.Fatalf("witness away: %v, %d notes", err, len(o.notes))
		}
		o.fail = nil
		for range 2 {
			if err := b.s.anchorJob(b.system(), struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
		last := o.notes[len(o.notes)-1]
		if at, ok := tlog.Cosigned(last, o.Key()); !ok || !at.Equal(testkit.Start) {
			t.Errorf("not cosigned: %s", last)
		}
		v := b.Do(b.boss, "GET", "/audit/log", nil).Want(t, 200).Map(t)
		if w, _ := v["witnessed"].(map[string]any); w == nil || w["number"] != 1.0 || w["note"] != last {
			t.Errorf("%v", v["witnessed"])
		}
		b.clean(Pins{Heads: []Pinned{pinned(h)}})
	})
}
