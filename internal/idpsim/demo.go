package idpsim

import (
	"log/slog"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

// The people of the demo at both providers. The demo's hospital has linked the first of the staff; the others show what else there is.
const (
	Linked   = "g-1001" // asked for two factors by the group
	LinkedID = "g-1002" // asked for a password alone
)

// Demo is the simulator of the demo and of `xinglin idpsim`.
func Demo(listen string, public bool, key secret.Text, clk clock.Clock, log *slog.Logger) Options {
	return Options{
		Listen: listen, Public: public, Clock: clk, Log: log,
		OIDC: App{ID: "xinglin-demo", Secret: key}, WeChat: App{ID: "wxdemo0000000001", Secret: key},
		Staff: []Person{
			{Subject: Linked, Name: "林知夏（工号 1001，集团已验两个因素）", Strong: true},
			{Subject: LinkedID, Name: "周护士（工号 1002，集团只验密码）"},
			{Subject: "g-1003", Name: "未绑定的员工（工号 1003）"},
		},
		Members: []Person{
			{Subject: "o-demo-0001", Name: "微信用户 小张"},
			{Subject: "o-demo-0002", Name: "微信用户 小李"},
		},
	}
}
