// Package obs makes the product observable without showing anybody's data:
// structured logs, Prometheus metrics and traces that carry the business number
// (REG-...) from the tap to the event.
package obs

import (
	"context"
	"log/slog"
	"sync/atomic"
)

type (
	traceKey  struct{}
	numberKey struct{}
	originKey struct{}
	logKey    struct{}
	noteKey   struct{}
)

// WithTrace carries the W3C traceparent of the request that began it all.
func WithTrace(ctx context.Context, traceparent string) context.Context {
	return context.WithValue(ctx, traceKey{}, traceparent)
}

// Trace is the traceparent, or "".
func Trace(ctx context.Context) string { return text(ctx, traceKey{}) }

// WithNumber carries the business number; logs, spans, outbox rows and jobs take it on.
func WithNumber(ctx context.Context, number string) context.Context {
	SetNumber(ctx, number)
	if n, ok := ctx.Value(noteKey{}).(*Note); ok {
		n.number.Store(&number)
	}
	return context.WithValue(ctx, numberKey{}, number)
}

// Number is the business number, or "".
func Number(ctx context.Context) string { return text(ctx, numberKey{}) }

// Note lets a door learn the number that a use case found out further down.
type Note struct{ number atomic.Pointer[string] }

// WithNote puts a note into ctx for the use cases below.
func WithNote(ctx context.Context) (context.Context, *Note) {
	n := &Note{}
	return context.WithValue(ctx, noteKey{}, n), n
}

// Number is the last number noted, or "".
func (n *Note) Number() string {
	if p := n.number.Load(); p != nil {
		return *p
	}
	return ""
}

// WithOrigin carries where the act came from: the address and the door, for the trail.
func WithOrigin(ctx context.Context, origin string) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// Origin is where the act came from, or "".
func Origin(ctx context.Context) string { return text(ctx, originKey{}) }

// WithLog carries the process's logger.
func WithLog(ctx context.Context, l *slog.Logger) context.Context {
	return context.WithValue(ctx, logKey{}, l)
}

// Log is the logger with the trace id and the business number of ctx.
func Log(ctx context.Context) *slog.Logger {
	l, ok := ctx.Value(logKey{}).(*slog.Logger)
	if !ok {
		l = slog.Default()
	}
	if t := TraceID(ctx); t != "" {
		l = l.With("trace_id", t)
	}
	if n := Number(ctx); n != "" {
		l = l.With("number", n)
	}
	return l
}

// TraceID is the 32 hex digits inside the traceparent, or "".
func TraceID(ctx context.Context) string {
	t := Trace(ctx)
	if len(t) < 35 {
		return ""
	}
	return t[3:35]
}

func text(ctx context.Context, k any) string {
	switch v := ctx.Value(k).(type) {
	case string:
		return v
	case *Scope:
		return v.text(k)
	}
	return ""
}
