package main

import (
	"context"
	"os"

	"xinglin/internal/app"
	"xinglin/internal/platform/config"
)

type serveCmd struct {
	config.Serve
}

// Run implements the command.
func (c *serveCmd) Run(ctx context.Context) error {
	return app.Serve(ctx, c.Serve, os.Stdout, os.Stderr)
}
