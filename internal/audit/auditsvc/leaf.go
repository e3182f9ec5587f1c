package auditsvc

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/tlog"
)

// event is an audit event as it stands in its row.
type event struct {
	id        audit.EventID
	at        time.Time
	context   string
	actor     string
	action    string
	noun      string
	object    string
	policy    string
	why       string
	changed   []byte // JSON in any form
	origin    string
	trace     string
	number    string
	class     audit.Class
	collected time.Time
	position  uint64
}

// eventText is the canonical text of an event, version 1: these fields in this order,
// without white space, the keys of changed sorted. What the row says is under the log's
// heads, the class and both instants included. A new field is a new kind.
type eventText struct {
	ID        audit.EventID   `json:"id"`
	At        int64           `json:"at_us"`
	Context   string          `json:"context"`
	Actor     string          `json:"actor"`
	Action    string          `json:"action"`
	Noun      string          `json:"noun"`
	Object    string          `json:"object"`
	Policy    string          `json:"policy"`
	Why       string          `json:"why"`
	Changed   json.RawMessage `json:"changed"`
	Origin    string          `json:"origin"`
	Trace     string          `json:"trace"`
	Number    string          `json:"number"`
	Class     audit.Class     `json:"class"`
	Collected int64           `json:"collected_at_us"`
}

// leaf is the event as an entry of the log.
func (e event) leaf() (tlog.Leaf, error) {
	changed, err := sorted(e.changed)
	if err != nil {
		return tlog.Leaf{}, fmt.Errorf("audit: event %s: what changed is no JSON", e.id) // the decoder's words quote it
	}
	text, err := encode(eventText{
		e.id, e.at.UnixMicro(), e.context, e.actor, e.action, e.noun, e.object, e.policy, e.why, changed, e.origin, e.trace, e.number, e.class, e.collected.UnixMicro(),
	})
	return tlog.Leaf{Kind: audit.KindEvent, Data: text}, err
}

// sorted brings JSON into one form: databases keep it in forms of their own.
func sorted(b []byte) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	text, err := encode(v)
	return json.RawMessage(text), err
}

func encode(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// entry is an entry that is no audit event.
type entry struct {
	position  uint64
	kind      string
	ref       id.ID[id.Any]
	class     audit.Class
	data      string
	collected time.Time
}

func (e entry) leaf() tlog.Leaf { return tlog.Leaf{Kind: e.kind, Data: e.data} }

// segmentText says in the log that a stretch of it is closed, and what is in it.
type segmentText struct {
	Segment  int64                 `json:"segment"`
	From     uint64                `json:"from"`
	To       uint64                `json:"to"` // the first behind it
	FirstAt  int64                 `json:"first_at_us"`
	LastAt   int64                 `json:"last_at_us"`
	SealedAt int64                 `json:"sealed_at_us"`
	Classes  map[audit.Class]int64 `json:"classes"`
}

// disposalText says in the log that the texts of one class in a segment are deleted.
type disposalText struct {
	Segment int64       `json:"segment"`
	Class   audit.Class `json:"class"`
	Entries int64       `json:"entries"`
	DueAt   int64       `json:"due_at_us"`
	At      int64       `json:"at_us"`
}

// refOf is the reference of an entry that the log makes about itself.
func refOf(kind string, parts ...any) (ref id.ID[id.Any]) {
	s := sha256.Sum256(fmt.Append([]byte(kind), parts...))
	copy(ref[:], s[:])
	ref[6], ref[8] = ref[6]&0x0f|0x80, ref[8]&0x3f|0x80 // UUIDv8: of our own making
	return ref
}

// origin names a tenant's log.
func origin(tenant audit.TenantID) string { return "xinglin/audit/" + tenant.String() }

// beginText says in the log that it was set back, and begins anew under another name.
type beginText struct {
	Beginning int    `json:"beginning"` // from 2
	Heads     int64  `json:"heads"`     // that are left: the ones behind have the new name
	Kept      uint64 `json:"kept"`      // entries under the last of them
	// Lost is the last known head of the log before, with the keys that it holds under:
	// its entries from Kept on are lost, or are not those that stand here.
	Lost      string   `json:"lost"`
	Keys      string   `json:"keys"`
	Rotations []string `json:"rotations,omitempty"`
	At        int64    `json:"at_us"`
}

// beginOf reads the text and the head in it, which must hold under its keys.
func beginOf(data string) (t beginText, lost tlog.Head, err error) {
	d := json.NewDecoder(strings.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, lost, err
	}
	l, err := t.life()
	if err == nil {
		lost, _, err = l.Open(t.Lost)
	}
	return t, lost, err
}

// life is the keys of the log before.
func (t beginText) life() (tlog.Lineage, error) {
	h, _, err := tlog.Parse(t.Lost)
	if err != nil {
		return tlog.Lineage{}, err
	}
	ks, err := tlog.ParseKeys([]byte(t.Keys))
	if err != nil {
		return tlog.Lineage{}, err
	}
	return tlog.LineageOf(h.Origin, ks, t.Rotations)
}
