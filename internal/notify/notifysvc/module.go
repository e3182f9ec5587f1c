// Package notifysvc is the behaviour of the notify context.
package notifysvc

import (
	"context"
	"embed"
	"io/fs"

	"xinglin/internal/directory"
	"xinglin/internal/notify"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/mail"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/sms"
	"xinglin/internal/platform/webpush"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed policy.cedar
var policy []byte

//go:embed policy.tests
var policyTests []byte

// Gateway sends text messages; the same ID is sent once.
type Gateway interface {
	Send(ctx context.Context, m sms.Message) (reference string, err error)
}

// Mailer sends mails; a repeat of an ID is the same mail to those who look.
type Mailer interface {
	Send(ctx context.Context, m mail.Message) error
}

// Pusher hands messages to the push services of browsers.
type Pusher interface {
	// Check refuses what cannot be a subscription: webpush.invalid.
	Check(s webpush.Subscription) error
	Send(ctx context.Context, k webpush.Keys, s webpush.Subscription, m webpush.Message) error
}

// Inbox shows what the simulators took, in the demo only.
type Inbox func(limit int) []Shown

// Ways lead out of the house; nil is a channel that nobody has configured.
type Ways struct {
	SMS       Gateway
	Mail      Mailer
	Push      Pusher
	Inbox     Inbox  // demo only
	PublicURL string // of links in mails: https://hospital.example
}

// Describe is the context without running it.
func Describe() module.Description {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	return module.Description{Name: "notify", Migrations: sub, Policies: policy, PolicyTests: policyTests, Data: data(), Keys: keyed(), Masks: masks()}
}

// New builds the context. Text messages without a gateway fail after their attempts,
// where operators see them; mail and push without one are not offered.
func New(base module.Base, dir directory.Service, ways Ways) (*Service, *module.Module) {
	s := &Service{base: base, directory: dir, ways: ways, counts: newCounts(base.Metrics)}
	return s, &module.Module{
		Name:   "notify",
		Held:   held(),
		Routes: s.routes,
		Hears:  s.hears(),
		Jobs:   s.jobs(),
		Checks: checks(),
		Facts: []authz.Source{{Noun: "Notice", Self: true, Actions: []string{
			"notify.list_notices", "notify.read_notice", "notify.read_all_notices", "notify.read_preferences", "notify.update_preferences",
			"notify.prove_mail", "notify.confirm_mail", "notify.remove_mail", "notify.read_push_key", "notify.add_device", "notify.list_devices",
			"notify.remove_device",
		}}},
	}
}

var _ notify.Service = (*Service)(nil)
