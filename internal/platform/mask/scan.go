package mask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/packed"
)

// Finding says that there are raw identifiers in a place; never which.
type Finding struct {
	Where string // file, or table.column of a context
	Kind  string
	Count int
}

// Report is what a scan looked at and found.
type Report struct {
	Files    int
	Bytes    int64
	Tables   int
	Rows     int64
	Values   int64 // columns and pieces of files that were looked through
	Findings []Finding
}

// Clean tells that nothing was found.
func (r Report) Clean() bool { return len(r.Findings) == 0 }

// Print writes the counts and each finding.
func (r Report) Print(w io.Writer) {
	total := hits{}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "FOUND  %-16s %6d  in %s\n", f.Kind, f.Count, f.Where)
		total[f.Kind] += f.Count
	}
	fmt.Fprintf(w, "looked through %d files (%d bytes), %d tables, %d rows, %d values: ", r.Files, r.Bytes, r.Tables, r.Rows, r.Values)
	var parts []string
	for _, k := range Kinds {
		parts = append(parts, fmt.Sprintf("%d %ss", total[k], k))
	}
	fmt.Fprintln(w, strings.Join(parts, ", "))
}

func (r *Report) add(where string, h hits) {
	for _, kind := range Kinds {
		n := h[kind]
		if n == 0 {
			continue
		}
		if at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Where == where && f.Kind == kind }); at >= 0 {
			r.Findings[at].Count += n
			continue
		}
		r.Findings = append(r.Findings, Finding{where, kind, n})
	}
}

// Scan looks through every file below dir, and through every row of its databases. known may be nil. Values under encryption
// show nothing and are no findings: what is in them the copy's own rules have replaced.
func Scan(ctx context.Context, dir string, units []Unit, known *Known) (Report, error) {
	var r Report
	if err := r.tables(ctx, dir, units, known); err != nil {
		return r, err
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return r.file(path, filepath.ToSlash(name), known)
	})
	return r, err
}

// tables looks through the rows of the databases.
func (r *Report) tables(ctx context.Context, dir string, units []Unit, known *Known) error {
	if _, err := os.Stat(filepath.Join(dir, "db")); errors.Is(err, fs.ErrNotExist) {
		return nil // a folder of other files
	}
	srv, err := db.Open(ctx, db.Options{Dir: dir, Readers: 1})
	if err != nil {
		return err
	}
	defer srv.Close()
	for _, u := range units {
		if _, err := os.Stat(filepath.Join(dir, "db", u.Context+".db")); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		d, err := srv.Context(ctx, u.Context)
		if err != nil {
			return err
		}
		tables, err := shapesOf(ctx, d)
		if err != nil {
			return err
		}
		for _, s := range tables {
			if err := r.table(ctx, d, u.Context, s, u.classes(s.table), known); err != nil {
				return fmt.Errorf("mask: scan %s.%s: %w", u.Context, s.table, err)
			}
		}
	}
	return nil
}

func (r *Report) table(ctx context.Context, d *db.DB, unit string, s shape, classes dataclass.Table, known *Known) error {
	r.Tables++
	var after []any
	for {
		rows, err := rowsAfter(ctx, d, s, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			r.Rows++
			for _, name := range s.columns {
				class, _ := classes.Of(name)
				if row.Null(name) || class.IsSealed() {
					continue
				}
				r.value(unit+"."+s.table+"."+name, row.values[name], class, known)
			}
		}
		last := rows[len(rows)-1]
		after = after[:0]
		for _, name := range s.key {
			after = append(after, last.values[name])
		}
		if len(rows) < page {
			return nil
		}
	}
}

// value looks through one value. What the hospital shows to everybody has words that are names elsewhere; whole numbers are
// counts and masks of seats, which may look like a phone.
func (r *Report) value(where string, v any, class dataclass.Class, known *Known) {
	if n, ok := v.(int64); ok {
		r.Values++
		if known.has(strconv.FormatInt(n, 10)) {
			r.add(where, hits{KindKnown: 1})
		}
		return
	}
	if text, ok := readable(v); ok {
		r.Values++
		r.add(where, find(text, known, class != dataclass.Public))
	}
}

const maxPacked = 16 << 20

// readable is a value as text: of bytes the text in them, unpacked where they are.
func readable(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, v != ""
	case []byte:
		if text, err := packed.Unpack(v, maxPacked); err == nil && utf8.Valid(text) {
			return string(text), len(text) > 0
		}
	}
	return "", false
}

const (
	chunk   = 1 << 20
	overlap = 4 << 10 // a value that is cut is whole in the next piece
)

// file looks through the bytes of a file, whatever it is. Shapes are counted there too where they stand by themselves; names only
// as whole words, because pages of tables have the words of what the hospital shows.
func (r *Report) file(path, name string, known *Known) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a log of the database that has just gone
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r.Files++
	inside := !strings.HasPrefix(name, "db/")
	buf := make([]byte, 0, chunk+overlap)
	for first := true; ; first = false {
		n, err := io.ReadFull(f, buf[len(buf):chunk+overlap])
		r.Bytes += int64(n)
		buf = buf[:len(buf)+n]
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return err
		}
		if n > 0 {
			r.Values++
			r.add(name, find(whole(buf, first, end), known, inside))
		}
		if end {
			return nil
		}
		kept := copy(buf[:overlap], buf[len(buf)-overlap:])
		buf = buf[:kept]
	}
}

// whole is a piece of a file without the words that its edges cut: they are whole in the piece before or after it.
func whole(piece []byte, first, last bool) string {
	for n := 0; !first && len(piece) > 0 && alnum(piece[0]) && n < overlap/2; n++ {
		piece = piece[1:]
	}
	for n := 0; !last && len(piece) > 0 && alnum(piece[len(piece)-1]) && n < overlap/2; n++ {
		piece = piece[:len(piece)-1]
	}
	return string(piece)
}
