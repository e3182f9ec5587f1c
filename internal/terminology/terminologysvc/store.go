package terminologysvc

import (
	"context"
	"errors"
	"strconv"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
	"xinglin/internal/terminology"
)

type store struct{}

// importing is one list on its way in.
type importing struct {
	tenant id.ID[auth.Tenant]
	system terminology.System
	policy string
	dryRun bool
	// version of the edition that this import makes, 0 until it changes something.
	version int64
}

type change struct{ New, Changed, Same int }

// take brings a batch in, in one transaction. The first one that changes something makes
// the next version of the edition and the audit row; another import at once is found by its version.
func (store) take(ctx context.Context, d *db.DB, job *importing, in []terminology.Concept) (out change, err error) {
	version := job.version
	work := func(ctx context.Context, tx db.Tx) error {
		version = job.version
		c, _, err := compare(ctx, tx, job.system, in)
		if err != nil {
			return err
		}
		if out = c; job.dryRun || c.New+c.Changed == 0 {
			return nil
		}
		if version, err = lock(ctx, tx, job); err != nil {
			return err
		}
		c, fresh, err := compare(ctx, tx, job.system, in) // now nobody else writes
		if err != nil {
			return err
		}
		out = c
		p := &db.Pipeline{}
		for _, c := range fresh {
			p.Exec(`INSERT INTO concept (tenant_id, system, code, name, search, version) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (tenant_id, system, code) DO UPDATE SET name = excluded.name, search = excluded.search, version = excluded.version`,
				tx.Tenant(), string(job.system), c.Code, c.Name, searchText(c.Code+" "+c.Name), version)
		}
		p.Exec(`UPDATE code_system SET concepts = concepts + $3 WHERE tenant_id = $1 AND system = $2`, tx.Tenant(), string(job.system), int64(out.New))
		return tx.Send(ctx, p)
	}
	if job.dryRun {
		err = d.Read(ctx, job.tenant, work)
	} else {
		err = d.Write(ctx, job.tenant, work)
	}
	if err == nil {
		job.version = version
	}
	return out, err
}

// lock takes the edition's row for this transaction and gives the version that the import makes.
func lock(ctx context.Context, tx db.Tx, job *importing) (int64, error) {
	if job.version > 0 {
		n, err := tx.Exec(ctx, `UPDATE code_system SET updated_at = $4 WHERE tenant_id = $1 AND system = $2 AND version = $3`,
			tx.Tenant(), string(job.system), job.version, tx.Now().UnixMicro())
		if err == nil && n == 0 {
			err = terminology.ErrBusy.New()
		}
		return job.version, err
	}
	var v int64
	err := tx.QueryRow(ctx, `INSERT INTO code_system (tenant_id, system, version, concepts, updated_at) VALUES ($1, $2, 1, 0, $3)
		ON CONFLICT (tenant_id, system) DO UPDATE SET version = code_system.version + 1, updated_at = excluded.updated_at RETURNING version`,
		tx.Tenant(), string(job.system), tx.Now().UnixMicro()).Scan(&v)
	if err != nil {
		return 0, err
	}
	_, err = trail.Record(ctx, tx, trail.Entry{
		Action: "terminology.import_codes", Noun: "CodeSystem", ID: string(job.system), Policy: job.policy,
		Changed: map[string]trail.Change{"version": {From: strconv.FormatInt(v-1, 10), To: strconv.FormatInt(v, 10)}},
	})
	return v, err
}

// compare tells which of the concepts are new or have another name.
func compare(ctx context.Context, tx db.Tx, system terminology.System, in []terminology.Concept) (c change, fresh []terminology.Concept, err error) {
	codes := make([]string, len(in))
	for i, x := range in {
		codes[i] = x.Code
	}
	list, args := db.Few([]any{tx.Tenant(), string(system)}, codes)
	rows, err := tx.Query(ctx, `SELECT code, name FROM concept WHERE tenant_id = $1 AND system = $2 AND code IN (`+list+`)`, args...)
	known, err := db.Collect(rows, err, scan)
	if err != nil {
		return c, nil, err
	}
	names := make(map[string]string, len(known))
	for _, k := range known {
		names[k.Code] = k.Name
	}
	for _, x := range in {
		switch name, ok := names[x.Code]; {
		case !ok:
			c.New++
		case name != x.Name:
			c.Changed++
		default:
			c.Same++
			continue
		}
		fresh = append(fresh, x)
	}
	return c, fresh, nil
}

func scan(r db.Rows, c *terminology.Concept) error { return r.Scan(&c.Code, &c.Name) }

// version is the edition's, 0 when there is none.
func (store) version(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], system terminology.System) (v int64, err error) {
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		err := tx.QueryRow(ctx, `SELECT version FROM code_system WHERE tenant_id = $1 AND system = $2`, tx.Tenant(), string(system)).Scan(&v)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	return v, err
}

// search looks through the edition: some ten thousand short rows. The nearest come first:
// the code itself, codes that begin so, names that begin so, then the shorter name.
func (store) search(ctx context.Context, d *db.DB, tenant id.ID[auth.Tenant], system terminology.System, words []string) (out []terminology.Concept, err error) {
	first := like(words[0])
	text := `SELECT code, name FROM concept WHERE tenant_id = $1 AND system = $2 AND (search LIKE $3 ESCAPE '\' OR search LIKE $4 ESCAPE '\')`
	args := []any{tenant, string(system), first + "%", "% %" + first + "%"} // of a code only the beginning counts
	for _, w := range words[1:] {
		args = append(args, "%"+like(w)+"%")
		text += ` AND search LIKE $` + strconv.Itoa(len(args)) + ` ESCAPE '\'`
	}
	n := len(args)
	text += ` ORDER BY CASE WHEN search LIKE $` + strconv.Itoa(n+1) + ` ESCAPE '\' THEN 0 WHEN search LIKE $3 ESCAPE '\' THEN 1 WHEN search LIKE $` +
		strconv.Itoa(n+2) + ` ESCAPE '\' THEN 2 ELSE 3 END, LENGTH(name), code LIMIT ` + strconv.Itoa(terminology.MaxFound)
	args = append(args, first+" %", "% "+first+"%")
	err = d.Read(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, text, args...)
		out, err = db.Collect(rows, err, scan)
		return err
	})
	return out, err
}
