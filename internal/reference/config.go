package reference

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// configPage lists flags, variables and defaults as the parser itself sees them. A struct
// with commands below it gives a section for each of them.
func configPage(commands []Command) (string, error) {
	var p page
	p.f("# Settings\n\nA flag and its variable are the same setting; the flag wins. An unknown flag refuses the start. Secrets are references,\n" +
		"`file:PATH` or `env:NAME`, never values.\n")
	for _, c := range commands {
		if c.Flags == nil {
			c.Flags = &struct{}{}
		}
		parser, err := kong.New(c.Flags, kong.Name("xinglin"), kong.Exit(func(int) {}))
		if err != nil {
			return "", fmt.Errorf("reference: %s: %w", c.Name, err)
		}
		p.command(strings.TrimSpace("xinglin "+c.Name), c.Help, parser.Model.Node)
	}
	return p.String(), nil
}

// command writes the section of a command, or those of the commands below it.
func (p *page) command(name, help string, node *kong.Node) {
	for _, child := range node.Children {
		p.command(name+" "+child.Name, child.Help, child)
	}
	if len(node.Children) > 0 {
		return
	}
	p.f("\n## %s\n", name)
	if help != "" {
		p.f("\n%s\n", help)
	}
	for _, a := range node.Positional {
		p.f("\n`%s`: %s\n", strings.ToUpper(a.Name), a.Help)
	}
	flags := slices.DeleteFunc(slices.Clone(node.Flags), func(f *kong.Flag) bool { return f.Name == "help" || f.Hidden })
	if len(flags) == 0 {
		return
	}
	p.f("\n")
	p.head("Flag", "Variable", "Default", "What")
	for _, f := range flags {
		p.row(code("--"+f.Name), codes(f.Envs), code(f.Default), flagHelp(f))
	}
}

func flagHelp(f *kong.Flag) string {
	text := f.Help
	if f.Enum != "" {
		text += " One of " + codes(strings.Split(f.Enum, ",")) + "."
	}
	if f.Required {
		text += " Required."
	}
	return strings.TrimSpace(text)
}
