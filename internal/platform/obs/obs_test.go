package obs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/obs"
)

var errFull = fault.Register(fault.Conflict, "shelf.full", "满", "Full")

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00-" + traceID + "-00f067aa0ba902b7-01"
)

func TestLogCarriesTraceAndNumber(t *testing.T) {
	var b bytes.Buffer
	ctx := obs.WithLog(context.Background(), obs.Logger(&b, slog.LevelInfo))
	ctx, note := obs.WithNote(ctx)
	deeper := obs.WithNumber(obs.WithTrace(ctx, parent), "REG-1")
	obs.Log(deeper).Info("held", "phone", secret.New("13800000000"))
	obs.Log(deeper).Debug("too quiet")
	l := b.String()
	if !strings.Contains(l, `"trace_id":"`+traceID+`"`) || !strings.Contains(l, `"number":"REG-1"`) || strings.Contains(l, "1380") || strings.Contains(l, "quiet") {
		t.Error(l)
	}
	if note.Number() != "REG-1" || obs.Number(ctx) != "" || obs.Number(deeper) != "REG-1" {
		t.Errorf("note %q", note.Number())
	}
	if o := obs.Origin(obs.WithOrigin(ctx, "http 192.0.2.1")); o != "http 192.0.2.1" || obs.Origin(ctx) != "" {
		t.Errorf("origin %q", o)
	}
	for text, want := range map[string]string{parent: traceID, "": "", "short": ""} {
		if got := obs.TraceID(obs.WithTrace(ctx, text)); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if n := (&obs.Note{}).Number(); n != "" {
		t.Errorf("an empty note: %q", n)
	}
}

// Spans continue the caller's trace, carry the number, and name an error by its code only.
func TestSpans(t *testing.T) {
	kept := spans{}
	stop := obs.Tracing(kept)
	ctx := obs.WithTrace(context.Background(), parent)
	ctx, end := obs.Start(ctx, "outer", attribute.String("k", "v"))
	if obs.TraceID(ctx) != traceID || obs.Trace(ctx) == parent {
		t.Errorf("trace %q", obs.Trace(ctx))
	}
	ctx = obs.WithNumber(ctx, "REG-1")
	_, endInner := obs.Start(ctx, "inner")
	endInner(errFull.Because("the name is 张三"))
	end(errors.New("patient 张三"))
	fresh, endFresh := obs.Start(obs.WithTrace(context.Background(), "garbage"), "fresh")
	if id := obs.TraceID(fresh); len(id) != 32 || id == traceID {
		t.Errorf("a malformed parent: %q", id)
	}
	endFresh(nil)
	if err := stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	outer, inner := kept["outer"], kept["inner"]
	if len(kept) != 3 || inner.Parent().SpanID() != outer.SpanContext().SpanID() || outer.Parent().TraceID().String() != traceID {
		t.Fatalf("spans %v", kept)
	}
	if inner.Status().Description != "shelf.full" || outer.Status().Description != "internal" || kept["fresh"].Status().Code != codes.Unset {
		t.Errorf("status %v, %v", inner.Status(), outer.Status())
	}
	for name, s := range kept {
		if text := fmt.Sprint(s.Attributes(), s.Events(), s.Status()); strings.Contains(text, "张三") {
			t.Errorf("%s shows a cause: %s", name, text)
		}
		if has := slices.Contains(s.Attributes(), attribute.String("xinglin.number", "REG-1")); has != (name != "fresh") {
			t.Errorf("%s: %v", name, s.Attributes())
		}
	}
}

// spans keeps what was exported by name.
type spans map[string]sdk.ReadOnlySpan

func (s spans) ExportSpans(_ context.Context, some []sdk.ReadOnlySpan) error {
	for _, x := range some {
		s[x.Name()] = x
	}
	return nil
}

func (spans) Shutdown(context.Context) error { return nil }
