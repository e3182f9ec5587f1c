package main

import (
	"context"
	"os"

	"xinglin/internal/app"
	"xinglin/internal/platform/config"
)

type maskCopyCmd struct {
	config.Where
	To    string `required:"" help:"Folder of the copy: empty, or not there." type:"path"`
	Key   string `help:"File of at least 32 secret bytes: the same source and key give the same people. Without it every copy has others." type:"existingfile"`
	Known string `help:"Write the keyed list of the raw values that were replaced, for xinglin mask scan; with --key." type:"path"`
}

// Run implements the command.
func (c *maskCopyCmd) Run(ctx context.Context) error {
	return app.MaskCopy(ctx, c.Where, app.Copy{To: c.To, Key: c.Key, Known: c.Known}, os.Stdout)
}

type maskScanCmd struct {
	Dir   string `arg:"" help:"Folder of a copy, or of any other files." type:"existingdir"`
	Known string `help:"Keyed list of raw values of the source, as xinglin mask --known wrote it." type:"existingfile"`
	Key   string `help:"The key that the list was made with." type:"existingfile"`
}

// Run implements the command.
func (c *maskScanCmd) Run(ctx context.Context) error {
	return app.MaskScan(ctx, c.Dir, c.Known, c.Key, os.Stdout)
}
