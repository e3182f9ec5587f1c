package script

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"xinglin/internal/interop/fhirgen"
	"xinglin/internal/platform/db"
	"xinglin/test/rig"
)

// region DIR [hospitals=N] [doctors=N] [patients=N] [clinical=N] [errors] [renamed] [gzip]:
// the bundles of an invented region.
func region(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: region DIR [hospitals=N] [doctors=N] [patients=N] [clinical=N] [errors] [renamed] [gzip]")
	}
	o := fhirgen.Options{Seed: 7, Hospitals: 5, Doctors: 40, Patients: 120, Clinical: 4}
	zip := false
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		n, err := strconv.Atoi(value)
		if value != "" {
			ts.Check(err)
		}
		switch name {
		case "hospitals":
			o.Hospitals = n
		case "doctors":
			o.Doctors = n
		case "patients":
			o.Patients = n
		case "clinical":
			o.Clinical = n
		case "errors":
			o.Errors = true
		case "renamed":
			o.Renamed = true
		case "gzip":
			zip = true
		default:
			ts.Fatalf("region: %s", a)
		}
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	for name, write := range map[string]func(io.Writer, fhirgen.Options) error{
		"hospitals.json": fhirgen.Hospitals, "practitioners.json": fhirgen.Practitioners, "patients.json": fhirgen.Patients,
	} {
		if zip {
			name += ".gz"
		}
		f, err := os.Create(dir + "/" + name)
		ts.Check(err)
		var w io.Writer = f
		z := gzip.NewWriter(f)
		if zip {
			w = z
		}
		ts.Check(write(w, o))
		if zip {
			ts.Check(z.Close())
		}
		ts.Check(f.Close())
	}
}

// tables DIR FILE: a digest of the rows of every table of every context of a folder.
func tables(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tables DIR FILE")
	}
	dir := ts.MkAbs(args[0])
	files, err := filepath.Glob(filepath.Join(dir, "db", "*.db"))
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out strings.Builder
	for _, f := range files {
		owner := strings.TrimSuffix(filepath.Base(f), ".db")
		err := rig.Transact(ctx, db.Options{Dir: dir, Readers: 1}, owner, rig.Tenant{}, true, func(ctx context.Context, tx db.Tx) error {
			names, err := column(ctx, tx, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
			if err != nil {
				return err
			}
			for _, table := range names {
				fields, err := column(ctx, tx, `SELECT 'quote(' || name || ')' FROM pragma_table_info('`+table+`') ORDER BY name`)
				if err != nil {
					return err
				}
				rows, err := column(ctx, tx, `SELECT `+strings.Join(fields, " || ',' || ")+` AS r FROM `+table+` ORDER BY r`)
				if err != nil {
					return err
				}
				fmt.Fprintf(&out, "%s.%s %d %x\n", owner, table, len(rows), sha256.Sum256([]byte(strings.Join(rows, "\n"))))
			}
			return nil
		})
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o600))
}

func column(ctx context.Context, tx db.Tx, query string) ([]string, error) {
	rows, err := tx.Query(ctx, query)
	return db.Collect(rows, err, func(r db.Rows, v *string) error { return r.Scan(v) })
}
