// Package process is the register of the serve processes on one installation. It
// refuses a combination that would lose events or be unable to read sealed fields: a
// second process with an embedded broker, another broker or other keys.
package process

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"sync"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
)

// Refusals at the start.
var (
	ErrNeedsNATS = fault.Register(fault.Conflict, "process.needs_nats",
		"同一数据库上的多个进程需要 --nats", "Another process serves this database: every process needs --nats with the same broker")
	ErrOtherBroker = fault.Register(fault.Conflict, "process.other_broker",
		"各进程的 --nats 不一致", "The other processes use another broker: give --nats the same URL")
	ErrOtherKeys = fault.Register(fault.Conflict, "process.other_keys",
		"各进程的 --keys 不一致", "The other processes use other keys: give --keys the same reference")
	ErrDirTaken = fault.Register(fault.Conflict, "process.dir_taken",
		"数据目录正被另一进程使用", "Another process serves this --data folder; SQLite takes exactly one")
)

// Lease is how long a process that was killed still counts as alive.
const Lease = 15 * time.Second

//go:embed migrations/*.sql
var migrations embed.FS

// Set has the register's table.
func Set() db.Set {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return db.Set{Name: "process", FS: sub}
}

// Process is one row of the register.
type Process struct {
	ID      id.ID[Process] `json:"id"`
	Host    string         `json:"host"`
	Version string         `json:"version"`
	Modules string         `json:"modules"`
	Broker  string         `json:"broker"` // "embedded" or the broker's stream identity
	Keys    string         `json:"keys"`   // fingerprint of the root key
	Started time.Time      `json:"started_at"`
	Sole    bool           `json:"-"` // it holds the lock of the folder (LockDir): no other can be alive
}

// Embedded is the Broker of a process that carries its own.
const Embedded = "embedded"

var nobody id.ID[auth.Tenant] // the installation

// gate is a row that every registration locks first, so that of two at once the second
// sees the first. It is no process.
var gate id.ID[Process]

// Register enters p unless it excludes, or is excluded by, one of the living: who comes
// later goes. The lease is renewed until leave, which deletes the row; calling it twice is allowed.
func Register(ctx context.Context, d *db.DB, p Process) (leave func(), err error) {
	p.Host, _ = os.Hostname()
	if err := enter(ctx, d, p); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // it stays in the register while it drains
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(Lease / 3)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				keep(ctx, d, p)
			}
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() {
			close(stop)
			<-done
			c, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			_ = remove(c, d, p.ID)
		})
	}, nil
}

const patience = 4 * time.Second // with the database, less than a third of the lease

// keep renews the lease. A process that was silent for longer than its lease enters
// anew, which is refused when another has taken its place meanwhile.
func keep(ctx context.Context, d *db.DB, p Process) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch err := renew(ctx, d, p); {
	case fault.KindOf(err) == fault.Conflict:
		obs.Log(ctx).Error("process: another one has taken the place, restart this one", "code", fault.Of(err).Code.Name)
	case err != nil:
		obs.Log(ctx).Warn("process lease", "error", err.Error())
	}
}

func renew(ctx context.Context, d *db.DB, p Process) error {
	var n int64
	err := d.Write(ctx, nobody, func(ctx context.Context, tx db.Tx) error {
		us, err := now(ctx, tx)
		if err != nil {
			return err
		}
		n, err = tx.Exec(ctx, `UPDATE process SET lease_until = $3 WHERE tenant_id = $1 AND id = $2`, nobody, p.ID, us+Lease.Microseconds())
		return err
	})
	if err == nil && n == 0 {
		err = enter(ctx, d, p)
	}
	return err
}

func (p Process) against(others []Process) error {
	for _, o := range others {
		switch {
		case o.ID == p.ID:
		case o.Keys != p.Keys:
			return ErrOtherKeys.New()
		case o.Broker == Embedded || p.Broker == Embedded:
			return ErrNeedsNATS.New()
		case o.Broker != p.Broker:
			return ErrOtherBroker.New()
		}
	}
	return nil
}

// now is the database's clock on PostgreSQL: leases of several machines must agree.
func now(ctx context.Context, tx db.Tx) (us int64, err error) {
	if tx.Engine() == db.SQLite {
		return tx.Now().UnixMicro(), nil
	}
	err = tx.QueryRow(ctx, `-- global: the clock
		SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&us)
	return us, err
}

// enter writes p's row if the living allow it, one registration at a time.
func enter(ctx context.Context, d *db.DB, p Process) error {
	return d.Write(ctx, nobody, func(ctx context.Context, tx db.Tx) error {
		const row = `INSERT INTO process (tenant_id, id, host, version, modules, broker, keys, started_at, lease_until)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, id) DO UPDATE SET lease_until = excluded.lease_until`
		if _, err := tx.Exec(ctx, row, nobody, gate, "", "", "", "", "", 0, 0); err != nil {
			return err
		}
		us, err := now(ctx, tx)
		if err != nil {
			return err
		}
		others, err := living(ctx, tx, us)
		if err != nil {
			return err
		}
		if p.Sole { // who still stands there was killed
			others = nil
			if _, err := tx.Exec(ctx, `DELETE FROM process WHERE tenant_id = $1 AND id <> $2`, nobody, gate); err != nil {
				return err
			}
		}
		if err := p.against(others); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, row, nobody, p.ID, p.Host, p.Version, p.Modules, p.Broker, p.Keys, us, us+Lease.Microseconds())
		return err
	})
}

func remove(ctx context.Context, d *db.DB, p id.ID[Process]) error {
	return d.Write(ctx, nobody, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM process WHERE tenant_id = $1 AND id = $2`, nobody, p)
		return err
	})
}

// List gives the living processes, at most 1,000, and forgets the dead.
func List(ctx context.Context, d *db.DB) (out []Process, err error) {
	err = d.Write(ctx, nobody, func(ctx context.Context, tx db.Tx) error {
		us, err := now(ctx, tx)
		if err != nil {
			return err
		}
		out, err = living(ctx, tx, us)
		return err
	})
	return out, err
}

func living(ctx context.Context, tx db.Tx, us int64) (out []Process, err error) {
	if _, err := tx.Exec(ctx, `DELETE FROM process WHERE tenant_id = $1 AND lease_until < $2 AND id <> $3`, nobody, us, gate); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT id, host, version, modules, broker, keys, started_at FROM process
		WHERE tenant_id = $1 AND id <> $2 ORDER BY id LIMIT 1000`, nobody, gate)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p Process
		if err := rows.Scan(&p.ID, &p.Host, &p.Version, &p.Modules, &p.Broker, &p.Keys, db.Instant(&p.Started)); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}
