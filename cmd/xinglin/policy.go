package main

import (
	"os"

	"xinglin/internal/app"
)

type checkPolicyCmd struct {
	Dir     string `arg:"" optional:"" help:"Folder with NAME.cedar and NAME.tests, also in folders below it." type:"existingdir"`
	Builtin bool   `help:"Check the policies of this binary."`
}

// Run implements the command.
func (c *checkPolicyCmd) Run() error {
	if c.Builtin == (c.Dir != "") {
		return app.ErrFlags.At("dir", "give a folder or --builtin")
	}
	return app.CheckPolicies(c.Dir, os.Stdout)
}
