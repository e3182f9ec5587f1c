package main

import (
	"fmt"
	"time"

	"xinglin/internal/app"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/tls"
)

type initTLSCmd struct {
	Dir   string   `arg:"" help:"Folder: ca.pem and ca.key are made when missing; NAME.pem and NAME.key are written." type:"path"`
	Name  string   `help:"Name of the process; its files are called so." default:"peer"`
	Hosts []string `help:"Names and addresses that the other processes reach it by." default:"127.0.0.1,localhost" name:"host"`
	Days  int      `help:"Days that the certificate is good for; the authority's ten years." default:"365"`
}

// Run implements the command.
func (c *initTLSCmd) Run() error {
	if c.Days < 1 || c.Days > 3650 {
		return app.ErrFlags.At("days", "want 1 to 3650")
	}
	i := tls.Issue{Dir: c.Dir, Name: c.Name, Hosts: c.Hosts, Life: time.Duration(c.Days) * 24 * time.Hour, Now: clock.System{}.Now()}
	if err := i.Make(); err != nil {
		return app.ErrFlags.Wrap(err)
	}
	fmt.Printf("%s.pem and %s.key in %s; keep ca.key off the servers\n", c.Name, c.Name, c.Dir)
	return nil
}
