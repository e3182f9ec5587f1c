// Package notify brings messages to people (通知): templates in Chinese and English,
// deliveries with state, in the app, by text message, mail and push; what a person wants
// to hear on which channel, and the hours in which nothing rings.
//
// Invariants: one delivery per message id and channel; a crash neither loses nor
// doubles one (mail and push say in docs/guide/notify.zh-CN.md what that means there);
// texts are rendered here and sealed, callers give a template and facts.
package notify

import (
	"context"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// Ids of the nouns.
type (
	DeliveryID = id.ID[Delivery]
	TenantID   = id.ID[auth.Tenant]
	AccountID  = id.ID[auth.Account]
)

// Channel is a way to a person.
type Channel string

// The channels. What is in the app is never switched off.
const (
	InApp Channel = "in_app"
	SMS   Channel = "sms"
	Mail  Channel = "mail"
	Push  Channel = "push"
)

// Topic is what a message is about; a person chooses channels by topic.
type Topic string

// The topics. Codes have none: who asked for one gets it.
const (
	AboutVisit   Topic = "visit"   // booked, cancelled, stopped, tomorrow
	AboutQueue   Topic = "queue"   // called, missed
	AboutPayment Topic = "payment" // refunds
	AboutService Topic = "service" // the account and these settings
)

// State of a delivery.
type State string

// The states. Sent means that the gateway took it; failed that it never will, unless an
// operator tries again.
const (
	Queued State = "queued"
	Sent   State = "sent"
	Failed State = "failed"
	Read   State = "read"
)

// Delivery is one message on one channel.
type Delivery struct {
	ID       DeliveryID
	Account  AccountID
	Channel  Channel
	Template string
	State    State
	At       time.Time
}

// Message asks for deliveries. ID is the caller's own: the same again sends nothing.
// What the account does not want on a channel is left out there.
type Message struct {
	ID       id.ID[id.Any]
	Tenant   TenantID
	Account  AccountID   // zero for a phone that has no account yet
	Phone    secret.Text // for SMS without an account
	Template string      // identity.code, scheduling.booked, ...
	Params   map[string]secret.Text
	Channels []Channel
	Expires  time.Time // after it the message is pointless and is not sent
}

// Service is what others may ask.
type Service interface {
	// Send queues the deliveries and returns; notify.unknown_template, notify.no_recipient.
	Send(ctx context.Context, m Message) error
	// SetContact keeps the account's phone for later messages.
	SetContact(ctx context.Context, tenant TenantID, a AccountID, phone secret.Text) error
}

// Refusals.
var (
	ErrCodeTooOften = fault.Register(fault.Limited, "notify.code_too_often", "获取验证码太频繁，请稍后再试", "Too many codes asked for, try again later")
	ErrCodeWrong    = fault.Register(fault.Invalid, "notify.code_wrong", "验证码不正确", "The code is not correct")
	ErrCodeExpired  = fault.Register(fault.Gone, "notify.code_expired", "验证码已失效，请重新获取", "The code is no longer valid, ask for a new one")
	ErrTemplate     = fault.Register(fault.Invalid, "notify.unknown_template", "没有这个通知模板", "There is no such template")
	ErrRecipient    = fault.Register(fault.Invalid, "notify.no_recipient", "没有可用的联系方式", "There is no way to reach the person")
	ErrNotFound     = fault.Register(fault.NotFound, "notify.not_found", "没有这条通知", "There is no such notice")
	ErrInvalid      = fault.Register(fault.Invalid, "notify.invalid", "通知设置填写有误", "The settings of notices are not right")
	ErrMailOff      = fault.Register(fault.Unavailable, "notify.mail_off", "本院暂未开通邮件通知", "This hospital sends no mails")
	ErrNotFailed    = fault.Register(fault.Conflict, "notify.not_failed", "只有发送失败的通知可以重发", "Only a delivery that failed can be sent again")
	ErrOver         = fault.Register(fault.Conflict, "notify.over", "通知已过期，不再发送", "The matter of the message is over, it is not sent any more")
	ErrPushOff      = fault.Register(fault.Unavailable, "notify.push_off", "本院暂未开通推送通知", "This hospital sends no push messages")
	ErrStale        = fault.Register(fault.Stale, "notify.stale", "设置已在别处修改，请刷新后重试", "The settings were changed elsewhere, load them again")
)
