package obs

import (
	"io"
	"log/slog"
)

// Logger writes JSON lines without personal data: secrets hide themselves
// (kernel/secret) and handlers log codes and ids only.
func Logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
