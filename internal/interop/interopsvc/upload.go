package interopsvc

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/fault"
)

// maxUpload bounds a file that is sent.
const maxUpload = 256 << 20

// upload is a file that was sent, on disk until its import has ended.
type upload struct {
	file *os.File
	size int64
	hash []byte
	read atomic.Int64 // bytes that the import has taken
}

// sniffed is how much of a file says of what sort it is.
const sniffed = 512

// fits looks at what a file begins with, whatever it is called: gzip, a workbook for tables, else text. What is in the rest, and
// in the compressed, its reader finds out under its own bounds.
func fits(kind string, head []byte) bool {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return true
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0")): // the old workbook: its reader says how to save it
		return kind != kindFHIR
	case bytes.HasPrefix(head, []byte("%PDF-")), bytes.HasPrefix(head, []byte("Rar!")):
		return false
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return kind != kindFHIR // UTF-16
	}
	for _, b := range head {
		if b < ' ' && b != '\t' && b != '\n' && b != '\r' && b != '\f' {
			return false
		}
	}
	return true
}

// receive writes what is sent to a file of the owner alone. The file loses its name at
// once where the system allows it: it is gone with the process, however that ends.
func (r *runs) receive(from io.Reader, v importRun) (*upload, error) {
	in := bufio.NewReaderSize(from, sniffed)
	if head, err := in.Peek(sniffed); (err == nil || errors.Is(err, io.EOF)) && !fits(v.Kind, head) {
		return nil, interop.ErrUploadType.New()
	}
	if r.folder != "" {
		if err := os.MkdirAll(r.folder, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.CreateTemp(r.folder, "import-*") // 0600
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // some systems remove it at close only
	u := &upload{file: f}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%t\x00%t\x00%s\x00", v.Kind, v.DryRun, v.StopVisits, v.Name)
	u.size, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(in, maxUpload+1))
	switch {
	case u.size > maxUpload:
		err = interop.ErrUploadLarge.New()
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF):
		err = interop.ErrUploadCut.Wrap(err)
	case err == nil && u.size == 0:
		err = interop.ErrUploadCut.New()
	case err == nil:
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		u.close()
		if fault.Of(err) == nil && isPath(err) {
			return nil, err // the disk
		}
		if fault.Of(err) == nil {
			err = interop.ErrUploadCut.Wrap(err)
		}
		return nil, err
	}
	u.hash = sum.Sum(nil)
	return u, nil
}

// isPath tells an error of our disk from one of the sender.
func isPath(err error) bool {
	var p *os.PathError
	return errors.As(err, &p)
}

// Read implements io.Reader for the import, and counts.
func (u *upload) Read(b []byte) (int, error) {
	n, err := u.file.Read(b)
	u.read.Add(int64(n))
	return n, err
}

func (u *upload) close() {
	name := u.file.Name()
	_ = u.file.Close()
	_ = os.Remove(name)
}
