package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/notify/notifysvc"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/inbox"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/outbox"
	"xinglin/internal/reference"
)

// Docs writes the generated references into the repository at dir, or compares them
// (check) and says which differ. It wires the whole house on an empty folder, so the
// references are what the program really does; the demo's routes are among them.
func Docs(ctx context.Context, dir string, check bool, commands []reference.Command) ([]string, error) {
	in, err := describe(ctx)
	if err != nil {
		return nil, err
	}
	in.Config, in.Root = commands, os.DirFS(dir)
	files, err := reference.Render(in)
	if err != nil {
		return nil, err
	}
	if !check {
		return nil, reference.Write(dir, files)
	}
	diffs, err := reference.Check(dir, files)
	if err == nil && len(diffs) > 0 {
		err = fmt.Errorf("%d generated files differ; type: bin/xinglin docs", len(diffs))
	}
	return diffs, err
}

func describe(ctx context.Context) (in reference.Input, err error) {
	tmp, err := os.MkdirTemp("", "xinglin-docs")
	if err != nil {
		return in, err
	}
	defer os.RemoveAll(tmp)
	srv, err := db.Open(ctx, db.Options{Dir: tmp, Readers: 1})
	if err != nil {
		return in, err
	}
	defer srv.Close()
	metrics := prometheus.NewRegistry()
	h, err := Wire(ctx, Machines{
		DB: srv, Clock: clock.System{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: metrics, Signals: silent{}, Demo: true,
		Outside: Outside{Notices: notifysvc.Ways{Inbox: func(int) []notifysvc.Shown { return nil }}},
	})
	if err != nil {
		return in, err
	}
	api, err := httpx.New(httpx.Options{Metrics: metrics})
	if err != nil {
		return in, err
	}
	(&operator{house: h}).routes(api)
	if err := describeAdmission(api, metrics); err != nil {
		return in, err
	}
	outbox.NewMetrics(metrics)
	inbox.NewMetrics(metrics)
	job.NewMetrics(metrics)
	byName := map[string]*module.Module{}
	for _, m := range h.Modules {
		byName[m.Name] = m
		if m.Routes != nil {
			m.Routes(api)
		}
	}
	for _, d := range Descriptions() {
		in.Modules = append(in.Modules, reference.Describe(d, byName[d.Name]))
	}
	for _, d := range frameDescriptions() {
		in.Modules = append(in.Modules, reference.Describe(d, nil))
	}
	for _, c := range Contexts {
		in.Contexts = append(in.Contexts, reference.Context(c))
	}
	in.Ops, in.Codes, in.Frame, in.FrameData, in.Permissions, in.Subsets = api.Ops(), fault.Codes(), db.FrameFS(), db.FrameData(), h.Authz.Permissions(), subsets
	in.Policies, in.Facts = h.Authz, h.facts
	if in.OpenAPI, err = api.OpenAPI(); err != nil {
		return in, err
	}
	in.Metrics, err = reference.Metrics(metrics)
	return in, err
}
