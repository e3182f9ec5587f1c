package main

import (
	"context"
	"errors"
	"io"
	"os"

	"xinglin/internal/app"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/settings"
)

type configCmd struct {
	Export   configExportCmd   `cmd:"" help:"Print the configuration as a signed bundle. Audited."`
	Diff     configDiffCmd     `cmd:"" help:"Compare two bundles, or one with what lives."`
	Check    configCheckCmd    `cmd:"" help:"Say what a bundle would change and whether it could be applied; exit 1 when it could not. Nothing is changed."`
	Sign     configSignCmd     `cmd:"" help:"Print an edited bundle under new signatures: the tenant's, or a key's outside of the product."`
	Stage    configStageCmd    `cmd:"" help:"Keep a bundle for another person to apply. Audited."`
	Apply    configApplyCmd    `cmd:"" help:"Make a staged bundle live, or go on with a halted one. Audited."`
	Rollback configRollbackCmd `cmd:"" help:"Put back what lived before a bundle. Audited."`
	Discard  configDiscardCmd  `cmd:"" help:"Give a staged bundle up. Audited."`
	Log      configLogCmd      `cmd:"" help:"Show the bundles of a tenant with who applied them and why."`
	Trust    configTrustCmd    `cmd:"" help:"Take bundles under this public key, or no more. Audited."`
	Keys     configKeysCmd     `cmd:"" help:"Show the keys whose bundles a tenant takes."`
}

// configWhere is where the configuration lives.
type configWhere struct {
	config.Where
	Tenant string `help:"Code of the tenant." default:"main"`
}

func (c configWhere) run(ctx context.Context, a app.ConfigAct) error {
	rep, err := app.Configure(ctx, c.Where, c.Tenant, a)
	if fault.Of(err) != nil {
		rep.Problems = nil // the refusal says them
	}
	return errors.Join(err, rep.Print(os.Stdout))
}

// bundleFile reads at most one byte more than a bundle may have, so that a larger one is refused by its own code.
func bundleFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, settings.MaxBundle+1))
	if err == nil && len(b) > settings.MaxBundle {
		return nil, settings.ErrTooLarge.New()
	}
	return b, err
}

func (c configWhere) withFile(ctx context.Context, act, name string) error {
	b, err := bundleFile(name)
	if err != nil {
		return err
	}
	return c.run(ctx, app.ConfigAct{Act: act, Body: b})
}

type configExportCmd struct {
	configWhere
	Section []string `help:"Only these sections."`
}

// Run implements the command.
func (c *configExportCmd) Run(ctx context.Context) error {
	return c.run(ctx, app.ConfigAct{Act: "export", Sections: c.Section})
}

type configDiffCmd struct {
	configWhere
	From string `arg:"" help:"Bundle." type:"existingfile"`
	To   string `arg:"" optional:"" help:"Another bundle; without it the first is compared with what lives." type:"existingfile"`
}

// Run implements the command.
func (c *configDiffCmd) Run(ctx context.Context) error {
	if c.To == "" {
		return c.withFile(ctx, "check", c.From)
	}
	from, err := bundleFile(c.From)
	if err != nil {
		return err
	}
	to, err := bundleFile(c.To)
	if err != nil {
		return err
	}
	diff, err := app.DiffBundles(from, to)
	if err != nil {
		return err
	}
	app.PrintDiff(os.Stdout, diff)
	return nil
}

type configCheckCmd struct {
	configWhere
	File string `arg:"" help:"Bundle." type:"existingfile"`
}

// Run implements the command.
func (c *configCheckCmd) Run(ctx context.Context) error { return c.withFile(ctx, "check", c.File) }

type configSignCmd struct {
	configWhere
	Key  string `help:"Reference of a private key in PKCS #8, PEM: file:PATH or env:NAME; without it the tenant's own keys sign, audited."`
	File string `arg:"" help:"Bundle." type:"existingfile"`
}

// Run implements the command.
func (c *configSignCmd) Run(ctx context.Context) error {
	if c.Key == "" {
		return c.withFile(ctx, "sign", c.File)
	}
	b, err := bundleFile(c.File)
	if err != nil {
		return err
	}
	text, err := app.SignBundle(b, c.Key)
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	return err
}

type configStageCmd struct {
	configWhere
	File string `arg:"" help:"Bundle." type:"existingfile"`
}

// Run implements the command.
func (c *configStageCmd) Run(ctx context.Context) error { return c.withFile(ctx, "stage", c.File) }

type configApplyCmd struct {
	configWhere
	Why    string `required:"" help:"Why, for the history and the trail."`
	Alone  bool   `help:"The same person staged it; the history says so."`
	Bundle string `arg:"" help:"Id of the bundle."`
}

// Run implements the command.
func (c *configApplyCmd) Run(ctx context.Context) error {
	return c.run(ctx, app.ConfigAct{Act: "apply", Bundle: c.Bundle, Why: c.Why, Alone: c.Alone})
}

type configRollbackCmd struct {
	configWhere
	Why    string `required:"" help:"Why, for the history and the trail."`
	Bundle string `arg:"" help:"Id of the bundle that is live or halted."`
}

// Run implements the command.
func (c *configRollbackCmd) Run(ctx context.Context) error {
	return c.run(ctx, app.ConfigAct{Act: "rollback", Bundle: c.Bundle, Why: c.Why})
}

type configDiscardCmd struct {
	configWhere
	Bundle string `arg:"" help:"Id of the staged bundle."`
}

// Run implements the command.
func (c *configDiscardCmd) Run(ctx context.Context) error {
	return c.run(ctx, app.ConfigAct{Act: "discard", Bundle: c.Bundle})
}

type configLogCmd struct{ configWhere }

// Run implements the command.
func (c *configLogCmd) Run(ctx context.Context) error {
	return c.run(ctx, app.ConfigAct{Act: "log"})
}

type configTrustCmd struct {
	configWhere
	Title  string `help:"Whose key it is."`
	Revoke bool   `help:"Trust it no more: KEY is its name."`
	Key    string `arg:"" help:"File of a public key in PEM, or with --revoke the name that config keys shows."`
}

// Run implements the command.
func (c *configTrustCmd) Run(ctx context.Context) error {
	if c.Revoke {
		return c.run(ctx, app.ConfigAct{Act: "distrust", Title: c.Key})
	}
	b, err := bundleFile(c.Key)
	if err != nil {
		return err
	}
	return c.run(ctx, app.ConfigAct{Act: "trust", Title: c.Title, Body: b})
}

type configKeysCmd struct{ configWhere }

// Run implements the command.
func (c *configKeysCmd) Run(ctx context.Context) error {
	return c.run(ctx, app.ConfigAct{Act: "keys"})
}
