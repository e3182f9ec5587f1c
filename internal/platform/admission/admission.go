// Package admission is the door in front of scarce things at the hour of their release:
// a waiting room with signed places, rules of risk, and a challenge as the last step.
//
// A context that gives out something scarce calls Enter with what is really taken; a
// client cannot name another department to walk around the room. Everything here is
// memory of one process, bounded, and touches no database: places and passes are signed
// with a key of the installation, so each process takes what another one gave.
package admission

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
)

// Refusals of the waiting room and of the rules of risk.
var (
	ErrPass      = fault.Register(fault.Forbidden, "admission.pass_needed", "请先到等候室排队", "Take a place in the waiting room first")
	ErrForged    = fault.Register(fault.Malformed, "admission.token_forged", "排队凭证无效", "This place token is not ours")
	ErrShared    = fault.Register(fault.Forbidden, "admission.token_shared", "排队凭证属于另一个账号或登录", "This place token belongs to another account or login")
	ErrExpired   = fault.Register(fault.Gone, "admission.token_expired", "排队凭证已过期，请重新排队", "This place token has expired; take a place again")
	ErrFull      = fault.Register(fault.Unavailable, "admission.room_full", "等候室已满，请稍后再试", "The waiting room is full, try again later")
	ErrRefused   = fault.Register(fault.Forbidden, "admission.refused", "请求存在异常，请到医院窗口或致电预约", "This looks automated; please book at the desk or by phone")
	ErrSlow      = fault.Register(fault.Limited, "admission.slow_down", "操作太快，请稍候几秒", "Too fast; wait a few seconds")
	ErrChallenge = fault.Register(fault.Forbidden, "admission.challenge_needed", "请先完成安全验证", "Answer the challenge first")
	ErrAnswer    = fault.Register(fault.Invalid, "admission.challenge_wrong", "安全验证未通过，请重试", "The answer to the challenge is wrong or too late")
	ErrRules     = fault.Register(fault.Invalid, "admission.rules", "等候室规则文件有误", "The file of waiting-room rules is not valid")
)

type (
	// TenantID names a tenant.
	TenantID = id.ID[auth.Tenant]
	// AccountID names an account.
	AccountID = id.ID[auth.Account]
	// Thing names what is scarce, or its department.
	Thing = id.ID[id.Any]
)

// Scope is what is really taken: the department and the session of a hold.
type Scope struct {
	Tenant               TenantID
	Department, Schedule Thing
}

// Options of a Desk.
type Options struct {
	Key     []byte // of the installation, at least 16 bytes; the same in all processes
	Rules   []Rule
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Risk    Risk // nil: Points with their defaults
	Enforce bool // else verdicts are only counted
	Codes   Codes
	Bits    int // of a proof of work; 0 = 18, about a second of an old phone
}

// Desk is the admission of one process. A nil Desk admits everybody.
type Desk struct {
	opt  Options
	seal sealer
	met  *metrics
	book behaviour
	mono func() time.Time

	mu    sync.Mutex
	rooms map[roomKey]*room
}

// New makes a desk. Rules must have come from ReadRules.
func New(opt Options) (*Desk, error) {
	if len(opt.Key) < 16 {
		return nil, errors.New("admission: the key is too short")
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Risk == nil {
		opt.Risk = Points{}
	}
	if opt.Bits == 0 {
		opt.Bits = 18
	}
	d := &Desk{opt: opt, seal: sealer{opt.Key}, mono: clock.Mono, rooms: map[roomKey]*room{}, book: newBehaviour()}
	var err error
	d.met, err = newMetrics(opt.Metrics, d)
	return d, err
}

// Enter asks whether who is in ctx may take a thing now: admission.pass_needed while the
// department's waiting room is open and the request shows no pass of it. Call leave with
// the outcome: the room's pace follows it.
func (d *Desk) Enter(ctx context.Context, s Scope) (leave func(error), err error) {
	if d == nil {
		return func(error) {}, nil
	}
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	r := d.find(s.Tenant, s.Department)
	if r == nil {
		return func(err error) { d.book.outcome(who.Account, err, d.mono()) }, nil
	}
	if who.Kind == auth.Patient {
		if err := d.checkPass(httpx.PassOf(ctx), r, who); err != nil {
			return nil, err
		}
	}
	begin := d.mono()
	return func(err error) {
		now := d.mono()
		d.book.outcome(who.Account, err, now)
		r.done(who.Account, now.Sub(begin), err)
	}, nil
}

func (d *Desk) checkPass(text string, r *room, who auth.Principal) error {
	if text == "" {
		d.met.tokens.WithLabelValues("pass_missing").Inc()
		return ErrPass.New()
	}
	p, err := d.seal.open(kindPass, text, who, d.opt.Clock.Now())
	if err == nil && p.room != r.key.tag() {
		err = ErrPass.New()
	}
	if err != nil {
		d.met.tokens.WithLabelValues(codeOf(err)).Inc()
	}
	return err
}

// SoldOut releases everybody who waits for the session only, with the reason: nobody
// waits for what is gone.
func (d *Desk) SoldOut(t TenantID, schedule Thing) {
	if d == nil {
		return
	}
	for _, r := range d.all() {
		if r.key.tenant == t {
			r.soldOut(schedule, d.mono())
		}
	}
}

// Back lets people wait for a session again, when a seat of it has come back.
func (d *Desk) Back(t TenantID, schedule Thing) {
	if d == nil {
		return
	}
	for _, r := range d.all() {
		if r.key.tenant == t {
			r.back(schedule)
		}
	}
}

// find is the room that is open now for a department of the tenant; nil when none is.
func (d *Desk) find(t TenantID, department Thing) *room {
	if len(d.opt.Rules) == 0 {
		return nil
	}
	now := d.opt.Clock.Now()
	for i := range d.opt.Rules {
		rule := &d.opt.Rules[i]
		if !rule.open(t, department, now) {
			continue
		}
		k := roomKey{tenant: t, rule: rule.Name}
		if len(rule.Departments) > 0 && !rule.Together {
			k.department = department
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		r := d.rooms[k]
		if r == nil { // as many as there are tenants, rules and departments named in them
			r = newRoom(k, *rule, d.mono())
			d.rooms[k] = r
		}
		return r
	}
	return nil
}

func (d *Desk) all() []*room {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]*room, 0, len(d.rooms))
	for _, r := range d.rooms {
		out = append(out, r)
	}
	return out
}

// paceEach is how often rooms let people in.
const paceEach = 100 * time.Millisecond

// Run lets people in until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	tick := time.NewTicker(paceEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			for _, r := range d.all() {
				r.pace(d.mono(), r.rule.within(d.opt.Clock.Now()))
			}
		}
	}
}

// Guard judges one hold of an account before any work; httpx.Options.Guard.
func (d *Desk) Guard(r *http.Request, who auth.Principal) error {
	if d == nil || who.Account.IsZero() || who.Kind != auth.Patient {
		return nil
	}
	now := d.mono()
	s := d.book.request(r, who, d.opt.Clock.Now(), now)
	v := d.opt.Risk.Judge(s)
	d.met.verdict(v)
	if v.Decision == Allow {
		return nil
	}
	d.opt.Log.Debug("risk", "decision", string(v.Decision), "reasons", v.Reasons, "enforced", d.opt.Enforce)
	if !d.opt.Enforce {
		return nil
	}
	switch {
	case v.Decision == Refuse:
		return ErrRefused.New()
	case v.Decision == Slow:
		return ErrSlow.After(3 * time.Second)
	case d.book.cleared(who.Account, now):
		return nil
	}
	return ErrChallenge.New()
}

func codeOf(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code.Name
	}
	return "internal"
}
