package auditsvc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/testkit/apitest"
)

// TestLogRoutes: chain, heads and proofs, for the audit administrator of the own tenant
// alone; each look is an act.
func TestLogRoutes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 12)
		proof := "/audit/events/" + mine[3].ID.String() + "/proof"
		b.Do(b.boss, "POST", "/audit/heads", nil).Refused(t, 404, "audit.no_log")
		v := b.Do(b.boss, "GET", "/audit/log", nil).Want(t, 200).Map(t)
		if v["size"] != 0.0 || v["head"] != nil || v["origin"] != origin(apitest.Main) {
			t.Errorf("%v", v)
		}
		b.collect(mine)
		b.Do(b.boss, "GET", proof, nil).Refused(t, 409, "audit.not_signed")
		h := b.Do(b.boss, "POST", "/audit/heads", nil).Want(t, 200).Map(t)
		if again := b.Do(b.boss, "POST", "/audit/heads", nil).Want(t, 200).Map(t); again["note"] != h["note"] || h["number"] != 1.0 || h["size"] != 12.0 {
			t.Errorf("%v %v", h, again)
		}
		if v = b.Do(b.boss, "GET", "/audit/log", nil).Want(t, 200).Map(t); v["unsigned"] != 0.0 || v["head"].(map[string]any)["note"] != h["note"] {
			t.Errorf("%v", v)
		}
		r := b.Do(b.boss, "GET", proof, nil).Want(t, 200)
		if !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%v", r.Header)
		}
		p, err := tlog.ReadProof(bytes.NewReader(r.Body))
		if err != nil {
			t.Fatal(err)
		}
		ks, err := tlog.ParseKeys([]byte(v["keys"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		if seen, err := p.Verify(tlog.Trust{Keys: ks[:1]}); err != nil || p.Position != 3 || seen.Number != 1 || !strings.Contains(p.Data, mine[3].ID.String()) {
			t.Errorf("%+v %v", p, err)
		}
		before := b.count("trail", apitest.Main)
		for _, who := range []auth.Principal{apitest.Patient(apitest.Main), apitest.Staff(apitest.Main, auth.SystemAdmin, auth.SecurityAdmin, auth.Operator, auth.Doctor)} {
			for _, path := range []string{"GET /audit/log", "GET /audit/heads", "POST /audit/heads", "GET " + proof} {
				method, path, _ := strings.Cut(path, " ")
				b.Do(who, method, path, nil).Refused(t, 403, "authz.denied")
				b.Do(apitest.Nobody(apitest.Main), method, path, nil).Refused(t, 401, "auth.required")
			}
		}
		theirs := apitest.Staff(apitest.Other, auth.AuditAdmin)
		b.Do(theirs, "GET", proof, nil).Refused(t, 404, "audit.not_found")
		b.Do(theirs, "POST", "/audit/heads", nil).Refused(t, 404, "audit.no_log")
		if got := b.Do(theirs, "GET", "/audit/heads", nil).Want(t, 200).Items(t); len(got) != 0 {
			t.Errorf("another tenant's: %v", got)
		}
		b.Do(b.boss, "GET", "/audit/events/"+id.Random[id.Any]().String()+"/proof", nil).Refused(t, 404, "audit.not_found")
		if r := b.Do(b.boss, "GET", "/audit/events/x/proof", nil); r.Status < 400 || r.Status > 422 {
			t.Errorf("%d", r.Status)
		}
		if n := b.count("trail", apitest.Main); n != before {
			t.Errorf("refusals left rows: %d, %d", before, n)
		}
	})
}

// TestHeadsPages: newest first, page after page, each once.
func TestHeadsPages(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 15)
		for i := range mine {
			b.collect(mine[i : i+1])
			b.sign()
		}
		var got []string
		next := ""
		for range 9 {
			r := b.Do(b.boss, "GET", "/audit/heads?limit=4&cursor="+next, nil).Want(t, 200)
			for _, h := range r.Items(t) {
				got = append(got, fmt.Sprint(h["number"]))
			}
			if next = r.Map(t)["next"].(string); next == "" {
				break
			}
		}
		if fmt.Sprint(got) != "[15 14 13 12 11 10 9 8 7 6 5 4 3 2 1]" {
			t.Errorf("%v", got)
		}
	})
}

// TestChangedRowHasNoProof: a proof is checked before it is given.
func TestChangedRowHasNoProof(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 4)
		b.collect(mine)
		b.sign()
		b.do("UPDATE audit_event SET why = 'another story' WHERE tenant_id = $1 AND position = 2")
		b.Do(b.boss, "GET", "/audit/events/"+mine[2].ID.String()+"/proof", nil).Refused(t, 409, "audit.log_broken")
	})
}

// TestBundle: any range of the log goes out with its proofs, and what is done to the file
// is found with one public key and no database.
func TestBundle(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		mine := rows(apitest.Main, 1500)
		b.collect(mine[:700])
		b.sign()
		b.collect(mine)
		if _, err := b.s.Append(t.Context(), apitest.Main, audit.Leaf{Kind: "rx.prescription.v1", Ref: id.Random[id.Any](), Class: audit.Record, Data: "x"}); err != nil {
			t.Fatal(err)
		}
		b.sign()
		trust := tlog.Trust{Keys: b.keys()[1:]}
		export := func(from, to uint64) []byte {
			t.Helper()
			var file bytes.Buffer
			n, err := b.s.Export(t.Context(), apitest.Main, from, to, &file)
			if err != nil {
				t.Fatal(err)
			}
			if to > 0 && n != to-from {
				t.Errorf("%d entries of %d to %d", n, from, to)
			}
			return file.Bytes()
		}
		for _, r := range []struct {
			from, to uint64
			earlier  int
		}{{0, 0, 1}, {0, 1501, 1}, {3, 4, 0}, {255, 258, 0}, {700, 701, 1}, {650, 700, 1}, {1024, 1500, 0}, {1500, 1501, 0}} {
			entries := 0
			rep, err := tlog.VerifyBundle(bytes.NewReader(export(r.from, r.to)), trust, func(uint64, tlog.Leaf) error { entries++; return nil })
			if err != nil || rep.Earlier != r.earlier || uint64(entries) != rep.To-rep.From || rep.Gone != 0 {
				t.Errorf("%+v: %+v, %d entries, %v", r, rep, entries, err)
			}
		}
		whole := strings.SplitAfter(string(export(100, 1400)), "\n")
		whole = whole[:len(whole)-1]
		for name, change := range map[string]func([]string) []string{
			"edit":     func(l []string) []string { l[40] = strings.Replace(l[40], "shelf.put", "shelf.get", 1); return l },
			"delete":   func(l []string) []string { return append(l[:40], l[41:]...) },
			"insert":   func(l []string) []string { return append(l[:40], append([]string{l[39]}, l[40:]...)...) },
			"reorder":  func(l []string) []string { l[40], l[41] = l[41], l[40]; return l },
			"truncate": func(l []string) []string { return l[:len(l)-3] },
			"hash":     func(l []string) []string { l[40] = strings.Replace(l[40], `"kind":`, `"kinds":`, 1); return l },
			"head":     func(l []string) []string { l[0] = strings.Replace(l[0], "number 2", "number 3", 1); return l },
		} {
			bad := change(append([]string{}, whole...))
			if _, err := tlog.VerifyBundle(strings.NewReader(strings.Join(bad, "")), trust, nil); err == nil {
				t.Errorf("%s is not found", name)
			}
		}
		for _, r := range [][2]uint64{{5, 5}, {6, 5}, {0, 1502}, {2000, 0}} {
			if _, err := b.s.Export(t.Context(), apitest.Main, r[0], r[1], &bytes.Buffer{}); err == nil {
				t.Errorf("exported %v", r)
			}
		}
		if !json.Valid([]byte(whole[0])) || !tlog.IsBundle([]byte(whole[0])) {
			t.Error("the first line")
		}
	})
}
