package obs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"xinglin/internal/kernel/fault"
)

const numberAttr = attribute.Key("xinglin.number")

var propagator = propagation.TraceContext{}

// Tracing installs the process's tracer with the exporters given; the returned
// function flushes and stops it. Without exporters there are no spans, only
// trace ids: every request, event and job has one.
func Tracing(exporters ...sdk.SpanExporter) func(context.Context) error {
	if len(exporters) == 0 {
		return func(context.Context) error { return nil }
	}
	opts := []sdk.TracerProviderOption{sdk.WithSampler(sdk.AlwaysSample())}
	for _, e := range exporters {
		opts = append(opts, sdk.WithBatcher(e))
	}
	p := sdk.NewTracerProvider(opts...)
	otel.SetTracerProvider(p)
	tracing.Store(true)
	return func(ctx context.Context) error {
		tracing.Store(false)
		return p.Shutdown(ctx)
	}
}

// tracing says whether somebody takes spans.
var tracing atomic.Bool

// Spans reports whether spans are made; without them Start only sees to a trace id.
func Spans() bool { return tracing.Load() }

// NewTrace is the traceparent of a trace that begins here.
func NewTrace() string {
	var raw [24]byte
	binary.BigEndian.PutUint64(raw[0:], rand.Uint64()|1) // never all zero
	binary.BigEndian.PutUint64(raw[8:], rand.Uint64())
	binary.BigEndian.PutUint64(raw[16:], rand.Uint64()|1)
	return traceparent(raw)
}

// TraceOf is the traceparent of a request that carries an idempotency key and no trace of
// its own: its repeats share the trace, and who knows the key need not keep the trace.
func TraceOf(key [16]byte) string {
	var raw [24]byte
	copy(raw[:], key[:])
	copy(raw[16:], key[8:])
	return traceparent(raw)
}

func traceparent(raw [24]byte) string {
	b := [55]byte{0: '0', 1: '0', 2: '-', 35: '-', 52: '-', 53: '0', 54: '1'}
	hex.Encode(b[3:35], raw[:16])
	hex.Encode(b[36:52], raw[16:])
	return string(b[:])
}

// IsTrace reports whether t is a traceparent of version 00 that names a trace.
func IsTrace(t string) bool {
	if len(t) != 55 || t[:3] != "00-" || t[35] != '-' || t[52] != '-' {
		return false
	}
	zero := true
	for i := 3; i < len(t); i++ {
		c := t[i]
		if i != 35 && i != 52 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
		zero = zero && (i >= 35 || c == '0')
	}
	return !zero
}

func nothing(error) {}

// Start opens a span under ctx. A traceparent that came by HTTP, an event or a job
// becomes its parent; from here on Trace(ctx) names the new span.
func Start(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, func(error)) {
	if !Spans() {
		if IsTrace(Trace(ctx)) {
			return ctx, nothing
		}
		return WithTrace(ctx, NewTrace()), nothing
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = propagator.Extract(ctx, propagation.MapCarrier{"traceparent": Trace(ctx)})
	}
	ctx, span := otel.Tracer("xinglin").Start(ctx, name, trace.WithAttributes(attrs...))
	if n := Number(ctx); n != "" {
		span.SetAttributes(numberAttr.String(n))
	}
	c := propagation.MapCarrier{}
	propagator.Inject(ctx, c)
	if t := c["traceparent"]; t != "" {
		ctx = WithTrace(ctx, t)
	}
	return ctx, func(err error) {
		if err != nil {
			// The code only: a cause may hold what must not leave the log.
			what := "internal"
			if f := fault.Of(err); f != nil {
				what = f.Code.Name
			}
			span.SetStatus(codes.Error, what)
			span.RecordError(errors.New(what))
		}
		span.End()
	}
}

// SetNumber puts the business number on the span of ctx.
func SetNumber(ctx context.Context, number string) {
	if number != "" && Spans() {
		trace.SpanFromContext(ctx).SetAttributes(numberAttr.String(number))
	}
}
