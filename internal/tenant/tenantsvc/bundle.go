package tenantsvc

import (
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/settings"
	"xinglin/internal/platform/state"
)

// BundleID names a bundle that was staged.
type BundleID = id.ID[Bundle]

// BundleState is how far a bundle has come.
type BundleState string

// The states of a bundle.
const (
	Staged     BundleState = "staged"      // checked, and waits for a second person
	Discarded  BundleState = "discarded"   // never applied
	Applying   BundleState = "applying"    // section by section; after a crash it goes on
	Halted     BundleState = "halted"      // a section was refused after others: resume or roll back
	Live       BundleState = "live"        // the last that was applied
	Replaced   BundleState = "replaced"    // another one came after it
	RolledBack BundleState = "rolled_back" // what lived before it was put back
)

// Bundle is a configuration that was staged, with what became of it.
type Bundle struct {
	ID        BundleID
	State     BundleState
	Digest    string // of its sections
	File      settings.File
	Before    settings.Sections // as they lived when it was applied
	Undoes    BundleID          // of a rollback: what it takes back
	StagedBy  string
	StagedAt  time.Time
	AppliedBy string
	AppliedAt time.Time
	Alone     bool // staged and applied by the same person, at the command line
	Why       string
	Done      int // sections put
	EndedAt   time.Time
	HaltedAt  string // the section that was refused
	HaltedBy  string // the refusal's code
}

// TrustedKey is a key beside the tenant's own whose bundles it takes.
type TrustedKey struct {
	settings.Key
	Title string
}

// bundles is the life of a bundle.
var bundles = state.Machine[BundleState]{
	Noun: "Bundle", Initial: Staged,
	Steps: []state.Step[BundleState]{
		{From: Staged, To: Discarded, By: "tenant.discard_bundle"},
		{From: Staged, To: Applying, By: "tenant.apply_bundle", Guard: "by another person, on the base that lives"},
		{From: Applying, To: Live, By: "job", Guard: "every section was put"},
		{From: Applying, To: Halted, By: "job", Guard: "a section was refused"},
		{From: Halted, To: Applying, By: "tenant.apply_bundle"},
		{From: Halted, To: RolledBack, By: "tenant.roll_back_bundle"},
		{From: Live, To: Replaced, By: "job", Guard: "another one went live"},
		{From: Live, To: RolledBack, By: "job", Guard: "its rollback went live"},
	},
}
