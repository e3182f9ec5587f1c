package witness

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/clock"
)

// maxStatements bounds the file (about 420 MB) and what is in memory of it.
const maxStatements = 1_000_000

// book is what was signed: a file that only grows, one statement a line, and an index.
type book struct {
	key   ed25519.PrivateKey
	clock clock.Clock

	mu     sync.Mutex
	file   *os.File
	signed map[attest.Subject]signed
	max    int
	broken bool // a write failed: what is in the file is not known
}

type signed struct {
	digest    attest.Digest
	at        int64
	signature [ed25519.SignatureSize]byte
}

// openBook reads the file and checks every line under the key. A last line without its
// end was never answered (the process died while writing it): it is cut off.
func openBook(path string, key ed25519.PrivateKey, c clock.Clock) (*book, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ErrBook.Wrap(err)
	}
	b := &book{key: key, clock: c, file: f, signed: map[attest.Subject]signed{}, max: maxStatements}
	end, err := b.read()
	if err == nil {
		err = errors.Join(f.Truncate(end), f.Sync(), syncDir(filepath.Dir(path)))
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, ErrBook.Wrap(err)
	}
	return b, nil
}

// read fills the index and gives the end of the last whole line.
func (b *book) read() (end int64, err error) {
	in := bufio.NewReaderSize(b.file, maxBody)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil { // longer than any statement, or the disk's
			return end, err
		}
		var w Statement
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		err = d.Decode(&w)
		s, signature, ok := w.checked(b.public())
		if _, twice := b.signed[s.Subject]; err != nil || !ok || twice {
			return end, ErrBook.Because("line %d is not a statement of this key, or its subject stands twice", n)
		}
		b.put(s, signature)
		end += int64(len(line))
	}
}

func (b *book) public() ed25519.PublicKey { return b.key.Public().(ed25519.PublicKey) }

func (b *book) put(s attest.Statement, signature []byte) {
	v := signed{digest: s.Digest, at: s.At}
	copy(v.signature[:], signature)
	b.signed[s.Subject] = v
}

// find gives what was signed for the subject.
func (b *book) find(s attest.Subject) (Statement, attest.Digest, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.signed[s]
	return statementOf(b.public(), attest.Statement{Subject: s, Digest: v.digest, At: v.at}, v.signature[:]), v.digest, ok
}

// sign signs a digest for a new subject and writes it down before anybody learns it.
func (b *book) sign(subject attest.Subject, d attest.Digest) (Statement, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch v, ok := b.signed[subject]; {
	case ok && v.digest != d:
		return Statement{}, ErrOther.New()
	case ok:
		return statementOf(b.public(), attest.Statement{Subject: subject, Digest: v.digest, At: v.at}, v.signature[:]), nil
	case len(b.signed) >= b.max:
		return Statement{}, ErrFull.New()
	case b.broken:
		return Statement{}, ErrBook.New()
	}
	s := attest.Statement{Subject: subject, Digest: d, At: b.clock.Now().UnixMicro()}
	signature := attest.Sign(b.key, s)
	w := statementOf(b.public(), s, signature)
	line, err := json.Marshal(w)
	if err != nil {
		return Statement{}, err
	}
	if _, err = b.file.Write(append(line, '\n')); err == nil {
		err = b.file.Sync()
	}
	if err != nil { // the next start reads what is there; until then nothing new is signed
		b.broken = true
		return Statement{}, ErrBook.Wrap(err)
	}
	b.put(s, signature)
	return w, nil
}

func (b *book) close() { _ = b.file.Close() }
