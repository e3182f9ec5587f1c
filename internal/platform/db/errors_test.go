package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// A server that ends in the middle of a statement is a lost connection, not a failure of
// ours; a statement that took too long is none.
func TestLostConnection(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"reset":             {fmt.Errorf("query: %w", reset), true},
		"end of the stream": {fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), true},
		"immediate stop":    {&pgconn.PgError{Code: pgAdminStop}, true},
		"crash of another":  {&pgconn.PgError{Code: pgCrashStop}, true},
		"starting up":       {&pgconn.PgError{Code: pgCannotYet}, true},
		"time-out":          {&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, false},
		"cancelled":         {context.Canceled, false},
		"unique":            {&pgconn.PgError{Code: pgUnique}, false},
		"ours":              {errors.New("scheduling: raced"), false},
	} {
		if got := lostConnection(tc.err); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
