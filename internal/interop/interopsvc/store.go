package interopsvc

import "xinglin/internal/platform/db"

// migrations: the context has no tables of its own.
var migrations = db.NoMigrations
