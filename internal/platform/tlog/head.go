// Package tlog is the paper of a log that cannot be rewritten: signed heads, public
// keys, proofs, bundles and the file in which heads are anchored. It reads and checks
// what a log gave away without any database, and knows nothing about what is logged but
// its kind and its text.
//
// A head is a text that people can read and other programs know (the checkpoint of
// C2SP: origin, size, SHA-256 root, further lines), followed by signatures:
//
//	xinglin/audit/01900000-0000-7000-8000-00000000a001
//	1234
//	<SHA-256 root, base64>
//	sm3 <SM3 root, base64>
//	number 17
//	at 2026-03-02T01:00:00.000000Z
//
//	— xinglin/audit/01900000-0000-7000-8000-00000000a001 <base64>
//
// The log signs with SM2 and with ECDSA P-256; witnesses add theirs (cosign.go).
package tlog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/merkle"
)

// What may be wrong with papers.
var (
	ErrHead   = fault.Register(fault.Malformed, "tlog.head_malformed", "日志头格式不正确", "The head of the log cannot be read")
	ErrKey    = fault.Register(fault.Malformed, "tlog.key_malformed", "公钥格式不正确", "The file holds no public key: want PEM, SM2 or P-256")
	ErrSigned = fault.Register(fault.Conflict, "tlog.signature_false", "日志头的签名不成立", "The head is not signed by the given key, or the signature is false")
	ErrProof  = fault.Register(fault.Conflict, "tlog.proof_false", "证明不成立", "The proof does not hold")
	ErrPaper  = fault.Register(fault.Malformed, "tlog.paper_malformed", "文件格式不正确", "The file is no proof, bundle or anchor of this program")
	ErrAnchor = fault.Register(fault.Unavailable, "tlog.anchor_unwritable", "无法写入锚定文件", "The anchor file cannot be written")
)

// MaxHead bounds a head with its signatures, in bytes.
const MaxHead = 16 << 10

const maxSignatures = 32

// Head is what a log says about itself at one instant.
type Head struct {
	Origin string // which log
	Number int64  // from 1, without a gap
	Size   uint64 // leaves
	Root   merkle.Node
	At     time.Time // microseconds, UTC
}

const atForm = "2006-01-02T15:04:05.000000Z"

// Body is the text that is signed.
func (h Head) Body() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s\n%d\n%s\nsm3 %s\nnumber %d\nat %s\n", h.Origin, h.Size, b64(h.Root.SHA256()), b64(h.Root.SM3()), h.Number, h.At.UTC().Format(atForm))
}

// Signature is one line below a head: the signer's name, four bytes that tell the key,
// and the signature.
type Signature struct {
	Name  string
	Hint  uint32
	Bytes []byte
}

const dash = "— "

// Line is the signature as it stands below a head.
func (s Signature) Line() string {
	raw := append(binary.BigEndian.AppendUint32(nil, s.Hint), s.Bytes...)
	return dash + s.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

// Parse reads a head and its signatures, strictly: what it accepts has one form. It
// checks no signature.
func Parse(note string) (h Head, signatures []Signature, err error) {
	if len(note) > MaxHead {
		return h, nil, ErrHead.Because("larger than %d bytes", MaxHead)
	}
	body, below, ok := strings.Cut(note, "\n\n")
	if !ok {
		return h, nil, ErrHead.Because("no signatures")
	}
	body += "\n"
	lines := strings.Split(body, "\n")
	if len(lines) != 7 {
		return h, nil, ErrHead.Because("%d lines", len(lines))
	}
	h.Origin = lines[0]
	var errs [3]error
	h.Size, errs[0] = strconv.ParseUint(lines[1], 10, 63)
	h.Number, errs[1] = strconv.ParseInt(strings.TrimPrefix(lines[4], "number "), 10, 64)
	h.At, errs[2] = time.Parse(atForm, strings.TrimPrefix(lines[5], "at "))
	a, errA := base64.StdEncoding.Strict().DecodeString(lines[2])
	b, errB := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[3], "sm3 "))
	for _, err := range append(errs[:], errA, errB) {
		if err != nil {
			return h, nil, ErrHead.Because("a line of the head is malformed")
		}
	}
	if len(a) != merkle.HashSize || len(b) != merkle.HashSize {
		return h, nil, ErrHead.Because("a root has another length")
	}
	copy(h.Root[:merkle.HashSize], a)
	copy(h.Root[merkle.HashSize:], b)
	if h.Number < 1 || h.Size > merkle.MaxSize || !goodName(h.Origin) || h.Body() != body {
		return h, nil, ErrHead.Because("a line of the head has another form")
	}
	signatures, err = signaturesOf(below)
	return h, signatures, err
}

func goodName(s string) bool {
	return s != "" && len(s) <= 200 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '+' || r > '~' })
}

func signaturesOf(text string) (out []Signature, err error) {
	if text == "" || !strings.HasSuffix(text, "\n") {
		return nil, ErrHead.Because("the last line has no end")
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		name, b64, ok := strings.Cut(strings.TrimPrefix(line, dash), " ")
		raw, err := base64.StdEncoding.Strict().DecodeString(b64)
		if !strings.HasPrefix(line, dash) || !ok || err != nil || len(raw) < 5 || !goodName(name) || len(out) == maxSignatures {
			return nil, ErrHead.Because("a signature has another form")
		}
		out = append(out, Signature{Name: name, Hint: binary.BigEndian.Uint32(raw), Bytes: raw[4:]})
	}
	return out, nil
}

// Signer signs as a log: platform/crypt has one for each key of a tenant.
type Signer interface {
	Public() []byte // PKIX, DER
	Sign(message []byte) ([]byte, error)
}

// Sign makes the head's text with a signature by each signer.
func Sign(h Head, signers []Signer) (string, error) {
	if !goodName(h.Origin) || h.Number < 1 || len(signers) == 0 {
		return "", ErrHead.Because("not to be signed")
	}
	return note(h.Body(), h.Origin, signers)
}

// note is a body with the signatures of a name below it.
func note(body, name string, signers []Signer) (string, error) {
	var text strings.Builder
	text.WriteString(body + "\n")
	for _, s := range signers {
		k, err := parseKey(s.Public())
		if err != nil {
			return "", err
		}
		sig, err := s.Sign([]byte(body))
		if err != nil {
			return "", err
		}
		text.WriteString(Signature{Name: name, Hint: k.hint(name), Bytes: sig}.Line())
	}
	return text.String(), nil
}

// With puts a signature below those that stand there; one that is there already is not
// put twice.
func With(note, line string) string {
	if bytes.Contains([]byte(note), []byte("\n"+line)) {
		return note
	}
	return note + line
}
