package admission

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/httpx"
)

const (
	tokenTime = 30 * time.Minute
	longest   = 10 * time.Minute // of one stream; the client comes again with its token
)

// Routes are the waiting room's. They touch no database; they belong to every process.
func (d *Desk) Routes(a *httpx.API) {
	op := func(id, method, path, summary string) httpx.Op {
		return httpx.Op{ID: id, Method: method, Path: path, Summary: summary, Tag: "queue", Module: "http", Class: httpx.ClassQueue, MaxBody: 2 << 10}
	}
	take := op("queue.take_place", http.MethodPost, "/queue/places", "Take a place in a department's waiting room, or see that none is open; again is the same place")
	take.Status = http.StatusCreated
	httpx.Register(a, take, d.postPlace)
	httpx.Register(a, op("queue.read_place", http.MethodGet, "/queue/places/{token}", "Where the place stands; for browsers without streams"), d.getPlace)
	watch := op("queue.watch_place", http.MethodGet, "/queue/places/{token}/events", "The place as server-sent events, until it is the caller's turn")
	watch.Stream = true
	httpx.Handle(a, watch, d.watchPlace)
	httpx.Register(a, op("queue.take_challenge", http.MethodPost, "/queue/challenge", "A puzzle for a caller who was asked for one (admission.challenge_needed)"), d.postChallenge)
	httpx.Register(a, op("queue.send_code", http.MethodPost, "/queue/challenge/code", "A code to the account's own phone instead of the puzzle"), d.postCode)
	answer := op("queue.answer_challenge", http.MethodPost, "/queue/challenge/answer", "The answer; good for ten minutes")
	answer.Status = http.StatusNoContent
	httpx.Register(a, answer, d.postAnswer)
}

type placeBody struct {
	State     State      `json:"state" enum:"open,waiting,admitted,ended"`
	Reason    string     `json:"reason,omitempty" enum:"sold_out,closed,past" doc:"Of the end"`
	Token     string     `json:"token,omitempty" doc:"Signed, of this account and login; keeps the place over reconnects"`
	Position  int        `json:"position,omitempty" doc:"1 is the next"`
	Estimate  *int       `json:"estimate_seconds,omitempty" doc:"From how fast people were let in lately; absent while nobody can know"`
	Pass      string     `json:"pass,omitempty" doc:"For the header Queue-Pass of the hold"`
	Until     *time.Time `json:"pass_expires_at,omitempty"`
	NextLook  int        `json:"next_look_seconds,omitempty" doc:"When to ask again, if at all"`
	ServerNow time.Time  `json:"server_time"`
}

type takeIn struct {
	Body struct {
		Department string `json:"department_id" format:"uuid"`
		Schedule   string `json:"schedule_id,omitempty" format:"uuid" doc:"The session that the person waits for: when it is sold out, the wait ends"`
		Token      string `json:"token,omitempty" maxLength:"128" doc:"Of an earlier place, also of another process"`
	}
}

type tokenIn struct {
	Token string `path:"token" maxLength:"128"`
}

type placeOut struct{ Body placeBody }

func (d *Desk) postPlace(ctx context.Context, in *takeIn) (*placeOut, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	department, err := httpx.ID[id.Any](in.Body.Department)
	if err != nil {
		return nil, err
	}
	schedule := Thing{}
	if in.Body.Schedule != "" {
		if schedule, err = httpx.ID[id.Any](in.Body.Schedule); err != nil {
			return nil, err
		}
	}
	r := d.find(who.Tenant, department)
	if r == nil {
		return &placeOut{placeBody{State: Open, ServerNow: d.opt.Clock.Now()}}, nil
	}
	today := d.opt.Clock.Now().UnixMicro()
	arrived := today
	if in.Body.Token != "" {
		t, err := d.seal.open(kindPlace, in.Body.Token, who, d.opt.Clock.Now())
		if err != nil {
			return nil, d.refused(err)
		}
		if t.room == r.key.tag() {
			arrived = t.arrived
		}
	}
	v, err := r.take(who.Account, schedule, arrived, today, d.mono())
	if err != nil {
		return nil, err
	}
	return &placeOut{d.body(r, v, who)}, nil
}

func (d *Desk) refused(err error) error {
	d.met.tokens.WithLabelValues(codeOf(err)).Inc()
	return err
}

// placed finds the place of a token; a place that another process gave is taken over.
func (d *Desk) placed(who auth.Principal, text string) (*room, View, error) {
	now := d.opt.Clock.Now()
	t, err := d.seal.open(kindPlace, text, who, now)
	if err != nil {
		return nil, View{}, d.refused(err)
	}
	r := d.tagged(who.Tenant, t.room)
	if r == nil {
		return nil, View{State: Open}, nil
	}
	if v, ok := r.look(who.Account, d.mono()); ok {
		return r, v, nil
	}
	v, err := r.take(who.Account, Thing{}, t.arrived, now.UnixMicro(), d.mono())
	return r, v, err
}

// tagged finds the tenant's room that a token is of, opening it if another process was
// the first to need it; nil when the rule's hours are over.
func (d *Desk) tagged(t TenantID, room tag) *room {
	now := d.opt.Clock.Now()
	for i := range d.opt.Rules {
		rule := &d.opt.Rules[i]
		departments := rule.Departments
		if len(departments) == 0 || rule.Together {
			departments = []Thing{{}}
		}
		for _, x := range departments {
			k := roomKey{tenant: t, rule: rule.Name, department: x}
			if k.tag() != room {
				continue
			}
			if len(rule.Departments) > 0 && rule.Together {
				x = rule.Departments[0]
			}
			if !rule.open(t, x, now) {
				return nil
			}
			return d.find(t, x)
		}
	}
	return nil
}

func (d *Desk) body(r *room, v View, who auth.Principal) placeBody {
	now := d.opt.Clock.Now()
	b := placeBody{State: v.State, Reason: v.Reason, ServerNow: now}
	if r == nil {
		return b
	}
	t := d.seal.of(token{kind: kindPlace, room: r.key.tag(), arrived: v.Arrived, expires: now.Add(tokenTime).Unix(), position: uint32(max(0, v.Position))}, who)
	switch v.State {
	case Waiting:
		b.Token, b.Position = d.seal.sign(t), v.Position
		if rate := v.Rate; rate > 0 {
			b.Estimate = new(int(math.Ceil(float64(v.Position) / rate)))
		}
		b.NextLook = int(nextLook(v.Position).Seconds())
	case Admitted:
		left := r.pass() - d.mono().Sub(v.Since)
		t.kind, t.expires = kindPass, now.Add(left).Unix()
		until := time.Unix(t.expires, 0).UTC()
		b.Pass, b.Until = d.seal.sign(t), &until
		t.kind, t.expires = kindPlace, now.Add(tokenTime).Unix()
		b.Token = d.seal.sign(t)
	}
	return b
}

// nextLook is how often a position is told: who is far back needs it rarely, so twenty
// thousand people cost as little as two thousand. Half of it is jitter.
func nextLook(position int) time.Duration {
	base := 2 * time.Second
	switch {
	case position > 1000:
		base = 16 * time.Second
	case position > 100:
		base = 6 * time.Second
	}
	return base/2 + rand.N(base)
}

func (d *Desk) getPlace(ctx context.Context, in *tokenIn) (*placeOut, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	r, v, err := d.placed(who, in.Token)
	if err != nil {
		return nil, err
	}
	return &placeOut{d.body(r, v, who)}, nil
}

// watchPlace streams the place. The browser reconnects by itself, after a time of its
// own (retry:), with the same token and thus to the same place.
func (d *Desk) watchPlace(w http.ResponseWriter, req *http.Request) error {
	who, err := auth.From(req.Context())
	if err != nil {
		return err
	}
	text := req.PathValue("token")
	r, v, err := d.placed(who, text)
	if err != nil {
		return err
	}
	sse, err := httpx.NewSSERetry(w, 3*time.Second+rand.N(7*time.Second))
	if err != nil {
		return nil // the answer has begun: the reader is gone
	}
	end := time.NewTimer(longest - rand.N(longest/4))
	defer end.Stop()
	for n := 1; ; n++ {
		if sse.Send(strconv.Itoa(n), "place", d.body(r, v, who)) != nil || r == nil || v.State != Waiting {
			return nil
		}
		t := time.NewTimer(nextLook(v.Position))
		select {
		case <-req.Context().Done():
			t.Stop()
			return nil
		case <-end.C:
			t.Stop()
			return nil
		case <-v.news:
		case <-t.C:
		}
		t.Stop()
		next, ok := r.look(who.Account, d.mono())
		if !ok {
			return nil // forgotten meanwhile: the client's next connection takes the place again
		}
		v = next
	}
}

type challengeOut struct {
	Body struct {
		Nonce string `json:"nonce"`
		Bits  int    `json:"bits" doc:"SHA-256(nonce + suffix) must begin with so many zero bits; suffix has at most 32 characters"`
		Code  bool   `json:"code_available" doc:"A code to the account's phone may be asked for instead"`
	}
}

func (d *Desk) postChallenge(ctx context.Context, _ *struct{}) (*challengeOut, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	out := &challengeOut{}
	out.Body.Nonce, out.Body.Bits = d.work(who)
	out.Body.Code = d.opt.Codes != nil
	return out, nil
}

type codeOut struct {
	Body struct {
		ID string `json:"challenge_id"`
	}
}

func (d *Desk) postCode(ctx context.Context, _ *struct{}) (*codeOut, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if d.opt.Codes == nil || who.Kind != auth.Patient {
		return nil, ErrAnswer.New()
	}
	out := &codeOut{}
	out.Body.ID, err = d.opt.Codes.SendCode(ctx, who)
	return out, err
}

type answerIn struct {
	Body struct {
		Nonce  string `json:"nonce,omitempty" maxLength:"128"`
		Suffix string `json:"suffix,omitempty" maxLength:"32"`
		ID     string `json:"challenge_id,omitempty" format:"uuid"`
		Code   string `json:"code,omitempty" maxLength:"12"`
	}
}

func (d *Desk) postAnswer(ctx context.Context, in *answerIn) (*struct{}, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.ID == "" {
		return nil, d.worked(who, in.Body.Nonce, in.Body.Suffix)
	}
	if d.opt.Codes == nil {
		return nil, ErrAnswer.New()
	}
	if err := d.opt.Codes.CheckCode(ctx, who, in.Body.ID, in.Body.Code); err != nil {
		return nil, err
	}
	d.book.clear(who.Account, d.mono())
	return nil, nil
}
