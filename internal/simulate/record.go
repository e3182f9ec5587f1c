package simulate

import (
	"sync"
	"sync/atomic"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

type tenantID = id.ID[auth.Tenant]

// never is the return of a request that got no answer.
const never = int64(1) << 62

// visit is an appointment as the API shows it.
type visit struct {
	ID         string `json:"id"`
	RegNo      string `json:"reg_no"`
	PatientID  string `json:"patient_id"`
	ScheduleID string `json:"schedule_id"`
	SlotID     string `json:"slot_id"`
	Number     *int   `json:"number"`
	State      string `json:"state"`
	FeeFen     int64  `json:"fee_fen"`
	PaymentID  string `json:"payment_id"`
	Version    int64  `json:"version"`
}

// number is 0 before the booking.
func (v visit) number() int {
	if v.Number == nil {
		return 0
	}
	return *v.Number
}

// Try is one request for a seat as its client saw it. Times are nanoseconds since the
// doors opened.
type Try struct {
	Key     string `json:"key"`
	Account int    `json:"account"`
	Bot     bool   `json:"bot,omitempty"`
	Person  string `json:"person"`
	Session int    `json:"session"`
	Slot    int    `json:"slot"` // -1: any
	Process int    `json:"process"`
	Call    int64  `json:"call"`
	Return  int64  `json:"return"`
	End     int64  `json:"end"`    // of the wait, with an answer or without
	Status  int    `json:"status"` // 0: no answer
	Code    string `json:"code,omitempty"`
	Hit     bool   `json:"hit,omitempty"`
	Slow    bool   `json:"slow,omitempty"` // the client sent a few bytes at a time
	Left    bool   `json:"left,omitempty"` // the client meant to hang up after sending
	Seen    visit  `json:"seen"`
}

// ok reports a seat.
func (t Try) ok() bool { return t.Status >= 200 && t.Status < 300 }

// refused reports that the request had no effect, for sure.
func (t Try) refused() bool { return t.Status >= 400 && t.Status < 500 }

// full reports that there was no seat.
func (t Try) full() bool {
	return t.Code == "scheduling.slot_taken" || t.Code == "scheduling.session_full"
}

// Cancel is one request to give a seat back.
type Cancel struct {
	Appointment string `json:"appointment"`
	Process     int    `json:"process"`
	Call        int64  `json:"call"`
	Return      int64  `json:"return"`
	Status      int    `json:"status"`
	Code        string `json:"code,omitempty"`
	Seen        visit  `json:"seen"`
}

// record is what the clients saw. It is safe for concurrent use.
type record struct {
	granted atomic.Int64 // seats, first answers only

	mu      sync.Mutex
	tries   []Try
	cancels []Cancel
	seen    map[string]bool  // appointments that somebody was told of
	booked  map[string]int   // numbers that somebody was told
	paid    map[string]bool  // payments that the channel took
	visits  map[string]visit // the last answer
	odd     []string         // what no client should see
}

func newRecord() *record {
	return &record{seen: map[string]bool{}, booked: map[string]int{}, paid: map[string]bool{}, visits: map[string]visit{}}
}

func (r *record) try(t Try) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, t)
	if t.ok() {
		if !r.seen[t.Seen.ID] {
			r.seen[t.Seen.ID] = true
			r.granted.Add(1)
		}
		r.note(t.Seen)
	}
}

func (r *record) cancel(c Cancel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancels = append(r.cancels, c)
	if c.Status == 200 {
		r.note(c.Seen)
	}
}

// note keeps what was told last, and a number for good.
func (r *record) note(v visit) {
	if old, ok := r.visits[v.ID]; !ok || old.Version <= v.Version {
		r.visits[v.ID] = v
	}
	if v.number() > 0 {
		r.booked[v.ID] = v.number()
	}
}

func (r *record) look(v visit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(v)
}

func (r *record) pay(payment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paid[payment] = true
}

func (r *record) strange(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.odd = append(r.odd, what)
}
