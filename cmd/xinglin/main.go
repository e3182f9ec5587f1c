// Command xinglin is the whole product in one binary: `xinglin serve` opens the doors,
// the other commands look after the data.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/alecthomas/kong"

	"xinglin/internal/kernel/fault"
)

type commands struct {
	Serve   serveCmd   `cmd:"" help:"Open the doors: HTTP, consumers, jobs."`
	Broker  brokerCmd  `cmd:"" help:"Run the message broker as a process of its own, for several serve processes."`
	Migrate migrateCmd `cmd:"" help:"Bring a PostgreSQL database to this version's schema."`
	Import  struct {
		FHIR  importFHIRCmd  `cmd:"" name:"fhir" help:"Load institutions, people of care and patients from FHIR R4 files; exit 1 when something was refused."`
		Rota  importRotaCmd  `cmd:"" help:"Load a hospital's rota from a workbook or a CSV file, all or nothing."`
		ICD10 importICD10Cmd `cmd:"" name:"icd10" help:"Load the codes and names of diagnoses; exit 1 when rows were refused."`
	} `cmd:"" help:"Load a hospital's own data."`
	Verify verifyCmd `cmd:"" help:"Check every invariant of every context; exit 1 when one is broken."`
	Keys   struct {
		Rotate rotateKeysCmd `cmd:"" help:"Make a new generation of a tenant's keys and bring all rows to it, or replace the root key, while the product is in use. Audited."`
		List   listKeysCmd   `cmd:"" help:"Show the generations of a tenant's keys, how far a rotation has come and how many values lie under each."`
		Wrap   wrapKeysCmd   `cmd:"" help:"Have a key source (a cloud's KMS, a module behind PKCS#11 or SDF) wrap the root key, new or present, into a file for --keys wrapped:FILE."`
		Unwrap unwrapKeysCmd `cmd:"" help:"Test that the root key opens, or write it in the clear."`
		Export exportKeysCmd `cmd:"" help:"Print a person's keys, for a foreign program that must open sealed fields. Audited."`
	} `cmd:"" help:"Keys of sealed fields."`
	Config configCmd `cmd:"" help:"A tenant's configuration as a signed bundle: compared, checked, staged, applied, rolled back (docs/guide/tenants.md)."`
	Tenant struct {
		Add  addTenantCmd   `cmd:"" help:"Make a tenant with its hosts, keys, first configuration and administrators; again, it changes what differs."`
		List listTenantsCmd `cmd:"" help:"Show the tenants and their hosts."`
	} `cmd:"" help:"Legal operators of the installation."`
	Staff struct {
		Add addStaffCmd `cmd:"" help:"Make a staff account; its TOTP secret is printed once."`
	} `cmd:"" help:"Staff accounts."`
	Client struct {
		Add addClientCmd `cmd:"" help:"Make an OpenID Connect client; its secret is printed once."`
	} `cmd:"" help:"Other systems that people log in to with their account here."`
	Lottery struct {
		Verify   verifyLotteryCmd   `cmd:"" help:"Compute a draw again from its proof file; exit 1 when anything does not fit."`
		Simulate simulateLotteryCmd `cmd:"" help:"Play many draws of people against bots and print the bots' advantage."`
	} `cmd:"" help:"Verifiable release of numbers by lottery."`
	Audit struct {
		Verify  verifyAuditCmd  `cmd:"" help:"Compute the audit logs again from their rows and compare them with their signed heads; exit 1 when anything was changed."`
		Bundle  bundleAuditCmd  `cmd:"" help:"Write entries with their proofs and heads into a file for the supervisor. Audited."`
		Offline offlineAuditCmd `cmd:"" name:"verify-offline" help:"Check a bundle or a proof with a public key and no database; exit 1 when it does not hold."`
		Keys    keysAuditCmd    `cmd:"" help:"Print the public keys of a tenant's log, to be handed to those who check."`
		Rotate  rotateAuditCmd  `cmd:"" name:"rotate-key" help:"Change the keys that sign a tenant's log; the old ones sign the change and stay good for their heads. Audited."`
		Begin   beginAuditCmd   `cmd:"" name:"begin-new-log" help:"Let a log go on under a new name after its database was restored from a backup, naming the last known head of the one before. Audited."`
	} `cmd:"" help:"The audit log that cannot be rewritten."`
	Policy struct {
		Check checkPolicyCmd `cmd:"" help:"Run the tests of policies; exit 1 when one fails or a policy has none. Nothing is changed."`
	} `cmd:"" help:"Who may do what."`
	Mask struct {
		Copy maskCopyCmd `cmd:"" default:"withargs" help:"Make a copy of a data folder without the people in it, for development."`
		Scan maskScanCmd `cmd:"" help:"Look through a folder for raw identifiers; exit 1 when one is found."`
	} `cmd:"" help:"Copies for development: every person in them is made up."`
	TLS struct {
		Init initTLSCmd `cmd:"" help:"Make a small authority, when the folder has none, and a certificate for a process; again to renew it."`
	} `cmd:"" name:"tls" help:"Certificates of the processes towards each other."`
	Witness witnessCmd `cmd:"" help:"Sign sealed lists for hospitals, each once, and cosign the heads of their logs. Run it where the hospital has no hand."`
	Paysim  paysimCmd  `cmd:"" help:"Simulate the other side of WeChat Pay v3."`
	Kmssim  kmssimCmd  `cmd:"" help:"Simulate a cloud's key management service: Encrypt and Decrypt of Alibaba Cloud KMS. It guards nothing."`
	Idpsim  idpsimCmd  `cmd:"" help:"Simulate a group's OpenID Connect provider and WeChat's login."`
	Bench   struct {
		Booking benchBookingCmd `cmd:"" help:"Measure how fast seats are sold, against the other ways, and check what was sold; exit 1 when a gate is missed."`
		Relay   benchRelayCmd   `cmd:"" help:"How fast facts leave: outbox to broker, synced, on both engines."`
		Rotate  benchRotateCmd  `cmd:"" help:"Bring sealed rows to new keys while people are read and entered; exit 1 when one of them is refused."`
		Live    benchLiveCmd    `cmd:"" help:"Time from a booking's commit to the screens that watch it."`
		Serve   benchServeCmd   `cmd:"" hidden:"" help:"A server that is measured."`
		Hold    benchHoldCmd    `cmd:"" hidden:"" help:"The hold path inside one process."`
	} `cmd:"" help:"Measure this machine with the product's own code."`
	Simulate simulateCmd `cmd:"" help:"Play an installation's worst minutes and judge them from the outside."`
	SBOM     sbomCmd     `cmd:"" name:"sbom" help:"Print what this binary is made of: modules, npm packages, versions, checksums, licences."`
	Docs     docsCmd     `cmd:"" help:"Write the generated references, or check them."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

func main() {
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2) // one core starves the SQLite writer otherwise
	}
	var c commands
	parser, err := kong.New(&c, kong.Name("xinglin"), kong.Description("Xinglin 杏林, an internet hospital in one binary."), kong.UsageOnError())
	if err != nil {
		fatal(err)
	}
	run, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run.BindTo(ctx, (*context.Context)(nil))
	if err := run.Run(); err != nil {
		stop()
		fatal(err)
	}
}

// fatal says the code and both titles, then the details that an operator needs.
func fatal(err error) {
	var f *fault.Error
	if f = fault.Of(err); f != nil {
		fmt.Fprintf(os.Stderr, "xinglin: %s: %s (%s)\n", f.Code.Name, f.Code.EN, f.Code.ZH)
		for _, d := range f.Details {
			fmt.Fprintf(os.Stderr, "  %s: %s\n", d.Path, d.Message)
		}
		if f.Cause != nil && !errors.Is(f.Cause, context.Canceled) {
			fmt.Fprintf(os.Stderr, "  %v\n", f.Cause)
		}
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "xinglin: %v\n", err)
	os.Exit(1)
}
