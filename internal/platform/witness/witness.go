// Package witness signs digests for others, each subject once and for ever, follows logs
// and cosigns their heads (heads.go), and asks such a witness. It does not know what
// digests and logs are about.
//
//	GET  /v1/key                    {"key"}
//	POST /v1/statements             {"subject", "digest", "ask"} -> a statement
//	GET  /v1/statements/{subject}   the statement, for whoever wants to compare
//
// A statement is {"key", "subject", "digest", "signed_at_us", "signature"}, hexadecimal
// but for the instant. ask is the signature of the subject's owner (kernel/attest). The
// same digest again gets the same statement; another one is refused, also after kill -9:
// what was signed is in a file with fsync before it is answered.
//
// It has no login: only the owner of a subject's key can use the subject up. Its rate is
// bounded so that strangers cannot fill the disk quickly; let only the hospitals reach
// POST where the network allows it.
package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/fault"
)

// What may go wrong, on both sides.
var (
	ErrKey         = fault.Register(fault.Unavailable, "witness.key_unreadable", "无法使用见证人密钥", "The witness's key file cannot be used: it holds 64 hexadecimal digits")
	ErrBook        = fault.Register(fault.Unavailable, "witness.book_broken", "见证记录已损坏", "The file of signed statements is damaged or of another key")
	ErrMalformed   = fault.Register(fault.Malformed, "witness.malformed", "请求格式不正确", "The request cannot be read")
	ErrAsk         = fault.Register(fault.Forbidden, "witness.ask_refused", "签名请求不是该主题的所有者发出的", "The subject's owner did not sign this request")
	ErrOther       = fault.Register(fault.Conflict, "witness.signed_other", "该主题已对其他内容签名", "Another digest was signed for this subject before")
	ErrUnknown     = fault.Register(fault.NotFound, "witness.unknown", "没有该主题的签名", "Nothing was signed for this subject")
	ErrBusy        = fault.Register(fault.Limited, "witness.busy", "请求过多，请稍后再试", "Too many new subjects, try again later")
	ErrFull        = fault.Register(fault.Unavailable, "witness.full", "见证记录已满", "The file of signed statements is full")
	ErrUnreachable = fault.Register(fault.Unavailable, "witness.unreachable", "见证人暂时不可用", "The witness cannot be reached, try again later")
	ErrUntrue      = fault.Register(fault.Unavailable, "witness.untrue", "见证人的签名不成立", "The witness answered with a signature that does not hold")
)

// PathStatements is where digests go, below the witness's address.
const PathStatements = "/v1/statements"

// Statement is a signed statement on the wire and in the file.
type Statement struct {
	Key       string `json:"key"`
	Subject   string `json:"subject"`
	Digest    string `json:"digest"`
	At        int64  `json:"signed_at_us"`
	Signature string `json:"signature"`
}

// request is the body of POST.
type request struct {
	Subject string `json:"subject"`
	Digest  string `json:"digest"`
	Ask     string `json:"ask"`
}

// maxBody bounds requests and answers, in bytes.
const maxBody = 4 << 10

func statementOf(key ed25519.PublicKey, s attest.Statement, signature []byte) Statement {
	return Statement{
		Key: hex.EncodeToString(key), Subject: hex.EncodeToString(s.Subject[:]), Digest: hex.EncodeToString(s.Digest[:]), At: s.At,
		Signature: hex.EncodeToString(signature),
	}
}

// checked is the statement if the key signed it.
func (w Statement) checked(key ed25519.PublicKey) (s attest.Statement, signature []byte, ok bool) {
	named, subject, digest := unhex(w.Key, ed25519.PublicKeySize), unhex(w.Subject, len(s.Subject)), unhex(w.Digest, len(s.Digest))
	signature = unhex(w.Signature, ed25519.SignatureSize)
	if subject == nil || digest == nil || signature == nil || !key.Equal(ed25519.PublicKey(named)) {
		return s, nil, false
	}
	s = attest.Statement{Subject: attest.Subject(subject), Digest: attest.Digest(digest), At: w.At}
	return s, signature, attest.Verify(key, s, signature)
}

// unhex reads exactly n bytes; nil for anything else.
func unhex(text string, n int) []byte {
	if len(text) != hex.EncodedLen(n) {
		return nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}

// ParseKey reads a witness's public key: 64 hexadecimal digits.
func ParseKey(text string) (ed25519.PublicKey, error) {
	b := unhex(strings.TrimSpace(text), ed25519.PublicKeySize)
	if b == nil {
		return nil, ErrKey.At("key", "want 64 hexadecimal digits")
	}
	return b, nil
}

// loadKey reads the private key (its seed in hexadecimal), or makes one when there is no file.
func loadKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, ErrKey.Wrap(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBody))
	if err != nil {
		return nil, ErrKey.Wrap(err)
	}
	seed := unhex(strings.TrimSpace(string(b)), ed25519.SeedSize)
	if seed == nil {
		return nil, ErrKey.New()
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// makeKey writes the file whole or not at all: a torn key would be another witness.
func makeKey(path string) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, ErrKey.Wrap(err)
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, ErrKey.Wrap(err)
	}
	_, err = f.WriteString(hex.EncodeToString(seed) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = errors.Join(os.Rename(path+".new", path), syncDir(filepath.Dir(path)))
	}
	if err != nil {
		return nil, ErrKey.Wrap(err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// syncDir makes a new name in the folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
