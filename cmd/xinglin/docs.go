package main

import (
	"context"
	"fmt"
	"os"

	"xinglin/internal/app"
	"xinglin/internal/reference"
)

type docsCmd struct {
	Check bool   `help:"Compare with the files instead of writing them; exit 1 when one differs."`
	Dir   string `help:"The repository." default:"." type:"existingdir"`
}

// Run implements the command.
func (c *docsCmd) Run(ctx context.Context) error {
	diffs, err := app.Docs(ctx, c.Dir, c.Check, []reference.Command{
		{Name: "serve", Help: "Open the doors: HTTP, consumers, jobs.", Flags: &serveCmd{}},
		{Name: "broker", Help: "Run the message broker as a process of its own.", Flags: &brokerCmd{}},
		{Name: "migrate", Help: "Bring a PostgreSQL database to this version's schema.", Flags: &migrateCmd{}},
		{Name: "import fhir", Help: "Load institutions, people of care and patients from FHIR R4 files.", Flags: &importFHIRCmd{}},
		{Name: "import rota", Help: "Load a hospital's rota from a workbook or a CSV file, all or nothing.", Flags: &importRotaCmd{}},
		{Name: "verify", Help: "Check every invariant of every context.", Flags: &verifyCmd{}},
		{Name: "keys rotate", Help: "New generations of a tenant's keys, or another root key, online. Audited.", Flags: &rotateKeysCmd{}},
		{Name: "keys list", Help: "Generations, rotations, and how many values lie under each.", Flags: &listKeysCmd{}},
		{Name: "keys export", Help: "Print a person's keys. Audited.", Flags: &exportKeysCmd{}},
		{Name: "mask", Help: "Make a copy of a data folder without the people in it.", Flags: &maskCopyCmd{}},
		{Name: "mask scan", Help: "Look through a folder for raw identifiers.", Flags: &maskScanCmd{}},
		{Name: "tenant add", Help: "Make a tenant, or change its name and hosts.", Flags: &addTenantCmd{}},
		{Name: "staff add", Help: "Make a staff account.", Flags: &addStaffCmd{}},
		{Name: "bench booking", Help: "Measure how fast seats are sold, and check what was sold.", Flags: &benchBookingCmd{}},
		{Name: "lottery verify", Help: "Compute a draw again from its proof file.", Flags: &verifyLotteryCmd{}},
		{Name: "lottery simulate", Help: "Play many draws of people against bots.", Flags: &simulateLotteryCmd{}},
		{Name: "witness", Help: "Sign sealed lists for hospitals, each once.", Flags: &witnessCmd{}},
		{Name: "paysim", Help: "Simulate the other side of WeChat Pay v3.", Flags: &paysimCmd{}},
		{Name: "sbom", Help: "Print what this binary is made of.", Flags: &sbomCmd{}},
		{Name: "docs", Help: "Write the generated references, or check them.", Flags: &docsCmd{}},
		{Name: "version", Help: "Print the version."},
	})
	for _, d := range diffs {
		fmt.Fprintln(os.Stderr, d)
	}
	return err
}
