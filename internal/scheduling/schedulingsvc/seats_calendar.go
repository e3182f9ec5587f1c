package schedulingsvc

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/scheduling"
)

// calendarQuery asks for days of the whole hospital, a campus or a department.
type calendarQuery struct {
	from, to   clock.Date
	campus     scheduling.CampusID
	department scheduling.DepartmentID
}

// calendarReply is an answer as it is sent, good until something changes.
type calendarReply struct {
	generation uint64
	until      time.Time // when a session is released or ends, or names are asked for anew
	body       []byte
	etag       string

	once   sync.Once
	packed []byte
}

// maxReplies is how many answers of a tenant are kept.
const maxReplies = 64

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

// gz is the answer compressed, once.
func (r *calendarReply) gz() []byte {
	r.once.Do(func() {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err == nil {
			_, _ = z.Write(r.body) // a buffer takes everything
			_ = z.Close()
		}
		r.packed = b.Bytes()
	})
	return r.packed
}

// calendar answers from memory.
func (s *Service) calendar(ctx context.Context, t scheduling.TenantID, q calendarQuery) (*calendarReply, error) {
	from, to := s.boards.window()
	if q.from < from || q.to > to || q.to < q.from || int(q.to-q.from) >= maxQueryDays {
		return nil, scheduling.ErrInput.At("to", "from..to within 31 days, from today to 61 days ahead")
	}
	v, err := s.boards.of(ctx, t)
	if err != nil {
		return nil, err
	}
	now := s.base.Clock.Now()
	v.mu.RLock()
	r := v.replies[q]
	fresh := r != nil && r.generation == v.generation && now.Before(r.until)
	v.mu.RUnlock()
	if fresh {
		return r, nil
	}
	if err := s.boards.name(ctx, v); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if r = v.replies[q]; r != nil && r.generation == v.generation && now.Before(r.until) {
		return r, nil
	}
	r = v.write(q, now)
	if len(v.replies) >= maxReplies {
		clear(v.replies)
	}
	v.replies[q] = r
	return r, nil
}

// rowNames are the names of a row as JSON strings.
type rowNames struct{ practitioner, title, department, campus []byte }

// name asks the directory for the names of the rows, once a minute or when there are new ones.
func (b *boards) name(ctx context.Context, v *board) error {
	v.mu.Lock()
	rows := v.lines()
	ids := newNameIDs()
	missing := false
	for _, r := range rows {
		_, known := v.names[r.key]
		missing = missing || !known
		ids.add(r.key.practitioner, r.key.department, r.key.campus)
	}
	old := clock.Mono().Sub(v.namedAt) > labelTime
	v.mu.Unlock()
	if !missing && !old {
		return nil
	}
	l, err := b.labels(ctx, v.tenant, ids)
	if err != nil {
		return err
	}
	out := make(map[rowKey]rowNames, len(rows))
	for _, r := range rows {
		p := l.Practitioners[r.key.practitioner]
		out[r.key] = rowNames{quoted(p.Name), quoted(p.Title), quoted(l.Departments[r.key.department].Name), quoted(l.Campuses[r.key.campus].Name)}
	}
	v.mu.Lock()
	v.names, v.namedAt = out, clock.Mono()
	v.mu.Unlock()
	return nil
}

var noName = []byte(`""`)

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string always has a form
		return noName
	}
	return b
}

// write makes the answer; under the lock.
func (v *board) write(q calendarQuery, now time.Time) *calendarReply {
	w := calendarWriter{q: q, now: now, until: now.Add(labelTime), letters: make([]byte, q.to-q.from+1), left: make([]int, q.to-q.from+1)}
	b := make([]byte, 0, 64<<10)
	b = append(b, `{"from":"`...)
	b = append(append(b, q.from.String()...), `","to":"`...)
	b = append(append(b, q.to.String()...), `","at":"`...)
	b = append(now.UTC().AppendFormat(b, time.RFC3339Nano), `","items":[`...)
	first := true
	for _, r := range v.lines() {
		if !q.campus.IsZero() && q.campus != r.key.campus || !q.department.IsZero() && q.department != r.key.department || !w.days(r.sessions) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		n, ok := v.names[r.key]
		if !ok { // came after the names were asked for
			n = rowNames{noName, noName, noName, noName}
			w.until = now
		}
		b = w.row(b, r.key, n)
	}
	b = append(b, `]}`...)
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return &calendarReply{generation: v.generation, until: w.until, body: b, etag: `"` + strconv.FormatUint(h.Sum64(), 36) + `"`}
}

// calendarWriter adds up the days of one row after the other.
type calendarWriter struct {
	q       calendarQuery
	now     time.Time
	until   time.Time
	letters []byte
	left    []int
}

// days sums a row up; false: it has no session in the time.
func (w *calendarWriter) days(sessions []*seats) (any bool) {
	for i := range w.letters {
		w.letters[i], w.left[i] = dayNone, 0
	}
	for _, s := range sessions {
		if s.day < w.q.from || s.day > w.q.to {
			continue
		}
		any = true
		d := s.day - w.q.from
		letter := dayLetter[s.state(w.now)]
		if dayRank[letter] > dayRank[w.letters[d]] {
			w.letters[d] = letter
		}
		if letter == dayOpen || letter == dayPlanned {
			w.left[d] += s.remaining
		}
		for _, at := range []int64{s.released, s.ends} { // when the letter changes by itself
			if t := time.UnixMicro(at); t.After(w.now) && t.Before(w.until) {
				w.until = t
			}
		}
	}
	return any
}

func (w *calendarWriter) row(b []byte, k rowKey, n rowNames) []byte {
	b = append(append(b, `{"practitioner_id":"`...), k.practitioner.String()...)
	b = append(append(b, `","practitioner_name":`...), n.practitioner...)
	b = append(append(b, `,"practitioner_title":`...), n.title...)
	b = append(append(b, `,"department_id":"`...), k.department.String()...)
	b = append(append(b, `","department_name":`...), n.department...)
	b = append(append(b, `,"campus_id":"`...), k.campus.String()...)
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
