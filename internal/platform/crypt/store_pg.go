package crypt

import (
	"context"

	"xinglin/internal/platform/db"
)

// wipeFreedPG has nothing to do inside the transaction: PostgreSQL keeps the row as it
// was until a vacuum lets its place be reused, and the write-ahead log as long as
// backups keep that. Whoever needs it gone sooner runs VACUUM on person_key.
func wipeFreedPG(context.Context, db.Tx) error { return nil }
