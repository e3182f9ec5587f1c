package main

import (
	"errors"
	"os"
	"runtime/debug"

	"xinglin/internal/app"
	"xinglin/internal/reference/sbom"
)

type sbomCmd struct {
	Format string `help:"cyclonedx (1.5, JSON) or spdx (2.3, JSON)." enum:"cyclonedx,spdx" default:"cyclonedx"`
}

// Run implements the command.
func (c *sbomCmd) Run() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this binary was built without notes of its modules")
	}
	b, err := sbom.CycloneDX(app.Version, info)
	if c.Format == "spdx" {
		created := "1970-01-01T00:00:00Z" // a build outside of a repository
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				created = s.Value
			}
		}
		b, err = sbom.SPDX(app.Version, created, info)
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(b)
	return err
}
