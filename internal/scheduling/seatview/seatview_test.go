package seatview

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xinglin/internal/kernel/clock"
)

var today = clock.NewDate(2026, 3, 2)

// at is a session of a doctor, released at eight on the day before, from eight to twelve.
func at(ident, doctor byte, day clock.Date, version int64, remaining int) Session {
	return Session{
		ID: ScheduleID{15: ident}, Day: day, Row: Row{Practitioner: [16]byte{15: doctor}}, Version: version, Remaining: remaining,
		Released: day.Add(-1).At(480).UnixMicro(), Starts: day.At(480).UnixMicro(), Ends: day.At(720).UnixMicro(),
	}
}

func show(t *testing.T, r *Reply) (out []string) {
	t.Helper()
	var body struct {
		Items []struct {
			Name      string `json:"practitioner_name"`
			Days      string `json:"days"`
			Remaining []int  `json:"remaining"`
		} `json:"items"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatal(err)
	}
	for _, v := range body.Items {
		left, err := json.Marshal(v.Remaining)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v.Name+" "+v.Days+" "+string(left))
	}
	return out
}

// TestView: the higher version wins, a difference at the same version is told and taken,
// what is gone or past is dropped, and a reply is good until something changes.
func TestView(t *testing.T) {
	v := New()
	now := today.At(600)
	q := Query{From: today, To: today.Add(2)}
	apply := func(behind, differ int, found ...Session) {
		t.Helper()
		ids, n := v.Apply(found)
		if len(ids) != behind || n != differ {
			t.Errorf("%d behind, %d differ; want %d, %d", len(ids), n, behind, differ)
		}
	}
	want := func(rows ...string) *Reply {
		t.Helper()
		r := v.Write(q, now)
		if d := cmp.Diff(rows, show(t, r)); d != "" {
			t.Error(d)
		}
		return r
	}
	apply(4, 0, at(1, 2, today, 5, 3), at(2, 1, today.Add(1), 1, 0), at(3, 1, today.Add(2), 1, 7), at(4, 1, today.Add(-1), 1, 7))
	if r := want(" .fp [0,0,7]", " o.. [3,0,0]"); v.Fresh(r, now) {
		t.Error("an answer without names is kept")
	}
	rows, unnamed := v.Rows()
	if len(rows) != 2 || !unnamed {
		t.Fatal(rows, unnamed)
	}
	v.Name(map[Row]Names{rows[0]: {Practitioner: "张三"}, rows[1]: {Practitioner: `李"四`}})
	if _, unnamed := v.Rows(); unnamed {
		t.Error("unnamed")
	}
	r := want("张三 .fp [0,0,7]", `李"四 o.. [3,0,0]`)
	apply(0, 0, at(1, 2, today, 5, 3), at(1, 2, today, 4, 9)) // the same, and an older one
	if !v.Fresh(r, now) || v.Fresh(r, now.Add(NameTime)) || v.Fresh(nil, now) {
		t.Error("a reply is good until something changes, and for a minute")
	}
	if r := v.Write(q, today.At(719).Add(30*time.Second)); v.Fresh(r, today.At(720)) {
		t.Error("a reply outlives the end of a session")
	}
	apply(1, 0, at(1, 2, today, 6, 2))
	if v.Fresh(r, now) {
		t.Error("a reply outlives a change")
	}
	apply(1, 1, at(1, 2, today, 6, 99))
	want("张三 .fp [0,0,7]", `李"四 o.. [99,0,0]`)
	if gone := v.Keep([]Session{at(3, 1, today.Add(2), 1, 7)}, today, today.Add(1), today.Add(2)); gone != 1 || len(v.sessions) != 2 {
		t.Errorf("%d gone, %d left", gone, len(v.sessions))
	}
	want("张三 ..p [0,0,7]", `李"四 o.. [99,0,0]`)
	q.Department[0] = 1
	want()
}
