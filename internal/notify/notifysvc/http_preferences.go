package notifysvc

import (
	"context"
	"net/http"

	"xinglin/internal/notify"
	"xinglin/internal/platform/httpx"
)

type choicesBody struct {
	Topics    topics `json:"topics" doc:"Channels by what a message is about: visit (appointments), queue (called, missed), payment (refunds), service (the account). The app itself always has every message; codes always come."`
	Quiet     bool   `json:"quiet" doc:"Nothing rings between quiet_from and quiet_to, except codes, calls of the queue, and what begins before they end"`
	QuietFrom string `json:"quiet_from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"22:00" doc:"Asia/Shanghai"`
	QuietTo   string `json:"quiet_to" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"07:00" doc:"Asia/Shanghai; on the next day when it is earlier than quiet_from"`
}

// preferencesBody repeats the choices: the document knows no embedded ones.
type preferencesBody struct {
	Topics      topics `json:"topics" doc:"Channels by what a message is about: visit (appointments), queue (called, missed), payment (refunds), service (the account). The app itself always has every message; codes always come."`
	Quiet       bool   `json:"quiet" doc:"Nothing rings between quiet_from and quiet_to, except codes, calls of the queue, and what begins before they end"`
	QuietFrom   string `json:"quiet_from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"22:00" doc:"Asia/Shanghai"`
	QuietTo     string `json:"quiet_to" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" example:"07:00" doc:"Asia/Shanghai; on the next day when it is earlier than quiet_from"`
	MailMasked  string `json:"mail_masked" example:"l***@example.com" doc:"The confirmed address; empty without one"`
	PushDevices int    `json:"push_devices" doc:"Browsers that take push messages"`
}

type preferencesOut struct {
	ETag string `header:"ETag"`
	Body preferencesBody
}

type preferencesIn struct {
	IfMatch string `header:"If-Match"`
	Body    choicesBody
}

func (s *Service) preferenceRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "notify.read_preferences", Method: http.MethodGet, Path: "/notice-preferences", Summary: "Which messages I want on which channel, and when not; version 0 until I change them"},
		func(ctx context.Context, _ *struct{}) (*preferencesOut, error) { return shown(s.readPreferences(ctx)) })
	httpx.Register(a, httpx.Op{ID: "notify.update_preferences", Method: http.MethodPut, Path: "/notice-preferences", Versioned: true, Summary: "Change them"}, s.httpPutPreferences)
}

func shown(p settings, err error) (*preferencesOut, error) {
	if err != nil {
		return nil, err
	}
	out := &preferencesOut{ETag: httpx.ETag(p.version)}
	out.Body = preferencesBody{
		Topics: p.topics, Quiet: p.quiet, QuietFrom: hours(p.from), QuietTo: hours(p.to), MailMasked: p.mail, PushDevices: p.devices,
	}
	return out, nil
}

func (s *Service) httpPutPreferences(ctx context.Context, in *preferencesIn) (*preferencesOut, error) {
	v, err := httpx.Version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	from, ok1 := minutes(in.Body.QuietFrom)
	to, ok2 := minutes(in.Body.QuietTo)
	if !ok1 || !ok2 {
		return nil, notify.ErrInvalid.At("quiet_from", "want HH:MM")
	}
	return shown(s.putPreferences(ctx, preferences{topics: in.Body.Topics, quiet: in.Body.Quiet, from: from, to: to, version: v}))
}
