package main

import (
	"context"
	"fmt"
	"os"

	"xinglin/internal/app"
	"xinglin/internal/kmssim"
)

type wrapKeysCmd struct {
	Source       string `required:"" help:"JSON file of the key source: a cloud's KMS, PKCS#11 or SDF (docs/guide/keys.md)." type:"existingfile"`
	Out          string `required:"" help:"File to be made, for --keys wrapped:FILE." type:"path"`
	From         string `help:"Reference of the root key that an installation has already; without it a new key is made."`
	Installation string `help:"Name of the installation, bound to the key and shown to the source; random by default."`
}

// Run implements the command.
func (c *wrapKeysCmd) Run(ctx context.Context) error {
	return app.WrapKeys(ctx, c.Source, c.Out, c.From, c.Installation, os.Stdout)
}

type unwrapKeysCmd struct {
	Keys  string `required:"" help:"Reference of the root key, usually wrapped:FILE." env:"XINGLIN_KEYS"`
	Check bool   `help:"Only say whether it opens, and which key it is." xor:"do" required:""`
	Out   string `help:"Write the key in the clear to this new file, for --keys file:FILE: the way back from a source." type:"path" xor:"do" required:""`
}

// Run implements the command.
func (c *unwrapKeysCmd) Run(ctx context.Context) error {
	return app.UnwrapKeys(ctx, c.Keys, c.Out, os.Stdout)
}

type kmssimCmd struct {
	Listen string `help:"Address of the simulator, on the loopback." default:"127.0.0.1:8086"`
	Data   string `required:"" help:"Folder of the simulator; source.json in it is for xinglin keys wrap." type:"path"`
}

// Run implements the command.
func (c *kmssimCmd) Run(ctx context.Context) error {
	s, err := kmssim.New(kmssim.Options{Dir: c.Data, Listen: c.Listen})
	if err != nil {
		return err
	}
	fmt.Println("kmssim ready on " + s.URL())
	return s.Serve(ctx)
}
