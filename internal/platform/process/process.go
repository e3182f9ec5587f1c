// Package process is the register of the serve processes on one installation. It
// refuses a combination that would lose events or be unable to read sealed fields: a
// second process with an embedded broker, another broker or other keys.
package process

import (
	"context"
	"embed"
	"io/fs"
	"os"
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

const lease = 15 * time.Second

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
}

// Embedded is the Broker of a process that carries its own.
const Embedded = "embedded"

var nobody id.ID[auth.Tenant] // the installation

// Register enters p and checks it against the living. Of two that exclude each other
// the younger goes. The lease is renewed until ctx ends; then the row is deleted.
func Register(ctx context.Context, d *db.DB, p Process) (leave func(), err error) {
	p.Host, _ = os.Hostname()
	if err := enter(ctx, d, p); err != nil {
		return nil, err
	}
	others, err := List(ctx, d)
	if err == nil {
		err = p.against(others)
	}
	if err != nil {
		_ = remove(context.WithoutCancel(ctx), d, p.ID)
		return nil, err
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(lease / 3)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				if err := enter(ctx, d, p); err != nil {
					obs.Log(ctx).Warn("process lease", "error", err.Error())
				}
			}
		}
	}()
	return func() {
		close(stop)
		<-done
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = remove(c, d, p.ID)
	}, nil
}

func (p Process) against(others []Process) error {
	for _, o := range others {
		older := o.ID.String() < p.ID.String()
		switch {
		case o.ID == p.ID || !older:
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

func enter(ctx context.Context, d *db.DB, p Process) error {
	return d.Write(ctx, nobody, func(ctx context.Context, tx db.Tx) error {
		us, err := now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO process (tenant_id, id, host, version, modules, broker, keys, started_at, lease_until)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, id) DO UPDATE SET lease_until = excluded.lease_until`,
			nobody, p.ID, p.Host, p.Version, p.Modules, p.Broker, p.Keys, us, us+lease.Microseconds())
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
		out = nil
		us, err := now(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM process WHERE tenant_id = $1 AND lease_until < $2`, nobody, us); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT id, host, version, modules, broker, keys, started_at FROM process WHERE tenant_id = $1 ORDER BY id LIMIT 1000`, nobody)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p Process
			if err := rows.Scan(&p.ID, &p.Host, &p.Version, &p.Modules, &p.Broker, &p.Keys, db.Instant(&p.Started)); err != nil {
				return err
			}
			out = append(out, p)
		}
		return rows.Err()
	})
	return out, err
}
