// Package notifysvc is the behaviour of the notify context.
package notifysvc

import (
	"context"
	"embed"
	"io/fs"

	"xinglin/internal/directory"
	"xinglin/internal/notify"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/sms"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policy []byte

// Gateway sends text messages; the same ID is sent once.
type Gateway interface {
	Send(ctx context.Context, m sms.Message) (reference string, err error)
}

// Inbox shows what a simulator took, in the demo only.
type Inbox func(limit int) []Shown

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{Name: "notify", Migrations: sub, Policies: policy}
}

// New builds the context. Without a gateway SMS deliveries fail after their attempts,
// where operators see them; inbox is nil outside the demo.
func New(base module.Base, dir directory.Service, gateway Gateway, inbox Inbox) (*Service, *module.Module) {
	s := &Service{base: base, directory: dir, gateway: gateway, inbox: inbox, counts: newCounts(base.Metrics)}
	return s, &module.Module{
		Name:   "notify",
		Routes: s.routes,
		Hears:  s.hears(),
		Jobs:   s.jobs(),
		Checks: checks(),
	}
}

var _ notify.Service = (*Service)(nil)
