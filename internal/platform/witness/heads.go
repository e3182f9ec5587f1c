package witness

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
)

// A witness also follows logs: it keeps the last head of each and cosigns the next one
// only when it is the same log and more behind it. Who sets a log back or rewrites it can
// no longer show the witness's line, and the witness can show what it saw.
//
//	POST /v1/heads        {"note", "keys", "rotations", "from", "path"} -> {"cosignature", "head"}
//	GET  /v1/heads/{log}  {"head", "keys", "rotations", "refused"}: the last head with our line,
//	                      and the first one that we refused for a fork or a set-back
//
// A log is named by its origin and the keys that it began with (tlog.LogID), so that nobody
// can take another's place. It may change its keys by words that the old ones signed
// (tlog.Rotation), which stay in force here: one change follows the other, none is taken
// back. A log that was set back and begins anew has another name. from and path are the consistency proof from the head that we saw last; from 0
// begins a log. A head that begins elsewhere is witness.other_size with our head.

// Refusals about logs.
var (
	ErrFork      = fault.Register(fault.Conflict, "witness.fork", "该日志与此前见证的内容不一致", "This head does not grow from the one that was witnessed before: the log was rewritten")
	ErrSetBack   = fault.Register(fault.Conflict, "witness.set_back", "该日志比此前见证的短", "The log is shorter than the one that was witnessed before: it was set back")
	ErrOtherSize = fault.Register(fault.Conflict, "witness.other_size", "一致性证明的起点不是见证人最后所见", "The proof does not begin at the head that the witness saw last")
	ErrSigner    = fault.Register(fault.Forbidden, "witness.head_unsigned", "日志头未由该日志的全部密钥签名", "The head is not signed by all keys of its log")
)

// PathHeads is where heads go, below the witness's address.
const PathHeads = "/v1/heads"

const (
	maxLogs     = 10_000
	maxHeadBody = 512 << 10 // bytes of a request, an answer or a line
	maxPath     = 2 * 64    // nodes of a proof
	staleLines  = 1000      // lines of the file that nobody needs before it is written anew
)

// HeadAnswer is what the witness knows about a log.
type HeadAnswer struct {
	Head string `json:"head"` // the last head, with the witness's line
	Keys string `json:"keys"` // PEM, with which the log began
	// Rotations are the changes of keys that were seen.
	Rotations []string `json:"rotations,omitempty"`
	Refused   string   `json:"refused,omitempty"` // the first head that was refused as fork or set-back: with Head it is a proof
}

type headRequest struct {
	Note      string        `json:"note"`
	Keys      string        `json:"keys"`
	Rotations []string      `json:"rotations,omitempty"`
	From      uint64        `json:"from"`
	Path      []merkle.Node `json:"path"`
}

type cosigned struct {
	Cosignature string `json:"cosignature"`
	Head        string `json:"head,omitempty"`
	Code        string `json:"code,omitempty"`
}

// followed is a line of the file: a log as it was when the line was written.
type followed struct {
	Log string `json:"log"`
	HeadAnswer
	parsed tlog.Head
	life   tlog.Lineage
}

// logs is the file KEY.heads: lines that only grow, the last of each log counts.
type logs struct {
	key   ed25519.PrivateKey
	clock clock.Clock

	mu     sync.Mutex
	path   string
	file   *os.File
	last   map[string]followed
	lines  int
	max    int
	broken bool
}

// openLogs reads the file. A last line without its end was never answered: it is cut off.
func openLogs(path string, key ed25519.PrivateKey, c clock.Clock) (*logs, error) {
	l := &logs{key: key, clock: c, path: path, last: map[string]followed{}, max: maxLogs}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ErrBook.Wrap(err)
	}
	l.file = f
	end, err := l.read()
	if err == nil {
		err = errors.Join(f.Truncate(end), f.Sync(), syncDir(filepath.Dir(path)))
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err == nil && l.lines > staleLines+4*len(l.last) {
		err = l.renew()
	}
	if err != nil {
		l.close()
		return nil, ErrBook.Wrap(err)
	}
	return l, nil
}

// read fills the index: each line must carry our own signature.
func (l *logs) read() (end int64, err error) {
	in := bufio.NewReaderSize(l.file, maxHeadBody)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		var v followed
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err == nil {
			if v.parsed, _, err = tlog.Parse(v.Head); err == nil {
				v.life, err = v.lineage(v.parsed.Origin)
			}
			if _, ours := tlog.Cosigned(v.Head, l.key.Public().(ed25519.PublicKey)); err != nil || !ours {
				return end, ErrBook.Because("line %d is not a head that this key cosigned", n)
			}
		} else {
			return end, ErrBook.Because("line %d cannot be read", n)
		}
		l.last[v.Log] = v
		l.lines++
		end += int64(len(line))
	}
}

// renew writes the last line of each log into a new file, whole or not at all.
func (l *logs) renew() error {
	f, err := os.OpenFile(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for _, v := range l.last {
		line, err := json.Marshal(v)
		if err == nil {
			_, err = out.Write(append(line, '\n'))
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := errors.Join(out.Flush(), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(os.Rename(l.path+".new", l.path), syncDir(filepath.Dir(l.path))); err != nil {
		return errors.Join(err, f.Close())
	}
	_ = l.file.Close()
	l.file, l.lines = f, len(l.last)
	return nil
}

func (l *logs) find(log string) (HeadAnswer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.last[log]
	return v.HeadAnswer, ok
}

// cosign judges a head and signs it, written down before anybody learns it. known tells
// what we have of the log, for whoever begins at another place.
func (l *logs) cosign(in headRequest, allow func() bool) (line string, known HeadAnswer, err error) {
	h, life, err := in.signed()
	if err != nil {
		return "", known, err
	}
	log := tlog.LogID(h.Origin, life.First())
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.last[log]
	switch {
	case l.broken:
		return "", known, ErrBook.New()
	case !ok && len(l.last) >= l.max:
		return "", known, ErrFull.New()
	case ok && v.parsed.Body() == h.Body(): // again: the same line
		return lineOf(v.Head, l.key), v.HeadAnswer, nil
	case !allow():
		return "", known, ErrBusy.New()
	}
	if ok {
		if err := v.judge(h, life, in); err != nil {
			if !errors.Is(err, ErrOtherSize) && v.Refused == "" {
				v.Refused = in.Note
				if err := l.put(v); err != nil {
					return "", known, err
				}
			}
			return "", v.HeadAnswer, err
		}
	} else if in.From != 0 || len(in.Path) != 0 {
		return "", known, ErrOtherSize.New()
	}
	line = tlog.Cosign(h, l.key, l.clock.Now())
	next := followed{Log: log, HeadAnswer: HeadAnswer{
		Head: tlog.With(plainHead(in.Note, h), line), Keys: life.First().PEM(), Rotations: life.Rotations(), Refused: v.Refused,
	}, parsed: h, life: life}
	return line, next.HeadAnswer, l.put(next)
}

// lineage is the keys of a log as they were shown.
func (a HeadAnswer) lineage(origin string) (tlog.Lineage, error) {
	ks, err := tlog.ParseKeys([]byte(a.Keys))
	if err != nil {
		return tlog.Lineage{}, err
	}
	return tlog.LineageOf(origin, ks, a.Rotations)
}

// signed reads the head, which all keys in force at its number must have signed.
func (in headRequest) signed() (tlog.Head, tlog.Lineage, error) {
	if _, err := tlog.ParseKeys([]byte(in.Keys)); err != nil {
		return tlog.Head{}, tlog.Lineage{}, ErrMalformed.Wrap(err)
	}
	h, _, err := tlog.Parse(in.Note)
	if err != nil {
		return h, tlog.Lineage{}, ErrSigner.New()
	}
	life, err := HeadAnswer{Keys: in.Keys, Rotations: in.Rotations}.lineage(h.Origin)
	if errors.Is(err, tlog.ErrSigned) {
		return h, life, ErrSigner.New()
	}
	if err != nil {
		return h, life, ErrMalformed.Wrap(err)
	}
	if _, by, err := life.Open(in.Note); err != nil || !life.At(h.Number).All(by) {
		return h, life, ErrSigner.New()
	}
	return h, life, nil
}

// plainHead is the head with the signatures of the log alone.
func plainHead(note string, h tlog.Head) string {
	_, signatures, err := tlog.Parse(note)
	if err != nil {
		return note // it was parsed before
	}
	out := h.Body() + "\n"
	for _, s := range signatures {
		if s.Name == h.Origin {
			out += s.Line()
		}
	}
	return out
}

// lineOf is our line below a head that we keep.
func lineOf(note string, key ed25519.PrivateKey) string {
	h, signatures, err := tlog.Parse(note)
	if err != nil {
		return ""
	}
	for _, s := range signatures {
		if _, ok := tlog.Cosigned(h.Body()+"\n"+s.Line(), key.Public().(ed25519.PublicKey)); ok {
			return s.Line()
		}
	}
	return ""
}

// judge says whether next may follow what we saw last. Changes of keys are never taken
// back, and a new one begins behind the heads that we know.
func (v followed) judge(next tlog.Head, life tlog.Lineage, in headRequest) error {
	last := v.parsed
	switch {
	case !life.Follows(v.life) || !life.At(last.Number).All(v.life.At(last.Number)):
		return ErrFork.New()
	case next.Size < last.Size:
		return ErrSetBack.New()
	case next.Size == last.Size && next.Root != last.Root:
		return ErrFork.New()
	case in.From != last.Size:
		return ErrOtherSize.New()
	case len(in.Path) > maxPath || merkle.VerifyConsistency(last.Size, next.Size, in.Path, last.Root, next.Root) != nil:
		return ErrFork.New()
	case next.Number <= last.Number:
		return ErrSetBack.New()
	}
	return nil
}

// put appends a line and syncs it.
func (l *logs) put(v followed) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(line) >= maxHeadBody {
		return ErrMalformed.New()
	}
	if _, err = l.file.Write(append(line, '\n')); err == nil {
		err = l.file.Sync()
	}
	if err != nil { // the next start reads what is there; until then nothing new is signed
		l.broken = true
		return ErrBook.Wrap(err)
	}
	l.last[v.Log] = v
	if l.lines++; l.lines > staleLines+4*len(l.last) {
		if err := l.renew(); err != nil {
			l.broken = true
			return ErrBook.Wrap(err)
		}
	}
	return nil
}

func (l *logs) close() { _ = l.file.Close() }

// logName reads the name of a log: 64 hexadecimal digits.
func logName(text string) (string, bool) {
	b := unhex(text, merkle.HashSize)
	return hex.EncodeToString(b), b != nil
}
