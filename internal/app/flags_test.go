package app

import (
	"errors"
	"strings"
	"testing"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
)

func TestFlagsThatDoNotFit(t *testing.T) {
	data := config.Serve{Data: "d", Listen: "127.0.0.1:8080", Modules: []string{"all"}}
	with := func(f func(*config.Serve)) config.Serve {
		c := data
		f(&c)
		return c
	}
	for name, tc := range map[string]struct {
		c    config.Serve
		want *fault.Code
		path string
	}{
		"one machine":             {data, nil, ""},
		"neither data nor db":     {config.Serve{}, ErrFlags, "data"},
		"db":                      {config.Serve{DB: "x", Keys: "env:K", NATS: "nats://x", Listen: ":1"}, nil, ""},
		"db without keys":         {config.Serve{DB: "x", NATS: "nats://x"}, ErrNeedsKeys, ""},
		"db without broker":       {config.Serve{DB: "x", Keys: "env:K"}, ErrNeedsBroker, ""},
		"db with embedded broker": {config.Serve{DB: "x", Keys: "env:K", Data: "d"}, nil, ""},
		"certificate alone":       {with(func(c *config.Serve) { c.TLSCert = "c" }), ErrFlags, "tls-cert"},
		"key alone":               {with(func(c *config.Serve) { c.TLSKey = "k" }), ErrFlags, "tls-cert"},
		"both":                    {with(func(c *config.Serve) { c.TLSCert, c.TLSKey = "c", "k" }), nil, ""},
		"peer files, one missing": {with(func(c *config.Serve) { c.Peer.Cert, c.Peer.KeyFile = "c", "k" }), ErrFlags, "peer-cert"},
		"peer files":              {with(func(c *config.Serve) { c.Peer.Cert, c.Peer.KeyFile, c.Peer.CA = "c", "k", "a" }), nil, ""},
		"clock":                   {with(func(c *config.Serve) { c.Clock = "+1h" }), ErrFlags, "clock"},
		"clock in the demo":       {with(func(c *config.Serve) { c.Clock, c.Demo = "+1h", true }), nil, ""},
		"clock in a simulation":   {with(func(c *config.Serve) { c.Clock, c.Simulation = "+1h", true }), nil, ""},
		"simulation for all":      {with(func(c *config.Serve) { c.Listen, c.Simulation = ":8080", true }), ErrFlags, "simulation"},
		"demo for all":            {with(func(c *config.Serve) { c.Demo, c.Listen = true, "0.0.0.0:8080" }), ErrDemoPublic, ""},
		"demo on every address":   {with(func(c *config.Serve) { c.Demo, c.Listen = true, ":8080" }), ErrDemoPublic, ""},
		"demo by a name":          {with(func(c *config.Serve) { c.Demo, c.Listen = true, "localhost:8080" }), nil, ""},
		"demo on IPv6 loopback":   {with(func(c *config.Serve) { c.Demo, c.Listen = true, "[::1]:8080" }), nil, ""},
		"demo, on purpose":        {with(func(c *config.Serve) { c.Demo, c.DemoPublic, c.Listen = true, true, ":8080" }), nil, ""},
		"modules":                 {with(func(c *config.Serve) { c.Modules = []string{"scheduling", "patient"} }), nil, ""},
		"unknown module":          {with(func(c *config.Serve) { c.Modules = []string{"scheduling", "kitchen"} }), ErrFlags, "modules"},
	} {
		err := check(tc.c)
		if tc.want == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		f := fault.Of(err)
		if !errors.Is(err, tc.want) || tc.path != "" && (len(f.Details) != 1 || f.Details[0].Path != tc.path) {
			t.Errorf("%s: %v", name, err)
		}
		if tc.path == "modules" && !strings.Contains(f.Details[0].Message, "scheduling") {
			t.Errorf("%s: the modules are not named: %s", name, f.Details[0].Message)
		}
	}
}
