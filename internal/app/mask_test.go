package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"xinglin/internal/interop/fhirgen"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/mask"
	"xinglin/internal/platform/process"
	"xinglin/internal/tenant"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/dbtest"
)

// TestEveryColumnHasAClass: a table or column that nobody has classified is an error of the references, and so of the build.
func TestEveryColumnHasAClass(t *testing.T) {
	tables := 0
	for _, u := range maskUnits() {
		tables += len(u.Data)
		for _, r := range u.Rules {
			if _, ok := u.Data[r.Table]; !ok && db.FrameData()[r.Table] == nil {
				t.Errorf("%s: a rule for %s, which has no classes", u.Context, r.Table)
			}
		}
	}
	if tables < 60 {
		t.Errorf("%d tables only", tables)
	}
	dir := t.TempDir()
	if err := db.MigrateSQLite(t.Context(), dir, Sets()); err != nil {
		t.Fatal(err)
	}
	srv, err := db.Open(t.Context(), db.Options{Dir: dir, Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	for _, u := range maskUnits() {
		d, err := srv.Context(t.Context(), u.Context)
		if err != nil {
			t.Fatal(err)
		}
		if err := mask.CheckClasses(t.Context(), d, u); err != nil {
			t.Error(err)
		}
	}
}

// source makes an installation with a region's hospitals, doctors and patients, and two people with accounts, one of whom is
// shredded later.
func source(t *testing.T, e db.Engine) (where config.Where) {
	t.Helper()
	made := dbtest.Make(t, e, Sets())
	where = config.Where{Data: made.Dir, DB: made.DSN, Keys: KeysOf(t.TempDir())}
	clk := clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))
	srv, err := db.Open(t.Context(), db.Options{Dir: where.Data, DSN: where.DB, MaxConns: 8, Readers: 2, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	ring, err := ringOf(t.Context(), srv, where.Keys, true)
	if err != nil {
		t.Fatal(err)
	}
	h, err := Wire(t.Context(), Machines{DB: srv, Clock: clk, Crypt: ring, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Signals: testkit.Signals()})
	if err != nil {
		t.Fatal(err)
	}
	main, err := h.Tenants.Ensure(auth.With(t.Context(), auth.Principal{Kind: auth.CLI, Name: "test"}), tenant.Tenant{Code: "main", Name: "医院"})
	if err != nil {
		t.Fatal(err)
	}
	load(t, h, "main", fhirgen.Options{Seed: 5, Hospitals: 3, Doctors: 30, Patients: 120, Clinical: 1}, false)
	cli := auth.With(t.Context(), auth.Principal{Kind: auth.CLI, Tenant: main.ID, Name: "zhangsan"})
	for i, phone := range []string{"13800138001", "13800138002"} {
		a, err := h.Identity.EnsurePatient(cli, secret.New(phone))
		if err != nil {
			t.Fatal(err)
		}
		own := auth.With(t.Context(), auth.Principal{Kind: auth.Patient, Tenant: main.ID, Account: a, Factors: 1})
		p, _, err := h.Patients.Add(own, patient.New{
			Name: secret.New("欧阳建华"), DocumentType: patient.Passport, Document: secret.New("E" + phone[3:]), Birth: clock.NewDate(1980, 5, 1), Sex: "male",
			Phone: secret.New(phone), Relationship: patient.Self,
		})
		if err == nil && i == 1 {
			err = h.Patients.Shred(cli, p.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return where
}

// persons are what an installation has sealed of its patients: name, number and phone by id, opened with its own keys. Of who is
// shredded there is nothing.
func persons(t *testing.T, where config.Where) map[string]string {
	t.Helper()
	srv, err := db.Open(t.Context(), db.Options{Dir: where.Data, DSN: where.DB, MaxConns: 4, Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if where.Keys == "" {
		where.Keys = KeysOf(where.Data)
	}
	ring, err := ringOf(t.Context(), srv, where.Keys, false)
	if err != nil {
		t.Fatal(err)
	}
	d, err := srv.Context(t.Context(), "patient")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		tenant, id          id.ID[id.Any]
		name, number, phone []byte
		birth               clock.Date
		index               []byte
		kind                string
		shredded            *int64
	}
	var rows []row
	err = d.Read(t.Context(), onlyTenant(t, srv), func(ctx context.Context, tx db.Tx) error {
		found, err := tx.Query(ctx, `SELECT tenant_id, id, name, number, phone, birth, COALESCE(number_index, number_index_even), document_type, shredded_at FROM patient WHERE tenant_id = $1`, tx.Tenant())
		rows, err = db.Collect(found, err, func(r db.Rows, v *row) error {
			return r.Scan(&v.tenant, &v.id, &v.name, &v.number, &v.phone, &v.birth, &v.index, &v.kind, &v.shredded)
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, v := range rows {
		t16 := id.As[auth.Tenant](v.tenant)
		open := func(column string, sealed []byte) string {
			text, err := ring.OpenText(t.Context(), crypt.Field{Tenant: t16, Person: v.id, Table: "patient", Column: column, Row: v.id.String()}, sealed)
			if v.shredded != nil && errors.Is(err, crypt.ErrShredded) {
				return ""
			}
			if err != nil {
				t.Fatalf("%s: %v", column, err)
			}
			return text.Reveal()
		}
		number := open("number", v.number)
		if v.shredded != nil {
			out[v.id.String()] = open("name", v.name) + number + "gone"
			continue
		}
		index, err := ring.Blind(t.Context(), t16, "patient.document", v.kind+":"+number, generationOf(t, ring, t16))
		if err != nil || !crypt.Equal(index, v.index) {
			t.Errorf("%s is not found again by its number: %v", v.id, err)
		}
		out[v.id.String()] = strings.Join([]string{open("name", v.name), number, open("phone", v.phone), v.birth.String()}, "|")
	}
	return out
}

// generationOf the blind indexes.
func generationOf(t *testing.T, ring *crypt.Ring, tenant id.ID[auth.Tenant]) (n int) {
	t.Helper()
	all, err := ring.Generations(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if g.Kind == "index" {
			n = g.Number
		}
	}
	return n
}

// onlyTenant is the one tenant of an installation.
func onlyTenant(t *testing.T, srv *db.Server) (v id.ID[auth.Tenant]) {
	t.Helper()
	d, err := srv.Context(t.Context(), "tenant")
	if err == nil {
		err = d.Read(t.Context(), v, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, `SELECT id FROM tenant WHERE tenant_id = $1`, tx.Tenant()).Scan(&v)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMaskCopy(t *testing.T) {
	for _, e := range dbtest.Engines {
		t.Run(string(e), func(t *testing.T) { maskCopy(t, source(t, e)) })
	}
}

func maskCopy(t *testing.T, where config.Where) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	to, again, list := filepath.Join(base, "copy"), filepath.Join(base, "again"), filepath.Join(base, "known")
	var out bytes.Buffer
	if err := MaskCopy(t.Context(), where, Copy{To: to, Key: key, Known: list}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if err := MaskCopy(t.Context(), where, Copy{To: again, Key: key}, io.Discard); err != nil {
		t.Fatal(err)
	}
	was, now, same := persons(t, where), persons(t, config.Where{Data: to}), persons(t, config.Where{Data: again})
	if len(was) != 122 || len(now) != len(was) {
		t.Fatalf("%d patients, was %d", len(now), len(was))
	}
	seen, gone := map[string]bool{}, 0
	for v, text := range now {
		if same[v] != text {
			t.Errorf("two copies with one key differ: %s and %s", text, same[v])
		}
		if text == "gone" && was[v] == "gone" {
			gone++
			continue
		}
		for i, part := range strings.Split(text, "|") {
			if old := strings.Split(was[v], "|")[i]; part == old && old != "" {
				t.Errorf("%s kept %s", v, part)
			}
		}
		number := strings.Split(text, "|")[1]
		if seen[number] {
			t.Errorf("%s twice", number)
		}
		seen[number] = true
	}
	if gone != 1 {
		t.Errorf("%d are shredded", gone)
	}
	if err := MaskScan(t.Context(), to, list, key, &out); err != nil {
		t.Errorf("scan: %v\n%s", err, out.String())
	}
	if err := Verify(t.Context(), config.Where{Data: to}, &out); err != nil {
		t.Errorf("verify: %v\n%s", err, out.String())
	}
	// The same list finds the source's people where somebody wrote them down.
	if err := os.WriteFile(filepath.Join(to, "notes.txt"), []byte("请联系欧阳建华"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := MaskScan(t.Context(), to, list, key, &out); !errors.Is(err, mask.ErrFound) || !strings.Contains(out.String(), "in notes.txt") {
		t.Errorf("planted: %v\n%s", err, out.String())
	}
}

func TestMaskRefusals(t *testing.T) {
	where, base := source(t, db.SQLite), t.TempDir()
	from, keys := where.Data, where.Keys
	short, open, key := filepath.Join(base, "short"), filepath.Join(base, "open"), filepath.Join(base, "key")
	full := filepath.Join(base, "full")
	for path, text := range map[string]string{short: "k", open: strings.Repeat("k", 40), key: strings.Repeat("k", 40), filepath.Join(full, "x"): "x"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(base, "to")
	for name, c := range map[string]struct {
		where config.Where
		copy  Copy
		want  *fault.Code
	}{
		"no keys":          {config.Where{DB: "postgres://x"}, Copy{To: to}, ErrNeedsKeys},
		"nothing":          {config.Where{}, Copy{To: to}, ErrFlags},
		"no database":      {config.Where{Data: base}, Copy{To: to}, ErrFlags},
		"a short key":      {config.Where{Data: from, Keys: keys}, Copy{To: to, Key: short}, mask.ErrKey},
		"an open key":      {config.Where{Data: from, Keys: keys}, Copy{To: to, Key: open}, mask.ErrKey},
		"a list, no key":   {config.Where{Data: from, Keys: keys}, Copy{To: to, Known: to + ".known"}, ErrFlags},
		"a full folder":    {config.Where{Data: from, Keys: keys}, Copy{To: full, Key: key}, mask.ErrDestination},
		"a file":           {config.Where{Data: from, Keys: keys}, Copy{To: short, Key: key}, mask.ErrDestination},
		"itself":           {config.Where{Data: from, Keys: keys}, Copy{To: from, Key: key}, mask.ErrDestination},
		"the wrong source": {config.Where{Data: from, Keys: "file:" + short}, Copy{To: to, Key: key}, crypt.ErrKeysUnreadable},
	} {
		if err := MaskCopy(t.Context(), c.where, c.copy, io.Discard); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	release, err := process.LockDir(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := MaskCopy(t.Context(), config.Where{Data: from, Keys: keys}, Copy{To: to, Key: key}, io.Discard); !errors.Is(err, process.ErrDirTaken) {
		t.Errorf("a folder that is served: %v", err)
	}
	release()
	served(t)
	// Who stops it in the middle finds nothing half done.
	ctx, cancel := context.WithCancel(t.Context())
	err = MaskCopy(ctx, config.Where{Data: from, Keys: keys}, Copy{To: to, Key: key}, after{"directory", cancel})
	if err == nil {
		t.Error("it went on")
	}
	list, err := os.ReadDir(base)
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, []string{"full", "key", "open", "short"}) {
		t.Errorf("left behind: %v %v", names, err)
	}
}

// served: a PostgreSQL database with a living process is refused.
func served(t *testing.T) {
	t.Helper()
	where := source(t, db.Postgres)
	srv, err := db.Open(t.Context(), db.Options{DSN: where.DB, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	register, err := srv.Context(t.Context(), "process")
	if err != nil {
		t.Fatal(err)
	}
	leave, err := process.Register(t.Context(), register, process.Process{ID: id.Random[process.Process](), Version: "t", Broker: "x", Keys: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if err := MaskCopy(t.Context(), where, Copy{To: filepath.Join(t.TempDir(), "to")}, io.Discard); !errors.Is(err, mask.ErrServed) {
		t.Errorf("a database that is served: %v", err)
	}
}

// after stops when the progress tells of a context.
type after struct {
	word string
	stop func()
}

// Write implements io.Writer.
func (a after) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(a.word)) {
		a.stop()
	}
	return len(b), nil
}
