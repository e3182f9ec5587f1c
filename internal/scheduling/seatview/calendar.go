package seatview

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
)

// Query asks for days of the whole hospital, a campus or a department.
type Query struct {
	From, To   clock.Date
	Campus     scheduling.CampusID     // zero: all
	Department scheduling.DepartmentID // zero: all
}

// Reply is an answer as it is sent, good until something changes.
type Reply struct {
	generation uint64
	until      time.Time // when a session is released or ends, or names are asked for anew
	Body       []byte
	ETag       string

	once   sync.Once
	packed []byte
}

// NameTime is how long names hold before they are asked for anew.
const NameTime = time.Minute

// Letters of a day in the calendar; the best of its sessions counts.
const (
	dayNone    = '.' // no session
	dayEnded   = 'e'
	dayStopped = 's'
	dayPlanned = 'p' // not yet released
	dayFull    = 'f'
	dayOpen    = 'o'
)

// dayRank orders the letters.
var dayRank = map[byte]int{dayNone: 0, dayEnded: 1, dayStopped: 2, dayPlanned: 3, dayFull: 4, dayOpen: 5}

var dayLetter = map[scheduling.ScheduleState]byte{
	scheduling.ScheduleEnded: dayEnded, scheduling.ScheduleHalted: dayStopped, scheduling.SchedulePlanned: dayPlanned,
	scheduling.ScheduleFull: dayFull, scheduling.ScheduleOpen: dayOpen,
}

// Gzip is the answer compressed, once.
func (r *Reply) Gzip() []byte {
	r.once.Do(func() {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err == nil {
			_, _ = z.Write(r.Body) // a buffer takes everything
			_ = z.Close()
		}
		r.packed = b.Bytes()
	})
	return r.packed
}

// Names are what a row shows beside its seats.
type Names struct{ Practitioner, Title, Department, Campus string }

// quotedNames are the names of a row as JSON strings.
type quotedNames struct{ practitioner, title, department, campus []byte }

// Rows are the rows in the order of the calendar; unnamed: some have no names yet.
func (v *View) Rows() (rows []Row, unnamed bool) {
	for _, l := range v.sorted() {
		_, known := v.names[l.row]
		unnamed = unnamed || !known
		rows = append(rows, l.row)
	}
	return rows, unnamed
}

// Name replaces the names of the rows.
func (v *View) Name(names map[Row]Names) {
	v.names = make(map[Row]quotedNames, len(names))
	for k, n := range names {
		v.names[k] = quotedNames{quoted(n.Practitioner), quoted(n.Title), quoted(n.Department), quoted(n.Campus)}
	}
}

var noName = []byte(`""`)

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string always has a form
		return noName
	}
	return b
}

// Fresh reports whether a reply of this view still says what is.
func (v *View) Fresh(r *Reply, now time.Time) bool {
	return r != nil && r.generation == v.generation && now.Before(r.until)
}

// Write makes the answer; it holds for NameTime at most.
func (v *View) Write(q Query, now time.Time) *Reply {
	w := writer{q: q, now: now, until: now.Add(NameTime), letters: make([]byte, q.To-q.From+1), left: make([]int, q.To-q.From+1)}
	b := make([]byte, 0, 64<<10)
	b = append(b, `{"from":"`...)
	b = append(append(b, q.From.String()...), `","to":"`...)
	b = append(append(b, q.To.String()...), `","at":"`...)
	b = append(now.UTC().AppendFormat(b, time.RFC3339Nano), `","items":[`...)
	first := true
	for _, r := range v.sorted() {
		if !q.Campus.IsZero() && q.Campus != r.row.Campus || !q.Department.IsZero() && q.Department != r.row.Department || !w.days(r.sessions) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		n, ok := v.names[r.row]
		if !ok { // came after the names were asked for
			n = quotedNames{noName, noName, noName, noName}
			w.until = now
		}
		b = w.row(b, r.row, n)
	}
	b = append(b, `]}`...)
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return &Reply{generation: v.generation, until: w.until, Body: b, ETag: `"` + strconv.FormatUint(h.Sum64(), 36) + `"`}
}

// writer adds up the days of one row after the other.
type writer struct {
	q       Query
	now     time.Time
	until   time.Time
	letters []byte
	left    []int
}

// days sums a row up; false: it has no session in the time.
func (w *writer) days(sessions []*Session) (any bool) {
	for i := range w.letters {
		w.letters[i], w.left[i] = dayNone, 0
	}
	for _, s := range sessions {
		if s.Day < w.q.From || s.Day > w.q.To {
			continue
		}
		any = true
		d := s.Day - w.q.From
		letter := dayLetter[s.state(w.now)]
		if dayRank[letter] > dayRank[w.letters[d]] {
			w.letters[d] = letter
		}
		if letter == dayOpen || letter == dayPlanned {
			w.left[d] += s.Remaining
		}
		for _, at := range []int64{s.Released, s.Ends} { // when the letter changes by itself
			if t := time.UnixMicro(at); t.After(w.now) && t.Before(w.until) {
				w.until = t
			}
		}
	}
	return any
}

func (w *writer) row(b []byte, k Row, n quotedNames) []byte {
	b = append(append(b, `{"practitioner_id":"`...), k.Practitioner.String()...)
	b = append(append(b, `","practitioner_name":`...), n.practitioner...)
	b = append(append(b, `,"practitioner_title":`...), n.title...)
	b = append(append(b, `,"department_id":"`...), k.Department.String()...)
	b = append(append(b, `","department_name":`...), n.department...)
	b = append(append(b, `,"campus_id":"`...), k.Campus.String()...)
	b = append(append(b, `","campus_name":`...), n.campus...)
	b = append(append(b, `,"days":"`...), w.letters...)
	b = append(b, `","remaining":[`...)
	for i, n := range w.left {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, `]}`...)
}
