package mask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/testkit/dbtest"
)

// ward is a context of these tests: beds with people in them, and a log that tells of another context.
const ward = `-- +goose Up
CREATE TABLE bed (
    tenant_id {{uuid}} NOT NULL, id {{uuid}} NOT NULL, next_id {{uuid}}, place {{text}} NOT NULL, who {{text}} NOT NULL, phone {{text}} NOT NULL, card {{text}} NOT NULL,
    home {{text}} NOT NULL, words {{text}} NOT NULL, mail {{text}} NOT NULL, hash {{bytes}} NOT NULL, secret {{bytes}}, at {{bigint}} NOT NULL,
    PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, next_id) REFERENCES bed (tenant_id, id)
){{strict}};
{{rls "bed"}}
CREATE TABLE gone (tenant_id {{uuid}} NOT NULL, id {{uuid}} NOT NULL, PRIMARY KEY (tenant_id, id)){{strict}};
{{rls "gone"}}
`

const auditText = `-- +goose Up
CREATE TABLE audit_event (
    tenant_id {{uuid}} NOT NULL, id {{uuid}} NOT NULL, at {{bigint}} NOT NULL, context {{text}} NOT NULL, actor {{text}} NOT NULL, action {{text}} NOT NULL, noun {{text}} NOT NULL,
    object {{text}} NOT NULL, policy {{text}} NOT NULL, why {{text}} NOT NULL, changed {{json}} NOT NULL, number {{text}} NOT NULL, PRIMARY KEY (tenant_id, id)
){{strict}};
{{rls "audit_event"}}
`

func setOf(name, text string) db.Set {
	return db.Set{Name: name, FS: fstest.MapFS{"0001_init.sql": {Data: []byte(text)}}}
}

func wardUnits() []Unit {
	return []Unit{
		{
			Context: "ward", Set: setOf("ward", ward),
			Data: dataclass.Schema{
				"bed": {
					dataclass.ID: "tenant_id id next_id", dataclass.Public: "place", dataclass.Name: "who", dataclass.Phone: "phone", dataclass.Number: "card",
					dataclass.Address: "home", dataclass.Text: "words", dataclass.Mail: "mail", dataclass.Secret: "hash", dataclass.Name.Sealed(): "secret", dataclass.Fact: "at",
				},
				"gone": {dataclass.ID: "tenant_id id"},
			},
			Rules: []Rule{
				{Table: "gone", Drop: true},
				{Table: "bed", Row: func(ctx context.Context, c *Copy, r *Row) error {
					sealed, err := c.Reseal(ctx, bedField(r.ID("id")), r.Bytes("secret"), func(n secret.Text) (secret.Text, error) { return c.Name(n, ""), nil })
					r.Set("secret", sealed)
					return err
				}},
			},
		},
		{
			Context: "log", Set: setOf("log", auditText),
			Data: dataclass.Schema{"audit_event": {
				dataclass.ID: "tenant_id id object number", dataclass.Fact: "at context action noun policy", dataclass.Actor: "actor", dataclass.Text: "why", dataclass.Record: "changed",
			}},
			Rules: []Rule{{Table: "audit_event", Row: AuditRow}},
		},
	}
}

var (
	here  = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
)

func bedField(bed id.ID[id.Any]) crypt.Field {
	return crypt.Field{Tenant: here, Table: "bed", Column: "secret", Row: bed.String()}
}

// house is a source, or what a copy goes into.
type house struct {
	dir  string
	srv  *db.Server
	ring *crypt.Ring
	ward *db.DB
}

func newHouse(t *testing.T) house {
	t.Helper()
	sets := []db.Set{crypt.Migrations()}
	for _, u := range wardUnits() {
		sets = append(sets, u.Set)
	}
	d := dbtest.Make(t, db.SQLite, sets)
	h := house{dir: d.Dir, srv: d.Open(t, func(o *db.Options) { o.Bulk = true })}
	keys, err := h.srv.Context(t.Context(), "keys")
	if err != nil {
		t.Fatal(err)
	}
	root := "file:" + filepath.Join(t.TempDir(), "root") // testkit's ring would bring this package in again
	if h.ring, err = crypt.Open(t.Context(), crypt.Options{DB: keys, Keys: root, Create: true, Clock: clock.NewManual(start)}); err != nil {
		t.Fatal(err)
	}
	if h.ward, err = h.srv.Context(t.Context(), "ward"); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h house) do(t *testing.T, owner, sql string, args ...any) {
	t.Helper()
	d, err := h.srv.Context(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	err = d.WriteAll(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// rows are all values of a table, a text a row.
func (h house) rows(t *testing.T, owner, table string) (out []string) {
	t.Helper()
	d, err := h.srv.Context(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	all, err := shapesOf(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(s shape) bool { return s.table == table })
	rows, err := rowsAfter(t.Context(), d, all[at], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		var parts []string
		for _, name := range all[at].columns {
			if v, isText := r.values[name].(string); isText {
				parts = append(parts, name+"="+v)
			} else if n, isInt := r.values[name].(int64); isInt {
				parts = append(parts, fmt.Sprintf("%s=%d", name, n))
			}
		}
		out = append(out, strings.Join(parts, "|"))
	}
	return out
}

const beds = 1203 // more than two pages

func fill(t *testing.T, h house) (ids []id.ID[id.Any]) {
	t.Helper()
	for i := range beds {
		ids = append(ids, id.New[id.Any](start.Add(time.Duration(i)*time.Second)))
	}
	for i, v := range ids {
		sealed, err := h.ring.Seal(t.Context(), bedField(v), []byte("张小三"))
		if err != nil {
			t.Fatal(err)
		}
		h.do(t, "ward", `INSERT INTO bed (tenant_id, id, next_id, place, who, phone, card, home, words, mail, hash, secret, at)
			VALUES ($1, $2, $3, '3楼', $4, $5, $6, '杏林路', '咳嗽', 'li@example.com', $7, $8, $9)`,
			here, v, ids[(i+1)%beds], "李"+string(rune('一'+i)), fmt.Sprintf("138%08d", i), fmt.Sprintf("C-%06d", i), v[:], sealed, start.UnixMicro())
		h.do(t, "ward", `INSERT INTO gone (tenant_id, id) VALUES ($1, $2)`, here, v)
	}
	return ids
}

func run(t *testing.T, from, to house, units []Unit, key string) (Result, error) {
	t.Helper()
	work, err := dbtest.Make(t, db.SQLite, []db.Set{Scratch()}).Open(t).Context(t.Context(), "mask")
	if err != nil {
		t.Fatal(err)
	}
	return Run(t.Context(), Options{From: from.srv, To: to.srv, FromKeys: from.ring, ToKeys: to.ring, Scratch: work, Units: units, Key: bytes.Repeat([]byte(key), 32), Progress: io.Discard})
}

func TestCopy(t *testing.T) {
	from, one, two := newHouse(t), newHouse(t), newHouse(t)
	ids := fill(t, from)
	act := func(n int) id.ID[trail.Act] { return id.New[trail.Act](start.Add(time.Duration(n) * time.Minute)) }
	first := act(1)
	from.do(t, "log", `INSERT INTO audit_event (tenant_id, id, at, context, actor, action, noun, object, policy, why, changed, number)
		VALUES ($1, $2, 1, 'ward', 'cli:zhangsan', 'ward.put', 'Bed', $3, 'p', '张三说的', '{"state":{"from":"free","to":"李四"}}', 'B-1')`, here, first, ids[0].String())
	parts := []trail.Part{{ID: act(2), Actor: "cli:lisi", Policy: "p", Origin: "http 10.0.0.1", Object: ids[1].String()}, {ID: act(3), Actor: "system:x", Policy: "p", Origin: "http 10.0.0.2"}}
	err := from.ward.Write(t.Context(), here, func(ctx context.Context, tx db.Tx) error {
		return trail.RecordAll(ctx, tx, trail.Entry{Action: "ward.put", Noun: "Bed", Changed: []string{"state"}}, parts)
	})
	if err != nil {
		t.Fatal(err)
	}
	from.do(t, "ward", `INSERT INTO job (tenant_id, id, kind, key, payload, run_at, state, attempts, max, owner, lease_until, error, trace, number, created_at)
		VALUES ($1, $2, 'ward.clean', 'k', '{}', 1, 'running', 1, 8, 'host-7', 5, 'bed of 张三', 't', '', 1)`, here, ids[0])
	from.do(t, "ward", `INSERT INTO outbox (tenant_id, id, name, payload, trace, number, created_at, incarnation, seq) VALUES ($1, $2, 'ward.bed.made.v1', x'5b5d', 't', '', 1, 'old', 7)`, here, ids[0])
	from.do(t, "ward", `INSERT INTO idempotency (tenant_id, actor, op, key, hash, at) VALUES ($1, 'a', 'o', '13800138000', x'00', 1)`, here)
	from.do(t, "ward", `INSERT INTO dead_letter (tenant_id, id, source, kind, payload, attempts, error, trace, number, created_at) VALUES ($1, $2, 'job', 'k', '{}', 1, '李四', '', '', 1)`, here, ids[0])

	res, err := run(t, from, one, wardUnits(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, from, two, wardUnits(), "k"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"bed", "gone", "trail", "job", "outbox", "idempotency", "dead_letter"} {
		a, b := one.rows(t, "ward", table), two.rows(t, "ward", table)
		if !slices.Equal(a, b) {
			t.Errorf("%s: two copies with one key differ", table)
		}
		for _, row := range a {
			for _, word := range []string{"杏林", "咳嗽", "example.com", "zhang", "lisi", "10.0.0", "host-7", "张三", "李四"} {
				if strings.Contains(row, word) {
					t.Fatalf("%s tells %s: %s", table, word, row)
				}
			}
			if !find(row, res.Known, true).none() {
				t.Fatalf("%s tells of somebody: %s", table, row)
			}
		}
		want := map[string]int{"bed": 500, "trail": 2, "job": 1, "outbox": 1}[table] // rows shows one page
		if len(a) != want {
			t.Errorf("%s: %d rows, want %d", table, len(a), want)
		}
	}
	if !strings.Contains(one.rows(t, "ward", "job")[0], "state=ready") || !strings.Contains(one.rows(t, "ward", "outbox")[0], "seq=0") {
		t.Error("what runs is given back, what left leaves again")
	}
	if res.Known.Len() < 2*beds || res.Rows < beds || !res.Known.has("13800000007") || !res.Known.has("张小三") {
		t.Errorf("%d known, %d rows", res.Known.Len(), res.Rows)
	}
	opened(t, one, ids)
	if err := one.srv.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Scan(t.Context(), one.dir, wardUnits(), res.Known)
	if err != nil || !rep.Clean() || rep.Rows < beds || rep.Tables < 9 || rep.Files < 3 {
		t.Errorf("%+v %v", rep, err)
	}
}

// opened looks into the sealed column under the copy's keys, and not under the source's.
func opened(t *testing.T, h house, ids []id.ID[id.Any]) {
	t.Helper()
	err := h.ward.ReadAll(t.Context(), func(ctx context.Context, tx db.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM bed b JOIN bed x ON x.tenant_id = b.tenant_id AND x.id = b.next_id WHERE b.tenant_id = $1`, here).Scan(&n); err != nil {
			return err
		}
		if n != beds {
			t.Errorf("%d of %d beds have their neighbour", n, beds)
		}
		return tx.QueryRow(ctx, `SELECT COUNT(DISTINCT phone) FROM bed WHERE tenant_id = $1`, here).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	err = h.ward.ReadAll(t.Context(), func(ctx context.Context, tx db.Tx) error {
		return tx.QueryRow(ctx, `SELECT secret FROM bed WHERE tenant_id = $1 AND id = $2`, here, ids[0]).Scan(&sealed)
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := h.ring.Open(t.Context(), bedField(ids[0]), sealed)
	if err != nil || !strings.Contains(string(plain), "某") {
		t.Errorf("%q %v", plain, err)
	}
}

func TestCopyRefusesWhatNobodyDeclared(t *testing.T) {
	from := newHouse(t)
	fill(t, from)
	for name, change := range map[string]func(u []Unit){
		"a column without a class":        func(u []Unit) { u[0].Data["bed"][dataclass.Fact] = "" },
		"a table without classes":         func(u []Unit) { delete(u[0].Data, "bed") },
		"a rule for a table that is none": func(u []Unit) { u[0].Rules = append(u[0].Rules, Rule{Table: "none"}) },
		"a sealed column without a rule":  func(u []Unit) { u[0].Rules = u[0].Rules[:1] },
		"a birth without a rule": func(u []Unit) {
			u[0].Data["bed"][dataclass.Fact] = ""
			u[0].Data["bed"][dataclass.Birth] = "at"
		},
	} {
		units := wardUnits()
		change(units)
		if _, err := run(t, from, newHouse(t), units, "k"); !errors.Is(err, ErrUndeclared) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCopyRefusesARowThatRefersToNone(t *testing.T) {
	from := newHouse(t)
	a, b := id.New[id.Any](start), id.New[id.Any](start)
	from.do(t, "ward", `INSERT INTO bed (tenant_id, id, next_id, place, who, phone, card, home, words, mail, hash, at) VALUES ($1, $2, $3, '', '', '', '', '', '', '', x'00', 1)`, here, a, b)
	if _, err := run(t, from, newHouse(t), wardUnits(), "k"); err == nil || !strings.Contains(err.Error(), "rows of bed refer to rows of bed that are not there") {
		t.Errorf("%v", err)
	}
}

// TestScanFindsWhatIsPlanted: in a row, in a sealed row's neighbour, packed, in a file, at the edge of a piece.
func TestScanFindsWhatIsPlanted(t *testing.T) {
	known := NewKnown([]byte("key"))
	known.Add(dataclass.Name, "欧阳建华")
	plant := map[string]func(t *testing.T, h house){
		"ward.bed.words": func(t *testing.T, h house) {
			h.do(t, "ward", `UPDATE bed SET words = '回电 13800138000' WHERE tenant_id = $1 AND id = (SELECT MIN(id) FROM bed WHERE tenant_id = $1)`, here)
		},
		"ward.bed.who": func(t *testing.T, h house) {
			h.do(t, "ward", `UPDATE bed SET who = '欧阳建华' WHERE tenant_id = $1`, here)
		},
		"ward.outbox.payload": func(t *testing.T, h house) {
			h.do(t, "ward", `INSERT INTO outbox (tenant_id, id, name, payload, trace, number, created_at) VALUES ($1, $1, 'x', $2, '', '', 1)`, here, []byte(`["`+real+`"]`))
		},
		"logs/serve.log": func(t *testing.T, h house) { write(t, h, "logs/serve.log", "phone=13800138000\n") },
		"broker/1.blk": func(t *testing.T, h house) {
			write(t, h, "broker/1.blk", strings.Repeat("x", chunk+overlap-6)+" 13800138000 "+strings.Repeat("x", 3*chunk))
		},
		"cut.bin": func(t *testing.T, h house) { write(t, h, "cut.bin", strings.Repeat("y", chunk-4)+" "+real+" ") },
	}
	for where, f := range plant {
		h := newHouse(t)
		h.do(t, "ward", `INSERT INTO bed (tenant_id, id, place, who, phone, card, home, words, mail, hash, at) VALUES ($1, $1, '3楼', '王某甲', '16000000001', 'C', '', '', '', x'00', 1)`, here)
		if rep := scan(t, h, known); !rep.Clean() {
			t.Fatalf("before: %+v", rep.Findings)
		}
		f(t, h)
		rep := scan(t, h, known)
		if !slices.ContainsFunc(rep.Findings, func(f Finding) bool { return f.Where == where }) {
			t.Errorf("%s was not found: %+v", where, rep.Findings)
		}
		var out bytes.Buffer
		rep.Print(&out)
		if !strings.Contains(out.String(), "FOUND") || strings.Contains(out.String(), "13800138000") || strings.Contains(out.String(), real) || strings.Contains(out.String(), "欧阳") {
			t.Errorf("the report:\n%s", out.String())
		}
	}
	// Digits that a piece's edge makes of a longer number are no phone.
	h := newHouse(t)
	write(t, h, "long.txt", strings.Repeat("z", chunk+overlap-12)+" 13800138000123456789 "+strings.Repeat("z", chunk))
	if rep := scan(t, h, nil); !rep.Clean() {
		t.Errorf("cut digits: %+v", rep.Findings)
	}
}

func write(t *testing.T, h house, name, text string) {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func scan(t *testing.T, h house, known *Known) Report {
	t.Helper()
	rep, err := Scan(t.Context(), h.dir, wardUnits(), known)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}
