package audit

import (
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// The log is a Merkle tree of RFC 6962 over typed leaves, one a tenant, under SHA-256 and
// SM3 at once. A head is its size and root at an instant, signed under the tenant's SM2
// and P-256 keys, written into a file outside the database and cosigned by a witness. The
// form of heads, proofs and bundles is platform/tlog's (docs/guide/audit.md).

// Leaf is one entry of another context: a prescription, a trace code, a commission.
type Leaf struct {
	Kind  string // rx.prescription.v1: its context, noun and version of the text
	Ref   id.ID[id.Any]
	Class Class // how long its text is kept; the hash stays for ever
	// Data is the canonical text, UTF-8, at most 256 KiB: the same bytes for the same
	// thing for ever. What identifies a person must be sealed in it or left out, so that
	// destroying the person's key leaves every proof valid (R55).
	Data string
}

// The kinds of this context.
const (
	KindEvent    = "audit.event.v1"    // an AuditEvent
	KindSegment  = "audit.segment.v1"  // a stretch of the log was closed
	KindDisposal = "audit.disposal.v1" // texts of a closed stretch were past their time and deleted
	KindKeys     = "audit.keys.v1"     // the log changed its keys: the text that the old ones signed (platform/tlog)
	KindBegin    = "audit.begin.v1"    // the log was set back and begins anew under another name
)

// Head is a signed head.
type Head struct {
	Number int64  // from 1
	Size   uint64 // entries
	At     time.Time
	SHA256 []byte
	SM3    []byte
	Note   string // the text with its signatures: what counts
	// WitnessedAt is when the configured witness cosigned; zero: not yet, or there is none.
	WitnessedAt time.Time
	// AnchoredAt is when it was written down outside of the database; zero: not yet.
	AnchoredAt time.Time
	// Fingerprints name the keys of the log that signed it.
	Fingerprints []string
}

// KeyChange is a change of the keys that sign the log.
type KeyChange struct {
	Generation int
	At         time.Time
	FromHead   int64 // the first head under the new keys
	Position   uint64
}

// Beginning is a log that began anew, after the database was set back.
type Beginning struct {
	Number   int // from 2
	At       time.Time
	Position uint64 // of the entry that says so
	Kept     uint64 // entries under the last head that was left
	// LostHead and LostSize are of the last known head of the log before: entries from Kept
	// to LostSize are not what they were.
	LostHead int64
	LostSize uint64
}

// LogState is the chain as the auditor sees it.
type LogState struct {
	Origin   string
	Size     uint64
	Unsigned uint64 // entries behind the last head
	Head     *Head  // the last one; nil before the first
	// Witnessed is the last head that a witness cosigned; nil for none.
	Witnessed *Head
	// Anchored is the last head that was written outside of the database; nil for none.
	Anchored   *Head
	WitnessKey string // of the configured witness, hexadecimal; empty for none
	Keys       string // public keys, PEM, of all generations
	Generation int    // of the keys that sign now, from 1
	KeyChanges []KeyChange
	Beginning  int // from 1
	Beginnings []Beginning
	Segments   int64  // closed stretches
	Sealed     uint64 // entries in them
	Disposed   uint64 // entries of which only the hash is left
}

// Proof is a proof file (platform/tlog checks it without a database).
type Proof struct {
	Format   string   `json:"format"`
	Position uint64   `json:"position"`
	Kind     string   `json:"kind"`
	Data     string   `json:"data"`
	Path     []string `json:"path" doc:"Nodes from the leaf up: SHA-256 then SM3, 64 bytes in base64"`
	Head     string   `json:"head" doc:"The signed head"`
	Keys     string   `json:"keys" doc:"Public keys with which the log began, PEM. Whoever checks takes the keys that he was told elsewhere"`
	// Rotations are the changes of keys, as texts that the old keys signed.
	Rotations []string `json:"rotations,omitempty" doc:"Changes of keys, each signed by the keys before"`
}

// Consistency is a consistency file: the log of the later head begins with all that the
// earlier one signed (platform/tlog checks it without a database).
type Consistency struct {
	Format    string   `json:"format"`
	Earlier   string   `json:"earlier" doc:"The earlier signed head"`
	Later     string   `json:"later" doc:"The later signed head"`
	Path      []string `json:"path" doc:"Nodes, SHA-256 then SM3, 64 bytes in base64"`
	Keys      string   `json:"keys" doc:"Public keys with which the log began, PEM"`
	Rotations []string `json:"rotations,omitempty" doc:"Changes of keys, each signed by the keys before"`
}

// Refusals of the log.
var (
	ErrLeaf      = fault.Register(fault.Invalid, "audit.leaf_invalid", "日志条目不合要求", "The entry cannot stand in the log: kind, reference, class or text")
	ErrDiffers   = fault.Register(fault.Conflict, "audit.leaf_differs", "同一条目已以其他内容入日志", "This entry stands in the log with another text")
	ErrNotSigned = fault.Register(fault.Conflict, "audit.not_signed", "尚无签名的日志头覆盖该条目，请稍后再试", "No signed head covers this entry yet, try again later or sign one")
	ErrWitness   = fault.Register(fault.Unavailable, "audit.witness_untrue", "见证人的签名不成立", "The witness's signature below the head does not hold")
	ErrBroken    = fault.Register(fault.Conflict, "audit.log_broken", "审计日志与其签名的日志头不符", "The log does not fit its own signed heads; run xinglin audit verify")
	ErrSetBack   = fault.Register(fault.Conflict, "audit.log_set_back", "数据库比已送出的日志头旧，不再签名；请运行 xinglin audit begin-new-log", "The database is behind a head that left the house, so nothing is signed; run xinglin audit begin-new-log")
	ErrFitting   = fault.Register(fault.Conflict, "audit.log_fits", "日志与最后已知的日志头相符，无需另起", "The log fits the last known head: there is nothing to begin anew")
	ErrOtherLog  = fault.Register(fault.Conflict, "audit.head_of_another_log", "所给日志头不属于该日志", "The last known head is not signed by this log's keys, or is of another log")
	ErrNoHead    = fault.Register(fault.NotFound, "audit.no_known_head", "锚定文件和见证人都没有该日志的日志头", "Neither anchor file nor witness has a head of this log")
	ErrRotated   = fault.Register(fault.Conflict, "audit.keys_changed_meanwhile", "密钥刚刚被更换", "The keys were changed meanwhile")
	ErrRotations = fault.Register(fault.Conflict, "audit.too_many_key_changes", "该日志更换密钥的次数已达上限", "The keys of this log were changed as often as can be")
	ErrHeads     = fault.Register(fault.NotFound, "audit.head_not_found", "没有这个日志头", "There is no such head")
	ErrTampered  = fault.Register(fault.Conflict, "audit.tampered", "审计日志被改动", "The audit log was changed; the lines above name the first entry")
	ErrNoLog     = fault.Register(fault.NotFound, "audit.no_log", "该机构还没有审计日志", "This tenant has no audit log yet")
	ErrRange     = fault.Register(fault.Invalid, "audit.range_invalid", "条目范围不在日志内", "The range of entries lies outside of the signed log")
)
