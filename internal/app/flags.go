package app

import (
	"net"
	"slices"
	"strings"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
)

// Refusals of a combination of flags.
var (
	ErrFlags       = fault.Register(fault.Invalid, "app.flags", "启动参数不正确", "The flags do not fit together")
	ErrDemoPublic  = fault.Register(fault.Invalid, "app.demo_public", "演示模式只能在本机地址运行", "--demo serves loopback addresses only; --demo-public lifts that")
	ErrNeedsBroker = fault.Register(fault.Invalid, "app.needs_broker", "需要 --nats，或用 --data 指定内置消息服务的目录", "With --db give --nats, or --data for the folder of the embedded broker")
	ErrNeedsKeys   = fault.Register(fault.Invalid, "app.needs_keys", "使用 --db 时必须给出 --keys", "With --db the root key must be named: --keys file:PATH, env:NAME or wrapped:PATH")
)

// check refuses flags that contradict each other, before anything is opened.
func check(c config.Serve) error {
	switch {
	case c.Data == "" && c.DB == "":
		return ErrFlags.At("data", "give --data DIR (one machine) or --db DSN (PostgreSQL)")
	case c.DB != "" && c.Keys == "":
		return ErrNeedsKeys.New()
	case c.DB != "" && c.NATS == "" && c.Data == "":
		return ErrNeedsBroker.New()
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return ErrFlags.At("tls-cert", "give --tls-cert and --tls-key together")
	case !c.Peer.Zero() && (c.Peer.Cert == "" || c.Peer.KeyFile == "" || c.Peer.CA == ""):
		return ErrFlags.At("peer-cert", "give --peer-cert, --peer-key and --peer-ca together")
	case c.Clock != "" && !c.Demo && !c.Simulation:
		return ErrFlags.At("clock", "--clock works with --demo only")
	case c.Simulation && !loopback(c.Listen):
		return ErrFlags.At("simulation", "a simulation serves loopback addresses only")
	case c.Demo && !c.DemoPublic && !loopback(c.Listen):
		return ErrDemoPublic.New()
	case c.DemoPeople != 0 || c.DemoTraffic != 0:
		if !c.Demo || c.TLSCert != "" || min(c.DemoPeople, c.DemoTraffic) < 0 || max(c.DemoPeople, c.DemoTraffic) > maxVisitors {
			return ErrFlags.At("demo-traffic", "--demo-people and --demo-traffic want --demo without TLS, and at most 2000 people")
		}
	}
	for _, m := range c.Modules {
		if m != "all" && !known(m) {
			return ErrFlags.At("modules", "there is no module "+m+"; modules are "+strings.Join(names(), ", "))
		}
	}
	return nil
}

func names() []string {
	var out []string
	for _, c := range Contexts {
		out = append(out, c.Name)
	}
	slices.Sort(out)
	return out
}

func known(module string) bool { return slices.Contains(names(), module) }

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
