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
}

// LogState is the chain as the auditor sees it.
type LogState struct {
	Origin   string
	Size     uint64
	Unsigned uint64 // entries behind the last head
	Head     *Head  // the last one; nil before the first
	// Witnessed is the last head that a witness cosigned; nil for none.
	Witnessed *Head
	Keys      string // public keys, PEM
	Segments  int64  // closed stretches
	Sealed    uint64 // entries in them
	Disposed  uint64 // entries of which only the hash is left
}

// Proof is a proof file (platform/tlog checks it without a database).
type Proof struct {
	Format   string   `json:"format"`
	Position uint64   `json:"position"`
	Kind     string   `json:"kind"`
	Data     string   `json:"data"`
	Path     []string `json:"path" doc:"Nodes from the leaf up: SHA-256 then SM3, 64 bytes in base64"`
	Head     string   `json:"head" doc:"The signed head"`
	Keys     string   `json:"keys" doc:"Public keys, PEM. Whoever checks takes the keys that he was told elsewhere"`
}

// Refusals of the log.
var (
	ErrLeaf      = fault.Register(fault.Invalid, "audit.leaf_invalid", "日志条目不合要求", "The entry cannot stand in the log: kind, reference, class or text")
	ErrDiffers   = fault.Register(fault.Conflict, "audit.leaf_differs", "同一条目已以其他内容入日志", "This entry stands in the log with another text")
	ErrNotSigned = fault.Register(fault.Conflict, "audit.not_signed", "尚无签名的日志头覆盖该条目，请稍后再试", "No signed head covers this entry yet, try again later or sign one")
	ErrWitness   = fault.Register(fault.Unavailable, "audit.witness_untrue", "见证人的签名不成立", "The witness's signature below the head does not hold")
	ErrBroken    = fault.Register(fault.Conflict, "audit.log_broken", "审计日志与其签名的日志头不符", "The log does not fit its own signed heads; run xinglin audit verify")
	ErrTampered  = fault.Register(fault.Conflict, "audit.tampered", "审计日志被改动", "The audit log was changed; the lines above name the first entry")
	ErrNoLog     = fault.Register(fault.NotFound, "audit.no_log", "该机构还没有审计日志", "This tenant has no audit log yet")
	ErrRange     = fault.Register(fault.Invalid, "audit.range_invalid", "条目范围不在日志内", "The range of entries lies outside of the signed log")
)
