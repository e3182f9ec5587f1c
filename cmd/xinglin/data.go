package main

import (
	"context"
	"fmt"
	"os"

	"xinglin/internal/app"
	"xinglin/internal/platform/config"
)

type migrateCmd struct {
	DB    string `required:"" help:"PostgreSQL DSN of the migration role, which owns the tables and may create roles." env:"XINGLIN_MIGRATE_DB"`
	Login string `help:"Role that serve connects with: LOGIN NOINHERIT." default:"xinglin_app"`
}

// Run implements the command.
func (c *migrateCmd) Run(ctx context.Context) error {
	if err := app.MigratePostgres(ctx, c.DB, c.Login); err != nil {
		return err
	}
	fmt.Println("migrated")
	return nil
}

type importRotaCmd struct {
	config.Where
	Tenant     string `help:"Code of the tenant." default:"main"`
	DryRun     bool   `help:"Show what would change, which sessions would stop and who has booked them; write nothing."`
	StopVisits bool   `help:"Consent that sessions stop which people have booked: their visits are cancelled, refunded and told."`
	File       string `arg:"" help:"Workbook (.xlsx) or CSV in UTF-8 or GBK, plain or gzip (docs/guide/rota-file.md)." type:"existingfile"`
}

// Run implements the command.
func (c *importRotaCmd) Run(ctx context.Context) error {
	return app.ImportRota(ctx, c.Where, app.RotaImport{Tenant: c.Tenant, File: c.File, DryRun: c.DryRun, StopVisits: c.StopVisits}, os.Stdout)
}

type importICD10Cmd struct {
	config.Where
	Tenant string `help:"Code of the tenant." default:"main"`
	DryRun bool   `help:"Show what would change and write nothing."`
	File   string `arg:"" help:"List of codes and names: workbook, CSV, tab-separated or 'CODE NAME' lines, plain or gzip (docs/guide/load-your-hospital.md)." type:"existingfile"`
}

// Run implements the command.
func (c *importICD10Cmd) Run(ctx context.Context) error {
	return app.ImportCodes(ctx, c.Where, c.Tenant, c.File, c.DryRun, os.Stdout)
}

type importFHIRCmd struct {
	config.Where
	Tenant string   `help:"Code of the tenant." default:"main"`
	DryRun bool     `help:"Show what would change and write nothing."`
	JSON   bool     `help:"Print the report as JSON." name:"json"`
	Files  []string `arg:"" name:"file" help:"FHIR R4 bundles, resources or NDJSON, plain or gzip (docs/guide/fhir-import.md)." type:"existingfile"`
}

// Run implements the command.
func (c *importFHIRCmd) Run(ctx context.Context) error {
	return app.ImportFHIR(ctx, c.Where, app.FHIRImport{Tenant: c.Tenant, Files: c.Files, DryRun: c.DryRun, JSON: c.JSON}, os.Stdout)
}

type verifyCmd struct {
	config.Where
}

// Run implements the command.
func (c *verifyCmd) Run(ctx context.Context) error { return app.Verify(ctx, c.Where, os.Stdout) }

type exportKeysCmd struct {
	config.Where
	Tenant string `help:"Code of the tenant." default:"main"`
	Person string `required:"" help:"The patient's id."`
}

// Run implements the command.
func (c *exportKeysCmd) Run(ctx context.Context) error {
	return app.ExportKeys(ctx, c.Where, c.Tenant, c.Person, os.Stdout)
}

type rotateKeysCmd struct {
	config.Where
	Tenant  string `help:"Code of the tenant." default:"main"`
	What    string `required:"" help:"tenant: its data keys, its persons' keys and its blind indexes; root: the key over all keys." enum:"tenant,root"`
	Prepare bool   `help:"With --what root: only write the next key beside the present one into the file, to be handed to other machines."`
	Wait    bool   `help:"With --what tenant: wait until all rows are brought over."`
}

// Run implements the command.
func (c *rotateKeysCmd) Run(ctx context.Context) error {
	return app.RotateKeys(ctx, c.Where, app.KeyRotation{Tenant: c.Tenant, Root: c.What == "root", Prepare: c.Prepare, Wait: c.Wait}, os.Stdout)
}

type listKeysCmd struct {
	config.Where
	Tenant string `help:"Code of the tenant." default:"main"`
}

// Run implements the command.
func (c *listKeysCmd) Run(ctx context.Context) error {
	return app.ListKeys(ctx, c.Where, c.Tenant, os.Stdout)
}

type versionCmd struct{}

// Run implements the command.
func (versionCmd) Run() error {
	fmt.Println("xinglin " + app.Version)
	return nil
}
