package main

import (
	"context"
	"os"

	"xinglin/internal/app"
	"xinglin/internal/platform/config"
)

type verifyAuditCmd struct {
	config.Where
	Tenant     string   `help:"Code of the one tenant; every tenant by default."`
	Anchor     []string `help:"Anchor file: a database that was cut or set back is behind it. By default audit.anchor in the --data folder." type:"existingfile"`
	Key        string   `help:"Public keys of the log (PEM), as they were handed over; with --tenant." type:"existingfile"`
	Witness    string   `help:"URL of the witness: compare with what it saw last."`
	WitnessKey string   `help:"The witness's public key, from the witness itself."`
}

// Run implements the command.
func (c *verifyAuditCmd) Run(ctx context.Context) error {
	return app.VerifyAudit(ctx, c.Where, app.AuditCheck{Tenant: c.Tenant, Anchors: c.Anchor, Key: c.Key, Witness: c.Witness, WitnessKey: c.WitnessKey}, os.Stdout)
}

type bundleAuditCmd struct {
	config.Where
	Tenant string `help:"Code of the tenant." default:"main"`
	From   uint64 `help:"First entry." default:"0"`
	To     uint64 `help:"First entry that is left out; 0: up to the last signed head." default:"0"`
	Out    string `required:"" help:"File to be written." type:"path"`
}

// Run implements the command.
func (c *bundleAuditCmd) Run(ctx context.Context) error {
	return app.ExportAudit(ctx, c.Where, app.AuditRange{Tenant: c.Tenant, From: c.From, To: c.To}, c.Out, os.Stdout)
}

type offlineAuditCmd struct {
	File       string `arg:"" help:"A bundle of xinglin audit bundle, or a proof of GET /api/v1/audit/events/{id}/proof." type:"existingfile"`
	Key        string `required:"" help:"A public key of the log (PEM), as the hospital handed it over." type:"existingfile"`
	WitnessKey string `help:"Want the head cosigned by the witness with this public key."`
	Show       bool   `help:"Print the entries."`
}

// Run implements the command.
func (c *offlineAuditCmd) Run() error {
	return app.VerifyAuditFile(app.AuditFile{File: c.File, Key: c.Key, WitnessKey: c.WitnessKey, Show: c.Show}, os.Stdout)
}

type keysAuditCmd struct {
	config.Where
	Tenant string `help:"Code of the tenant." default:"main"`
}

// Run implements the command.
func (c *keysAuditCmd) Run(ctx context.Context) error {
	return app.AuditKeys(ctx, c.Where, c.Tenant, os.Stdout)
}

type rotateAuditCmd struct {
	config.Where
	Tenant string `help:"Code of the tenant." default:"main"`
}

// Run implements the command.
func (c *rotateAuditCmd) Run(ctx context.Context) error {
	return app.RotateAuditKeys(ctx, c.Where, c.Tenant, os.Stdout)
}

type beginAuditCmd struct {
	config.Where
	Tenant     string   `help:"Code of the tenant." default:"main"`
	Anchor     []string `help:"Anchor file with the heads of the log that was lost. By default audit.anchor in the --data folder." type:"existingfile"`
	Witness    string   `help:"URL of the witness: what it saw last counts too."`
	WitnessKey string   `help:"The witness's public key, from the witness itself."`
}

// Run implements the command.
func (c *beginAuditCmd) Run(ctx context.Context) error {
	return app.BeginAuditLog(ctx, c.Where, app.AuditCheck{Tenant: c.Tenant, Anchors: c.Anchor, Witness: c.Witness, WitnessKey: c.WitnessKey}, os.Stdout)
}
