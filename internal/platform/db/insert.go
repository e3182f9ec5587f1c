package db

import (
	"context"
	"strings"
)

// InsertMany sends rows in few statements: head is "INSERT INTO t (tenant_id, ...) VALUES ".
// Each row has as many values as columns; the sizes of the statements are powers of two, so that few texts are prepared.
func InsertMany(ctx context.Context, tx Tx, head string, columns int, rows [][]any) error {
	for len(rows) > 0 {
		n := 64
		for n > len(rows) {
			n /= 2
		}
		var b strings.Builder
		b.WriteString(head)
		args := make([]any, 0, n*columns)
		for i, r := range rows[:n] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(" + In(len(args)+1, columns) + ")")
			args = append(args, r...)
		}
		if _, err := tx.Exec(ctx, b.String(), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
