package crypt

import (
	"context"

	"xinglin/internal/platform/db"
)

// wipeFreedSQLite makes SQLite write zeros over what the transaction frees, so that a
// destroyed key does not stay in the file's free space. The write-ahead log keeps the
// page as it was until its next checkpoint.
func wipeFreedSQLite(ctx context.Context, tx db.Tx) error {
	var on int
	return tx.QueryRow(ctx, `-- global: a setting of the connection
PRAGMA secure_delete = ON`).Scan(&on)
}
