package obs

import (
	"context"
	"errors"

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
// function flushes and stops it. Without exporters spans are still made, so that
// every request, event and job has a trace id.
func Tracing(exporters ...sdk.SpanExporter) func(context.Context) error {
	opts := []sdk.TracerProviderOption{sdk.WithSampler(sdk.AlwaysSample())}
	for _, e := range exporters {
		opts = append(opts, sdk.WithBatcher(e))
	}
	p := sdk.NewTracerProvider(opts...)
	otel.SetTracerProvider(p)
	return p.Shutdown
}

// Start opens a span under ctx. A traceparent that came by HTTP, an event or a job
// becomes its parent; from here on Trace(ctx) names the new span.
func Start(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, func(error)) {
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
	if number != "" {
		trace.SpanFromContext(ctx).SetAttributes(numberAttr.String(number))
	}
}
