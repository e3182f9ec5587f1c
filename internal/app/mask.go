package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/mask"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/process"
	"xinglin/internal/platform/trail"
)

// Copy is what `xinglin mask` makes.
type Copy struct {
	To    string // folder
	Key   string // file with the key; empty: a new one for this copy
	Known string // file to be written: the keyed list of raw values; empty: none
}

// maskedMark is the file that says of a folder that it is a copy without people. The demo neither seeds nor enlivens it.
const maskedMark = "masked.json"

func masked(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, maskedMark))
	return err == nil
}

// maskUnits are what every context brings to a copy.
func maskUnits() (out []mask.Unit) {
	for _, d := range append(frameDescriptions(), Descriptions()...) {
		out = append(out, mask.Unit{Context: d.Name, Set: d.Set(), Data: d.Data, Rules: d.Masks})
	}
	return out
}

const minKey, maxKey = 32, 1 << 20

// maskKey reads the key for masking: at least 32 bytes that only their owner can read; a new one without a file.
func maskKey(path string) ([]byte, error) {
	if path == "" {
		key := make([]byte, minKey)
		_, err := rand.Read(key)
		return key, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, mask.ErrKey.Wrap(err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o007 != 0 || info.Size() > maxKey {
		return nil, mask.ErrKey.Because("%s: mode %04o, %d bytes", path, info.Mode().Perm(), info.Size())
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, mask.ErrKey.Wrap(err)
	}
	if key = bytes.TrimSpace(key); len(key) < minKey {
		return nil, mask.ErrKey.Because("%s: %d bytes", path, len(key))
	}
	return key, nil
}

// MaskCopy is `xinglin mask`: a copy, as a data folder, of an installation without the people in it. It stands whole under its name
// or not at all, and is looked through before it gets it. Codes: mask.destination, mask.key, mask.raw_found, mask.served,
// process.dir_taken.
func MaskCopy(ctx context.Context, where config.Where, o Copy, out io.Writer) (err error) {
	switch {
	case where.Data == "" && where.DB == "":
		return ErrFlags.At("data", "give --data DIR or --db DSN")
	case where.DB != "" && where.Keys == "":
		return ErrNeedsKeys.New()
	case o.Known != "" && o.Key == "":
		return ErrFlags.At("known", "a list is made with a key that you keep: give --key FILE")
	}
	key, err := maskKey(o.Key)
	if err != nil {
		return err
	}
	if err := empty(o.To); err != nil {
		return err
	}
	if where.DB == "" {
		if _, err := os.Stat(filepath.Join(where.Data, "db")); err != nil {
			return ErrFlags.At("data", "there is no database in the folder")
		}
		release, err := process.LockDir(where.Data)
		if err != nil {
			return err
		}
		defer release()
	}
	if err := os.MkdirAll(filepath.Dir(o.To), 0o700); err != nil {
		return mask.ErrDestination.Wrap(err)
	}
	made, err := os.MkdirTemp(filepath.Dir(o.To), "."+filepath.Base(o.To)+".half-*")
	if err != nil {
		return mask.ErrDestination.Wrap(err)
	}
	defer os.RemoveAll(made) // under its own name it is out of reach
	res, err := fillCopy(ctx, where, made, key, out)
	if err != nil {
		return err
	}
	rep, err := mask.Scan(ctx, made, maskUnits(), res.Known)
	if err != nil {
		return err
	}
	rep.Print(out)
	if !rep.Clean() {
		return mask.ErrFound.Because("the copy was thrown away")
	}
	if err := writeKnown(o.Known, res.Known); err != nil {
		return err
	}
	if err := settle(made, o.To); err != nil {
		return err
	}
	tellLogins(out, o.To, res)
	return nil
}

// empty refuses a destination that has something in it.
func empty(dir string) error {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return mask.ErrDestination.Wrap(err)
	case len(list) > 0:
		return mask.ErrDestination.Because("%s has %d entries", dir, len(list))
	}
	return nil
}

// fillCopy makes the databases and keys of the copy.
func fillCopy(ctx context.Context, where config.Where, dir string, key []byte, out io.Writer) (res mask.Result, err error) {
	from, fromKeys, err := openSource(ctx, where)
	if err != nil {
		return res, err
	}
	defer from.Close()
	if err := noteCopy(ctx, from, fromKeys); err != nil {
		return res, err
	}
	work := filepath.Join(dir, "work")
	if err := db.MigrateSQLite(ctx, dir, Sets()); err != nil {
		return res, err
	}
	if err := db.MigrateSQLite(ctx, work, []db.Set{mask.Scratch()}); err != nil {
		return res, err
	}
	to, err := db.Open(ctx, db.Options{Dir: dir, Readers: 1, Bulk: true})
	if err != nil {
		return res, err
	}
	defer to.Close()
	helper, err := db.Open(ctx, db.Options{Dir: work, Readers: 1, Bulk: true})
	if err != nil {
		return res, err
	}
	defer helper.Close()
	toKeys, err := ringOf(ctx, to, KeysOf(dir), true)
	if err != nil {
		return res, err
	}
	scratch, err := helper.Context(ctx, mask.Scratch().Name)
	if err != nil {
		return res, err
	}
	res, err = mask.Run(ctx, mask.Options{From: from, To: to, FromKeys: fromKeys, ToKeys: toKeys, Scratch: scratch, Units: maskUnits(), Key: key, Progress: out})
	if err != nil {
		return res, err
	}
	note, err := json.Marshal(map[string]any{"masked_at": clock.System{}.Now().UTC(), "version": Version, "tables": res.Tables, "rows": res.Rows})
	if err != nil {
		return res, err
	}
	if err := errors.Join(to.Close(), helper.Close(), os.RemoveAll(work)); err != nil {
		return res, err
	}
	return res, os.WriteFile(filepath.Join(dir, maskedMark), append(note, '\n'), 0o600)
}

// noteCopy audits first: nobody copies an installation, without its people or not, and leaves no row with its tenants.
func noteCopy(ctx context.Context, from *db.Server, keys *crypt.Ring) error {
	h, err := Wire(ctx, Machines{DB: from, Clock: clock.System{}, Crypt: keys, Log: obs.Logger(os.Stderr, 4), Signals: silent{}})
	if err != nil {
		return err
	}
	ts, err := h.Tenants.List(ctx)
	if err != nil {
		return err
	}
	for _, t := range ts {
		own := obs.WithOrigin(auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: OSUser()}), "cli")
		err := h.DBs["audit"].Write(own, t.ID, func(ctx context.Context, tx db.Tx) error {
			_, err := trail.Record(ctx, tx, trail.Entry{Action: "mask.copy", Noun: "Tenant", ID: t.ID.String(), Policy: "audit.command_line"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openSource opens the databases and keys of the installation that is copied; its schema must be this program's, and nobody may
// serve it meanwhile.
func openSource(ctx context.Context, where config.Where) (*db.Server, *crypt.Ring, error) {
	from, err := db.Open(ctx, db.Options{Dir: where.Data, DSN: where.DB, MaxConns: 4, Readers: 1})
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(from.CheckSchema(ctx, Sets()), unserved(ctx, from))
	var ring *crypt.Ring
	if err == nil {
		keys := where.Keys
		if keys == "" {
			keys = KeysOf(where.Data)
		}
		ring, err = ringOf(ctx, from, keys, false)
	}
	if err != nil {
		_ = from.Close()
		return nil, nil, err
	}
	return from, ring, nil
}

// unserved refuses a PostgreSQL database that processes serve; a folder has its lock.
func unserved(ctx context.Context, srv *db.Server) error {
	if srv.Engine() == db.SQLite {
		return nil
	}
	register, err := srv.Context(ctx, "process")
	if err != nil {
		return err
	}
	living, err := process.List(ctx, register)
	if err == nil && len(living) > 0 {
		err = mask.ErrServed.Because("%d processes", len(living))
	}
	return err
}

func ringOf(ctx context.Context, srv *db.Server, keys string, create bool) (*crypt.Ring, error) {
	store, err := srv.Context(ctx, "keys")
	if err != nil {
		return nil, err
	}
	return crypt.Open(ctx, crypt.Options{DB: store, Keys: keys, Create: create})
}

// writeKnown writes the keyed list, whole or not at all.
func writeKnown(path string, k *mask.Known) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".known-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = k.WriteTo(f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// settle brings a copy that is whole to disk and then to its name.
func settle(made, to string) error {
	err := filepath.WalkDir(made, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder
		return mask.ErrDestination.Wrap(err)
	}
	return os.Rename(made, to)
}

// tellLogins says how the copy is entered.
func tellLogins(out io.Writer, to string, res mask.Result) {
	fmt.Fprintf(out, "copied %d rows of %d tables to %s\n", res.Rows, res.Tables, to)
	fmt.Fprintf(out, "serve it with: xinglin serve --demo --data %s\n", to)
	if len(res.Logins) == 0 {
		return
	}
	fmt.Fprintf(out, "all staff of the copy: password %s  totp %s; patients: the code in the demo's inbox\n", res.Password.Reveal(), res.TOTP.Reveal())
	for _, l := range res.Logins {
		fmt.Fprintf(out, "  %-16s %s  (tenant %s)\n", l.Role, l.Name, l.Tenant)
	}
}

// MaskScan is `xinglin mask scan`: mask.raw_found when a file or row has a raw identifier in it.
func MaskScan(ctx context.Context, dir, known, key string, out io.Writer) error {
	var list *mask.Known
	if known != "" {
		if key == "" {
			return ErrFlags.At("key", "a list of known values is read with the key that it was made with")
		}
		k, err := maskKey(key)
		if err != nil {
			return err
		}
		f, err := os.Open(known)
		if err != nil {
			return mask.ErrKnown.Wrap(err)
		}
		defer f.Close()
		if list, err = mask.ReadKnown(f, k); err != nil {
			return err
		}
	}
	rep, err := mask.Scan(ctx, dir, maskUnits(), list)
	if err != nil {
		return err
	}
	rep.Print(out)
	if !rep.Clean() {
		return mask.ErrFound.New()
	}
	return nil
}
