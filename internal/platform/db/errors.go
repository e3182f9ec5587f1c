package db

import (
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lite "modernc.org/sqlite/lib"
)

// Driver codes are mapped here and nowhere else; texts are never matched.

const (
	pgUnique     = "23505"
	pgForeign    = "23503"
	pgCheck      = "23514"
	pgSerialize  = "40001"
	pgDeadlock   = "40P01"
	pgLockWait   = "55P03"
	pgRowSecure  = "42501"
	pgAdminStop  = "57P01"
	pgCannotYet  = "57P03"
	pgTooMany    = "53300"
	pgCrashStop  = "57P02"
	liteExtended = 0xff
)

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func liteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// IsUnique reports a broken unique constraint or primary key.
func IsUnique(err error) bool {
	c := liteCode(err)
	return pgCode(err) == pgUnique || c == lite.SQLITE_CONSTRAINT_UNIQUE || c == lite.SQLITE_CONSTRAINT_PRIMARYKEY
}

// IsCheck reports a broken CHECK: a rule that the table itself holds.
func IsCheck(err error) bool {
	return pgCode(err) == pgCheck || liteCode(err) == lite.SQLITE_CONSTRAINT_CHECK
}

// IsForeign reports a row that names a missing parent.
func IsForeign(err error) bool {
	return pgCode(err) == pgForeign || liteCode(err) == lite.SQLITE_CONSTRAINT_FOREIGNKEY
}

// IsDenied reports row-level security or a missing right.
func IsDenied(err error) bool { return pgCode(err) == pgRowSecure }

func retryable(err error) bool {
	switch pgCode(err) {
	case pgSerialize, pgDeadlock, pgLockWait, pgTooMany:
		return true
	}
	switch liteCode(err) & liteExtended {
	case lite.SQLITE_BUSY, lite.SQLITE_LOCKED:
		return true
	}
	return false
}

func lostConnection(err error) bool {
	switch pgCode(err) {
	case pgAdminStop, pgCannotYet, pgCrashStop:
		return true
	case "":
		return pgconn.SafeToRetry(err) || errors.As(err, new(*pgconn.ConnectError)) || cutOff(err)
	}
	return false
}

// cutOff reports that the server's end of the connection is gone: reset, or closed in the
// middle of an answer. A time-out is none.
func cutOff(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout() || errors.Is(err, io.ErrUnexpectedEOF)
}
