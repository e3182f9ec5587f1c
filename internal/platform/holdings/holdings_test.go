package holdings

import (
	"testing"
	"time"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
)

// TestTerms: civil years and the day after, so that leap days count (R11, R56).
func TestTerms(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		term     Term
		from, to string
	}{
		{Visit, "2026-03-02T01:00:00Z", "2041-03-03T01:00:00Z"},
		{Visit, "2024-02-29T01:00:00Z", "2039-03-02T01:00:00Z"},
		{Deal, "2026-03-02T01:00:00Z", "2029-03-03T01:00:00Z"},
		{Books, "2026-03-02T01:00:00Z", "2056-03-03T01:00:00Z"},
	} {
		if got := c.term.Ends(at(c.from)); !got.Equal(at(c.to)) {
			t.Errorf("%d years from %s: %s, want %s", c.term.Years, c.from, got, c.to)
		}
	}
	if Latest(at("2026-03-02T01:00:00Z"), at("2026-03-01T01:00:00Z")).Day() != 2 {
		t.Error("the later is the second")
	}
}

// TestShow: a copy tells ids, instants and dates as people write them, and never what opens something.
func TestShow(t *testing.T) {
	v := id.Must[id.Any]("01900000-0000-7000-8000-00000000a001")
	r := Row{"id": v[:], "uuid": [16]byte(v), "created_at": int64(1772413200000000), "day": int64(20514), "birth": int64(20514), "fee_fen": int64(2500), "name": "x", "none": nil, "on": true}
	for _, c := range []struct {
		class  dataclass.Class
		column string
		day    bool
		want   any
	}{
		{dataclass.ID, "id", false, v.String()},
		{dataclass.ID, "uuid", false, v.String()},
		{dataclass.Fact, "created_at", false, "2026-03-02T09:00:00+08:00"},
		{dataclass.Fact, "day", true, "2026-03-02"},
		{dataclass.Birth, "birth", false, "2026-03-02"},
		{dataclass.Fact, "fee_fen", false, int64(2500)},
		{dataclass.Fact, "on", false, true},
		{dataclass.Fact, "none", false, nil},
		{dataclass.Name, "name", false, "x"},
	} {
		if got := show(c.class, c.column, c.day, r); got != c.want {
			t.Errorf("%s: %v, want %v", c.column, got, c.want)
		}
	}
	for _, c := range []dataclass.Class{dataclass.Secret, dataclass.Secret.Sealed(), dataclass.Index, dataclass.Key, dataclass.Key.Sealed()} {
		if told(c, "x") {
			t.Errorf("a copy tells %s", c)
		}
	}
	if told(dataclass.ID, "tenant_id") || !told(dataclass.Phone.Sealed(), "phone") {
		t.Error("tenant or phone")
	}
}

// TestWhere: an account's rows are those of all own accounts; who has none has no rows anywhere.
func TestWhere(t *testing.T) {
	s := Subject{Patient: id.Random[id.Any]()}
	if _, _, ok := (Table{Name: "x", Column: "account_id", Owner: Account}).where(s); ok {
		t.Error("rows of no account")
	}
	text, args, ok := (Table{Name: "x", Column: "delivery_id", Owner: Patient, Via: &Via{Table: "delivery", Column: "patient_id"}}).where(s)
	if want := `delivery_id IN (SELECT id FROM delivery WHERE tenant_id = $1 AND patient_id IN ($2))`; !ok || text != want || len(args) != 2 {
		t.Errorf("%s %d", text, len(args))
	}
}
