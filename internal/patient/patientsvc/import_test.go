package patientsvc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/realname"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

const mrSystem = "http://hospital.example/mr"

// record is a person of the records with a medical record number.
func record1(mr, name, birth string) patient.Imported {
	d, err := clock.ParseDate(birth)
	if err != nil {
		panic(err)
	}
	return patient.Imported{External: []patient.External{{System: mrSystem, Value: secret.New(mr)}}, Name: secret.New(name), Birth: d, Sex: "female"}
}

// resident is record1 with a resident number.
func resident1(mr, name, birth string, order int) patient.Imported {
	p := record1(mr, name, birth)
	p.DocumentType, p.Document, p.Sex = patient.ResidentID, secret.New(residentID(strings.ReplaceAll(birth, "-", ""), order)), ""
	return p
}

// bring imports and wants these outcomes.
func (h *house) bring(in []patient.Imported, dryRun bool, want ...patient.Outcome) []patient.ImportResult {
	h.t.Helper()
	out, err := h.s.Import(testkit.AsCLI(h.t.Context(), apitest.Main), in, dryRun)
	if err != nil {
		h.t.Fatal(err)
	}
	for i, v := range out {
		if v.Outcome != want[i] {
			h.t.Errorf("person %d: %s %v, want %s", i, v.Outcome, v.Err, want[i])
		}
	}
	return out
}

// allRows counts what an import may write.
func (h *house) allRows() (n int) {
	for _, table := range []string{"patient", "identifier", "profile", "history", "outbox", "trail", "link"} {
		n += h.count("SELECT COUNT(*) FROM " + table + " WHERE tenant_id = $1")
	}
	return n + h.count("SELECT COALESCE(SUM(version), 0) FROM patient WHERE tenant_id = $1")
}

func TestImport(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		adult := resident1("MR-1", "张小三", "1990-03-07", 123)
		adult.Phone = secret.New("13800138000")
		adult.Profile = patient.Profile{
			Telecom:   []patient.Telecom{{System: "phone", Use: "home", Value: secret.New("555-123-4567")}},
			Addresses: []patient.Address{{City: secret.New("北京市"), Lines: []secret.Text{secret.New("春风路1号")}}},
			Contacts:  []patient.Contact{{Name: secret.New("张三"), Relationship: "guardian"}},
		}
		kid := record1("MR-2", "Aaron697 Brekke496", "2018-06-01")
		all := []patient.Imported{adult, kid}

		before := h.allRows()
		h.bring(all, true, patient.ImportCreated, patient.ImportCreated)
		if n := h.allRows(); n != before {
			t.Errorf("a dry run wrote %d rows", n-before)
		}
		out := h.bring(all, false, patient.ImportCreated, patient.ImportCreated)
		before = h.allRows()
		h.bring(all, false, patient.ImportSame, patient.ImportSame)
		if n := h.allRows(); n != before {
			t.Errorf("the same again wrote %d rows", n-before)
		}
		if n := h.count("SELECT COUNT(*) FROM patient WHERE tenant_id = $1 AND origin = 'import' AND document_type = 'internal'"); n != 1 {
			t.Errorf("%d persons with a number of the house", n)
		}

		// The records learn a document, an identifier and another family name.
		kid.Name, kid.DocumentType, kid.Document = secret.New("Aaron697 Miller1"), patient.Passport, secret.New("X57412438X")
		kid.External = append(kid.External, patient.External{System: "http://passports.example", Value: secret.New("X57412438X")})
		got := h.bring([]patient.Imported{adult, kid}, false, patient.ImportSame, patient.ImportChanged)
		if got[1].ID != out[1].ID {
			t.Error("another person")
		}
		h.bring([]patient.Imported{kid}, false, patient.ImportSame)
		if n := h.count("SELECT COUNT(*) FROM identifier WHERE tenant_id = $1"); n != 3 {
			t.Errorf("%d identifiers", n)
		}
		names, err := h.s.MaskedNames(t.Context(), apitest.Main, []patient.ID{out[0].ID, out[1].ID})
		if err != nil || names[out[0].ID] != "张*三" || !strings.HasPrefix(names[out[1].ID], "A***") {
			t.Errorf("%v %v", names, err)
		}
		h.clean()

		// An account that enters the person gets a claim; once it is linked the records do not change the phone.
		who := apitest.Patient(apitest.Main)
		h.claim(who, zhang)
		if _, err := h.s.Import(h.as(who), all, false); err == nil {
			t.Error("an account imported")
		}
	})
}

// TestImportMeetsAccounts: who registered by phone is the same person by document, and
// keeps phone and name.
func TestImportMeetsAccounts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		who := apitest.Patient(apitest.Main)
		p := h.add(who, zhang)
		in := resident1("MR-1", "张小三", "1990-03-07", 123)
		in.Phone = secret.New("13900139000")
		out := h.bring([]patient.Imported{in}, false, patient.ImportChanged)
		if out[0].ID != p.ID {
			t.Fatal("a second person with one document")
		}
		h.bring([]patient.Imported{in}, false, patient.ImportSame)
		seen, err := h.s.Read(h.as(who), p.ID)
		if err != nil || seen.Phone.Reveal() != "13800138000" {
			t.Errorf("phone %q %v", seen.Phone.Reveal(), err)
		}
		h.real.outcome = realname.Match
		if _, err := h.s.Verify(h.as(who), p.ID); err != nil {
			t.Fatal(err)
		}
		in.Name = secret.New("张小四")
		out = h.bring([]patient.Imported{in}, false, patient.ImportRefused)
		refused(t, out[0].Err, patient.ErrVerifiedDiffers)
		h.clean()
	})
}

func TestImportRefuses(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.bring([]patient.Imported{resident1("MR-1", "张小三", "1990-03-07", 123), resident1("MR-2", "李小四", "1991-03-07", 123)}, false,
			patient.ImportCreated, patient.ImportCreated)
		both := record1("MR-1", "张小三", "1990-03-07")
		both.External = append(both.External, record1("MR-2", "x", "1990-03-07").External...)
		document := resident1("MR-9", "王小五", "1990-03-07", 123)
		number := resident1("MR-1", "张小三", "1990-03-07", 321)
		wrong := resident1("MR-8", "王小五", "1990-03-07", 123)
		wrong.Document = secret.New("110105199003071234")
		birth := resident1("MR-8", "王小五", "1990-03-08", 123)
		birth.Document = secret.New(residentID("19900307", 9))
		cases := []struct {
			in   patient.Imported
			want error
		}{
			{record1("MR-1", "王小五", "1970-01-01"), patient.ErrAnother}, // two persons with one identifier
			{both, patient.ErrIdentifier},
			{document, patient.ErrAnother},
			{number, patient.ErrAnother},
			{wrong, patient.ErrDocument},
			{birth, patient.ErrDocument},
			{record1("MR-7", "", "1990-01-01"), patient.ErrInvalid},
			{record1("MR-7", "12345", "1990-01-01"), patient.ErrInvalid},
			{record1("MR-7", "王小五", "2990-01-01"), patient.ErrInvalid},
			{record1("", "王小五", "1990-01-01"), patient.ErrInvalid},
			{patient.Imported{Name: secret.New("王小五"), Birth: 1}, patient.ErrInvalid},
		}
		var in []patient.Imported
		var want []patient.Outcome
		for _, c := range cases {
			in, want = append(in, c.in), append(want, patient.ImportRefused)
		}
		in, want = append(in, record1("MR-6", "好人", "1990-01-01")), append(want, patient.ImportCreated)
		out := h.bring(in, false, want...)
		for n, c := range cases {
			if !errors.Is(out[n].Err, c.want) {
				t.Errorf("person %d: %v, want %v", n, out[n].Err, c.want)
			}
			if s := out[n].Err.Error(); strings.Contains(s, "王") || strings.Contains(s, "MR-") || strings.Contains(s, "1990") {
				t.Errorf("person %d tells %s", n, s)
			}
		}
		if n := h.count("SELECT COUNT(*) FROM patient WHERE tenant_id = $1"); n != 3 {
			t.Errorf("%d persons", n)
		}
		h.clean()
	})
}

// TestImportRace: many imports of the same records at once make each person once.
func TestImportRace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var all []patient.Imported
		for n := range 20 {
			all = append(all, record1("MR-"+string(rune('A'+n)), "王小五", "1990-01-01"))
		}
		var wg sync.WaitGroup
		made := make([]int, 4)
		for g := range made {
			wg.Go(func() {
				out, err := h.s.Import(testkit.AsCLI(context.Background(), apitest.Main), all, false)
				if err != nil {
					t.Error(err)
				}
				for _, v := range out {
					if v.Outcome == patient.ImportCreated {
						made[g]++
					} else if v.Outcome != patient.ImportSame {
						t.Errorf("%s %v", v.Outcome, v.Err)
					}
				}
			})
		}
		wg.Wait()
		if n := made[0] + made[1] + made[2] + made[3]; n != 20 {
			t.Errorf("made %d persons of 20", n)
		}
		if n := h.count("SELECT COUNT(*) FROM patient WHERE tenant_id = $1"); n != 20 {
			t.Errorf("%d persons", n)
		}
		h.clean()
	})
}

// TestImportForgets: a shredded person is found by nothing any more, and may come again.
func TestImportForgets(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		in := []patient.Imported{resident1("MR-1", "张小三", "1990-03-07", 123)}
		out := h.bring(in, false, patient.ImportCreated)
		if err := h.s.Shred(testkit.AsCLI(t.Context(), apitest.Main), out[0].ID); err != nil {
			t.Fatal(err)
		}
		if n := h.count("SELECT COUNT(*) FROM identifier WHERE tenant_id = $1") + h.count("SELECT COUNT(*) FROM profile WHERE tenant_id = $1"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		h.clean()
		again := h.bring(in, false, patient.ImportCreated)
		if again[0].ID == out[0].ID {
			t.Error("the same row")
		}

		// The checks see a person without identifiers and identifiers of nobody.
		err := h.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE identifier SET patient_id = $2 WHERE tenant_id = $1`, apitest.Main, out[0].ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if v := h.violations(); len(v) != 2 || !strings.Contains(v[0], "found again") || !strings.Contains(v[1], "not shredded") {
			t.Errorf("verify sees %q", v)
		}
	})
}
